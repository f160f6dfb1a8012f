"""The writer's side of snapshots: each is added whole or not at all, and what none needs is removed."""

import sqlite3
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager

import numpy as np

from tickwork.core.checkpoint import state_digest
from tickwork.core.digest import Digests
from tickwork.core.image import AgentImage
from tickwork.journal.codec import Damage
from tickwork.journal.image_codec import PAGE_ID_MAX, unpack_image
from tickwork.journal.page_index import UseCounts
from tickwork.journal.page_store import Kept, PageStore
from tickwork.journal.snapshot_codec import pack_agents, pack_world, unpack_agents

# An agent's index with its image, or with None if it is as in this session's last snapshot.
AgentImages = Iterable[tuple[int, AgentImage | None]]


class _Uses:
    """How often each image is used by snapshots, and each page by images."""

    def __init__(self) -> None:
        self.images: Counter[int] = Counter()
        self.pages = UseCounts()


class SnapshotStore:
    """Adds and removes snapshots in whatever transaction is open."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._reset()

    def _reset(self) -> None:
        self._pages = PageStore(self._database)
        # The images of this session's last snapshot, by agent.
        self._last: dict[int, Kept] = {}
        # Counted when first needed: whoever keeps every snapshot never pays for it.
        self._uses: _Uses | None = None

    def append(
        self, tick: int, digests: Digests, world: bytes, images: AgentImages, state: bytes | None = None
    ) -> bytes:
        """Add the snapshot before `tick`, replacing one that is there, and return its state digest.

        Raises ValueError, with nothing added, if the world is too large, the agents are out of order, or
        `state` is given and is another.
        """
        with self._whole():
            return self._append(tick, digests, world, images, state)

    def remove(self, ticks: Collection[int]) -> None:
        """Remove snapshots, and the images and pages that no other snapshot uses.

        Where a snapshot is damaged it cannot be told what it uses, and all images and pages stay.
        """
        with self._whole():
            self._remove(ticks)

    @contextmanager
    def _whole(self) -> Iterator[None]:
        """Undo everything within if it fails."""
        self._database.execute("SAVEPOINT snapshot")
        try:
            yield
        except BaseException:
            # SQLite may have undone the whole transaction by itself.
            if self._database.in_transaction:
                self._database.execute("ROLLBACK TO snapshot")
                self._database.execute("RELEASE snapshot")
                # What this object remembers may be of rows that are gone again.
                self._reset()
            raise
        self._database.execute("RELEASE snapshot")

    def _append(
        self, tick: int, digests: Digests, world: bytes, images: AgentImages, state: bytes | None
    ) -> bytes:
        packed = pack_world(world)
        replaced = self._database.execute("SELECT agents FROM snapshot WHERE tick = ?", (tick,)).fetchone()
        agents: dict[int, Kept] = {}
        before = -1
        for agent, image in images:
            if agent <= before:
                raise ValueError(f"agent {agent} comes after agent {before} in a snapshot")
            before = agent
            agents[agent] = self._kept(agent, image)
        found = state_digest(digests, world, tuple((agent, kept.digest) for agent, kept in agents.items()))
        if state is not None and state != found:
            raise ValueError(f"the state digest of the snapshot of tick {tick} is not the one stated")
        pairs = tuple((agent, kept.row) for agent, kept in agents.items())
        self._database.execute(
            "INSERT OR REPLACE INTO snapshot VALUES (?, ?, ?, ?, ?, ?)",
            (tick, digests.digest, digests.exact, found, packed, pack_agents(pairs)),
        )
        # Only now: the new one may use what the old one used.
        if replaced is not None and self._uses is not None:
            self._release(self._uses, [row for _, row in unpack_agents(replaced[0])])
        elif replaced is not None:
            self._count_uses()
        self._last = agents
        return found

    def _kept(self, agent: int, image: AgentImage | None) -> Kept:
        if image is not None:
            kept = self._pages.put(image)
        elif agent in self._last:
            kept = self._last[agent]._replace(new_ids=None)
        else:
            raise ValueError(f"agent {agent} has no image in a snapshot before")
        if self._uses is not None:
            self._uses.images[kept.row] += 1
            if kept.new_ids is not None:
                self._uses.pages.add(kept.new_ids)
        return kept

    def ticks(self) -> list[int]:
        """Return the ticks of all snapshots, ascending."""
        return [int(tick) for (tick,) in self._database.execute("SELECT tick FROM snapshot ORDER BY tick")]

    def _remove(self, ticks: Collection[int]) -> None:
        uses = self._count_uses()
        for tick in ticks:
            (stored,) = self._database.execute(
                "SELECT agents FROM snapshot WHERE tick = ?", (tick,)
            ).fetchone()
            self._database.execute("DELETE FROM snapshot WHERE tick = ?", (tick,))
            if uses is not None:
                self._release(uses, [row for _, row in unpack_agents(stored)])

    def _release(self, uses: _Uses, images: list[int]) -> None:
        uses.images.subtract(images)
        unused = sorted({row for row in images if uses.images[row] <= 0})
        pages: list[int] = []
        for row in unused:
            del uses.images[row]
            pages += uses.pages.remove(self._pages.image_ids(row))
        self._pages.remove_images(unused)
        self._pages.remove_pages(sorted(pages))

    def _count_uses(self) -> _Uses | None:
        """Return the counts, from the file if this session has none yet; None if the file is damaged."""
        if self._uses is None:
            try:
                self._uses = self._counted()
            except Damage:
                return None
        return self._uses

    def _counted(self) -> _Uses:
        """Count all uses and remove what has none; raise Damage if a snapshot or an image is damaged."""
        uses = _Uses()
        for (stored,) in self._database.execute("SELECT agents FROM snapshot"):
            uses.images.update(row for _, row in unpack_agents(stored))
        unused: list[int] = []
        for row, stored in self._database.execute("SELECT id, bytes FROM image"):
            if row in uses.images:
                uses.pages.add(unpack_image(stored).page_ids)
            else:
                unused.append(row)
        pages = np.fromiter((row for (row,) in self._database.execute("SELECT id FROM page")), np.int64)
        if len(pages) and not 0 < pages.min() <= pages.max() <= PAGE_ID_MAX:
            raise Damage("there is a page with an impossible number")
        # A session that met damage leaves such rows behind.
        self._pages.remove_images(unused)
        self._pages.remove_pages(uses.pages.unused(pages))
        return uses
