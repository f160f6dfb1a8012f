"""`tickwork run`: record a run of a project into a run file."""

from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from tickwork.cli.chosen_faults import chosen_faults
from tickwork.cli.console import say
from tickwork.cli.interrupt import interruptible
from tickwork.cli.options import AllowFailuresOption, JsonOption, OutputOption, UntilOption
from tickwork.cli.recording import (
    BadLines,
    check_stdout,
    exit_code,
    leave,
    named_paths,
    record_to_end,
    tell_run,
)
from tickwork.cli.workers import AUTO, WorkersOption, workers_of
from tickwork.runtime.assemble import load_project
from tickwork.runtime.programs import compile_project
from tickwork.runtime.project import Project
from tickwork.runtime.record import Run


def apply_options(
    project: Project,
    *,
    ticks: int | None,
    until: str | None,
    seed: int | None,
    schedule: str | None,
    inputs: list[str],
    outputs: list[str],
) -> Project:
    """Return the project with the command line's wishes over the manifest's."""
    if seed is not None:
        project = project.with_seed(seed)
    if schedule is not None:
        project = project.scheduled(schedule)
    project = project.with_paths(
        inputs=named_paths("--input", inputs), outputs=named_paths("--output", outputs)
    )
    return project.ending(ticks=ticks, until=until)


def run(
    path: Annotated[Path, typer.Argument(help="A project's folder, or its tickwork.toml.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="The run file; NAME.tick in the current folder if not given.")
    ] = None,
    ticks: Annotated[int | None, typer.Option("--ticks", min=1, help="End after this many ticks.")] = None,
    until: UntilOption = None,
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, max=2**64 - 1, help="Use another seed than the manifest's.")
    ] = None,
    input_: Annotated[
        list[str] | None,
        typer.Option("--input", metavar="NAME=PATH", help="Read an input from PATH, or from `-`."),
    ] = None,
    output: OutputOption = None,
    *,
    schedule: Annotated[
        str | None,
        typer.Option(
            "--schedule", help="`lockstep`: one wave a tick; `dag`: waves along the manifest's edges."
        ),
    ] = None,
    workers: WorkersOption = AUTO,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the run file and the outputs.")] = False,
    allow_failures: AllowFailuresOption = False,
    faults: Annotated[
        Path | None,
        typer.Option(
            "--faults", help="Break what this file of faults says, and not what the manifest's does."
        ),
    ] = None,
    no_faults: Annotated[
        bool, typer.Option("--no-faults", help="Break nothing, whatever the manifest says.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Run a project and record every tick in a run file."""
    threads = workers_of(workers)
    project = apply_options(
        load_project(path, say),
        ticks=ticks,
        until=until,
        seed=seed,
        schedule=schedule,
        inputs=input_ or [],
        outputs=output or [],
    )
    chosen = chosen_faults(faults, no_faults=no_faults)
    if chosen is not None:
        project = project.with_faults(chosen(project.spec))
    check_stdout(project.outputs, json=json)
    file = out if out is not None else Path(f"{project.spec.name}.tick")
    programs = compile_project(project)
    report = BadLines()
    # Until here Ctrl-C stops at once, and nothing has been made that would have to be ended.
    with (
        interruptible() as stop,
        closing(report),
        Run(project, file, force=force, report=report, programs=programs, workers=threads) as recording,
    ):
        record_to_end(recording, stop, quiet=json)
    tell_run(recording, json=json)
    leave(exit_code(recording, allow_failures=allow_failures))
