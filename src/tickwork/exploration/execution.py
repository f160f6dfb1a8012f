"""Running one case to its end, held against checks."""

from collections.abc import Sequence
from typing import NamedTuple

from tickwork.core.digest import Digests
from tickwork.core.entry import Entry, decode_entry
from tickwork.core.world import World, genesis_world
from tickwork.exploration.behaviour import Behaviour, subscriber_ids
from tickwork.exploration.case import Case, Horizon
from tickwork.exploration.checks import (
    GOES_IDLE,
    Check,
    Failure,
    starving,
    tick_failure,
    user_failure,
)
from tickwork.exploration.stage import Stage
from tickwork.exploration.view import View

IDLE, TICKS, FAILED, STOPPED = "idle", "ticks", "failed", "stopped"
# How often a run is looked at for messages that wait; it costs a look at every mailbox.
_STARVING_EVERY = 25


class Explored(NamedTuple):
    """What came of a case: the first failure, or None; how many ticks it had, and the chain after them.

    `features` are empty, and so are `entries`, where nobody wanted them.
    """

    failure: Failure | None
    ended: str
    ticks: int
    digests: Digests
    features: tuple[int, ...] = ()
    entries: tuple[Entry, ...] = ()


class Judging:
    """The checks of one run as it goes on; the same for explored runs and for run files."""

    def __init__(self, checks: Sequence[Check], view: View, horizon: Horizon) -> None:
        self._checks = checks
        self._invariants = any(not check.goal for check in checks)
        self._view = view
        self._horizon = horizon

    def tick(self, before: World, entry: Entry, after: World) -> Failure | None:
        """Return how the run fails in a tick that was just taken, or None."""
        failure = tick_failure(entry, after)
        self._view.move(before, entry, after)
        if failure is None and after.tick % _STARVING_EVERY == 0:
            failure = starving(after)
        if failure is None and self._invariants:
            failure = user_failure(self._checks, self._view, goal=False)
        return failure

    def end(self, world: World, *, idle: bool) -> Failure | None:
        """Return how the run fails at its end, or None."""
        self._view.ended = True
        failure = user_failure(self._checks, self._view, goal=True)
        if failure is None:
            failure = starving(world)
        if failure is None and self._horizon.must_idle and not idle:
            failure = Failure(
                GOES_IDLE, world.tick - 1, f"still busy after {world.tick} ticks: {busy(world)}"
            )
        return failure


def busy(world: World) -> str:
    """Return what a run that should be idle still has to do."""
    waiting = [world.agents[agent].spec.id for agent in sorted(world.mailboxes)]
    timers = sorted({timer.agent for at in world.timers.pending.values() for timer in at.values()})
    told = []
    if waiting:
        told.append(f"messages wait for {', '.join(waiting[:5])}")
    if timers:
        told.append(f"timers of {', '.join(world.agents[agent].spec.id for agent in timers[:5])} run")
    return "; ".join(told) or "agents take turns in every tick"


def run_case(
    stage: Stage,
    case: Case,
    horizon: Horizon,
    checks: Sequence[Check] = (),
    *,
    keep_entries: bool = False,
    until: int | None = None,
) -> Explored:
    """Run a case to its end, or to its first failure, or with `until` to that tick and no further."""
    view = View(stage.pool.image, stage.programs)
    judging = Judging(checks, view, horizon)
    behaviour = Behaviour()
    kept: list[Entry] = []
    loop, ticked = stage.begin(case)
    before = genesis_world(loop.world.run)
    agents, subscribers = None, {}
    while True:
        entry = decode_entry(ticked.entry)
        if ticked.world.agents is not agents:
            agents, subscribers = ticked.world.agents, subscriber_ids(ticked.world)
        behaviour.add(entry, agents, subscribers)
        if keep_entries:
            kept.append(entry)
        failure = judging.tick(before, entry, ticked.world)
        ended = FAILED if failure is not None else _ended(stage, loop.world, horizon, until)
        if ended is not None:
            break
        before = loop.world
        ticked = loop.tick(stage.arrivals(before.tick))
    if failure is None and until is None:
        failure = judging.end(loop.world, idle=stage.is_idle(loop.world))
    features = behaviour.done(loop.world, ended)
    return Explored(failure, ended, loop.world.tick, loop.digests, features, tuple(kept))


def _ended(stage: Stage, world: World, horizon: Horizon, until: int | None) -> str | None:
    if until is not None:
        return TICKS if world.tick >= until else None
    if horizon.until_idle and stage.is_idle(world):
        return IDLE
    if world.fatal is not None:
        return STOPPED
    return TICKS if world.tick >= horizon.ticks else None


def digests_of(stage: Stage, case: Case, ticks: int) -> Digests:
    """Run a case for so many ticks, unchecked, and return the chain after them."""
    loop, _ = stage.begin(case)
    while loop.world.tick < ticks:
        loop.tick(stage.arrivals(loop.world.tick))
    return loop.digests
