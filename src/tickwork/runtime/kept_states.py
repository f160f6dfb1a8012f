"""Holding what a run file keeps of worlds and agents against the run as it is run again."""

from tickwork.core.checkpoint import encode_world, state_digest
from tickwork.core.digest import Digests
from tickwork.core.errors import RunFileError
from tickwork.core.world import World
from tickwork.journal.reader import RunReader
from tickwork.pool.interface import Pool
from tickwork.runtime.comparison import Divergence, first_due
from tickwork.runtime.fold import running

# Agents whose stored images are in memory together, so that pages that they share are read once.
_AGENTS_AT_ONCE = 64
# Each time, what a snapshot says of all agents is read again, so a crowd is read in this many parts.
_PARTS_MAX = 16


class KeptStates:
    """The snapshots and marks of a file, as a run passes them.

    What is sound and says something else than the run is a divergence. What is damaged is one only if the
    check is `thorough`, which also reads every stored page; otherwise it is passed over.
    """

    def __init__(self, reader: RunReader, pool: Pool, *, thorough: bool) -> None:
        self._reader = reader
        self._pool = pool
        self._thorough = thorough
        self._snapshots = set(reader.snapshot_ticks())
        self._marks = set(reader.mark_ticks()) if thorough else set()
        # Digests of the images that were read and found sound.
        self._sound: set[bytes] = set()

    def divergence(self, world: World, digests: Digests) -> Divergence | None:
        """Return how what is kept of the boundary just reached differs from the run, or None."""
        tick = world.tick
        if tick not in self._snapshots and tick not in self._marks:
            return None
        encoded = encode_world(world)
        if tick in self._marks and self._reader.nearest_mark(tick) != (tick, digests, encoded):
            return Divergence(tick, None, "the world that is kept of this tick is damaged, or another")
        return self._of_snapshot(world, encoded, digests) if tick in self._snapshots else None

    def _of_snapshot(self, world: World, encoded: bytes, digests: Digests) -> Divergence | None:
        try:
            stored = self._reader.snapshot(world.tick, ())
        except RunFileError as error:
            return self._damaged(world, None, error)
        images = tuple((agent, self._pool.image(world, agent).digest()) for agent in running(world))
        if state_digest(digests, encoded, images) != stored.state:
            return self._difference(world, encoded, stored.world, images)
        fresh = [agent for agent, digest in images if digest not in self._sound] if self._thorough else []
        at_once = max(_AGENTS_AT_ONCE, len(fresh) // _PARTS_MAX + 1)
        for first in range(0, len(fresh), at_once):
            batch = fresh[first : first + at_once]
            try:
                self._reader.snapshot(world.tick, batch)
            except RunFileError:
                return self._first_damaged(world, batch)
        self._sound.update([digest for _, digest in images])
        return None

    def _difference(
        self, world: World, encoded: bytes, stored: bytes, images: tuple[tuple[int, bytes], ...]
    ) -> Divergence | None:
        """Say in what a sound snapshot differs; only what cannot be read may turn out to be damage."""
        if encoded != stored:
            return Divergence(world.tick, first_due(world), "the snapshot before this tick has another world")
        for agent, image in images:
            try:
                there = self._reader.snapshot(world.tick, (agent,)).images[agent].digest()
            except RunFileError as error:
                return self._damaged(world, agent, error)
            if there != image:
                return Divergence(
                    world.tick,
                    world.agents[agent].spec.id,
                    "its memory is not that of the snapshot before this tick",
                )
        return Divergence(world.tick, None, "the snapshot before this tick has other agents")

    def _first_damaged(self, world: World, agents: list[int]) -> Divergence | None:
        for agent in agents:
            try:
                self._reader.snapshot(world.tick, (agent,))
            except RunFileError as error:
                return self._damaged(world, agent, error)
        return None

    def _damaged(self, world: World, agent: int | None, error: RunFileError) -> Divergence | None:
        if not self._thorough:
            return None
        return Divergence(world.tick, None if agent is None else world.agents[agent].spec.id, str(error))
