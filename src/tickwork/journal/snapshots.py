"""Reads snapshots from a file that may be damaged or hostile: what is given was checked, every byte of it.

A snapshot's state digest covers its world and the digest of every agent's image, and an image's digest every
page, so one agent can be read and checked without the others. Each function reads one state of the file,
whatever a writer does meanwhile.
"""

import sqlite3
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from tickwork.core.checkpoint import state_digest
from tickwork.core.digest import DIGEST_BYTES, Digests
from tickwork.core.errors import RunFileError
from tickwork.core.image import AgentImage, page_hash
from tickwork.journal.codec import Damage
from tickwork.journal.connect import one_state, reading
from tickwork.journal.header import Header
from tickwork.journal.image_codec import ImageUnpacker, StoredImage, unpack_image
from tickwork.journal.snapshot_codec import Pairs, unpack_agents, unpack_world

_T = TypeVar("_T")
# Pages that have been read, by row, each with its hash as computed.
_Pages = dict[int, tuple[bytes, bytes]]
# Two sizes only, so that SQLite compiles two statements and not one for every number of rows.
_BATCHES = (512, 32)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything at the boundary before `tick`: the chain so far, the world, and the images asked for.

    `agents` are the indexes of all agents that have an image.
    """

    tick: int
    digests: Digests
    state: bytes
    world: bytes
    agents: tuple[int, ...]
    images: dict[int, AgentImage]


class SnapshotReader:
    """The snapshots of one open file of format 2."""

    def __init__(
        self, path: Path, database: sqlite3.Connection, header: Header, names: Sequence[str]
    ) -> None:
        self._path = path
        self._database = database
        self._header = header
        self._names = names
        self._unpacker = ImageUnpacker()

    def ticks(self, last: int | None = None) -> list[int]:
        """Return the ticks of the snapshots, newest first; with `last` only of those not after it."""
        with reading(self._path):
            rows = self._database.execute(
                "SELECT tick FROM snapshot WHERE tick <= ? ORDER BY tick DESC",
                (2**63 - 1 if last is None else last,),
            )
            return [int(tick) for (tick,) in rows]

    def nearest(self, tick: int) -> int | None:
        """Return the last snapshot's tick that is not after `tick`, or None."""
        with reading(self._path):
            (found,) = self._database.execute(
                "SELECT max(tick) FROM snapshot WHERE tick <= ?", (tick,)
            ).fetchone()
        return None if found is None else int(found)

    def read(self, tick: int, agents: Collection[int] | None) -> Snapshot:
        """Return the snapshot with the images of `agents`, or of all; raise RunFileError that says where."""
        with reading(self._path), one_state(self._database):
            try:
                return self._read(tick, agents)
            except Damage as damage:
                raise RunFileError(
                    f"{self._path}: the snapshot of tick {tick} is damaged: {damage}"
                ) from damage

    def _read(self, tick: int, agents: Collection[int] | None) -> Snapshot:
        row = self._database.execute(
            "SELECT digest, exact, state, world, agents FROM snapshot WHERE tick = ?", (tick,)
        ).fetchone()
        if row is None:
            raise RunFileError(f"{self._path}: holds no snapshot of tick {tick}")
        digest, exact, state, stored_world, stored_agents = row
        if any(not isinstance(part, bytes) or len(part) != DIGEST_BYTES for part in (digest, exact, state)):
            raise Damage(f"one of its digests is not {DIGEST_BYTES} bytes")
        digests = Digests(digest, exact)
        self._check_chain(tick, digests)
        world = _part("its world", unpack_world, stored_world)
        pairs = _part("its list of agents", unpack_agents, stored_agents)
        hashes = self._hashes(pairs)
        if state_digest(digests, world, tuple((agent, hashes[row]) for agent, row in pairs)) != state:
            raise Damage("its world and images do not have its state digest")
        rows = dict(pairs)
        wanted = sorted(rows if agents is None else set(agents))
        for agent in wanted:
            if agent not in rows:
                raise RunFileError(f"{self._path}: the snapshot of tick {tick} has no agent {agent}")
        # Equal pages are one object and are hashed once, whoever they belong to.
        pages: _Pages = {}
        images: dict[int, AgentImage] = {}
        read: dict[int, AgentImage] = {}
        for agent in wanted:
            image_row = rows[agent]
            if image_row not in read:
                try:
                    read[image_row] = self._image(image_row, hashes[image_row], pages)
                except Damage as damage:
                    raise Damage(f"agent {self._name(agent)}: {damage}") from damage
            images[agent] = read[image_row]
        return Snapshot(tick, digests, state, world, tuple(rows), images)

    def _name(self, agent: int) -> str:
        return f"{agent} ({self._names[agent]})" if agent < len(self._names) else str(agent)

    def _check_chain(self, tick: int, digests: Digests) -> None:
        """Hold the snapshot against the entry that it comes after, or the run's start."""
        if tick == self._header.start_tick:
            before: object = tuple(self._header.start)
        else:
            before = self._database.execute(
                "SELECT digest, exact FROM entry WHERE tick = ?", (tick - 1,)
            ).fetchone()
        if before != tuple(digests):
            raise Damage("its digests are not those of the entry before it")

    def _hashes(self, pairs: Pairs) -> dict[int, bytes]:
        """Return the digests that the images' rows state, by row."""
        hashes: dict[int, bytes] = {}
        rows = sorted({row for _, row in pairs})
        for row, digest in self._rows("SELECT id, hash FROM image WHERE id IN ({})", rows):
            if not isinstance(digest, bytes) or len(digest) != DIGEST_BYTES:
                raise Damage(f"an image's digest is not {DIGEST_BYTES} bytes")
            hashes[row] = digest
        for agent, row in pairs:
            if row not in hashes:
                raise Damage(f"agent {self._name(agent)}: its image is missing")
        return hashes

    def _image(self, row: int, digest: bytes, pages: _Pages) -> AgentImage:
        """Return the image of a row; `pages` are those read before, and are added to."""
        (stored,) = self._database.execute("SELECT bytes FROM image WHERE id = ?", (row,)).fetchone()
        image = _part("its image", unpack_image, stored)
        ids = image.page_ids.tolist()
        missing = [page for page in dict.fromkeys(ids) if page not in pages]
        for page, packed in self._rows("SELECT id, bytes FROM page WHERE id IN ({})", missing):
            try:
                content = self._unpacker.unpack_page(packed)
            except Damage as damage:
                raise Damage(f"{_place(image, page)}: {damage}") from damage
            pages[page] = content, page_hash(content)
        for page in missing:
            if page not in pages:
                raise Damage(f"{_place(image, page)} is missing")
        found = image.with_pages([pages[page][0] for page in ids])
        if found.digest([[pages[page][1] for page in memory.tolist()] for memory in image.ids]) != digest:
            raise Damage(self._changed(image, pages))
        return found

    def _changed(self, image: StoredImage, pages: _Pages) -> str:
        """Say what of an image is not what was written."""
        ids = np.unique(image.page_ids).tolist()
        for page, digest in self._rows("SELECT id, hash FROM page WHERE id IN ({})", ids):
            if digest != pages[page][1]:
                return f"{_place(image, page)} does not have its hash"
        return "its image does not have its digest"

    def _rows(self, query: str, ids: Sequence[int]) -> Iterator[tuple[int, object]]:
        """Yield the rows with these ids, in no particular order."""
        first = 0
        while first < len(ids):
            size = _BATCHES[len(ids) - first < _BATCHES[0]]
            batch = ids[first : first + size]
            padded = [*batch, *[batch[-1]] * (size - len(batch))]
            yield from self._database.execute(query.format(",".join("?" * size)), padded)
            first += size


def _part(what: str, unpack: Callable[[object], _T], stored: object) -> _T:
    try:
        return unpack(stored)
    except Damage as damage:
        raise Damage(f"{what}: {damage}") from damage


def _place(image: StoredImage, page: int) -> str:
    """Say where in an agent's memories a page of the table is."""
    for memory, (numbers, ids) in enumerate(zip(image.numbers, image.ids, strict=True)):
        at = np.flatnonzero(ids == page)
        if len(at):
            return f"page {numbers[int(at[0])]} of memory {memory}"
    return "a page"
