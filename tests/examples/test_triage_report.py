import triage_oracle
from triage_files import EXAMPLE, load

RECORDS = triage_oracle.triage(triage_oracle.read_tickets(EXAMPLE / "tickets.jsonl"))


def test_the_text_fits_a_terminal_and_names_every_team_and_major():
    text = load("report.py").render(RECORDS)
    assert max(len(line) for line in text.splitlines()) <= 120
    for record in RECORDS:
        assert record.get("team", "") in text
        assert record.get("incident", "") in text


def test_no_records_give_no_text():
    assert load("report.py").render([]) == ""


def test_a_title_cannot_command_the_terminal():
    major = next(record for record in RECORDS if record["record"] == "major")
    text = load("report.py").render([{**major, "title": "\x1b[2J\nowned\u202e", "customer": "a\tb"}])
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert len(text.splitlines()) == 5


def test_long_titles_are_clipped():
    major = next(record for record in RECORDS if record["record"] == "major")
    assert "x" * 40 not in load("report.py").render([{**major, "title": "x" * 500}])
