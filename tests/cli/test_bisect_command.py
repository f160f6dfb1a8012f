"""`tickwork bisect` as it is typed: the tick that it finds is the one that all moments together show."""

import pytest

from shell_projects import agent, entries_of, project, tickwork, tickwork_here

PATIENT = """
from tickwork_agent import Agent


class Patient(Agent):
    def setup(self, config):
        self.seen = []

    def on_line(self, message):
        self.seen.append(message.json())
"""


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A Python agent that remembers what it saw, and one that fails at its third line."""
    folder = tmp_path_factory.mktemp("bisect") / "p"
    lines = "".join(f"{number}\n" for number in range(20))
    project(folder, agent("frail", "echo", "output:out"), lines=lines, to="patient")
    (folder / "patient.py").write_text(PATIENT)
    with (folder / "tickwork.toml").open("a") as manifest:
        manifest.write('[[agents]]\nid = "patient"\nmodule = "patient.py"\n')
    file = folder / "x.tick"
    assert tickwork_here("run", folder, "--out", file).code == 0
    return file


def test_the_first_tick_is_found_and_named(recorded):
    done = tickwork("bisect", recorded, "--check", "tick > 0 and len(agent('patient').state()['seen']) >= 7")
    assert (done.code, done.err) == (0, "")
    first, second = done.out.splitlines()
    assert first == "holds before tick 8 and not before tick 7: tick 7 made it so"
    assert second.startswith("  looked at ")
    assert second.endswith(" of 23 moments")


def test_json_has_every_answer(recorded):
    check = "tick > 0 and 6 in agent('patient').state()['seen']"
    done = tickwork_here("bisect", recorded, "--check", check, "--from", 2, "--to", 20, "--json")
    assert (done.code, done.err) == (0, "")
    found = done.json
    assert list(found) == ["file", "check", "from", "to", "tick", "from_beginning", "checked"]
    assert (found["check"], found["from"], found["to"]) == (check, 2, 20)
    assert (found["tick"], found["from_beginning"]) == (8, False)
    answers = {asked["tick"]: asked["holds"] for asked in found["checked"]}
    assert answers[8] is True
    assert answers[7] is False
    assert len(found["checked"]) == len(answers) <= 7


def test_a_condition_that_holds_from_the_beginning_is_told_so(recorded):
    done = tickwork_here("bisect", recorded, "--check", "True", "--from", 4)
    assert done.code == 0
    assert done.out.startswith("holds before tick 4 already, the first that was to be looked at\n")
    assert tickwork_here("bisect", recorded, "--check", "True", "--json").json["from_beginning"] is True


def test_a_condition_that_does_not_hold_at_the_end_exits_with_1(recorded):
    done = tickwork_here("bisect", recorded, "--check", "tick == 5")
    assert done.code == 1
    assert done.out.startswith("does not hold before tick 22, the last that was to be looked at\n")
    found = tickwork_here("bisect", recorded, "--check", "tick == 5", "--json")
    assert (found.code, found.json["tick"]) == (1, None)


def test_a_script_does_as_well(recorded, tmp_path):
    script = tmp_path / "check.py"
    script.write_text("def check(moment):\n    return moment.tick >= 9\n")
    assert tickwork_here("bisect", recorded, "--check", script, "--json").json["tick"] == 9


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--check", "tick =="), "is no Python expression"),
        (("--check", "none.py"), "--check: there is no script none.py"),
        (("--check", "tock"), "the expression failed at tick 0: NameError"),
        (("--check", "agent('zed').status"), "there is no agent 'zed' at tick 0"),
        (("--check", "agent('patient').state()"), "has no state at tick 0: it is starting"),
        (("--check", "tick > 2 and agent('frail').state()"), "is not written in Python"),
        (("--check", "True", "--from", 9, "--to", 3), "--from 9 is after --to 3"),
        (("--check", "True", "--from", 23, "--to", 40), "can be looked at from tick 0 to 22, not at 23"),
        (("--check", "tick > 5", "--to", 23), "can be looked at from tick 0 to 22, not at 23"),
    ],
)
def test_what_cannot_be_asked_is_one_message(recorded, options, said):
    done = tickwork_here("bisect", recorded, *options)
    assert done.code == 2
    assert said in done.error


def test_looking_changes_nothing(recorded):
    before = entries_of(recorded.parent)
    assert tickwork("bisect", recorded, "--check", "tick > 3").code == 0
    assert entries_of(recorded.parent) == before


def test_a_check_is_required(recorded):
    done = tickwork_here("bisect", recorded)
    assert done.code == 2
    assert "Usage: " in done.err
