"""Appends a run's entries and snapshots to its file.

Entries are committed in groups: a crash of this process, or of the machine, loses at most the entries since
the last commit, and never an earlier one's integrity. The writer holds SQLite's write lock from its creation
to its close, so a second writer cannot exist; readers are never blocked.
"""

import enum
import sqlite3
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from tickwork.core.digest import Digests
from tickwork.core.errors import HostError
from tickwork.journal.appender import Appender, Item
from tickwork.journal.codec import Damage, size_fault
from tickwork.journal.create import ForkStart, create_run_file
from tickwork.journal.cursor import InputCursor
from tickwork.journal.header import KEY_CHECK, KEY_END, End, Header, Value, check_value, encode_end
from tickwork.journal.marks import store_mark
from tickwork.journal.resume import reopen
from tickwork.journal.retention import Policy, kept_ticks
from tickwork.journal.snapshot_codec import WORLD_BYTES_MAX
from tickwork.journal.snapshot_store import AgentImages, SnapshotStore

# Entries between automatic commits. The runtime commits by time, much more often than this in slow runs.
WINDOW_ENTRIES = 256

# A viewer that is reading just now gets this long before `close` leaves the side files to it.
_CLOSE_WAIT_MS = 200
# Pages are found by their hashes, which lie anywhere in an index: it should stay in memory.
_CACHE_KIB = 32 * 1024


class Durability(enum.StrEnum):
    """What a commit survives, and when it comes.

    `TICK`: every tick is committed and on the disk before `append` returns (3 to 6 ms): a power failure takes
    nothing back. `GROUP`: commits come in groups; the death of the process takes back what was not committed,
    a power failure also the commits since SQLite's last checkpoint, and the file stays sound. `OFF`: the same
    for the process, but after a power failure the file may be damaged.
    """

    TICK = "tick"
    GROUP = "group"
    OFF = "off"


_SYNCHRONOUS = {Durability.TICK: "FULL", Durability.GROUP: "NORMAL", Durability.OFF: "OFF"}


class RunWriter:
    """The one writer of a run file. After an error it refuses everything but `close`."""

    def __init__(self, path: Path, database: sqlite3.Connection, header: Header, window: int) -> None:
        self.path = path
        self.header = header
        self._database = database
        self._at_once = window == 1
        self._appender = Appender(database, header.start_tick, window)
        self._snapshots = SnapshotStore(database)
        self._cursors: dict[int, InputCursor] = {}
        self._digests = header.start
        self._next_tick = header.start_tick
        self._failed: str | None = None
        self._closed = False

    @classmethod
    def create(
        cls,
        path: Path,
        header: Header,
        modules: Mapping[str, bytes],
        *,
        force: bool = False,
        window: int = WINDOW_ENTRIES,
        durability: str = Durability.GROUP,
        fork: ForkStart | None = None,
    ) -> Self:
        """Make a new run file and open it for appending; `modules` maps each hex BLAKE3 to its bytes.

        With `force` a file at `path` is replaced, at the moment at which the new one is valid and on disk: it
        stays as it was if anything fails before. `fork` is given exactly when the header has a parent; the
        file then holds that snapshot from the moment at which it exists. Raises RunFileError where the place
        is taken, is written by a live run, or cannot hold a file; HostError where the disk fails.
        """
        synchronous, window = _settings(durability, window)
        if (fork is None) != (header.parent is None):
            raise ValueError("a fork has a parent and a snapshot to begin with; other runs have neither")
        real = create_run_file(path, header, modules, force=force, fork=fork)
        try:
            # The appender's thread has it while entries are under way.
            database = sqlite3.connect(real, isolation_level=None, check_same_thread=False)
            database.execute("PRAGMA journal_mode = WAL")
            database.execute(f"PRAGMA synchronous = {synchronous}")
            database.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
            database.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            raise HostError(f"{path}: cannot be written ({error})") from error
        return cls(real, database, header, window)

    @classmethod
    def resume(
        cls, path: Path, *, window: int = WINDOW_ENTRIES, durability: str = Durability.GROUP
    ) -> "Resumed":
        """Open a run file, finished or cut off, to append to it; the tick that follows its last is next.

        Nothing is changed in it before the first commit; a file of an older format is then of this one.
        Raises RunFileError, naming the tick where it can, if the file is being written by a live run, is
        damaged, or cannot be written.
        """
        synchronous, window = _settings(durability, window)
        found = reopen(path, synchronous)
        try:
            found.database.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
            writer = cls(found.path, found.database, found.header, window)
        except sqlite3.Error as error:
            found.database.close()
            raise HostError(f"{path}: cannot be written ({error})") from error
        writer._next_tick = found.next_tick
        writer._appender.committed = writer._appender.stored = found.next_tick
        writer._digests = found.digests
        return Resumed(writer, found.next_tick, found.digests, found.cursors)

    @property
    def committed(self) -> int:
        """The number of ticks, from tick 0, that a crash of this process can no longer take away."""
        return self._appender.committed

    @property
    def backlog_bytes(self) -> int:
        """How many bytes of entries are still on their way into the file."""
        return self._appender.backlog_bytes

    def append(self, tick: int, digests: Digests, entry: bytes, fuel: bytes) -> None:
        """Add the next tick's entry: its digests after it, its canonical bytes, and those of its fuel.

        Ticks come without gaps. Raises HostError if the entry exceeds the format's size, or if the disk fails
        or failed to take an earlier one: entries are stored in the background, unless the window is one.
        """
        self._check_usable()
        if tick != self._next_tick:
            raise ValueError(f"tick {tick} was appended where tick {self._next_tick} is next")
        fault = size_fault(entry, fuel)
        if fault is not None:
            raise HostError(f"{self.path}: the entry of tick {tick} {fault}; lower limits.bytes_per_turn")
        item = Item(tick, digests, entry, fuel, self._cursors)
        self._cursors = {}
        if self._at_once:
            try:
                self._appender.store(item)
            except sqlite3.Error as error:
                raise self._failure(error) from error
        else:
            self._appender.put(item)
        self._digests = digests
        self._next_tick = tick + 1

    def note_inputs(self, cursors: Mapping[int, InputCursor]) -> None:
        """Note how far inputs have been read, to be stored by the next commit of any entries.

        Call it right before the `append` of the tick that the last of those lines came to, so that lines and
        their entry are always committed together.
        """
        self._cursors.update(cursors)

    def append_snapshot(
        self, tick: int, digests: Digests, world: bytes, images: AgentImages, state: bytes | None = None
    ) -> bytes:
        """Add the snapshot of the boundary before `tick`, which is next, and return its state digest.

        Entries so far are committed first, the snapshot by the next commit; one that is there for this tick
        is replaced. `images` gives the agents' indexes, ascending, each with its image, or with None if it is
        as in the last snapshot that this writer added; it is drawn from one by one, so they need not be in
        memory together. With `state` the result must be that.

        Raises ValueError, with nothing added, for what is not in order; HostError if the world exceeds the
        format's size or the disk fails.
        """
        self._check_usable()
        if (tick, digests) != (self._next_tick, self._digests):
            raise ValueError(f"a snapshot of tick {tick} was appended where tick {self._next_tick} is next")
        if len(world) > WORLD_BYTES_MAX:
            raise HostError(
                f"{self.path}: the world of tick {tick} takes {len(world)} bytes, more than a snapshot can"
                f" hold ({WORLD_BYTES_MAX}); lower limits.mailbox_bytes"
            )
        # A snapshot can take long, and outputs wait for their entries' commit.
        self.commit()
        try:
            result = self._snapshots.append(tick, digests, world, images, state)
        except sqlite3.Error as error:
            raise self._failure(error) from error
        except Damage as damage:
            raise HostError(f"{self.path}: a snapshot was damaged during the run: {damage}") from damage
        self._appender.dirty = True
        return result

    def append_mark(self, tick: int, digests: Digests, world: bytes) -> None:
        """Add the world of the boundary before `tick`, which is next; the next commit stores it.

        Raises ValueError for what is not in order, HostError if the disk fails. A world that exceeds the
        format's size is left out: it would only have saved time.
        """
        self._settle()
        if (tick, digests) != (self._next_tick, self._digests):
            raise ValueError(f"a mark of tick {tick} was appended where tick {self._next_tick} is next")
        if len(world) > WORLD_BYTES_MAX:
            return
        try:
            store_mark(self._database, tick, digests, world)
        except sqlite3.Error as error:
            raise self._failure(error) from error
        self._appender.dirty = True

    def retain(self, policy: Policy) -> tuple[int, ...]:
        """Remove the snapshots that a policy does not keep, with what only they used; return their ticks.

        The last snapshot stays, and a fork's first, without which it could not be replayed. What is freed in
        the file is used again, but the file does not shrink.
        """
        self._settle()
        try:
            ticks = self._snapshots.ticks()
            kept = {*kept_ticks(ticks, policy)}
            if self.header.parent is not None:
                kept.add(self.header.start_tick)
            removed = tuple(tick for tick in ticks if tick not in kept)
            if removed:
                self._snapshots.remove(removed)
                self._appender.dirty = True
        except sqlite3.Error as error:
            raise self._failure(error) from error
        except Damage as damage:
            raise HostError(f"{self.path}: a snapshot was damaged during the run: {damage}") from damage
        return removed

    def commit(self) -> None:
        """Make everything so far survive this process; raise HostError if the disk fails."""
        self._settle()
        if self._appender.dirty:
            self._commit()

    def request_commit(self) -> None:
        """Have everything so far committed soon, without waiting; `committed` tells when it is."""
        self._check_usable()
        self._appender.request_commit()

    def finish(self, status: str) -> None:
        """Record how the run ended and commit; nothing can be appended afterwards.

        `status` is for people. A file without it was cut off, or is still being written.
        """
        self._settle()
        end = End(status, self._next_tick, self._digests.digest, self._digests.exact)
        try:
            stored: list[tuple[str, Value]] = self._database.execute("SELECT key, value FROM run").fetchall()
            rows = dict(stored)
            rows[KEY_END] = encode_end(end)
            rows[KEY_CHECK] = check_value(rows)
            self._database.executemany("INSERT OR REPLACE INTO run VALUES (?, ?)", rows.items())
        except sqlite3.Error as error:
            raise self._failure(error) from error
        self._commit()
        self._failed = "the run is finished"

    def close(self) -> None:
        """Commit what is pending and leave exactly one file; idempotent.

        A viewer that has the file open keeps SQLite's side files (`-wal`, `-shm`) beside it, empty. Raises
        HostError if the disk fails; the file is closed all the same.
        """
        if self._closed:
            return
        self._closed = True
        self._appender.settle()
        self._appender.end()
        try:
            if self._failed is None:
                self._check_stored()
                if self._appender.dirty:
                    self._commit()
        finally:
            with suppress(sqlite3.Error):
                self._database.execute("ROLLBACK")
            with suppress(sqlite3.Error):
                self._database.execute(f"PRAGMA busy_timeout = {_CLOSE_WAIT_MS}")
                self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                # A file in WAL mode could not be read from a directory without write permission.
                self._database.execute("PRAGMA journal_mode = DELETE")
            self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _commit(self) -> None:
        try:
            self._appender.commit()
        except sqlite3.Error as error:
            raise self._failure(error) from error

    def _check_usable(self) -> None:
        if self._closed or self._failed is not None:
            raise HostError(f"{self.path}: takes no more entries: {self._failed or 'it is closed'}")
        self._check_stored()

    def _check_stored(self) -> None:
        if self._appender.fault is not None:
            raise self._failure(self._appender.fault) from self._appender.fault

    def _settle(self) -> None:
        """Wait until the connection is this thread's, with all that was appended in it."""
        self._appender.settle()
        self._check_usable()

    def _failure(self, error: sqlite3.Error) -> HostError:
        self._failed = f"writing failed ({error})"
        held = f"it holds the first {self.committed} ticks" if self.committed else "it holds no ticks"
        return HostError(
            f"{self.path}: writing failed ({error}); {held} and can be read. Free some space or choose"
            " another disk, and run again"
        )


class Resumed(NamedTuple):
    """A run file opened again: `digests` are those before `next_tick`, `cursors` how far inputs were read."""

    writer: RunWriter
    next_tick: int
    digests: Digests
    cursors: dict[int, InputCursor]


def _settings(durability: str, window: int) -> tuple[str, int]:
    """Return SQLite's word for a durability, and the number of entries between commits."""
    if window < 1:
        raise ValueError("the window is at least one entry")
    kind = Durability(durability)
    return _SYNCHRONOUS[kind], 1 if kind is Durability.TICK else window
