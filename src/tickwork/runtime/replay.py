"""Replaying: the same loop over recorded arrivals, every tick held against the record."""

import platform
from collections.abc import Callable
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from tickwork.core.entry import Entry, TurnEntry
from tickwork.core.errors import ModuleError, RunFileError
from tickwork.core.limits import Limits, RunLimits
from tickwork.core.messages import NO_ARRIVALS
from tickwork.core.spec import RunSpec
from tickwork.core.step import plan
from tickwork.core.world import World, genesis_world
from tickwork.guest.engine import Engine
from tickwork.guest.program import Program
from tickwork.journal.header import Header
from tickwork.journal.reader import RunReader, StoredEntry
from tickwork.journal.verify import chain_fault
from tickwork.manifest.bounds import limits_fault
from tickwork.pool.inline import InlinePool
from tickwork.runtime.clock import monotonic_s
from tickwork.runtime.loop import Loop, Ticked
from tickwork.runtime.programs import agents_by_module


@dataclass(frozen=True, slots=True)
class Divergence:
    """The first place at which a replay and its record part; `agent` is None where no agent is concerned."""

    tick: int
    agent: str | None
    reason: str

    def __str__(self) -> str:
        who = "" if self.agent is None else f", agent {self.agent}"
        return f"tick {self.tick}{who}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Replay:
    """What a replay found. `ticks` were replayed and agreed; `warnings` weaken what that means."""

    identical: bool
    ticks: int
    turns: int
    first_divergence: Divergence | None
    digest: str
    exact: str
    status: str
    warnings: tuple[str, ...]
    wall_s: float


def _warnings(header: Header, engine: Engine) -> list[str]:
    """Return in what ways this host is not the one that recorded."""
    warnings = []
    if (header.engine, header.engine_config) != (engine.version, engine.config_hash):
        warnings.append(
            f"recorded on {header.engine} with configuration {header.engine_config[:12]}, replayed on "
            f"{engine.version} with {engine.config_hash[:12]}: fuel may differ, so only `digest` is compared"
        )
    if header.isa != platform.machine():
        warnings.append(f"recorded on {header.isa}, replayed on {platform.machine()}")
    return warnings


def _check_spec(reader: RunReader) -> None:
    """Refuse a specification that no manifest could have given: it would let a file use up the host."""
    spec = reader.spec
    known = {agent.id for agent in spec.agents}
    for source in spec.inputs:
        if not source.to or not known.issuperset(source.to):
            raise RunFileError(f"{reader.path}: the readers of input {source.name!r} do not exist")
    stated: list[Limits | RunLimits] = [spec.limits]
    stated += [agent.limits for agent in (*spec.agents, *spec.kinds)]
    for limits in stated:
        fault = limits_fault(limits)
        if fault is not None:
            raise RunFileError(f"{reader.path}: {fault}")


class Replaying:
    """One replay in progress; `run` gives its result."""

    def __init__(self, reader: RunReader) -> None:
        _check_spec(reader)
        self._reader = reader
        self._engine = Engine()
        self.warnings = _warnings(reader.header, self._engine)
        self._same_engine = reader.header.engine == self._engine.version and (
            reader.header.engine_config == self._engine.config_hash
        )
        self._spec: RunSpec = reader.spec
        self._broken: dict[str, str] = {}
        self._pool = InlinePool(self._open_programs())
        self._loop = Loop(genesis_world(self._spec), self._pool, reader.header.genesis())
        self.turns = 0

    def _open_programs(self) -> dict[str, Program]:
        """Return the programs of the modules that are sound; keep the others' faults for their first turn."""
        programs: dict[str, Program] = {}
        for name in agents_by_module(self._spec):
            try:
                programs[name] = Program(self._engine, self._reader.module(name))
            except (RunFileError, ModuleError) as error:
                self._broken[name] = str(error)
        return programs

    def run(self, progress: Callable[[int], None] | None = None) -> Replay:
        """Replay every recorded tick up to the first divergence; `progress` is told each tick that agreed."""
        started_s = monotonic_s()
        divergence = None
        try:
            for stored in self._reader.entries():
                divergence = self._replay_tick(stored)
                if divergence is not None:
                    break
                if progress is not None:
                    progress(stored.tick)
        finally:
            self._pool.close()
        if divergence is None:
            divergence = self._end_fault()
        digests = self._loop.digests
        return Replay(
            identical=divergence is None,
            ticks=self._loop.world.tick if divergence is None else divergence.tick,
            turns=self.turns,
            first_divergence=divergence,
            digest=digests.digest.hex(),
            exact=digests.exact.hex(),
            status=self._reader.status,
            warnings=tuple(self.warnings),
            wall_s=monotonic_s() - started_s,
        )

    def _replay_tick(self, stored: StoredEntry) -> Divergence | None:
        world = self._loop.world
        fault = stored.damage
        if fault is not None:
            return Divergence(stored.tick, _first_due(world), f"the entry cannot be used: {fault}")
        fault = chain_fault(self._loop.digests, stored) if self._same_engine else None
        try:
            recorded, fuel = stored.decode()
        except RunFileError as error:
            return Divergence(stored.tick, _first_due(world), str(error))
        unfit = self._unfit(world, recorded)
        if unfit is not None:
            return unfit
        ticked = self._loop.tick(recorded.arrivals)
        self.turns += len(recorded.turns)
        return (
            self._content_divergence(world, recorded, stored, ticked)
            or (self._fuel_divergence(world, recorded, fuel.used, ticked) if self._same_engine else None)
            or self._chain_divergence(world, recorded, stored, ticked, fault)
        )

    def _unfit(self, world: World, recorded: Entry) -> Divergence | None:
        """Return why the tick cannot be run: its arrivals name no input, or its modules are unsound."""
        sources = len(self._spec.inputs)
        if recorded.tick != world.tick or any(
            item.source not in range(sources) for item in recorded.arrivals.inputs
        ):
            return Divergence(world.tick, None, "the entry does not belong to this run")
        for turn in plan(world, recorded.arrivals).turns if world.directory.starting else ():
            spec = world.agents[turn.agent].spec
            if turn.setup and spec.module in self._broken:
                return Divergence(world.tick, spec.id, f"its module is unsound: {self._broken[spec.module]}")
        return None

    def _content_divergence(
        self, world: World, recorded: Entry, stored: StoredEntry, ticked: Ticked
    ) -> Divergence | None:
        if ticked.entry == stored.entry:
            return None
        replayed = ticked.settled.entry
        for was, now in zip(recorded.turns, replayed.turns, strict=False):
            if was != now:
                agent = min(was.agent, now.agent)
                return Divergence(world.tick, _name(world, agent), _turn_difference(was, now))
        if len(recorded.turns) != len(replayed.turns):
            shorter = min(len(recorded.turns), len(replayed.turns))
            longer = max(recorded.turns, replayed.turns, key=len)
            only = "recorded" if longer is recorded.turns else "replayed"
            return Divergence(
                world.tick, _name(world, longer[shorter].agent), f"only the {only} run has a turn"
            )
        for before, after in zip_longest(recorded.undelivered, replayed.undelivered):
            lost = before or after
            if before != after and lost is not None:
                return Divergence(world.tick, lost.to, "another message was not delivered")
        return Divergence(world.tick, None, "the record's bytes are not canonical")

    def _fuel_divergence(
        self, world: World, recorded: Entry, used: tuple[int, ...], ticked: Ticked
    ) -> Divergence | None:
        if used == ticked.settled.fuel:
            return None
        for turn, was, now in zip(recorded.turns, used, ticked.settled.fuel, strict=False):
            if was != now:
                reason = f"same effects, but {now} units of fuel where {was} are recorded"
                return Divergence(world.tick, _name(world, turn.agent), reason)
        return Divergence(world.tick, None, "the record of fuel has another length")

    def _chain_divergence(
        self, world: World, recorded: Entry, stored: StoredEntry, ticked: Ticked, fault: str | None
    ) -> Divergence | None:
        """Find a record that agrees with its replay and yet not with its own digest."""
        same = ticked.digests == stored.digests
        if same or (not self._same_engine and ticked.digests.digest == stored.digests.digest):
            return None
        # Arrivals are not recomputed, so a change in one shows here first: in what its receiver was given.
        receiver = next((self._spec.inputs[item.source].to[0] for item in recorded.arrivals.inputs), None)
        reason = fault or "the entry does not have its digest"
        if receiver is not None:
            reason += "; the turns agree, so an input of the tick was changed, or the digest was"
        return Divergence(world.tick, receiver or _first_due(world), reason)

    def _end_fault(self) -> Divergence | None:
        """Hold the run's end, if it has one, against what was replayed."""
        end = self._reader.end
        if end is None:
            self.warnings.append("the run was cut off, or is still being written; what is committed agrees")
            return None
        digests = self._loop.digests
        exact = end.exact if self._same_engine else digests.exact
        if (end.digest, exact) != tuple(digests):
            return Divergence(end.ticks, None, "the run's final digests are not those of its last tick")
        return None


def _name(world: World, agent: int) -> str | None:
    """Return an agent's id; None for an index from a damaged record that is nobody's."""
    return world.agents[agent].spec.id if 0 <= agent < len(world.agents) else None


def _first_due(world: World) -> str | None:
    """Return the first agent whose turn the world's tick would have been, as far as it can be told."""
    turns = plan(world, NO_ARRIVALS).turns
    return _name(world, turns[0].agent) if turns else None


def _turn_difference(was: TurnEntry, now: TurnEntry) -> str:
    """Say in one line how a turn differs from its record."""
    if was.agent != now.agent:
        return f"a turn {'is missing from' if now.agent < was.agent else 'was added to'} the record"
    if (was.kind, was.detail) != (now.kind, now.detail):
        return f"the turn ended {now.kind}, recorded is {was.kind}"
    for place, (before, after) in enumerate(zip(was.effects, now.effects, strict=False)):
        if before != after:
            return f"effect {place} is {_brief(after)}, recorded is {_brief(before)}"
    if len(was.effects) != len(now.effects):
        return f"{len(now.effects)} effects, recorded are {len(was.effects)}"
    return "the same effects were judged otherwise"


def _brief(effect: object) -> str:
    text = repr(effect)
    return text if len(text) <= 120 else text[:117] + "..."


def replay(path: Path, *, progress: Callable[[int], None] | None = None) -> Replay:
    """Run a run file again and compare every tick with its record; raise `RunFileError` if it is none."""
    with RunReader.open(path) as reader:
        return Replaying(reader).run(progress)
