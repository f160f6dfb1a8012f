"""The faults that are tried: of the kinds that were asked for, in bounds, for what really happened."""

from collections import Counter
from pathlib import Path

import pytest
from planted_systems import planted, twin

from tickwork.bench.projects import tiny_project
from tickwork.core.effects import Metric
from tickwork.core.errors import InputError
from tickwork.core.faults import Drop, Fault, kind_of
from tickwork.exploration.case import Case, Horizon
from tickwork.exploration.draws import Draws
from tickwork.exploration.events import Events, events_of
from tickwork.exploration.execution import run_case
from tickwork.exploration.explorer import Assignment, Explorer
from tickwork.exploration.plans import DRAWN_KINDS, FAULTS_MAX, FaultMix, parse_mix, vary
from tickwork.runtime.assemble import load_project

CRASHES = {"crash-before", "crash-after"}
UNASKED = {"lose-timer", "starve-fuel", "refuse-memory"}


def events(explorer: Explorer) -> Events:
    explored = run_case(explorer.stage, Case(0), explorer.assignment.horizon, keep_entries=True)
    spec = explorer.stage.spec
    return events_of(spec, explored.entries, {})


def drawn(name: str, text: str | None, count: int = 400) -> list[tuple[Fault, ...]]:
    with Explorer.of(twin(name)) as explorer:
        found = events(explorer)
    plans: list[tuple[Fault, ...]] = []
    for number in range(count):
        plans.append(vary(plans[-1] if plans else (), found, parse_mix(text), Draws(1, number)))
    return plans


def test_a_system_that_nobody_restarts_is_not_crashed_unasked() -> None:
    kinds = Counter(kind_of(fault) for plan in drawn("leader_split", None) for fault in plan)
    assert not kinds.keys() & (CRASHES | UNASKED)
    assert kinds.keys() == set(DRAWN_KINDS) - CRASHES - UNASKED - {"reorder"}


def test_who_is_restarted_is_crashed_and_nobody_else() -> None:
    faults = [fault for plan in drawn("early_acknowledgement", None) for fault in plan]
    crashes = [fault for fault in faults if kind_of(fault) in CRASHES]
    assert {kind_of(fault) for fault in crashes} == CRASHES
    assert {fault.agent for fault in crashes} == {"worker"}  # type: ignore[union-attr]


@pytest.mark.parametrize("kind", [kind for kind in DRAWN_KINDS if kind != "reorder"])
def test_every_kind_can_be_asked_for_alone_and_hits(kind: str) -> None:
    plans = drawn("early_acknowledgement", kind, 40)
    assert {kind_of(fault) for plan in plans for fault in plan} == {kind}
    with Explorer.of(twin("early_acknowledgement"), mix=parse_mix(kind)) as explorer:
        hits = 0
        for plan in plans:
            explored = run_case(explorer.stage, Case(0, plan), explorer.assignment.horizon, keep_entries=True)
            hits += sum(len(entry.faults) for entry in explored.entries) > 0
    assert hits > 30


def test_plans_are_bounded_in_order_and_without_repetitions() -> None:
    plans = drawn("leader_split", None)
    assert {len(plan) for plan in plans} >= {1, 2, 3, 4}
    for plan in plans:
        assert len(plan) <= FAULTS_MAX
        assert [fault.tick for fault in plan] == sorted(fault.tick for fault in plan)
        assert len(set(plan)) == len(plan)
        assert all(fault.tick > 0 for fault in plan)


def test_equal_draws_give_equal_plans() -> None:
    assert drawn("leader_split", None, 50) == drawn("leader_split", None, 50)


def test_rates_are_kept() -> None:
    with Explorer.of(planted("leader_split")) as explorer:
        found = events(explorer)
    mix = parse_mix("drop=0.25,pause=0")
    plans = [vary((), found, mix, Draws(number)) for number in range(200)]
    share = sum(map(len, plans)) / len(plans) / len(found.later_sent)
    assert 0.22 < share < 0.28
    assert {kind_of(fault) for plan in plans for fault in plan} == {"drop"}


def test_none_is_none() -> None:
    assert parse_mix("none") == FaultMix(weights=())
    assert drawn("leader_split", "none", 3) == [(), (), ()]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "there is no fault '' to draw"),
        ("drops", "there is no fault 'drops' to draw; there are: drop, delay"),
        ("fail-request", "there is no fault 'fail-request' to draw"),
        ("drop=2", "--faults drop=2: the rate must be a number from 0 to 1"),
        ("drop=nan", "the rate must be a number from 0 to 1"),
        ("drop=x", "the rate must be a number from 0 to 1"),
        ("drop=-0.1", "the rate must be a number from 0 to 1"),
        ("drop=0.1,delay", "give all kinds a rate, or none"),
    ],
)
def test_another_mix_is_refused(text: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        parse_mix(text)


def test_inboxes_with_several_messages_are_reordered() -> None:
    project = tiny_project(5, 3)
    horizon = Horizon(20, until_idle=False, must_idle=False)
    with Explorer(project, (), Assignment(horizon, parse_mix("reorder"), 1), ()) as explorer:
        explored = run_case(explorer.stage, Case(1), horizon, keep_entries=True)
        found = events_of(project.spec, explored.entries, {})
        for number in range(30):
            plan = vary((), found, explorer.assignment.mix, Draws(number))
            broken = run_case(explorer.stage, Case(1, plan), horizon, keep_entries=True)
            assert broken.digests != explored.digests
            assert {kind_of(one.fault) for entry in broken.entries for one in entry.faults} == {"reorder"}


PUBLISHER = """
from tickwork_agent import Agent


class Publisher(Agent):
    def on_start(self, message):
        self.publish("news", 1)
        self.send("two", "news", 2)
        self.publish("news", 3)
"""
READER = """
from tickwork_agent import Agent


class Reader(Agent):
    def on_news(self, message):
        self.metric("news", message.json())
"""
NEWS = """
[run]
name = "news"
ticks = 10

[inputs.start]
path = "start.jsonl"
to = ["publisher"]

[[agents]]
id = "publisher"
module = "publisher.py"
grants = ["publish:news", "send:two"]
""" + "".join(
    f"""
[[agents]]
id = "{name}"
module = "reader.py"
subscribe = ["news"]
"""
    for name in ("one", "two")
)


def test_each_subscriber_loses_the_message_that_was_meant(tmp_path: Path) -> None:
    files = {"publisher.py": PUBLISHER, "reader.py": READER, "tickwork.toml": NEWS, "start.jsonl": "{}\n"}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with Explorer.of(load_project(tmp_path)) as explorer:
        explored = run_case(explorer.stage, Case(0), explorer.assignment.horizon, keep_entries=True)
        subscribers = {"news": ("one", "two")}
        sent = events_of(explorer.stage.spec, explored.entries, subscribers).later_sent
        assert [(one.to, one.nth) for one in sent] == [
            ("one", 0),
            ("two", 0),
            ("two", 1),
            ("one", 1),
            ("two", 2),
        ]
        bodies = {("one", 0): 1, ("one", 1): 3, ("two", 0): 1, ("two", 1): 2, ("two", 2): 3}
        for one in sent:
            case = Case(0, (Drop(one.tick, one.sender, one.nth, one.to),))
            left = run_case(explorer.stage, case, explorer.assignment.horizon, keep_entries=True).entries
            index = {"one": 1, "two": 2}[one.to]
            got = [
                effect.value
                for entry in left
                for turn in entry.turns
                for effect in turn.effects
                if turn.agent == index and isinstance(effect, Metric)
            ]
            wanted = [body for (to, _), body in bodies.items() if to == one.to]
            wanted.remove(bodies[one.to, one.nth])
            assert got == wanted
