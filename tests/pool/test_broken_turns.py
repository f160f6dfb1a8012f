"""Turns with less fuel or memory than their limits allow, and what follows, on every pool."""

from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from guests import program, wat
from tickwork.core.digest import genesis
from tickwork.core.fault_plan import FaultPlan
from tickwork.core.faults import CrashAfter, Fault, Pause, RefuseMemory, StarveFuel
from tickwork.core.limits import Limits
from tickwork.core.messages import NO_ARRIVALS
from tickwork.core.outcomes import OutcomeKind
from tickwork.core.spec import AgentSpec, RunSpec, with_faults
from tickwork.core.supervision import OnFailure, Supervision
from tickwork.core.world import Status, genesis_world
from tickwork.pool.inline import InlinePool
from tickwork.pool.native import ALONE_NS, kernel_fault
from tickwork.pool.threads import ThreadsPool
from tickwork.runtime.loop import Loop, Ticked

PAGE = 1 << 16
TICKS = 8
# Fails where it gets no page more; a step of the other burns some thousand units of fuel.
GROW = "(if (i32.eq (memory.grow (i32.const 1)) (i32.const -1)) (then unreachable)) (i32.const 16)"
BURN = """(local $n i32) (loop $l (local.set $n (i32.add (local.get $n) (i32.const 1)))
  (br_if $l (i32.lt_u (local.get $n) (i32.const 1000)))) (i32.const 16)"""
GROWER = program(wat(step=GROW))
SETUP_GROWER = program(wat(setup=GROW))
BURNER = program(wat(step=BURN))
PROGRAMS = {made.hash: made for made in (GROWER, SETUP_GROWER, BURNER)}

pools = pytest.mark.parametrize(
    "workers",
    [0, *(pytest.param(count, marks=pytest.mark.skipif(kernel_fault() is not None, reason="no kernel"))
          for count in (1, 2))],
)  # fmt: skip


def agent(name: str, code: str, how: OnFailure = OnFailure.STOP) -> AgentSpec:
    return AgentSpec(
        name,
        name,
        code,
        b"",
        every_tick=True,
        supervision=Supervision(how),
        limits=Limits(memory_bytes=64 * PAGE),
    )


def spec(*faults: Fault) -> RunSpec:
    agents = (
        agent("grower", GROWER.hash, OnFailure.ROLLBACK),
        agent("early", SETUP_GROWER.hash, OnFailure.RESTART),
        agent("burner", BURNER.hash, OnFailure.RESTART),
        agent("ended", BURNER.hash),
    )
    run = RunSpec("less", 1, 0, 1, "portable", agents)
    return with_faults(run, FaultPlan(faults))


FAULTS = (
    RefuseMemory(0, "early"),
    RefuseMemory(3, "grower"),
    StarveFuel(2, "burner", 500),
    StarveFuel(4, "burner", 1_000_000_000_000),
    CrashAfter(5, "grower"),
    Pause(6, "grower"),
    StarveFuel(6, "ended"),
)


def open_pool(workers: int) -> InlinePool:
    if workers == 0:
        return InlinePool(PROGRAMS)
    return ThreadsPool(PROGRAMS, workers=workers, alone_ns=ALONE_NS if workers == 1 else 0)


def play(run: RunSpec, workers: int) -> Iterator[tuple[Ticked, int]]:
    """Yield each tick, and how many bytes of memory the grower has after it."""
    pool = open_pool(workers)
    loop = Loop(genesis_world(run), pool, genesis(b"less"))
    try:
        for _ in range(TICKS):
            ticked = loop.tick(NO_ARRIVALS)
            yield ticked, sum(memory.size for memory in pool.image(loop.world, 0).memories)
    finally:
        pool.close()


def outcomes(ticked: Ticked) -> dict[str, OutcomeKind]:
    agents = ticked.world.agents
    return {agents[turn.agent].spec.id: turn.kind for turn in ticked.settled.entry.turns}


@pools
def test_less_fuel_and_memory_break_the_turn_that_they_are_for_and_no_other(workers: int) -> None:
    ticks = [ticked for ticked, _ in play(spec(*FAULTS), workers)]
    broken = {
        (tick, who): kind
        for tick, ticked in enumerate(ticks)
        for who, kind in outcomes(ticked).items()
        if kind is not OutcomeKind.OK
    }
    assert broken == {
        (0, "early"): OutcomeKind.UNREACHABLE,
        (2, "burner"): OutcomeKind.OUT_OF_FUEL,
        (3, "grower"): OutcomeKind.UNREACHABLE,
        (6, "ended"): OutcomeKind.OUT_OF_FUEL,
    }
    # Any trap is charged the whole budget, which was the smaller one.
    assert ticks[2].settled.fuel[[turn.agent for turn in ticks[2].settled.entry.turns].index(2)] == 500
    assert [ticked.settled.restarted for ticked in ticks[:3]] == [(1,), (), (2,)]
    assert [ticked.settled.rolled_back for ticked in ticks[3:6]] == [(0,), (), (0,)]
    assert "grower" not in outcomes(ticks[6])
    assert ticks[-1].world.agents[3].status is Status.FAILED


@pools
def test_an_agent_that_is_rolled_back_has_the_memory_that_it_had(workers: int) -> None:
    sizes = [size // PAGE for _, size in play(spec(*FAULTS), workers)]
    # It grows by a page a step: refused in tick 3, rolled back in 5, paused in 6.
    assert [size - sizes[0] for size in sizes] == [0, 1, 2, 2, 3, 3, 3, 4]


@pytest.mark.skipif(kernel_fault() is not None, reason=f"no kernel: {kernel_fault()}")
def test_both_pools_agree_on_them() -> None:
    inline = list(play(spec(*FAULTS), 0))
    for workers in (1, 2):
        for (one, size), (other, found) in zip(inline, play(spec(*FAULTS), workers), strict=True):
            assert (one.entry, one.fuel, one.digests) == (other.entry, other.fuel, other.digests)
            assert size == found


def test_more_fuel_than_the_limit_is_not_given() -> None:
    run = spec(StarveFuel(1, "burner", 1 << 40))
    small = tuple(replace(each, limits=replace(each.limits, fuel_per_turn=500)) for each in run.agents)
    ticks = [ticked for ticked, _ in play(replace(run, agents=small), 0)]
    assert outcomes(ticks[1])["burner"] is OutcomeKind.OUT_OF_FUEL
    assert ticks[1].settled.fuel[2] == 500
