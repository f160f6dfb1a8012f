"""Appends a run's entries to its file.

Entries are committed in groups: a crash of this process, or of the machine, loses at most the entries since
the last commit, and never an earlier one's integrity. The writer holds SQLite's write lock from its creation
to its close, so a second writer cannot exist; readers are never blocked.

By default a commit survives the death of the process, and reaches the disk itself at SQLite's next
checkpoint; with `full_sync` each commit is on the disk when `commit` returns (3 to 6 ms).
"""

import sqlite3
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from tickwork.core.digest import Digests
from tickwork.core.errors import HostError
from tickwork.journal.codec import EntryPacker
from tickwork.journal.create import create_run_file
from tickwork.journal.header import KEY_CHECK, KEY_END, End, Header, Value, check_value, encode_end

# Entries between automatic commits. The runtime commits by time, much more often than this in slow runs.
WINDOW_ENTRIES = 256

_INSERT = "INSERT INTO entry VALUES (?, ?, ?, ?)"
# A viewer that is reading just now gets this long before `close` leaves the side files to it.
_CLOSE_WAIT_MS = 200


class RunWriter:
    """The one writer of a run file. After an error it refuses everything but `close`."""

    def __init__(self, path: Path, database: sqlite3.Connection, header: Header, window: int) -> None:
        self.path = path
        self._database = database
        self._header = header
        self._window = window
        self._packer = EntryPacker()
        self._digests = header.genesis()
        self._next_tick = 0
        self._pending = 0
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
        full_sync: bool = False,
    ) -> Self:
        """Make a new run file and open it for appending; `modules` maps each hex BLAKE3 to its bytes.

        With `force` a file at `path` is replaced, at the moment at which the new one is valid and on disk: it
        stays as it was if anything fails before. Raises RunFileError where the place is taken, is written by
        a live run, or cannot hold a file; HostError where the disk fails.
        """
        if window < 1:
            raise ValueError("the window is at least one entry")
        real = create_run_file(path, header, modules, force=force)
        try:
            database = sqlite3.connect(real, isolation_level=None)
            database.execute("PRAGMA journal_mode = WAL")
            database.execute(f"PRAGMA synchronous = {'FULL' if full_sync else 'NORMAL'}")
            database.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            raise HostError(f"{path}: cannot be written ({error})") from error
        return cls(real, database, header, window)

    @property
    def committed(self) -> int:
        """The number of ticks, from tick 0, that a crash of this process can no longer take away."""
        return self._next_tick - self._pending

    def append(self, tick: int, digests: Digests, entry: bytes, fuel: bytes) -> None:
        """Add the next tick's entry: its digests after it, its canonical bytes, and those of its fuel.

        Ticks count from 0 without gaps. Raises HostError if the entry exceeds the format's size or the disk
        fails.
        """
        self._check_usable()
        if tick != self._next_tick:
            raise ValueError(f"tick {tick} was appended where tick {self._next_tick} is next")
        try:
            body = self._packer.pack(entry, fuel)
        except ValueError as error:
            raise HostError(
                f"{self.path}: the entry of tick {tick} {error}; lower limits.bytes_per_turn"
            ) from error
        try:
            self._database.execute(_INSERT, (tick, digests.digest, digests.exact, body))
        except sqlite3.Error as error:
            raise self._failure(error) from error
        self._digests = digests
        self._next_tick = tick + 1
        self._pending += 1
        if self._pending >= self._window:
            self.commit()

    def commit(self) -> None:
        """Make all entries so far survive this process; raise HostError if the disk fails."""
        self._check_usable()
        if self._pending:
            self._commit()

    def finish(self, status: str) -> None:
        """Record how the run ended and commit; nothing can be appended afterwards.

        `status` is for people. A file without it was cut off, or is still being written.
        """
        self._check_usable()
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
        try:
            if self._pending and self._failed is None:
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
            self._database.execute("COMMIT")
            self._pending = 0
            self._database.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            raise self._failure(error) from error

    def _check_usable(self) -> None:
        if self._closed or self._failed is not None:
            raise HostError(f"{self.path}: takes no more entries: {self._failed or 'it is closed'}")

    def _failure(self, error: sqlite3.Error) -> HostError:
        self._failed = f"writing failed ({error})"
        held = f"it holds the first {self.committed} ticks" if self.committed else "it holds no ticks"
        return HostError(
            f"{self.path}: writing failed ({error}); {held} and can be read. Free some space or choose"
            " another disk, and run again"
        )
