"""How far each input has been read, kept in the same commits as the entries that its lines came to."""

import sqlite3
from collections.abc import Mapping
from pathlib import Path

import msgspec

from tickwork.core.errors import RunFileError


class InputCursor(msgspec.Struct, frozen=True):
    """A place in an input: the bytes and the lines before it, and whether its end has been met.

    Both counts include lines that were passed over; they are what a second reading has to skip.
    """

    offset: int
    line: int
    exhausted: bool


def store_cursors(database: sqlite3.Connection, cursors: Mapping[int, InputCursor]) -> None:
    """Keep each cursor under its input's place in the specification."""
    database.executemany(
        "INSERT OR REPLACE INTO input VALUES (?, ?, ?, ?)",
        [(source, at.offset, at.line, int(at.exhausted)) for source, at in sorted(cursors.items())],
    )


def load_cursors(path: Path, database: sqlite3.Connection, inputs: int) -> dict[int, InputCursor]:
    """Return the cursors by input; raise RunFileError if they are not those of a run with `inputs` inputs."""
    cursors: dict[int, InputCursor] = {}
    rows = database.execute("SELECT source, offset, line, exhausted FROM input LIMIT ?", (inputs + 1,))
    for row in rows:
        if not all(isinstance(number, int) for number in row):
            raise RunFileError(f"{path}: the place reached in an input is damaged")
        source, offset, line, exhausted = row
        if not 0 <= source < inputs or offset < 0 or line < 0 or exhausted not in {0, 1}:
            raise RunFileError(f"{path}: the place reached in input {source} is damaged")
        cursors[source] = InputCursor(offset, line, bool(exhausted))
    return cursors
