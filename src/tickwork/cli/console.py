"""Where tables, progress and messages go: results to standard output, everything else to standard error.

Whatever may come from a guest or a file is escaped here: it must not steer a terminal.
"""

import itertools
import sys
from collections.abc import Iterable, Mapping, Sequence

import msgspec
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tickwork.runtime.outputs import terminal_json

errors = Console(stderr=True)
_CELL_CHARS_MAX = 80
_BATCH_ROWS = 500


def say(text: str) -> None:
    """Print a message to standard error, unprintable characters escaped, its lines as they are."""
    errors.print(printable(text), markup=False, highlight=False, soft_wrap=True)


def print_line(text: str) -> None:
    """Print a line of a result to standard output, unprintable characters escaped."""
    sys.stdout.write(printable(text) + "\n")


def print_json(value: object) -> None:
    """Print one JSON value on one line, unprintable characters as escapes of JSON."""
    text = msgspec.json.encode(value).decode()
    is_unicode = sys.stdout.encoding.lower() in {"utf-8", "utf8"}
    sys.stdout.write(terminal_json(text, ascii_only=not is_unicode) + "\n")


def print_rows(rows: Iterable[Mapping[str, object]], *, json: bool, right: Sequence[str] = ()) -> int:
    """Print rows as JSON lines or as a table, and return their number; `right` aligns columns.

    Rows are printed as they come, some hundreds at a time, since there may be millions.
    """
    count = 0
    if json:
        for row in rows:
            print_json(row)
            count += 1
        return count
    table = _folded if sys.stdout.isatty() else _Plain()
    left = iter(rows)
    while batch := list(itertools.islice(left, _BATCH_ROWS)):
        names = list(batch[0])
        table(names, [[_cell(value) for value in row.values()] for row in batch], right)
        count += len(batch)
    return count


def _folded(names: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str]) -> None:
    """Print a table that fits the terminal, long cells folded."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in names:
        table.add_column(name, justify="right" if name in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    Console().print(table)


class _Plain:
    """Prints a table for a pipe: one header, one line a row, columns as wide as anything in them so far."""

    def __init__(self) -> None:
        self._widths: list[int] = []

    def __call__(self, names: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str]) -> None:
        """Print the next rows."""
        lines = rows if self._widths else [names, *rows]
        widest = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]
        self._widths = [max(pair) for pair in zip(widest, self._widths or widest, strict=True)]
        for line in lines:
            cells = []
            for name, cell, width in zip(names, line, self._widths, strict=True):
                padding = " " * (width - cell_len(cell))
                cells.append(padding + cell if name in right else cell + padding)
            sys.stdout.write("  ".join(cells).rstrip() + "\n")


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
