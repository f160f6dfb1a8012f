"""One agent run again by itself, from its own last image, on the inboxes that the record gives it."""

from collections.abc import Iterator

import msgspec

from tickwork.core.entropy import turn_seeds
from tickwork.core.entry import encode
from tickwork.core.errors import RunFileError
from tickwork.core.image import AgentImage
from tickwork.core.messages import NO_ARRIVALS
from tickwork.core.outcomes import Outcome, OutcomeKind
from tickwork.core.step import plan
from tickwork.core.world import Status, World, genesis_world
from tickwork.guest.instance import Instance
from tickwork.guest.program import Program
from tickwork.journal.reader import RunReader
from tickwork.runtime.fold import FoldedTick, begin, beginnings, fold
from tickwork.runtime.inbox_scan import AgentTick, InboxScan, TooInvolved


def run_alone(reader: RunReader, program: Program, world: World, agent: int) -> AgentImage:
    """Return the state of a running agent at the moment of `world`.

    Every turn is held against its record; `RunFileError` for one that does not repeat.
    """
    base = Instance.base(program)
    instance = Instance(program, world.agents[agent].spec.limits)
    try:
        before = _last_image(reader, world, agent, instance) or _set_up(reader, agent, instance)
        header, engine = reader.header, program.engine
        same_engine = (header.engine, header.engine_config) == (engine.version, engine.config_hash)
        _by_inboxes(reader, before, world, agent, instance, same_engine=same_engine)
        return instance.take_image(base)
    except TooInvolved:
        return _by_retelling(reader, program, world, agent)
    finally:
        instance.close()


def _last_image(reader: RunReader, moment: World, agent: int, instance: Instance) -> World | None:
    """Restore the agent from the last snapshot that has it; return the world there, or None."""
    for world, snapshot in beginnings(reader, moment.tick, (agent,)):
        instance.restore(snapshot.images[agent])
        return world
    return None


def _set_up(reader: RunReader, agent: int, instance: Instance) -> World:
    """Set the agent up as in tick 0, and return the world in which first steps can come."""
    world = genesis_world(reader.spec)
    if reader.header.parent is not None or agent >= len(world.agents):
        raise TooInvolved  # it was spawned, or the run begins with what a fork's edits made
    if world.run.faults is not None and world.run.faults.touches(world.tick):
        raise TooInvolved
    planned = plan(world, NO_ARRIVALS)
    spec = world.agents[agent].spec
    outcome = instance.setup(
        spec.id,
        spec.preamble + spec.config,
        now_ns=planned.now_ns,
        start_ns=world.run.start_ns,
        seed=planned.turns[agent].seed,
    )
    if outcome.kind is not OutcomeKind.OK:
        raise TooInvolved
    return msgspec.structs.replace(world, tick=1)


def _by_inboxes(
    reader: RunReader, world: World, moment: World, agent: int, instance: Instance, *, same_engine: bool
) -> None:
    """Take the turns between two worlds, with inboxes read straight from the record."""
    run, count = reader.spec, len(world.agents)
    scan = InboxScan(world, agent)
    for turn in scan.turns(reader.entries(world.tick), moment.tick):
        (seed,) = turn_seeds(run.seed, turn.tick, (agent,), count)
        outcome = instance.step(turn.tick, run.start_ns + turn.tick * run.tick_ns, seed, turn.inbox)
        # Fuel tells a wrong inbox from a right one even where the agent has nothing to say to it.
        if not _repeats(outcome, turn) or (same_engine and outcome.fuel != turn.fuel):
            raise TooInvolved  # retelling decides whose fault that is


def _repeats(outcome: Outcome, turn: AgentTick) -> bool:
    # By their bytes: a NaN is not equal to itself.
    return outcome.kind == turn.kind and encode(outcome.effects) == encode(turn.effects)


def _by_retelling(reader: RunReader, program: Program, moment: World, agent: int) -> AgentImage:
    """Take the turns since the agent's last snapshot, or its setup, in the whole run's retelling."""
    instance = Instance(program, moment.agents[agent].spec.limits)
    try:
        for folded in _since(reader, moment, agent, instance):
            if folded.before.tick >= moment.tick:
                break
            if agent in folded.settled.restarted:
                instance.close()
                instance = Instance(program, moment.agents[agent].spec.limits)
            elif agent not in folded.settled.rolled_back:
                _take(folded, agent, instance)
        return instance.take_image(Instance.base(program))
    finally:
        instance.close()


def _since(reader: RunReader, moment: World, agent: int, instance: Instance) -> Iterator[FoldedTick]:
    world = _last_image(reader, moment, agent, instance)
    if world is None:
        world, _ = begin(reader, reader.header.start_tick)
        if agent < len(world.agents) and world.agents[agent].status is Status.RUNNING:
            raise RunFileError(f"{reader.path}: the snapshot that this fork begins with is damaged")
    return fold(reader, world)


def _take(folded: FoldedTick, agent: int, instance: Instance) -> None:
    place = next((place for place, turn in enumerate(folded.planned.turns) if turn.agent == agent), None)
    if place is None:
        return
    turn, planned = folded.planned.turns[place], folded.planned
    spec = folded.before.agents[agent].spec
    if turn.setup:
        outcome = instance.setup(
            spec.id,
            spec.preamble + spec.config,
            now_ns=planned.now_ns,
            start_ns=folded.before.run.start_ns,
            seed=turn.seed,
            fuel=turn.fuel,
            may_grow=turn.may_grow,
        )
    else:
        outcome = instance.step_broken(
            planned.tick, planned.now_ns, turn.seed, turn.inbox, fuel=turn.fuel, may_grow=turn.may_grow
        )
    recorded = folded.settled.entry.turns[place]
    now = (outcome.kind, outcome.effects, outcome.detail)
    if encode(now) != encode((recorded.kind, recorded.effects, recorded.detail)):
        raise RunFileError(
            f"agent {spec.id!r} does not repeat its turn of tick {planned.tick}; `tickwork replay` tells more"
        )
