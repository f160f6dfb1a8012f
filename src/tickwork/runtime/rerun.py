"""Running a record again, from its beginning or from a snapshot, every tick held against what it recorded.

Replay does this to the end; resume and fork do it to get to where they go on from.
"""

from collections.abc import Callable

from tickwork.core.digest import Digests
from tickwork.core.entry import Entry
from tickwork.core.errors import ModuleError, RunFileError
from tickwork.core.image import AgentImage
from tickwork.core.step import plan
from tickwork.core.world import World
from tickwork.guest.program import Program
from tickwork.journal.reader import RunReader, StoredEntry
from tickwork.journal.verify import chain_fault
from tickwork.pool.choose import Workers, open_pool
from tickwork.runtime.comparison import Comparison, Divergence, first_due
from tickwork.runtime.fold import beginnings, check_spec, first_world, fits, running
from tickwork.runtime.kept_states import KeptStates
from tickwork.runtime.loop import Loop
from tickwork.runtime.programs import agents_by_module, engine_for


class Rerun:
    """A recorded run being run again. `close` it, unless its pool is handed on.

    It begins at the file's own beginning, and then checks all that the file keeps of worlds and agents; or,
    with `from_tick`, at the last sound snapshot that is not after it. `warn` is told of snapshots that had to
    be passed over. `check` is asked of every entry, before it is run on its world, whether it can be right.
    """

    def __init__(
        self,
        reader: RunReader,
        *,
        from_tick: int | None = None,
        warn: Callable[[str], None] | None = None,
        workers: Workers = "auto",
        check: Callable[[World, Entry], Divergence | None] | None = None,
    ) -> None:
        check_spec(reader)
        self._check = check
        self.reader = reader
        self.engine = engine_for(reader.spec)
        header = reader.header
        self.same_engine = (header.engine, header.engine_config) == (
            self.engine.version,
            self.engine.config_hash,
        )
        self._broken: dict[str, str] = {}
        self.turns = 0
        self._comparison = Comparison(reader.spec, same_engine=self.same_engine)
        world, digests, images = self._begin(header.start_tick if from_tick is None else from_tick, warn)
        self.programs = self._open_programs(world)
        self.pool = open_pool(self.programs, workers)
        self.pool.restore(images)
        self.loop = Loop(world, self.pool, digests)
        # On the way to somewhere, what was passed over at the beginning is passed over again, and said once.
        self._kept = KeptStates(reader, self.pool, thorough=from_tick is None)

    def _open_programs(self, world: World) -> dict[str, Program]:
        """Return the programs of the modules that are sound; keep the others' faults for their first turn."""
        programs: dict[str, Program] = {}
        # A fork may have given a spawned agent a module that the specification does not know.
        spawned = [agent.spec.module for agent in world.agents[len(self.reader.spec.agents) :]]
        for name in dict.fromkeys((*agents_by_module(self.reader.spec), *spawned)):
            try:
                programs[name] = Program(self.engine, self.reader.module(name))
            except (RunFileError, ModuleError) as error:
                self._broken[name] = str(error)
        return programs

    def _begin(
        self, tick: int, warn: Callable[[str], None] | None
    ) -> tuple[World, Digests, dict[int, AgentImage]]:
        """Return the last sound beginning that is not after `tick`: world, chain and agents."""
        for world, snapshot in beginnings(self.reader, tick, warn=warn):
            return world, snapshot.digests, snapshot.images
        return first_world(self.reader), self.reader.header.genesis(), {}

    @property
    def world(self) -> World:
        """The world before the next tick."""
        return self.loop.world

    def tick(self, stored: StoredEntry) -> Divergence | None:
        """Run the next tick on its recorded arrivals; return how it differs from the record, or None."""
        world = self.world
        if stored.damage is not None:
            return Divergence(stored.tick, first_due(world), f"the entry cannot be used: {stored.damage}")
        fault = chain_fault(self.loop.digests, stored) if self.same_engine else None
        try:
            recorded = stored.decode()
        except RunFileError as error:
            return Divergence(stored.tick, first_due(world), str(error))
        unfit = self._unfit(world, recorded[0])
        if unfit is None and self._check is not None:
            unfit = self._check(world, recorded[0])
        if unfit is not None:
            return unfit
        ticked = self.loop.tick(recorded[0].arrivals)
        self.turns += len(recorded[0].turns)
        divergence = self._comparison.divergence(world, recorded, stored, ticked, fault)
        if divergence is None and self.same_engine:
            divergence = self._kept.divergence(self.world, self.loop.digests)
        return divergence

    def _unfit(self, world: World, recorded: Entry) -> Divergence | None:
        """Return why the tick cannot be run: its arrivals are not this run's, or its modules are unsound."""
        if not fits(self.reader.spec, world, recorded):
            return Divergence(world.tick, None, "the entry does not belong to this run")
        if not self._broken:
            return None
        # In which of several waves an agent takes a turn shows only when the tick is run.
        due = [turn.agent for turn in plan(world, recorded.arrivals).turns]
        for agent in due if world.waves.count == 1 else running(world):
            spec = world.agents[agent].spec
            if spec.module in self._broken:
                return Divergence(world.tick, spec.id, f"its module is unsound: {self._broken[spec.module]}")
        return None

    def close(self) -> None:
        """Free the agents."""
        self.pool.close()
