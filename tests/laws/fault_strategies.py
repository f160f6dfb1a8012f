"""Random fault plans, supervision and edges, for runs whose agents are known by name."""

from collections.abc import Sequence

from core_strategies import weighted
from hypothesis import strategies as st
from msgspec.structs import replace

from tickwork.core.dag import Edge
from tickwork.core.fault_plan import FaultPlan, fault_of_plan
from tickwork.core.faults import (
    KINDS,
    CrashAfter,
    CrashBefore,
    Delay,
    Drop,
    Duplicate,
    FailRequest,
    Fault,
    FaultRate,
    GarbleRequest,
    LoseTimer,
    Partition,
    Pause,
    RefuseMemory,
    Reorder,
    SlowRequest,
    StarveFuel,
)
from tickwork.core.spec import AgentSpec, RunSpec, with_faults
from tickwork.core.supervision import OnExhausted, OnFailure, Supervision

_MESSAGES = ("drop", "delay", "duplicate", "reorder")


def faults(names: Sequence[str], ticks: int) -> st.SearchStrategy[Fault]:
    """Return faults of every kind, most of which may hit something."""
    tick = st.integers(0, ticks)
    agent = weighted((9, st.sampled_from(names)), (1, st.sampled_from(["k/1", "nobody"])))
    nth = weighted((3, st.just(0)), (1, st.integers(1, 2)))
    span = st.integers(1, 3)
    to = weighted((3, st.none()), (1, agent))
    return st.one_of(
        st.builds(Drop, tick, agent, nth, to),
        st.builds(Delay, tick, agent, nth, to, span),
        st.builds(Duplicate, tick, agent, nth, to, st.integers(0, 2)),
        st.builds(Reorder, tick, agent, nth),
        st.builds(
            Partition,
            tick,
            st.lists(agent | st.just("odd-*"), min_size=1, max_size=2, unique=True).map(tuple),
            span,
        ),
        st.builds(CrashBefore, tick, agent),
        st.builds(CrashAfter, tick, agent, st.none() | nth),
        st.builds(StarveFuel, tick, agent, st.integers(0, 2000)),
        st.builds(RefuseMemory, tick, agent),
        st.builds(LoseTimer, tick, agent, st.none() | nth),
        st.builds(Pause, tick, agent, span),
        st.builds(FailRequest, tick, agent, nth),
        st.builds(SlowRequest, tick, agent, nth, span),
        st.builds(GarbleRequest, tick, agent, nth),
    )


def rates(names: Sequence[str], kinds: Sequence[str]) -> st.SearchStrategy[FaultRate]:
    """Return rates of these kinds."""
    return st.builds(
        FaultRate,
        kind=st.sampled_from(kinds),
        rate=st.sampled_from([0.05, 0.3, 1.0]),
        first=st.integers(0, 3),
        last=st.none() | st.integers(3, 6),
        agents=st.sampled_from([("*",), (names[0],), ("odd-*", names[-1])]),
        ticks=st.integers(1, 2),
        fuel=st.integers(0, 1000),
    )


@st.composite
def plans(draw: st.DrawFn, names: Sequence[str], ticks: int) -> FaultPlan:
    """Return a plan that may be empty."""
    explicit = draw(weighted((1, st.just([])), (4, st.lists(faults(names, ticks), min_size=3, max_size=12))))
    by_chance = weighted(
        (2, st.just([])),
        (2, st.lists(rates(names, _MESSAGES), min_size=1, max_size=2)),
        (1, st.lists(rates(names, sorted(KINDS)), min_size=1, max_size=2)),
    )
    plan = FaultPlan(tuple(explicit), tuple(draw(by_chance)), draw(st.integers(0, 3)))
    assert fault_of_plan(plan) is None
    return plan


_supervision = st.none() | st.builds(
    Supervision,
    on_failure=st.sampled_from([OnFailure.RESTART, OnFailure.RESTART, OnFailure.ROLLBACK, OnFailure.STOP]),
    max_restarts=st.integers(0, 3),
    restart_window_ticks=st.integers(1, 4),
    on_exhausted=st.sampled_from(OnExhausted),
)


@st.composite
def edges(draw: st.DrawFn, run: RunSpec) -> tuple[Edge, ...]:
    """Return edges without a cycle between the run's agents and kinds; often none."""
    names = [*(agent.id for agent in run.agents), *(f"{kind.id}/*" for kind in run.kinds)]
    order = draw(st.permutations(names))
    place = st.integers(0, len(order) - 1)
    pairs = st.lists(st.tuples(place, place).filter(lambda pair: pair[0] < pair[1]), min_size=1, max_size=6)
    found = draw(weighted((1, st.just([])), (2, pairs)))
    return tuple(dict.fromkeys((order[start], order[end]) for start, end in found))


@st.composite
def broken(draw: st.DrawFn, runs: st.SearchStrategy[RunSpec], ticks: int, *, waves: bool = True) -> RunSpec:
    """Return one of the runs with faults, its agents supervised, and with `waves` often with edges."""

    def watched(agent: AgentSpec) -> AgentSpec:
        return replace(agent, supervision=draw(_supervision))

    run = draw(runs)
    names = [agent.id for agent in run.agents]
    run = replace(run, agents=tuple(map(watched, run.agents)), kinds=tuple(map(watched, run.kinds)))
    if waves:
        run = replace(run, edges=draw(edges(run)))
    return with_faults(run, draw(plans(names, ticks)))
