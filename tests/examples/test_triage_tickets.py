import json
from collections import Counter

import triage_oracle
from triage_files import EXAMPLE, load

TICKETS = triage_oracle.read_tickets(EXAMPLE / "tickets.jsonl")


def test_the_script_writes_the_file_that_is_committed():
    made = load("make_tickets.py").tickets()
    lines = [json.dumps(ticket, ensure_ascii=False) for ticket in made]
    assert (EXAMPLE / "tickets.jsonl").read_text(encoding="utf-8").splitlines() == lines


def test_another_seed_gives_another_morning():
    assert load("make_tickets.py").tickets(1) != load("make_tickets.py").tickets(2)


def test_the_morning_is_varied():
    texts = Counter(ticket["text"] for ticket in TICKETS)
    assert len(TICKETS) >= 320
    assert len(texts) >= 250
    assert texts.most_common(1)[0][1] >= 2
    assert any(not text.strip() for text in texts)
    assert any(not text.isascii() for text in texts)
    assert {ticket["tier"] for ticket in TICKETS} == {"vip", "business", "free"}


def test_every_rule_of_the_spec_is_exercised_by_the_morning():
    summary, *others = triage_oracle.triage(TICKETS)
    teams = [record for record in others if record["record"] == "team"]
    assert set(summary["returned"]) == {"redelivered", "noise", "empty", "unclear"}
    assert len(teams) == len(triage_oracle.TABLES["team"])
    assert all(sum(team["severities"][place] for team in teams) for place in range(4))
    assert min(summary["merged"], summary["rerouted"], summary["majors"], summary["managed"]) > 0
    assert summary["escalated"] > summary["managed"]
    assert summary["unresolved"] == 0
