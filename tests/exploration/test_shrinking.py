"""What shrinking leaves: the faults that matter, as short as they can be, and few agents and ticks."""

from pathlib import Path

import pytest
from planted_systems import checks_of, planted, twin

from tickwork.core.faults import Delay, Drop, Duplicate, Fault, Partition, Pause
from tickwork.exploration.case import Case, Horizon
from tickwork.exploration.checks import Check, load_checks
from tickwork.exploration.explorer import Explorer
from tickwork.exploration.shrink import RUNS_MAX, Shrinking, Shrunk
from tickwork.exploration.view import View
from tickwork.runtime.assemble import load_project
from tickwork.runtime.project import Project

NOISE = tuple(Delay(tick, "teller", 0, "account", 1) for tick in range(2, 8))


def shrunk(project: Project, case: Case, *checks: Check, horizon: Horizon | None = None) -> Shrunk | None:
    with Explorer.of(project, checks=checks) as explorer:
        shrinking = Shrinking(project, explorer.stage.lines, checks)
        return shrinking.shrink(explorer.stage, case, horizon or explorer.assignment.horizon)


@pytest.mark.parametrize("place", [0, 3, 6])
def test_of_many_faults_the_one_that_matters_is_left(place: int) -> None:
    needed = Duplicate(5, "teller", 0, "account")
    faults = (*NOISE[:place], needed, *NOISE[place:])
    found = shrunk(planted("duplicate_deposit"), Case(9, faults), *checks_of("duplicate_deposit"))
    assert found is not None
    assert found.case == Case(0, (needed,))
    assert found.failure.check == "invariant_no_more_is_booked_than_was_sent"
    assert found.runs < 30


def test_all_faults_that_a_failure_needs_are_left() -> None:
    def goal_two_survive(view: View) -> bool:
        return len({fault.fault for _, fault in view.faults if isinstance(fault.fault, Drop)}) < 3

    needed: tuple[Fault, ...] = tuple(Drop(tick, "teller", 0, "account") for tick in (2, 4, 7))
    others = tuple(Duplicate(tick, "teller", 0, "account") for tick in (1, 3, 5, 6))
    faults = tuple(sorted((*needed, *others), key=lambda fault: fault.tick))
    check = Check("goal_two_survive", goal=True, judge=goal_two_survive)
    found = shrunk(twin("duplicate_deposit"), Case(0, faults), check)
    assert found is not None
    assert found.case.faults == needed


def test_faults_become_as_short_as_they_can_be() -> None:
    project, checks = planted("leader_split"), checks_of("leader_split")
    found = shrunk(project, Case(0, (Partition(8, ("node-1", "node-2"), 10),)), *checks)
    assert found is not None
    (fault,) = found.case.faults
    assert isinstance(fault, Partition)
    assert fault.ticks == 6
    with Explorer.of(project, checks=checks) as explorer:
        for other in (
            Partition(8, fault.group, 5),
            Partition(8, ("node-1",), 6),
            Partition(8, ("node-2",), 6),
        ):
            assert explorer.run(Case(0, (other,))).failure is None


def test_a_failure_without_faults_keeps_none() -> None:
    def invariant_short(view: View) -> bool:
        return view.tick < 6

    check = Check("invariant_short", goal=False, judge=invariant_short)
    found = shrunk(planted("duplicate_deposit"), Case(3, NOISE), check)
    assert found is not None
    assert found.case == Case(0)
    assert found.explored.ticks == 7


def test_what_does_not_fail_cannot_be_shrunk() -> None:
    assert shrunk(twin("duplicate_deposit"), Case(0, NOISE)) is None


def test_another_failure_is_not_taken_for_the_first() -> None:
    """Both checks fail, the second one only with the pause: without it there is still the first."""

    def invariant_early(view: View) -> bool:
        return view.tick != 9 or not view.faults

    def goal_late(view: View) -> bool:
        return view.tick < 10

    checks = (
        Check("invariant_early", goal=False, judge=invariant_early),
        Check("goal_late", goal=True, judge=goal_late),
    )
    found = shrunk(planted("duplicate_deposit"), Case(0, (Pause(3, "account", 2),)), *checks)
    assert found is not None
    assert found.failure.check == "invariant_early"
    assert found.case.faults == (Pause(3, "account", 1),)


CROWD = """
[run]
name = "crowd"
ticks = 64
until = "ticks"

[[agents]]
id = "member"
count = 12
module = "member.py"
grants = ["send:member-*"]
every_tick = true
"""
MEMBER = """
from tickwork_agent import Agent


class Member(Agent):
    def setup(self, config):
        self.count = 0

    def step(self, now, inbox):
        self.count += len(inbox)
        self.send("member-1", "hello")
"""
CROWD_CHECK = """
def invariant_nothing_from_the_second_is_lost(view):
    assert not any(one.fault.sender == "member-1" for _, one in view.faults)
"""


def test_agents_that_do_not_matter_are_left_out(tmp_path: Path) -> None:
    for name, text in (("tickwork.toml", CROWD), ("member.py", MEMBER), ("check.py", CROWD_CHECK)):
        (tmp_path / name).write_text(text)
    project = load_project(tmp_path)
    found = shrunk(project, Case(0, (Drop(5, "member-1", 0, None),)), *load_checks(tmp_path / "check.py"))
    assert found is not None
    assert [agent.id for agent in found.project.spec.agents] == ["member-0", "member-1"]


def test_a_goal_is_reached_sooner_where_it_fails_by_its_faults_alone() -> None:
    def goal_led(view: View) -> bool:
        return not view.faults

    check = Check("goal_led", goal=True, judge=goal_led)
    found = shrunk(twin("leader_split"), Case(0, (Pause(3, "node-1", 1),)), check)
    assert found is not None
    assert found.horizon.ticks < 50
    assert found.explored.ticks == found.horizon.ticks > 3


def test_shrinking_stops_when_told_to() -> None:
    project, checks = planted("duplicate_deposit"), checks_of("duplicate_deposit")
    case = Case(9, (*NOISE, Duplicate(9, "teller", 0, "account"), Duplicate(8, "teller", 0, "account")))
    with Explorer.of(project, checks=checks) as explorer:
        found = Shrinking(project, explorer.stage.lines, checks, lambda: True).shrink(
            explorer.stage, case, explorer.assignment.horizon
        )
    assert found is not None
    assert found.case == case
    assert found.runs == 1 < RUNS_MAX
