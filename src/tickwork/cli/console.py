"""Where tables, progress and messages go: results to standard output, everything else to standard error.

Whatever may come from a guest or a file is escaped here: it must not steer a terminal.
"""

import sys
from collections.abc import Iterable, Mapping, Sequence

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tickwork.runtime.outputs import terminal_json

errors = Console(stderr=True)
_CELL_CHARS_MAX = 80
# In a pipe there is no width to fit; this keeps one row on one line.
_PIPE_COLUMNS = 2_000


def say(text: str) -> None:
    """Print a message to standard error, unprintable characters escaped, its lines as they are."""
    errors.print(printable(text), markup=False, highlight=False, soft_wrap=True)


def print_line(text: str) -> None:
    """Print a line of a result to standard output, unprintable characters escaped."""
    sys.stdout.write(printable(text) + "\n")


def output() -> Console:
    """Return the console of standard output; wide where it is not a terminal."""
    return Console(width=None if sys.stdout.isatty() else _PIPE_COLUMNS)


def print_json(value: object) -> None:
    """Print one JSON value on one line, unprintable characters as escapes of JSON."""
    text = msgspec.json.encode(value).decode()
    is_unicode = sys.stdout.encoding.lower() in {"utf-8", "utf8"}
    sys.stdout.write(terminal_json(text, ascii_only=not is_unicode) + "\n")


def print_rows(rows: Iterable[Mapping[str, object]], *, json: bool, right: Sequence[str] = ()) -> int:
    """Print rows as JSON lines or as one table, and return their number; `right` aligns columns."""
    count = 0
    if json:
        for row in rows:
            print_json(row)
            count += 1
        return count
    table: Table | None = None
    for row in rows:
        if table is None:
            table = Table(box=None, pad_edge=False, header_style="bold")
            for name in row:
                table.add_column(name, justify="right" if name in right else "left", overflow="fold")
        table.add_row(*[Text(_cell(value)) for value in row.values()])
        count += 1
    if table is not None:
        output().print(table)
    return count


def _cell(value: object) -> str:
    """Return a value as one short line."""
    if value is None:
        return ""
    if isinstance(value, list):
        text = " ".join(str(item) for item in value)
    elif isinstance(value, str):
        text = value
    else:
        text = msgspec.json.encode(value).decode()
    return shortened(text)


def shortened(text: str, limit: int = _CELL_CHARS_MAX) -> str:
    """Return `text` on one line of at most `limit` characters, unprintable ones escaped."""
    text = "".join(char if char.isprintable() else repr(char)[1:-1] for char in text[: limit + 1])
    return text if len(text) <= limit else text[: limit - 1] + "…"


def printable(text: str) -> str:
    """Return `text` with its lines, and every other unprintable character escaped."""
    return "".join(char if char.isprintable() or char == "\n" else repr(char)[1:-1] for char in text)
