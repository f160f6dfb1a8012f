"""Random runs: agents with random powers and small limits, and what each turn comes to for several ticks."""

import itertools
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from core_worlds import Tick, advance_world
from tickwork.core.effects import (
    Call,
    Effect,
    Infer,
    Log,
    Metric,
    Output,
    Publish,
    Send,
    Spawn,
    Stop,
    Timer,
)
from tickwork.core.grants import Capability, Grant
from tickwork.core.limits import Limits, RunLimits
from tickwork.core.messages import Arrivals, Input
from tickwork.core.outcomes import Outcome, OutcomeKind
from tickwork.core.spec import AgentSpec, InputSpec, RunSpec
from tickwork.core.world import World, genesis_world

# Few names, so that effects, grants and agents meet.
AGENT_IDS = ("a", "b", "team.x", "team.y", "z")
KIND_IDS = ("k", "w")
TOPICS = ("news", "news.eu", "t")
OUTPUTS = ("out", "err")


def weighted(*choices: tuple[int, st.SearchStrategy[Any]]) -> st.SearchStrategy[Any]:
    """Draw from each strategy in proportion to its weight (`one_of` takes equal strategies for one)."""
    tickets = [strategy for weight, strategy in choices for _ in range(weight)]
    return st.integers(0, len(tickets) - 1).flatmap(lambda ticket: tickets[ticket])


_garbage = st.text(max_size=4) | st.just("\u0378" * 400)  # unassigned in Unicode, and longer than any name
_aims = st.sampled_from([*AGENT_IDS, "k/1", "k/2", "w/1"])
_any_aim = weighted((8, _aims), (1, _garbage))
_topics = st.sampled_from(TOPICS)
_any_topic = weighted((5, _topics), (1, _garbage))
_bodies = st.binary(max_size=6)
_numbers = st.integers(0, 2) | st.just((1 << 64) - 1)
_delays = weighted((8, st.integers(0, 3)), (1, st.sampled_from([(1 << 63) - 2, (1 << 64) - 1])))

_sends = st.builds(Send, _any_aim, _any_topic, _bodies, st.none() | _numbers)
_publishes = st.builds(Publish, _any_topic, _bodies)
_timers = st.builds(Timer, _any_topic, _bodies, _delays, _numbers)
_spawns = weighted(
    (3, st.sampled_from([Spawn("k/1", "k", b""), Spawn("k/2", "k", b"own"), Spawn("w/1", "w", b"")])),
    (
        1,
        st.builds(
            Spawn,
            st.sampled_from(["k/1", "a", "k/", "k/tickwork"]) | _garbage,
            st.sampled_from([*KIND_IDS, "nokind"]),
            _bodies,
        ),
    ),
)
_stops = st.builds(Stop, st.none() | _any_aim, st.text(max_size=3))
_outputs = st.builds(Output, weighted((5, st.sampled_from([*OUTPUTS, "nowhere"])), (1, _garbage)), _bodies)
_logs = st.builds(Log, st.integers(0, 3), _garbage)
_metrics = st.builds(Metric, _garbage, st.floats(allow_nan=False))
_requests = st.builds(Infer, _garbage, _bodies, _numbers) | st.builds(Call, _garbage, _bodies, _numbers)

effects: st.SearchStrategy[Effect] = weighted(
    (8, _sends), (3, _publishes), (5, _timers), (3, _spawns), (1, _stops), (2, _outputs), (1, _logs),
    (1, _metrics), (1, _requests),
)  # fmt: skip

_failures = st.sampled_from([kind for kind in OutcomeKind if kind is not OutcomeKind.OK])
_fine = st.builds(
    Outcome,
    st.just(OutcomeKind.OK),
    st.lists(effects, max_size=6).map(tuple),
    st.integers(0, 9),
)
_broken = st.builds(Outcome, _failures, st.lists(_logs, max_size=2).map(tuple), st.integers(0, 9), _garbage)
outcomes: st.SearchStrategy[Outcome] = weighted((14, _fine), (1, _broken))

_TARGETS: dict[Capability, tuple[str, ...]] = {
    Capability.SEND: ("*", "a", "b", "team.*", "k/*", "k/1", "z", ""),
    Capability.PUBLISH: ("*", "news", "news*", "t"),
    Capability.INFER: ("*", "m"),
    Capability.CALL: ("*", "m"),
    Capability.OUTPUT: ("*", "out", "o*", "nowhere"),
    Capability.TIMER: ("",),
    Capability.SPAWN: ("*", "k", "w"),
    Capability.STOP: ("*", "a", "team.x", "k/*"),
}
_caps = weighted((3, st.none()), (2, st.integers(0, 3)))


@st.composite
def grants(draw: st.DrawFn) -> Grant:
    capability = draw(st.sampled_from(list(Capability)))
    return Grant(capability, draw(st.sampled_from(_TARGETS[capability])), draw(_caps), draw(_caps))


_EVERYTHING = tuple(Grant(capability, "" if capability == "timer" else "*") for capability in Capability)
_grants = weighted((1, st.just(_EVERYTHING)), (1, st.lists(grants(), min_size=2, max_size=8).map(tuple)))
_tight = st.builds(
    Limits, mailbox_messages=st.integers(0, 4), mailbox_bytes=st.integers(0, 12), timers=st.integers(0, 2)
)
_limits = weighted((1, st.just(Limits())), (1, _tight))


@st.composite
def agent_specs(draw: st.DrawFn, name: str) -> AgentSpec:
    return AgentSpec(
        id=name,
        kind=name,
        module="00" * 32,
        config=draw(_bodies),
        grants=draw(_grants),
        subscribe=tuple(draw(st.lists(_topics, max_size=2))),
        limits=draw(_limits),
        every_tick=draw(st.sampled_from([True, True, True, False])),
    )


@st.composite
def runs(draw: st.DrawFn) -> RunSpec:
    names = AGENT_IDS[: draw(st.integers(2, len(AGENT_IDS)))]
    agents = tuple(draw(agent_specs(name)) for name in names)
    readers = st.lists(st.sampled_from(names), max_size=3, unique=True).map(tuple)
    names_of_inputs = draw(st.sampled_from([("i", "j"), ()]))
    return RunSpec(
        name="law",
        seed=draw(st.sampled_from([0, 1, (1 << 64) - 1])),
        start_ns=0,
        tick_ns=1,
        floats="portable",
        agents=agents,
        kinds=tuple(draw(agent_specs(kind)) for kind in draw(st.sampled_from([KIND_IDS, ("k",), ()]))),
        inputs=tuple(InputSpec(name, "line", draw(readers), 2) for name in names_of_inputs),
        outputs=OUTPUTS,
        limits=RunLimits(agents=len(agents) + draw(st.integers(0, 3))),
    )  # fmt: skip


_QUIET = Outcome(OutcomeKind.OK, (), 1)


@dataclass(frozen=True)
class Scenario:
    """A run, and for each tick what its turns come to (used in turn) and what arrives."""

    run: RunSpec
    script: tuple[tuple[tuple[Outcome, ...], Arrivals], ...]


@st.composite
def scenarios(draw: st.DrawFn) -> Scenario:
    run = draw(runs())
    lines = st.builds(Input, st.integers(0, max(len(run.inputs) - 1, 0)), _bodies)
    accepted = st.lists(lines, max_size=3 if run.inputs else 0).map(tuple)
    # Setups mostly succeed, or nothing would ever happen.
    first = draw(
        weighted((3, st.just((_QUIET,))), (1, st.lists(outcomes, min_size=1, max_size=2).map(tuple)))
    )
    rest = draw(st.lists(st.lists(outcomes, min_size=2, max_size=5).map(tuple), min_size=2, max_size=7))
    return Scenario(run, tuple((tick, Arrivals(draw(accepted))) for tick in (first, *rest)))


def play(scenario: Scenario) -> list[Tick]:
    """Drive the scenario from genesis to the end of its script."""
    history: list[Tick] = []
    world = genesis_world(scenario.run)
    for comes_to, arrivals in scenario.script:
        history.append(play_tick(world, comes_to, arrivals))
        world = history[-1].after
    return history


def play_tick(world: World, comes_to: tuple[Outcome, ...], arrivals: Arrivals) -> Tick:
    """Run one tick in which the turns come to `comes_to` by turns."""
    results = itertools.cycle(comes_to)
    return advance_world(world, lambda _: next(results), arrivals)
