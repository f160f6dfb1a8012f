"""What each snapshot takes in the file, and how much of that it shares with others."""

import sqlite3
from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tickwork.journal.codec import Damage
from tickwork.journal.image_codec import PAGE_ID_MAX, Ids, unpack_image
from tickwork.journal.snapshot_codec import unpack_agents

# In a damaged file a column that is never NULL may be, and so may its length.
_SNAPSHOTS = (
    "SELECT tick, coalesce(length(digest) + length(exact) + length(state), 0)"
    " + coalesce(length(world) + length(agents), 0), agents FROM snapshot ORDER BY tick"
)
_SIZE = "id, coalesce(length(bytes), 0)"
_NO_IDS = np.empty(0, np.int64)


@dataclass(frozen=True, slots=True)
class SnapshotInfo:
    """A snapshot's tick, its number of agents, and its bytes as stored, without SQLite's own.

    `bytes_own` are those that no other snapshot uses, which removing it would free; `bytes_shared` the
    others. `damage` says why that cannot be told; it is not said of pages, which are not looked at here.
    """

    tick: int
    agents: int
    bytes_own: int
    bytes_shared: int
    damage: str | None = None


class _Sizes:
    """The stored sizes of images and pages, by row, and how many snapshots use each."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self.images: dict[int, int] = dict(
            database.execute("SELECT id, coalesce(length(bytes), 0) FROM image")
        )
        (highest,) = database.execute("SELECT max(id) FROM page").fetchone()
        # Untouched zeros take no memory, so a file with few but high ids costs little.
        self._highest = min(highest or 0, PAGE_ID_MAX)
        self.pages: npt.NDArray[np.int64] = np.zeros(self._highest + 1, np.int64)
        for row, size in database.execute(f"SELECT {_SIZE} FROM page WHERE id > 0"):
            if row <= self._highest:
                self.pages[row] = size
        self.page_users: npt.NDArray[np.uint32] = np.zeros(self._highest + 1, np.uint32)
        self.image_users: Counter[int] = Counter()

    def page_ids(self, images: set[int]) -> Ids:
        """Return the pages of images, each once; raise Damage."""
        found = []
        for row in sorted(images):
            stored = self._database.execute("SELECT bytes FROM image WHERE id = ?", (row,)).fetchone()
            if stored is None:
                raise Damage("an image is missing")
            found.append(unpack_image(stored[0]).page_ids)
        ids = np.unique(np.concatenate(found)) if found else _NO_IDS
        if len(ids) and ids[-1] > self._highest:
            raise Damage("a page is missing")
        return ids


def snapshot_sizes(database: sqlite3.Connection) -> list[SnapshotInfo]:
    """Return a line for each snapshot, in order of ticks; costs a look at every row of the tables."""
    sizes = _Sizes(database)
    parts: dict[int, tuple[set[int], int] | Damage] = {}
    heads: dict[int, int] = {}
    for tick, head, agents in database.execute(_SNAPSHOTS).fetchall():
        heads[tick] = head
        try:
            pairs = unpack_agents(agents)
            images = {row for _, row in pairs}
            sizes.page_users[sizes.page_ids(images)] += 1
            sizes.image_users.update(images)
            parts[tick] = images, len(pairs)
        except Damage as damage:
            parts[tick] = damage
    infos = []
    for tick, part in parts.items():
        if isinstance(part, Damage):
            infos.append(SnapshotInfo(tick, 0, heads[tick], 0, str(part)))
            continue
        images, count = part
        ids = sizes.page_ids(images)
        alone = sizes.page_users[ids] == 1
        own = sum(sizes.images[row] for row in images if sizes.image_users[row] == 1)
        own += int(sizes.pages[ids[alone]].sum())
        total = sum(sizes.images[row] for row in images) + int(sizes.pages[ids].sum())
        infos.append(SnapshotInfo(tick, count, heads[tick] + own, total - own))
    return infos
