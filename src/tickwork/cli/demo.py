"""`tickwork demo`: run the triage example, show its report, and replay the run."""

import runpy
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

import tickwork
from tickwork.cli import recording as shared
from tickwork.cli import replay as replay_command
from tickwork.cli.console import print_line, say
from tickwork.cli.interrupt import interruptible
from tickwork.cli.progress import progress
from tickwork.core.errors import HostError, InputError
from tickwork.runtime.assemble import load_project
from tickwork.runtime.programs import compile_project
from tickwork.runtime.record import STATUS_INTERRUPTED, Run
from tickwork.runtime.replay import replay

_EXIT_FAILED = 1
_EXIT_INTERRUPTED = 130
_FOLDER = Path("triage-demo")


def demo(
    input_: Annotated[
        str | None,
        typer.Option("--input", metavar="PATH", help="Triage the tickets of another JSONL file, or of `-`."),
    ] = None,
    folder: Annotated[
        Path, typer.Option("--out", help="The folder for the run file, the report and the status log.")
    ] = _FOLDER,
    *,
    force: Annotated[bool, typer.Option("--force", help="Overwrite what an earlier demo left.")] = False,
) -> None:
    """Run 29 agents in Python, C and Rust over a stream of incident tickets, then replay the run."""
    example = Path(tickwork.__file__).parent / "examples" / "triage"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder {folder}: {error.strerror}") from None
    say("preparing the agents (the first time takes about half a minute)")
    project = load_project(example, say)
    outputs = {name: str(folder / f"{name}.jsonl") for name in project.spec.outputs}
    project = replace(project, outputs=outputs)
    if input_ is not None:
        project = project.with_paths(inputs={"tickets": input_}, outputs={})
    file = folder / "triage.tick"
    programs = compile_project(project)
    report = shared.BadLines()
    with (
        interruptible() as stop,
        closing(report),
        Run(project, file, force=force, report=report, programs=programs) as recording,
    ):
        status = shared.record_to_end(recording, stop, quiet=False)
    _show_report(example, Path(outputs["report"]))
    shared.show(recording, err=False)
    if status == STATUS_INTERRUPTED:
        raise typer.Exit(_EXIT_INTERRUPTED)
    print_line("")
    with progress("replaying", recording.tally.ticks, quiet=False) as advance:
        result = replay(file, progress=lambda tick: advance(tick + 1))
    replay_command.show(result)
    if recording.tally.failed or not result.identical:
        raise typer.Exit(_EXIT_FAILED)


def _show_report(example: Path, report: Path) -> None:
    """Print the report's records by the example's own script."""
    render: Any = runpy.run_path(str(example / "report.py"))["render"]
    try:
        records = [msgspec.json.decode(line) for line in report.read_bytes().splitlines()]
    except OSError as error:
        raise HostError(f"the report {report} cannot be read: {error.strerror}") from None
    print_line(render(records))
