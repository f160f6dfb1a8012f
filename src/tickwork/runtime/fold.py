"""A run retold from its record: the recorded outcomes folded through the same pure core, no agent run.

This gives every inbox and every agent's standing at every tick, although the file holds neither.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from itertools import islice

from tickwork.core.checkpoint import decode_world
from tickwork.core.dag import EDGES_MAX, Cycle
from tickwork.core.digest import Digests
from tickwork.core.entry import Entry, Fuel, encode_entry
from tickwork.core.errors import RunFileError
from tickwork.core.fault_plan import fault_of_plan
from tickwork.core.limits import Limits, RunLimits
from tickwork.core.outcomes import Outcome
from tickwork.core.requests import arrivals_fault
from tickwork.core.spec import FLOATS, RunSpec
from tickwork.core.step import Plan, Settled, take
from tickwork.core.world import Status, World, genesis_world, run_waves
from tickwork.journal.reader import RunReader, StoredEntry
from tickwork.journal.snapshots import Snapshot
from tickwork.manifest.bounds import limits_fault, model_fault


@dataclass(frozen=True, slots=True)
class FoldedTick:
    """One recorded tick with the worlds on both sides of it."""

    before: World
    planned: Plan
    settled: Settled
    stored: StoredEntry


def broken(tick: int) -> RunFileError:
    """Return the error for an entry that does not follow from those before it."""
    return RunFileError(
        f"the entry of tick {tick} does not follow from those before it; `tickwork replay` finds the change"
    )


def fits(spec: RunSpec, world: World, entry: Entry) -> bool:
    """Return whether an entry can be the world's next: of its tick, with inputs that the run declares.

    And with the completions that its requests wait for.
    """
    sources = len(spec.inputs)
    return (
        entry.tick == world.tick
        and all(0 <= item.source < sources for item in entry.arrivals.inputs)
        and arrivals_fault(world.requests, world.tick, entry.arrivals) is None
    )


def check_spec(reader: RunReader) -> None:
    """Refuse a specification that no manifest could have given: it would let a file use up the host."""
    spec = reader.spec
    known = {agent.id for agent in spec.agents}
    for source in spec.inputs:
        if not source.to or not known.issuperset(source.to):
            raise RunFileError(f"{reader.path}: the readers of input {source.name!r} do not exist")
    if spec.floats not in FLOATS:
        raise RunFileError(f"{reader.path}: nothing computes floats {spec.floats!r}")
    for model in spec.models:
        fault = model_fault(model)
        if fault is not None:
            raise RunFileError(f"{reader.path}: model {model.name!r}: {fault}")
    wrong = None if spec.faults is None else fault_of_plan(spec.faults)
    if wrong is not None:
        raise RunFileError(f"{reader.path}: its faults cannot be: {wrong[1]}")
    if len(spec.edges) > EDGES_MAX:
        raise RunFileError(f"{reader.path}: it has {len(spec.edges)} edges, more than {EDGES_MAX}")
    try:
        run_waves(spec)
    except Cycle as cycle:
        raise RunFileError(f"{reader.path}: {cycle}") from None
    stated: list[Limits | RunLimits] = [spec.limits]
    stated += [agent.limits for agent in (*spec.agents, *spec.kinds)]
    for limits in stated:
        fault = limits_fault(limits)
        if fault is not None:
            raise RunFileError(f"{reader.path}: {fault}")


def world_of(data: bytes, tick: int, spec: RunSpec) -> World:
    """Return the world of `tick` from its bytes; `ValueError` if they hold none that a run could come to."""
    world = decode_world(data, spec)
    if world.tick != tick:
        raise ValueError(f"its world is that of tick {world.tick}")
    for agent in world.agents[len(spec.agents) :]:
        fault = limits_fault(agent.spec.limits)
        if fault is not None:
            raise ValueError(fault)
    return world


def running(world: World) -> list[int]:
    """Return the indexes of the agents that have a state of their own: set up, and not ended."""
    return [index for index, agent in enumerate(world.agents) if agent.status is Status.RUNNING]


def begin(reader: RunReader, tick: int) -> tuple[World, Digests]:
    """Return the last world not after `tick` that the file holds, and the chain there.

    That is a mark's, a snapshot's, or the run's first. A damaged one is passed over: an earlier one only
    costs time. `RunFileError` if a fork's own beginning is damaged.
    """
    mark = reader.nearest_mark(tick)
    if mark is not None and mark[0] > (reader.nearest_snapshot(tick) or 0):
        world = _decoded(mark[0], mark[2], reader.spec)
        if world is not None:
            return world, mark[1]
    for world, snapshot in beginnings(reader, tick, agents=()):
        return world, snapshot.digests
    return first_world(reader), reader.header.genesis()


def beginnings(
    reader: RunReader,
    tick: int,
    agents: Collection[int] | None = None,
    warn: Callable[[str], None] | None = None,
) -> Iterator[tuple[World, Snapshot]]:
    """Yield the snapshots that are not after `tick` and can be begun with, newest first, with their worlds.

    `agents` are those whose images are wanted, None for all. `warn` is told of those that cannot be used.
    """
    for snapshot in reader.usable_snapshots(last=tick, agents=agents, report=warn):
        if snapshot.tick == reader.header.start_tick and reader.header.parent is None:
            # Before tick 0 there is nothing that a snapshot could say: this one was planted.
            return
        try:
            world = _begun(snapshot, reader.spec)
        except ValueError as error:
            if warn is not None:
                warn(f"{reader.path}: the snapshot of tick {snapshot.tick} cannot be used: {error}")
        else:
            yield world, snapshot


def _begun(snapshot: Snapshot, spec: RunSpec) -> World:
    world = world_of(snapshot.world, snapshot.tick, spec)
    if tuple(running(world)) != snapshot.agents:
        raise ValueError("its world and its agents do not belong together")
    return world


def first_world(reader: RunReader) -> World:
    """Return the world before tick 0; `RunFileError` for a fork, whose own beginning must be damaged then."""
    if reader.header.parent is not None:
        raise RunFileError(f"{reader.path}: the snapshot that this fork begins with is damaged")
    return genesis_world(reader.spec)


def _decoded(tick: int, data: bytes, spec: RunSpec) -> World | None:
    try:
        return world_of(data, tick, spec)
    except ValueError:
        return None


class Recorded:
    """The outcomes of a recorded tick, handed out wave by wave; `RunFileError` if they do not fit a wave."""

    def __init__(self, entry: Entry, fuel: Fuel) -> None:
        self._tick = entry.tick
        if len(fuel.used) != len(entry.turns):
            raise broken(entry.tick)
        self._left = iter(zip(entry.turns, fuel.used, strict=True))

    def __call__(self, wave: Plan) -> list[Outcome]:
        """Return the outcomes of the next wave."""
        found = list(islice(self._left, len(wave.turns)))
        if [turn.agent for turn, _ in found] != [turn.agent for turn in wave.turns]:
            raise broken(self._tick)
        return [Outcome(turn.kind, turn.effects, used, turn.detail) for turn, used in found]


def fold(reader: RunReader, world: World | None = None) -> Iterator[FoldedTick]:
    """Yield every recorded tick from `world` (the run's first) on.

    Raises `RunFileError` at the first that does not follow from those before it.
    """
    if world is None:
        world, _ = begin(reader, reader.header.start_tick)
    for stored in reader.entries(world.tick):
        entry, fuel = stored.decode()
        if not fits(reader.spec, world, entry):
            raise broken(stored.tick)
        planned, settled = take(world, entry.arrivals, Recorded(entry, fuel))
        if encode_entry(settled.entry) != stored.entry:
            raise broken(stored.tick)
        yield FoldedTick(world, planned, settled, stored)
        world = settled.world
