"""Opens a file as an SQLite database for reading, and says what is wrong with it in the user's terms.

The file is only ever touched through SQLite: closing a second descriptor of our own would drop the locks of
a writer in the same process.
"""

import sqlite3
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tickwork.core.errors import RunFileError

# The smallest SQLite page; a database is never smaller.
_BYTES_MIN = 512
_FILE_SYSTEM_ERRORS = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY)
# What the sqlite3 module raises of a damaged file besides its own errors; the Unicode error is for messages
# of SQLite's that quote the damage.
DAMAGE_ERRORS = (UnicodeDecodeError, MemoryError, OverflowError)


def connect(path: Path) -> sqlite3.Connection:
    """Open an SQLite file read-only, without leaving anything beside it; raise RunFileError."""
    try:
        real = path.resolve()
        found = real.stat()
    except FileNotFoundError as error:
        raise RunFileError(f"{path}: there is no such file") from error
    except (OSError, ValueError, RuntimeError) as error:
        raise RunFileError(f"{path}: cannot be opened ({error})") from error
    if stat.S_ISDIR(found.st_mode):
        raise RunFileError(f"{path}: is a directory, not a run file")
    if not stat.S_ISREG(found.st_mode):
        raise RunFileError(f"{path}: is not a regular file")
    if found.st_size == 0:
        raise RunFileError(f"{path}: is empty, not a run file")
    if found.st_size < _BYTES_MIN:
        raise RunFileError(f"{path}: is not a run file (only {found.st_size} bytes)")
    with reading(path):
        database = _probe(real, "mode=ro")
        if database is None:
            # A finished file in a directory without write permission, in WAL mode because a viewer had it
            # open at the end: SQLite may take it as it is, if there is no log to apply.
            database = _probe(real, "mode=ro" if _has_log(real) else "immutable=1")
        if database is None:
            raise RunFileError(
                f"{path}: cannot be opened; check the permissions. If the run was cut off, copy the file"
                f" together with {path.name}-wal to a directory that you can write"
            )
        _check_size(path, real, database)
    return database


def _check_size(path: Path, real: Path, database: sqlite3.Connection) -> None:
    """Refuse a file that lost its tail; SQLite itself reads part of a last page as if zeros followed."""
    (pages,) = database.execute("PRAGMA page_count").fetchone()
    (page_bytes,) = database.execute("PRAGMA page_size").fetchone()
    # Pages that are only in the log are not in the file yet.
    if not _has_log(real) and real.stat().st_size < pages * page_bytes:
        database.close()
        raise RunFileError(
            f"{path}: is truncated: {pages * page_bytes - real.stat().st_size} bytes are missing"
        )


def _probe(real: Path, mode: str) -> sqlite3.Connection | None:
    """Return an open connection, or None if the file system stands in the way."""
    database = None
    try:
        database = sqlite3.connect(f"{real.as_uri()}?{mode}", uri=True, isolation_level=None)
        # Text may be anything in a damaged file; the columns' readers decode it.
        database.text_factory = bytes
        for pragma in ("trusted_schema = OFF", "cell_size_check = ON", "mmap_size = 0"):
            database.execute(f"PRAGMA {pragma}")
        database.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except (sqlite3.Error, *DAMAGE_ERRORS) as error:
        if database is not None:
            database.close()
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _FILE_SYSTEM_ERRORS:
            return None
        raise
    return database


def _has_log(real: Path) -> bool:
    log = Path(f"{real}-wal")
    return log.exists() and log.stat().st_size > 0


@contextmanager
def one_state(database: sqlite3.Connection) -> Iterator[None]:
    """Let all statements within see the same commits of a file that is being written."""
    database.execute("BEGIN")
    try:
        yield
    finally:
        if database.in_transaction:
            database.execute("COMMIT")


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what SQLite says about a file into what the user needs to know."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_NOTADB:
            raise RunFileError(f"{path}: is not a run file (not an SQLite database)") from error
        if code == sqlite3.SQLITE_CORRUPT:
            raise RunFileError(f"{path}: is truncated or damaged ({error})") from error
        raise RunFileError(f"{path}: cannot be read ({error})") from error
    except DAMAGE_ERRORS as error:
        raise RunFileError(f"{path}: is damaged ({error})") from error
