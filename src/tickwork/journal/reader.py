"""Reads a run file that may be damaged, hostile, or still being written.

What is wrong with the file as a whole is a RunFileError at `open`. What is wrong with one tick is data: a
replay has to name the first such tick, not to die of it. Bytes that are merely different from what was
written, but well formed, are found by `verify` against the digest chain.
"""

import sqlite3
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from tickwork.core.digest import DIGEST_BYTES, Digests, content_hash
from tickwork.core.entry import Entry, Fuel
from tickwork.core.errors import RunFileError
from tickwork.core.spec import RunSpec
from tickwork.journal.arrivals import ScheduledArrivals, load_arrivals
from tickwork.journal.codec import Damage, decode, unpack_entry, unpack_module
from tickwork.journal.connect import DAMAGE_ERRORS, connect, one_state, reading
from tickwork.journal.cursor import InputCursor, load_cursors
from tickwork.journal.header import End, Header
from tickwork.journal.identify import identify, read_rows
from tickwork.journal.marks import mark_ticks, nearest_mark
from tickwork.journal.snapshot_sizes import SnapshotInfo, snapshot_sizes
from tickwork.journal.snapshots import Snapshot, SnapshotReader

# Rows per statement: a reader must not hold one SQLite read transaction, and so the writer's log, for long.
_BATCH_ROWS = 256
_ROWS = "SELECT tick, digest, exact, body FROM entry WHERE tick >= ? ORDER BY tick LIMIT ?"

STATUS_OPEN = "running"
_NO_DIGESTS = Digests(b"", b"")


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """One tick as found: canonical bytes and digests, or, with `damage`, why they cannot be had.

    A damaged one stands for its tick alone, unless its text names more.
    """

    tick: int
    digests: Digests
    entry: bytes
    fuel: bytes
    damage: str | None = None

    def decode(self) -> tuple[Entry, Fuel]:
        """Return the tick's meaning; raise RunFileError naming the tick if it has none."""
        if self.damage is not None:
            raise RunFileError(f"the entry of tick {self.tick} is damaged: {self.damage}")
        return decode(self.tick, self.entry, self.fuel)


class RunReader:
    """A run file, read-only. `open` makes one; `close` or a `with` block ends it."""

    def __init__(
        self, path: Path, database: sqlite3.Connection, header: Header, spec: RunSpec, end: End | None
    ) -> None:
        self.path = path
        self.header = header
        self.spec = spec
        # None while the run is being written, and for ever if it was cut off.
        self.end = end
        self._database = database
        # Files of format 1 have none.
        self._snapshots: SnapshotReader | None = None
        if header.format > 1:
            names = [agent.id for agent in spec.agents]
            self._snapshots = SnapshotReader(path, database, header, names)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open a run file without ever changing it; raise RunFileError if it is not one that can be read."""
        database = connect(path)
        try:
            with reading(path):
                identify(path, database)
                header, spec, end = read_rows(path, database)
        except BaseException:
            database.close()
            raise
        return cls(path, database, header, spec, end)

    @property
    def status(self) -> str:
        """How the run ended, or `running` if its file has no end."""
        return STATUS_OPEN if self.end is None else self.end.status

    @property
    def last_tick(self) -> int | None:
        """The last tick in the file just now, or None; raise RunFileError if it cannot be told."""
        with reading(self.path):
            (tick,) = self._database.execute("SELECT max(tick) FROM entry").fetchone()
        return tick if tick is None else int(tick)

    @property
    def modules(self) -> tuple[str, ...]:
        """The names (hex hashes) under which modules are stored, sorted; their bytes are not looked at."""
        with reading(self.path):
            rows = self._database.execute("SELECT hash FROM module ORDER BY hash").fetchall()
        return tuple(row[0].decode(errors="replace") for row in rows if isinstance(row[0], bytes))

    def module(self, name: str) -> bytes:
        """Return the module's bytes; raise RunFileError if they are missing or do not have this hash."""
        with reading(self.path):
            row = self._database.execute("SELECT bytes FROM module WHERE hash = ?", (name,)).fetchone()
        if row is None:
            raise RunFileError(f"{self.path}: holds no module {name}")
        try:
            code = unpack_module(row[0])
        except Damage as damage:
            raise RunFileError(f"{self.path}: the module {name} is damaged: {damage}") from damage
        if content_hash(code) != name:
            raise RunFileError(f"{self.path}: the module {name} was changed: its bytes hash to another name")
        return code

    def entries(self, from_tick: int = 0) -> Iterator[StoredEntry]:
        """Yield what the file holds for each tick from `from_tick` on, in order.

        Ticks that are missing (dropped, or cut off from a run that says that it had more) come as one damaged
        entry at the first of them. Where the table itself cannot be read on, the last entry says so. Of a run
        that is being written these are the committed ones.
        """
        expected = max(from_tick, self.header.start_tick)
        try:
            for row in self._rows(from_tick):
                tick = row[0]
                if tick < expected:
                    yield _damaged(expected, f"the file's entries are out of order (tick {tick})")
                    return
                if tick > expected:
                    yield _missing(expected, tick - 1)
                yield _stored(row)
                expected = tick + 1
        except (sqlite3.Error, *DAMAGE_ERRORS) as error:
            yield _damaged(expected, f"nothing from this tick on can be read ({error})")
            return
        if self.end is not None and expected < self.end.ticks:
            yield _missing(expected, self.end.ticks - 1)

    def cursors(self) -> dict[int, InputCursor]:
        """Return how far each input has been read, by its place in the specification; raise RunFileError."""
        if self.header.format == 1:
            return {}
        with reading(self.path):
            return load_cursors(self.path, self._database, len(self.spec.inputs))

    def scheduled_arrivals(self, first: int) -> ScheduledArrivals:
        """Return what is known beforehand to arrive from tick `first` on; raise RunFileError."""
        if self.header.parent is None:
            return ScheduledArrivals()
        with reading(self.path):
            return load_arrivals(self.path, self._database, first, len(self.spec.inputs))

    def snapshots(self) -> list[SnapshotInfo]:
        """Return a line for each snapshot, in order of ticks; raise RunFileError if they cannot be listed."""
        if self._snapshots is None:
            return []
        with reading(self.path), one_state(self._database):
            return snapshot_sizes(self._database)

    def snapshot_ticks(self) -> list[int]:
        """Return the ticks of all snapshots, newest first; their content is not looked at."""
        return [] if self._snapshots is None else self._snapshots.ticks()

    def mark_ticks(self) -> list[int]:
        """Return the ticks of all worlds that are kept by themselves, ascending."""
        return [] if self._snapshots is None else mark_ticks(self.path, self._database)

    def nearest_snapshot(self, tick: int) -> int | None:
        """Return the tick of the last snapshot not after `tick`, or None; its content is not looked at."""
        return None if self._snapshots is None else self._snapshots.nearest(tick)

    def nearest_mark(self, tick: int) -> tuple[int, Digests, bytes] | None:
        """Return the last world that is kept by itself and is not after `tick`: its tick, chain and bytes."""
        return None if self._snapshots is None else nearest_mark(self.path, self._database, tick)

    def snapshot(self, tick: int, agents: Collection[int] | None = None) -> Snapshot:
        """Return the snapshot of exactly `tick`, with the images of `agents` or, for None, of all.

        All of it is checked against its digests. Raises RunFileError if there is no such snapshot or agent,
        or naming the agent and the page where it is damaged.
        """
        if self._snapshots is None:
            raise RunFileError(f"{self.path}: holds no snapshot of tick {tick}; its format has none")
        return self._snapshots.read(tick, agents)

    def usable_snapshots(
        self,
        *,
        last: int | None = None,
        agents: Collection[int] | None = None,
        report: Callable[[str], None] | None = None,
    ) -> Iterator[Snapshot]:
        """Yield the snapshots that are sound, from the one nearest to `last`, or the newest, to the oldest.

        `agents` is as for `snapshot`: what is not read is not checked. `report` is told of each snapshot
        that had to be passed over, in words that name its tick.
        """
        if self._snapshots is None:
            return
        for tick in self._snapshots.ticks(last):
            try:
                found = self._snapshots.read(tick, agents)
            except RunFileError as error:
                if report is not None:
                    report(str(error))
            else:
                yield found

    def close(self) -> None:
        """Let go of the file; idempotent."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _rows(self, from_tick: int) -> Iterator[tuple[int, object, object, object]]:
        # No tick before the first is ever written; starting below it finds one that was planted.
        following = from_tick if from_tick > self.header.start_tick else -(2**63)
        while True:
            count = 0
            tick = following
            for row in self._database.execute(_ROWS, (following, _BATCH_ROWS)):
                count += 1
                tick = row[0]
                yield row
            if count < _BATCH_ROWS:
                return
            following = tick + 1


def _stored(row: tuple[int, object, object, object]) -> StoredEntry:
    tick, digest, exact, body = row
    if not isinstance(digest, bytes) or len(digest) != DIGEST_BYTES:
        return _damaged(tick, f"its digest is not {DIGEST_BYTES} bytes")
    if not isinstance(exact, bytes) or len(exact) != DIGEST_BYTES:
        return _damaged(tick, f"its exact digest is not {DIGEST_BYTES} bytes")
    try:
        entry, fuel = unpack_entry(body)
    except Damage as damage:
        return _damaged(tick, str(damage))
    return StoredEntry(tick, Digests(digest, exact), entry, fuel)


def _damaged(tick: int, reason: str) -> StoredEntry:
    return StoredEntry(tick, _NO_DIGESTS, b"", b"", reason)


def _missing(first: int, last: int) -> StoredEntry:
    if first == last:
        return _damaged(first, f"the entry of tick {first} is missing")
    return _damaged(first, f"the entries of ticks {first} to {last} are missing")
