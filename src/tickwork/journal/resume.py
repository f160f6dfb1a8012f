"""Opens a run file to append to it: whatever ended the run before, only a sound file is gone on with.

Checked are SQLite's own structure, because writing into a broken one breaks more; the header; that entries
follow each other without gaps; and the last entries against the digest chain. The whole chain is `verify`'s,
and whether agents do again what is recorded is the runtime's to find out. An index that does not have what
its table has is made again: through it, one page would be taken for another.
"""

import sqlite3
import threading
from contextlib import closing, suppress
from pathlib import Path
from typing import NamedTuple

from tickwork.core.digest import Digests
from tickwork.core.errors import RunFileError
from tickwork.journal.connect import connect, reading
from tickwork.journal.cursor import InputCursor, load_cursors
from tickwork.journal.header import KEY_CHECK, KEY_END, Header, check_value, header_rows
from tickwork.journal.identify import identify, read_rows
from tickwork.journal.reader import RunReader
from tickwork.journal.schema import FORMAT, TABLES_ADDED_2
from tickwork.journal.verify import chain_fault

# Entries at the end that are held against the chain.
CHECKED_ENTRIES = 256
# How often, and how far apart, a file must be found unlocked. A live writer lets go of its lock between two
# commits, for some microseconds, and asks for it again at once.
_PROBES = 3
_PROBE_WAIT_S = 0.02
# What SQLite says of an index that does not have what its table has: "row 7 missing from index page_1".
_OF_AN_INDEX = (b"row ", b"wrong # of entries in index", b"non-unique entry in index")
_FAULTS_MAX = 1_000
# How long viewers may keep the file from changing its journal mode.
_BUSY_MS = 5_000


class Reopened(NamedTuple):
    """A run file whose write lock is held, ready for the entry of `next_tick`.

    In the open transaction the run's end, if it had one, is taken back; nothing of that is committed yet.
    """

    path: Path
    database: sqlite3.Connection
    header: Header
    next_tick: int
    digests: Digests
    cursors: dict[int, InputCursor]


def reopen(path: Path, synchronous: str) -> Reopened:
    """Open a run file for appending; raise RunFileError, with the file as it was, if that cannot be done."""
    with closing(connect(path)) as database, reading(path):
        identify(path, database)
    real = path.resolve()
    with reading(path):
        database = _open(real)
    try:
        with reading(path):
            _refuse_live(path, database)
            found, sound = _checked(path, database)
            _begin_wal(path, database, synchronous)
            if not sound:
                database.execute("REINDEX")
            _take_back_end(database, found.header)
        database.text_factory = str
    except BaseException:
        with suppress(sqlite3.Error):
            database.close()
        raise
    return found._replace(path=real)


def _open(real: Path) -> sqlite3.Connection:
    # The appender's thread has it while entries are under way.
    database = sqlite3.connect(
        f"{real.as_uri()}?mode=rw", uri=True, isolation_level=None, timeout=0, check_same_thread=False
    )
    # As when reading: text may be anything in a damaged file.
    database.text_factory = bytes
    for pragma in ("trusted_schema = OFF", "cell_size_check = ON", "mmap_size = 0"):
        database.execute(f"PRAGMA {pragma}")
    return database


def _refuse_live(path: Path, database: sqlite3.Connection) -> None:
    """Leave with the write lock held, or raise RunFileError because somebody else has it."""
    for probe in range(_PROBES):
        if probe:
            database.execute("ROLLBACK")
            threading.Event().wait(_PROBE_WAIT_S)
        try:
            database.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            code = error.sqlite_errorcode & 0xFF
            if code == sqlite3.SQLITE_BUSY:
                raise RunFileError(
                    f"{path}: a live run is writing it; stop that run, or fork it into another file"
                ) from error
            if code in {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM}:
                raise RunFileError(f"{path}: cannot be written; check the permissions") from error
            raise


def _checked(path: Path, database: sqlite3.Connection) -> tuple[Reopened, bool]:
    """Return what there is to go on with, and whether its indexes are sound; raise RunFileError."""
    identify(path, database)
    header, spec, end = read_rows(path, database)
    reader = RunReader(path, database, header, spec, end)
    sound = _check_structure(path, database, reader)
    first = header.start_tick
    low, high, count = database.execute("SELECT min(tick), max(tick), count(*) FROM entry").fetchone()
    next_tick, digests = first, header.start
    if count:
        if (low, high) != (first, first + count - 1):
            raise RunFileError(f"{path}: cannot be resumed: {_first_damage(reader, first)}")
        next_tick, digests = high + 1, _tail(reader, first, high)
    if end is not None and (end.ticks, end.digest, end.exact) != (next_tick, *digests):
        raise RunFileError(f"{path}: cannot be resumed: the end of the run is not that of its last tick")
    cursors = {} if header.format == 1 else load_cursors(path, database, len(spec.inputs))
    return Reopened(path, database, header, next_tick, digests, cursors), sound


def _check_structure(path: Path, database: sqlite3.Connection, reader: RunReader) -> bool:
    """Return whether the indexes are sound; raise RunFileError if something else is not.

    Where they are not, they have been made again in the transaction that is open.
    """
    faults = _faults(database)
    sound = not faults
    if faults and all(fault.startswith(_OF_AN_INDEX) for fault in faults):
        database.execute("REINDEX")
        faults = _faults(database)
    if faults:
        place = _first_damage(reader, reader.header.start_tick)
        told = faults[0].decode(errors="replace").replace("\n", " ")
        raise RunFileError(f"{path}: cannot be resumed, because the file is damaged ({told}); {place}")
    return sound


def _faults(database: sqlite3.Connection) -> list[bytes]:
    """Return what SQLite finds wrong with the file, the first things if they are many."""
    found = [message for (message,) in database.execute(f"PRAGMA integrity_check({_FAULTS_MAX})")]
    return [] if found == [b"ok"] else found


def _first_damage(reader: RunReader, first: int) -> str:
    """Return a line on the first damaged entry."""
    for stored in reader.entries(first):
        if stored.damage is not None:
            return f"tick {stored.tick}: {stored.damage}"
    return "its entries can be read"


def _tail(reader: RunReader, first: int, last: int) -> Digests:
    """Return the digests after the last entry, having held the last entries against the chain."""
    before = reader.header.start
    start = max(first, last - CHECKED_ENTRIES)
    for stored in reader.entries(start):
        if stored.tick > last:
            break
        fault = stored.damage
        # Of the first entry looked at, the digests are taken as they are, unless it is the run's first.
        if fault is None and (stored.tick > start or start == first):
            fault = chain_fault(before, stored)
        if fault is not None:
            raise RunFileError(f"{reader.path}: cannot be resumed: tick {stored.tick}: {fault}")
        before = stored.digests
    return before


def _mark(database: sqlite3.Connection) -> object:
    """Return what cannot be the same after somebody else went on with the run."""
    return database.execute(
        "SELECT (SELECT max(tick) FROM entry), (SELECT value FROM run WHERE key = ?)", (KEY_CHECK,)
    ).fetchone()


def _begin_wal(path: Path, database: sqlite3.Connection, synchronous: str) -> None:
    """Go over to the journal mode of a live run and take the write lock in it."""
    mark = _mark(database)
    database.execute("ROLLBACK")
    database.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
    try:
        database.execute("PRAGMA journal_mode = WAL")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
            raise
        raise RunFileError(f"{path}: somebody is reading it and does not let go; try again") from error
    database.execute(f"PRAGMA synchronous = {synchronous}")
    database.execute("BEGIN IMMEDIATE")
    if _mark(database) != mark:
        raise RunFileError(f"{path}: was changed by somebody else just now; try again")


def _take_back_end(database: sqlite3.Connection, header: Header) -> None:
    """Make the file one of an unfinished run of this format."""
    if header.format == 1:
        for table in TABLES_ADDED_2.values():
            database.execute(table)
        database.execute(f"PRAGMA user_version = {FORMAT}")
    rows = header_rows(header) | {"format": FORMAT}
    rows[KEY_CHECK] = check_value(rows)
    database.execute("DELETE FROM run WHERE key = ?", (KEY_END,))
    database.executemany("INSERT OR REPLACE INTO run VALUES (?, ?)", rows.items())
