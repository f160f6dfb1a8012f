"""`tickwork resume`: go on with a run file."""

from pathlib import Path
from typing import Annotated

import typer

from tickwork.cli.console import print_line, say
from tickwork.cli.options import AllowFailuresOption, JsonOption, ReadOnOption, UntilOption
from tickwork.cli.recording import Going, exit_code, leave, named_paths, tell_run
from tickwork.cli.workers import AUTO, WorkersOption, workers_of
from tickwork.runtime.places import STREAM
from tickwork.runtime.record import STATUS_TICKS


def resume(
    file: Annotated[Path, typer.Argument(help="A run file, finished or cut off.")],
    ticks: Annotated[int | None, typer.Option("--ticks", min=1, help="Take this many more ticks.")] = None,
    until: UntilOption = None,
    input_: ReadOnOption = None,
    output: Annotated[
        list[str] | None,
        typer.Option("--output", metavar="NAME=PATH", help="Go on with an output in PATH, or `-`."),
    ] = None,
    *,
    workers: WorkersOption = AUTO,
    allow_failures: AllowFailuresOption = False,
    json: JsonOption = False,
) -> None:
    """Go on with a run where its file ends, as though it had never been interrupted."""
    going = Going(
        ticks,
        until,
        named_paths("--input", input_),
        named_paths("--output", output),
        json=json,
        workers=workers_of(workers),
    )
    recording, resumed_at = going.to_end(file)
    if not json:
        tell = say if STREAM in recording.project.outputs.values() else print_line
        tell(f"went on from tick {resumed_at}")
    tell_run(recording, json=json, resumed_at=resumed_at)
    if not recording.tally.ticks and recording.status == STATUS_TICKS and not json:
        say("the run had come to its last tick already; --ticks N takes it further")
    leave(exit_code(recording, allow_failures=allow_failures))
