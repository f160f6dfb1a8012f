"""`tickwork snapshots`: list a run file's snapshots."""

from pathlib import Path
from typing import Annotated

import typer

from tickwork.cli.console import print_json, print_line, print_rows, printable, say
from tickwork.journal.reader import RunReader
from tickwork.runtime.schedule import policy_of
from tickwork.runtime.snapshot_rows import snapshot_rows

_RIGHT = ("tick", "agents", "own", "shared", "total")


def snapshots(
    file: Annotated[Path, typer.Argument(help="A run file.")],
    keep: Annotated[
        str | None,
        typer.Option("--keep", help="Also say which would stay under `all`, `thin`, or the last N."),
    ] = None,
    *,
    json: Annotated[bool, typer.Option("--json", help="Print the list as one JSON object.")] = False,
) -> None:
    """List a run file's snapshots and what each takes; nothing is changed."""
    policy = None if keep is None else policy_of(keep)
    with RunReader.open(file) as reader:
        rows = snapshot_rows(reader, policy)
        file_bytes = reader.path.stat().st_size
    if json:
        print_json({"file": printable(str(file)), "bytes": file_bytes, "snapshots": rows})
        return
    if not rows:
        say("there are no snapshots")
        return
    print_rows(rows, json=False, right=_RIGHT)
    print_line(f"{len(rows)} snapshots in a file of {file_bytes} bytes")
