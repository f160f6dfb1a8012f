"""Puts a new run file in its place, whole or not at all.

The header and the modules are written to a hidden file beside the target and flushed to disk; only then does
the name change hands, in one step. So a file of that name is at every moment either the old one or a valid
new one, and whoever fails on the way (no space, a bad module) leaves the old one untouched.
"""

import os
import sqlite3
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tickwork.core.digest import content_hash
from tickwork.core.errors import HostError, RunFileError
from tickwork.core.image import AgentImage
from tickwork.core.messages import Arrivals
from tickwork.journal.arrivals import store_arrivals
from tickwork.journal.codec import pack_module
from tickwork.journal.cursor import InputCursor, store_cursors
from tickwork.journal.header import KEY_CHECK, Header, check_value, header_rows
from tickwork.journal.schema import APPLICATION_ID, FORMAT, PAGE_BYTES, TABLES
from tickwork.journal.snapshot_store import SnapshotStore

_SIDE_FILES = ("-wal", "-shm", "-journal")


@dataclass(frozen=True, slots=True)
class ForkStart:
    """What a fork begins with: the world after the edits, each agent's image, and how far inputs are read."""

    world: bytes
    images: Iterable[tuple[int, AgentImage]]
    cursors: Mapping[int, InputCursor] = field(default_factory=dict)
    # The parent's own inputs from here to its end, which is the tick `arrivals_end`.
    arrivals: Iterable[tuple[int, Arrivals]] = ()
    arrivals_end: int = 0


def create_run_file(
    path: Path,
    header: Header,
    modules: Mapping[str, bytes],
    *,
    force: bool,
    fork: ForkStart | None = None,
) -> Path:
    """Write a run file without entries and return its real path (links followed).

    With `fork` it has the snapshot that the fork begins with.

    Raises RunFileError where there is something at `path` (and `force` is not set, or it is not a file, or a
    live run is writing it) or where no file can be made; HostError where the disk fails.
    """
    target = _target(path)
    draft = target.with_name(f".{target.name}.{os.getpid()}.new")
    reserved = False
    try:
        if not force:
            _reserve(target)
            reserved = True
        elif target.exists():
            _check_replaceable(target)
        draft.unlink(missing_ok=True)
        # Exclusive, so that a link planted in a shared directory is not followed.
        draft.open("xb").close()
        _write_draft(draft, header, _packed(target, modules), fork)
        _drop_side_files(target)
        draft.replace(target)
    except BaseException as error:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        if reserved:
            with suppress(OSError):
                target.unlink()
        if isinstance(error, PermissionError | FileNotFoundError | NotADirectoryError):
            raise RunFileError(
                f"{path}: cannot be created ({_words(error)}); choose another place"
            ) from error
        if isinstance(error, OSError | sqlite3.Error):
            raise HostError(f"{path}: cannot be written ({_words(error)}); nothing was changed") from error
        raise
    return target


def _target(path: Path) -> Path:
    try:
        target = path.resolve()
        found = target.stat()
    except FileNotFoundError:
        return path.resolve()
    except (OSError, ValueError, RuntimeError) as error:
        raise RunFileError(f"{path}: cannot be created ({_words(error)}); choose another place") from error
    if stat.S_ISDIR(found.st_mode):
        raise RunFileError(f"{path}: is a directory; name a file in it")
    if not stat.S_ISREG(found.st_mode):
        raise RunFileError(f"{path}: is not a regular file; a run file cannot be written there")
    return target


def _reserve(target: Path) -> None:
    """Take the name for good, or fail: two runs started at once must not both believe that it is free."""
    try:
        target.open("xb").close()
    except FileExistsError as error:
        raise RunFileError(
            f"{target}: exists already; choose another name, or give --force to replace it"
        ) from error


def _check_replaceable(target: Path) -> None:
    """Refuse a file that a live run is writing, and fold what its journal still holds into it.

    Without the folding, a failure between here and the replacement would leave the old file incomplete.
    """
    if not os.access(target, os.W_OK):
        raise PermissionError(f"no permission to write {target.name}")
    if not Path(f"{target}-wal").exists():
        return
    # Whatever else SQLite objects to, such a file is no run that could still be read.
    with suppress(sqlite3.DatabaseError), closing(_connect(target, timeout_s=0)) as old:
        try:
            old.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise
            raise RunFileError(
                f"{target}: a live run is writing it; stop that run or choose another name"
            ) from error
        old.execute("ROLLBACK")
        old.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _write_draft(
    draft: Path, header: Header, modules: Iterable[tuple[str, bytes]], fork: ForkStart | None
) -> None:
    rows = header_rows(header)
    rows[KEY_CHECK] = check_value(rows)
    with closing(_connect(draft)) as database:
        database.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        # A draft that fails is thrown away, so it needs no rollback journal beside it.
        database.execute("PRAGMA journal_mode = MEMORY")
        database.execute("PRAGMA synchronous = FULL")
        database.execute("BEGIN IMMEDIATE")
        database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        database.execute(f"PRAGMA user_version = {FORMAT}")
        for table in TABLES.values():
            database.execute(table)
        database.executemany("INSERT INTO run VALUES (?, ?)", rows.items())
        database.executemany("INSERT INTO module VALUES (?, ?)", modules)
        if fork is not None:
            store = SnapshotStore(database)
            store.append(header.start_tick, header.start, fork.world, fork.images)
            store_cursors(database, fork.cursors)
            store_arrivals(database, fork.arrivals_end, fork.arrivals)
        database.execute("COMMIT")


def _packed(target: Path, modules: Mapping[str, bytes]) -> Iterator[tuple[str, bytes]]:
    for name, code in modules.items():
        if content_hash(code) != name:
            raise ValueError(f"the module {name} is not named by its hash")
        try:
            yield name, pack_module(code)
        except ValueError as error:
            raise RunFileError(f"{target}: the module {name} {error}") from error


def _drop_side_files(target: Path) -> None:
    """Remove what a former database left beside `target`: SQLite would apply it to the new one."""
    for suffix in _SIDE_FILES:
        Path(f"{target}{suffix}").unlink(missing_ok=True)


def _connect(path: Path, *, timeout_s: float = 5.0) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=timeout_s, isolation_level=None)


def _words(error: BaseException) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
