"""Decides whether an open SQLite database is a run file that this version can read, and what it is of."""

import sqlite3
from pathlib import Path

import msgspec

from tickwork.core.digest import DIGEST_BYTES
from tickwork.core.errors import RunFileError
from tickwork.core.names import name_fault
from tickwork.core.spec import AgentSpec, RunSpec
from tickwork.journal.header import (
    KEY_CHECK,
    KEY_END,
    End,
    Header,
    Value,
    check_value,
    decode_end,
    decode_spec,
    header_from,
)
from tickwork.journal.schema import APPLICATION_ID, FORMAT, TABLES_OF_FORMAT, indexes_of

# Rows in `run`, and bytes in one of them, that a file of this format could ever need.
_ROWS_MAX = 64
_ROW_BYTES_MAX = 256 * 1024 * 1024
# Every number of a specification is a size, a count, or nanoseconds, and fits the ABI's u64.
_NUMBER_MAX = 2**64 - 1


def identify(path: Path, database: sqlite3.Connection) -> None:
    """Raise RunFileError unless the database is a run file of a known format with exactly our tables."""
    (application,) = database.execute("PRAGMA application_id").fetchone()
    if application != APPLICATION_ID:
        raise RunFileError(f"{path}: is an SQLite database, but not a tickwork run file")
    (found,) = database.execute("PRAGMA user_version").fetchone()
    if found > FORMAT:
        raise RunFileError(
            f"{path}: was made by a newer tickwork (format {found}; this one knows {FORMAT});"
            " upgrade tickwork"
        )
    if found < 1:
        raise RunFileError(f"{path}: is damaged (it claims format {found})")
    ours = TABLES_OF_FORMAT[found]
    expected: set[tuple[bytes, bytes, bytes, bytes | None]]
    expected = {(b"table", name.encode(), name.encode(), sql.encode()) for name, sql in ours.items()}
    for name, table in indexes_of(ours).items():
        expected.add((b"index", name.encode(), table.encode(), None))
    stored = database.execute(
        "SELECT type, name, tbl_name, sql FROM sqlite_schema LIMIT ?", (len(expected) + 1,)
    ).fetchall()
    if len(stored) != len(expected) or set(stored) != expected:
        raise RunFileError(f"{path}: is damaged (its tables are not those of a run file)")


def read_rows(path: Path, database: sqlite3.Connection) -> tuple[Header, RunSpec, End | None]:
    """Return the checked content of the table `run` of an identified file; raise RunFileError."""
    sizes = database.execute("SELECT sum(length(value)), count(*) FROM run").fetchone()
    if sizes[1] > _ROWS_MAX or (sizes[0] or 0) > _ROW_BYTES_MAX:
        raise RunFileError(f"{path}: is damaged (its header is too large)")
    try:
        rows = {
            key.decode(): value.decode() if kind == b"text" else value
            for key, value, kind in database.execute("SELECT key, value, typeof(value) FROM run")
        }
        (stated,) = database.execute("PRAGMA user_version").fetchone()
        return _checked(rows, stated)
    except (ValueError, AttributeError, TypeError, msgspec.MsgspecError, RecursionError) as error:
        raise RunFileError(f"{path}: is damaged (its header: {error})") from error


def _checked(rows: dict[str, Value], stated: int) -> tuple[Header, RunSpec, End | None]:
    if rows.get(KEY_CHECK) != check_value(rows):
        raise ValueError("its checksum does not match")
    header = header_from(rows)
    if header.format != stated:
        raise ValueError(f"it is of format {header.format} in a file of format {stated}")
    spec = decode_spec(header.spec)
    fault = _spec_fault(spec)
    if fault:
        raise ValueError(fault)
    end = rows.get(KEY_END)
    if end is None:
        return header, spec, None
    if not isinstance(end, bytes):
        raise TypeError("the end is not a blob")
    return header, spec, _checked_end(decode_end(end))


def _checked_end(end: End) -> End:
    if not 0 <= end.ticks < 2**63 or {len(end.digest), len(end.exact)} != {DIGEST_BYTES}:
        raise ValueError("the end of the run is not a possible one")
    return end


def _spec_fault(spec: RunSpec) -> str | None:
    """Return what a runtime could not take for granted about a decoded specification, or None."""
    numbers = [spec.seed, spec.start_ns, spec.tick_ns, *msgspec.structs.astuple(spec.limits)]
    numbers += [source.rate for source in spec.inputs]
    templates: list[AgentSpec] = [*spec.agents, *spec.kinds]
    for agent in templates:
        numbers += msgspec.structs.astuple(agent.limits)
        for grant in agent.grants:
            numbers += [count for count in (grant.per_tick, grant.per_run) if count is not None]
    if not all(0 <= number <= _NUMBER_MAX for number in numbers):
        return "a number of the specification is out of range"
    for names in (
        [agent.id for agent in spec.agents],
        [kind.id for kind in spec.kinds],
        [source.name for source in spec.inputs],
        list(spec.outputs),
    ):
        if len(set(names)) != len(names):
            return "the specification has a name twice"
        for name in names:
            if fault := name_fault(name):
                return f"the name {name!r} in the specification {fault}"
    return None
