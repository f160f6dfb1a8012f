"""The writer's side of the tables `page` and `image`: each content once, whoever it belongs to.

A row that this session has not written is not believed: it is held against the content that it should have,
and written anew if it is damaged. Otherwise a flipped bit would pass from old snapshots into new ones.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from tickwork.core.image import AgentImage
from tickwork.journal.codec import Damage
from tickwork.journal.image_codec import Ids, ImagePacker, ImageUnpacker, unpack_image
from tickwork.journal.page_index import KnownPages

# Few enough that a page of this batch cannot be forgotten before it is in the table.
_BATCH_ROWS = 256


class Kept(NamedTuple):
    """Where an image is: its row, its digest, and its pages' rows if the image's row is new."""

    row: int
    digest: bytes
    new_ids: Ids | None


class PageStore:
    """Stores images with their pages, and removes them, in whatever transaction is open."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._packer = ImagePacker()
        self._unpacker = ImageUnpacker()
        self._next_page = _highest(database, "SELECT max(id) FROM page") + 1
        self._next_image = _highest(database, "SELECT max(id) FROM image") + 1
        self._known = KnownPages(complete=self._next_page == 1)
        self._free_pages: list[int] = []
        # Images with lower rows were not written by this session.
        self._first_image = self._next_image
        self._checked_images: set[int] = set()

    def put(self, image: AgentImage) -> Kept:
        """Store an image unless it is there; raise ValueError for one that no agent can have."""
        hashes = image.page_hashes()
        digest = image.digest(hashes)
        found = self._database.execute("SELECT id, bytes FROM image WHERE hash = ?", (digest,)).fetchone()
        if found is not None and (found[0] >= self._first_image or found[0] in self._checked_images):
            return Kept(found[0], digest, None)
        ids = [
            self._page_ids(memory.pages, of_pages)
            for memory, of_pages in zip(image.memories, hashes, strict=True)
        ]
        packed = self._packer.pack_image(image, ids)
        if found is not None:
            row = int(found[0])
            self._checked_images.add(row)
            if found[1] == packed:
                return Kept(row, digest, None)
            self._database.execute("UPDATE image SET bytes = ? WHERE id = ?", (packed, row))
        else:
            row = self._next_image
            self._next_image += 1
            self._database.execute("INSERT INTO image VALUES (?, ?, ?)", (row, digest, packed))
        return Kept(row, digest, np.array([page for memory in ids for page in memory], np.int64))

    def image_ids(self, row: int) -> Ids:
        """Return the rows of an image's pages; raise Damage."""
        found = self._database.execute("SELECT bytes FROM image WHERE id = ?", (row,)).fetchone()
        if found is None:
            raise Damage("there is no such image")
        return unpack_image(found[0]).page_ids

    def remove_images(self, rows: Sequence[int]) -> None:
        """Remove images' rows."""
        self._database.executemany("DELETE FROM image WHERE id = ?", [(row,) for row in rows])

    def remove_pages(self, rows: Sequence[int]) -> None:
        """Remove pages' rows, whose numbers are then free."""
        for batch in _batches(rows):
            marks = ",".join("?" * len(batch))
            for (digest,) in self._database.execute(
                f"SELECT hash FROM page WHERE id IN ({marks})",
                batch,
            ):
                self._known.forget(digest)
            self._database.execute(f"DELETE FROM page WHERE id IN ({marks})", batch)
        # Used again from the lowest on, which fills the gaps in the table.
        self._free_pages = sorted([*self._free_pages, *rows], reverse=True)

    def _page_ids(self, pages: Sequence[bytes], hashes: Sequence[bytes]) -> list[int]:
        """Return the rows of pages, storing those that are not there."""
        known = self._known
        ids: list[int] = []
        fresh: list[tuple[int, bytes, bytes]] = []
        for page, digest in zip(pages, hashes, strict=True):
            row = known.find(digest)
            if row is None:
                row = None if known.complete else self._stored(digest, page)
                if row is None:
                    row = self._new_page()
                    fresh.append((row, digest, self._packer.pack_page(page)))
                known.add(digest, row)
                if len(fresh) == _BATCH_ROWS:
                    self._insert(fresh)
                    fresh = []
            ids.append(row)
        self._insert(fresh)
        return ids

    def _insert(self, rows: Iterable[tuple[int, bytes, bytes]]) -> None:
        self._database.executemany("INSERT INTO page VALUES (?, ?, ?)", rows)

    def _new_page(self) -> int:
        if self._free_pages:
            return self._free_pages.pop()
        self._next_page += 1
        return self._next_page - 1

    def _stored(self, digest: bytes, page: bytes) -> int | None:
        """Return the row of a page that is not remembered, in order, or None if there is none."""
        found = self._database.execute("SELECT id, bytes FROM page WHERE hash = ?", (digest,)).fetchone()
        if found is None:
            return None
        row = int(found[0])
        try:
            sound = self._unpacker.unpack_page(found[1]) == page
        except Damage:
            sound = False
        if not sound:
            packed = self._packer.pack_page(page)
            self._database.execute("UPDATE page SET bytes = ? WHERE id = ?", (packed, row))
        return row


def _highest(database: sqlite3.Connection, query: str) -> int:
    (highest,) = database.execute(query).fetchone()
    return int(highest or 0)


def _batches(rows: Sequence[int]) -> Iterator[Sequence[int]]:
    for first in range(0, len(rows), _BATCH_ROWS):
        yield rows[first : first + _BATCH_ROWS]
