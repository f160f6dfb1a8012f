"""Taking a running run's snapshots."""

from collections.abc import Iterator, Sequence

from tickwork.core.checkpoint import encode_world
from tickwork.core.digest import Digests
from tickwork.core.image import AgentImage
from tickwork.core.world import World
from tickwork.journal.writer import RunWriter
from tickwork.pool.inline import InlinePool
from tickwork.runtime.clock import monotonic_s
from tickwork.runtime.fold import running
from tickwork.runtime.loop import Ticked
from tickwork.runtime.schedule import SnapshotSchedule, SnapshotSettings

# How long a run lasts at least before it is worth a snapshot of its own accord, and between two guesses.
_FIRST_S = 0.25
# How much of the time for snapshots goes into worlds by themselves: they cost little, and make looking fast.
_MARKS_SHARE = 0.3
# Retelling this many ticks is quick, and a world in every one of them would triple some files.
_MARK_TICKS = 16


class Snapshots:
    """Takes snapshots, and marks between them, when they are due.

    An agent that had no turn since the last snapshot is not looked at.
    """

    def __init__(self, settings: SnapshotSettings, writer: RunWriter, pool: InlinePool, now_s: float) -> None:
        self._settings = settings
        self._schedule = SnapshotSchedule(settings.shared(1 - _MARKS_SHARE), now_s)
        self._marks = SnapshotSchedule(settings.shared(_MARKS_SHARE), now_s)
        self._writer = writer
        self._pool = pool
        # Agents whose image may differ from the last snapshot's; all of them before there is one.
        self._touched: set[int] = set()
        # Those of the last tick, often the same as this one's.
        self._touching: Sequence[int] = ()
        self._taken: set[int] = set()
        self._guessed = False
        self._guess_s = now_s + _FIRST_S

    def after(self, ticked: Ticked, now_s: float) -> None:
        """Take a snapshot of the boundary after a tick, if one is due."""
        if ticked.agents != self._touching:
            self._touched.update(ticked.agents)
            self._touching = ticked.agents
        world, digests = ticked.world, ticked.digests
        if self._settings.every is None and not self._guessed:
            if now_s < self._guess_s:
                return
            self._guessed = True
            self._schedule.expect(self._guess(world))
        if self._schedule.due(world.tick, now_s):
            self.take(world, digests)
        elif (
            self._settings.every is None
            and world.tick % _MARK_TICKS == 0
            and self._marks.due(world.tick, now_s)
        ):
            self._mark(world, digests)

    def _mark(self, world: World, digests: Digests) -> None:
        began_s = monotonic_s()
        self._writer.append_mark(world.tick, digests, encode_world(world))
        self._marks.taken(world.tick, began_s, monotonic_s())

    def _guess(self, world: World) -> float:
        """Return what a snapshot would take, from one agent of each module."""
        counts: dict[str, list[int]] = {}
        for agent in running(world):
            counts.setdefault(world.agents[agent].spec.module, []).append(agent)
        total_s = 0.0
        for agents in counts.values():
            self._pool.image(world, agents[0])  # the first also makes what all have in common
            began_s = monotonic_s()
            self._pool.image(world, agents[0]).digest()
            # Storing takes about as long as taking.
            total_s += 2 * (monotonic_s() - began_s) * len(agents)
        return total_s

    def take(self, world: World, digests: Digests) -> None:
        """Take a snapshot now."""
        began_s = monotonic_s()
        self._writer.append_snapshot(world.tick, digests, encode_world(world), self._images(world))
        self._writer.retain(self._settings.keep)
        self._schedule.taken(world.tick, began_s, monotonic_s())

    def _images(self, world: World) -> Iterator[tuple[int, AgentImage | None]]:
        agents = running(world)
        for agent in agents:
            unchanged = agent in self._taken and agent not in self._touched
            yield agent, None if unchanged else self._pool.image(world, agent)
        self._taken = set(agents)
        self._touched.clear()
        self._touching = ()
