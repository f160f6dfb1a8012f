"""Parquet files, one for each table, for data frames and SQL engines. Needs the extra `export`."""

from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec

from tickwork.core.errors import InputError
from tickwork.export.tables import TABLES, agent_rows, tick_rows
from tickwork.runtime.fold import FoldedTick
from tickwork.runtime.views import Row

# Rows that are held until they are written: a group of rows of the file, and the memory that it takes.
_ROWS_HELD = 20_000
_BYTES_HELD = 32 * 1024 * 1024


# The columns of each table by the names of their types in `_schemas`.
_COLUMNS: dict[str, dict[str, str]] = {
    "agents": {
        "index": "number",
        "id": "text",
        "kind": "text",
        "module": "text",
        "status": "text",
        "reason": "text",
        "grants": "texts",
    },
    "ticks": {
        "tick": "number",
        "now_ns": "number",
        "turns": "number",
        "inputs": "number",
        "undelivered": "number",
        "fuel": "number",
        "digest": "text",
        "exact": "text",
    },
    "turns": {
        "tick": "number",
        "agent": "text",
        "setup": "bool",
        "outcome": "text",
        "detail": "text",
        "fuel": "number",
        "inbox": "number",
        "effects": "number",
        "refused": "number",
    },
    "messages": {
        "tick": "number",
        "to": "text",
        "place": "number",
        "sender": "text",
        "topic": "text",
        "class": "text",
        "sent": "number",
        "effect": "number",
        "reply_to": "number",
        "body": "binary",
    },
    "effects": {
        "tick": "number",
        "agent": "text",
        "effect": "number",
        "kind": "text",
        "target": "text",
        "verdict": "text",
        "reason": "text",
        "fields": "text",
        "body": "binary",
    },
    "faults": {
        "tick": "number",
        "agent": "text",
        "kind": "text",
        "effect": "number",
        "to": "text",
        "fields": "text",
    },
    "undelivered": {
        "tick": "number",
        "to": "text",
        "sender": "text",
        "topic": "text",
        "class": "text",
        "sent": "number",
        "effect": "number",
        "reason": "text",
        "body": "binary",
    },
    "logs": {"tick": "number", "agent": "text", "level": "text", "text": "text", "value": "float"},
}


def check_installed() -> None:
    """Raise `InputError`, with what to install, if pyarrow is not there."""
    if find_spec("pyarrow") is None:
        raise InputError("Parquet needs pyarrow; install it with: pip install 'tickwork[export]'")


def write(folder: Path, ticks: Iterator[FoldedTick]) -> None:
    """Write the tables of the ticks into `folder`, which must be there and empty."""
    check_installed()
    with _Tables(folder) as tables:
        last: FoldedTick | None = None
        for folded in ticks:
            for table, row in tick_rows(folded):
                tables.add(table, row)
            last = folded
        if last is not None:
            for table, row in agent_rows(last.settled.world):
                tables.add(table, row)


def _schemas() -> dict[str, Any]:
    pa: Any = import_module("pyarrow")
    types = {
        "number": pa.uint64(),  # as the ABI's
        "float": pa.float64(),
        "bool": pa.bool_(),
        "text": pa.string(),
        "texts": pa.list_(pa.string()),
        "binary": pa.binary(),
    }
    return {
        table: pa.schema([(column, types[kind]) for column, kind in columns.items()])
        for table, columns in _COLUMNS.items()
    }


class _Tables:
    """The files that are being written."""

    def __init__(self, folder: Path) -> None:
        pq: Any = import_module("pyarrow.parquet")

        self._schemas = _schemas()
        self._writers = {
            table: pq.ParquetWriter(folder / f"{table}.parquet", self._schemas[table], compression="zstd")
            for table in TABLES
        }
        self._held: dict[str, list[Row]] = {table: [] for table in TABLES}
        self._bytes = dict.fromkeys(TABLES, 0)

    def __enter__(self) -> "_Tables":
        return self

    def __exit__(self, *_: object) -> None:
        for table in TABLES:
            self._write(table)
            self._writers[table].close()

    def add(self, table: str, row: Row) -> None:
        """Take a row."""
        fields = row.get("fields")
        if fields is not None:
            row = {**row, "fields": msgspec.json.encode(fields).decode()}
        body = row.get("body")
        self._bytes[table] += len(body) if isinstance(body, bytes) else 0
        held = self._held[table]
        held.append(row)
        if len(held) >= _ROWS_HELD or self._bytes[table] >= _BYTES_HELD:
            self._write(table)

    def _write(self, table: str) -> None:
        pa: Any = import_module("pyarrow")

        if self._held[table]:
            found = pa.Table.from_pylist(self._held[table], schema=self._schemas[table])
            self._writers[table].write_table(found)
        self._held[table] = []
        self._bytes[table] = 0
