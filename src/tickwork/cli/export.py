"""`tickwork export`: a run for other tools."""

import contextlib
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import typer

from tickwork.cli.console import say
from tickwork.cli.progress import progress
from tickwork.core.errors import InputError
from tickwork.export import jsonl, otel, parquet, perfetto
from tickwork.export.retell import Range
from tickwork.journal.reader import RunReader
from tickwork.runtime.fold import FoldedTick
from tickwork.runtime.places import STREAM

_LINES: dict[str, Callable[[RunReader, Iterator[FoldedTick]], Iterator[bytes]]] = {
    "perfetto": perfetto.lines,
    "jsonl": jsonl.lines,
    "otel": otel.lines,
}
_ENDINGS = {"perfetto": ".perfetto.json", "jsonl": ".jsonl", "otel": ".otlp.jsonl", "parquet": ".parquet"}


def export(
    file: Annotated[Path, typer.Argument(help="A run file.")],
    format_: Annotated[str, typer.Option("--format", help="perfetto, parquet, jsonl or otel.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Where to; FILE with another ending if not given; `-`: standard output."),
    ] = None,
    first: Annotated[int, typer.Option("--from", min=0, help="Only from this tick on.")] = 0,
    last: Annotated[int | None, typer.Option("--to", min=0, help="Only up to this tick.")] = None,
    *,
    force: Annotated[bool, typer.Option("--force", help="Overwrite what is there.")] = False,
) -> None:
    """Write a run's ticks for Perfetto, OpenTelemetry, or whatever reads Parquet or JSON lines."""
    if format_ not in _ENDINGS:
        raise InputError(f"there is no format {format_!r}; choose {', '.join(_ENDINGS)}")
    if format_ == "parquet":
        parquet.check_installed()
    place = out or Path(f"{file.name.removesuffix('.tick')}{_ENDINGS[format_]}")
    to_stream = str(place) == STREAM
    if to_stream and format_ == "parquet":
        raise InputError("Parquet files go into a folder, not to standard output; give --out FOLDER")
    if not to_stream:
        _check_place(file, place, force=force)
    with RunReader.open(file) as reader, progress("exporting", None, quiet=to_stream) as advance:
        ticks = Range(first, last).ticks(reader, lambda tick: advance(tick + 1))
        if to_stream:
            for line in _LINES[format_](reader, ticks):
                sys.stdout.buffer.write(line)
        elif format_ == "parquet":
            with _replacing(place) as made:
                made.mkdir()
                parquet.write(made, ticks)
        else:
            with _replacing(place) as made, made.open("xb") as target:
                target.writelines(_LINES[format_](reader, ticks))
    if not to_stream:
        say(f"wrote {place}")


def _check_place(file: Path, place: Path, *, force: bool) -> None:
    if place.exists():
        if file.exists() and place.samefile(file):
            raise InputError(f"{place} is the run itself; give another --out")
        if not force:
            raise InputError(f"{place} exists; give --force to overwrite it, or another --out")
    elif not place.parent.is_dir():
        raise InputError(f"{place}: there is no folder {place.parent}")


@contextlib.contextmanager
def _replacing(place: Path) -> Iterator[Path]:
    """Yield a path beside `place` whose content takes its place in the end, or is gone if that fails."""
    made = place.with_name(f".{place.name}.{os.getpid()}")
    try:
        yield made
        if place.is_dir() and not place.is_symlink():
            _remove_export(place)
        made.replace(place)
    finally:
        if made.is_dir():
            shutil.rmtree(made, ignore_errors=True)
        else:
            made.unlink(missing_ok=True)


def _remove_export(place: Path) -> None:
    """Remove a folder of Parquet files; anything else in it is somebody's, and stays."""
    strange = [found.name for found in place.iterdir() if found.suffix != ".parquet"]
    if strange:
        raise InputError(f"{place} has {strange[0]} in it, which is no export; give another --out")
    shutil.rmtree(place)
