"""A progress bar on a terminal, and nothing at all in a pipe."""

import contextlib
from collections.abc import Iterator
from typing import Protocol

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

from tickwork.cli.console import errors


class Advance(Protocol):
    """Shows how far a command is."""

    def __call__(self, ticks: int, note: str = "") -> None:
        """Show that `ticks` ticks are done."""


@contextlib.contextmanager
def progress(label: str, total: int | None, *, quiet: bool, unit: str = "ticks") -> Iterator[Advance]:
    """Show a bar for `total` ticks, or other units (None: as many as it takes), while the block runs."""
    if quiet or not errors.is_terminal:
        yield lambda ticks, note="": None  # noqa: ARG005 - the signature is the protocol's
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit + " {task.fields[note]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=errors, transient=True, refresh_per_second=10) as bar:
        task = bar.add_task(label, total=total, note="")

        def advance(ticks: int, note: str = "") -> None:
            bar.update(task, completed=ticks, note=note)

        yield advance
