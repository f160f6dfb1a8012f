"""`tickwork run`: record a run of a project into a run file."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from tickwork.cli.console import print_json, print_line, printable, say
from tickwork.cli.interrupt import interruptible
from tickwork.cli.progress import progress
from tickwork.core.errors import InputError
from tickwork.core.world import Status
from tickwork.runtime.assemble import load_project
from tickwork.runtime.inputs import BadLine
from tickwork.runtime.places import STREAM
from tickwork.runtime.programs import compile_project
from tickwork.runtime.project import Project
from tickwork.runtime.record import STATUS_INTERRUPTED, Run

_EXIT_FAILED = 1
_EXIT_INTERRUPTED = 130
_FAILURES_SHOWN = 10
_BAD_LINES_SHOWN = 10


class BadLines:
    """Tells of the first bad input lines, one by one, and of the rest by their number."""

    def __init__(self) -> None:
        self._count = 0

    def __call__(self, bad: BadLine) -> None:
        """Tell of one."""
        self._count += 1
        if self._count <= _BAD_LINES_SHOWN:
            say(f"skipped {bad}")

    def close(self) -> None:
        """Tell of those that were not told of."""
        if self._count > _BAD_LINES_SHOWN:
            say(f"... and {self._count - _BAD_LINES_SHOWN} more bad lines")


def named_paths(option: str, items: list[str]) -> dict[str, str]:
    """Return the NAME=PATH items of an option; raise `InputError` for another form or a name given twice."""
    paths: dict[str, str] = {}
    for item in items:
        name, equals, path = item.partition("=")
        if not (name and equals and path):
            raise InputError(f"{option} takes NAME=PATH, not {item!r}")
        if name in paths:
            raise InputError(f"{option} names {name!r} twice")
        paths[name] = path
    return paths


def apply_options(
    project: Project,
    *,
    ticks: int | None,
    until: str | None,
    seed: int | None,
    inputs: list[str],
    outputs: list[str],
) -> Project:
    """Return the project with the command line's wishes over the manifest's."""
    if seed is not None:
        project = project.with_seed(seed)
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
    until: Annotated[
        str | None,
        typer.Option("--until", help="`idle`: end when nothing more can happen; `ticks`: only at --ticks."),
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, max=2**64 - 1, help="Use another seed than the manifest's.")
    ] = None,
    input_: Annotated[
        list[str] | None,
        typer.Option("--input", metavar="NAME=PATH", help="Read an input from PATH, or from `-`."),
    ] = None,
    output: Annotated[
        list[str] | None,
        typer.Option("--output", metavar="NAME=PATH", help="Write an output to PATH, or to `-`."),
    ] = None,
    *,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the run file and the outputs.")] = False,
    allow_failures: Annotated[
        bool, typer.Option("--allow-failures", help="Exit with 0 although agents failed.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")] = False,
) -> None:
    """Run a project and record every tick in a run file."""
    project = apply_options(
        load_project(path, say),
        ticks=ticks,
        until=until,
        seed=seed,
        inputs=input_ or [],
        outputs=output or [],
    )
    to_stdout = [name for name, place in project.outputs.items() if place == STREAM]
    if json and to_stdout:
        raise InputError(
            f"--json and output {to_stdout[0]!r} both want standard output; give --output NAME=PATH"
        )
    file = out if out is not None else Path(f"{project.spec.name}.tick")
    programs = compile_project(project)
    report = BadLines()
    # Until here Ctrl-C stops at once, and nothing has been made that would have to be ended.
    with (
        interruptible() as stop,
        closing(report),
        Run(project, file, force=force, report=report, programs=programs) as recording,
    ):
        status = record_to_end(recording, stop, quiet=json)
    if json:
        print_json(_result(recording))
    else:
        show(recording, err=bool(to_stdout))
    if status == STATUS_INTERRUPTED:
        raise typer.Exit(_EXIT_INTERRUPTED)
    if recording.tally.failed and not allow_failures:
        raise typer.Exit(_EXIT_FAILED)


def record_to_end(recording: Run, stop: Callable[[], bool], *, quiet: bool) -> str:
    """Show progress while the run goes to its end, or to `stop()`; return its status."""
    with progress("recording", recording.project.ticks, quiet=quiet) as advance:

        def between_ticks() -> bool:
            tally = recording.tally
            advance(tally.ticks, f"{tally.messages} messages")
            return stop()

        return recording.run_to_end(stop=between_ticks)


def _result(recording: Run) -> dict[str, object]:
    tally = recording.tally
    return {
        "run": recording.id,
        "file": printable(str(recording.path)),
        "status": recording.status,
        "ticks": tally.ticks,
        "turns": tally.turns,
        "messages": tally.messages,
        "agents": len(recording.world.agents),
        "denied": tally.denied,
        "rejected": tally.rejected,
        "undelivered": tally.undelivered,
        "bad_lines": tally.bad_lines,
        "failed": tally.failed,
        "digest": recording.digests.digest.hex(),
        "exact": recording.digests.exact.hex(),
        "wall_s": round(tally.wall_s, 6),
    }


def show(recording: Run, *, err: bool) -> None:
    """Print a run's result for people."""
    tally = recording.tally
    tell = say if err else print_line
    rate = tally.turns / tally.wall_s if tally.wall_s else 0.0
    tell(
        f"{recording.project.spec.name}: {tally.ticks} ticks, {tally.turns} turns of "
        f"{len(recording.world.agents)} agents, {tally.messages} messages in {tally.wall_s:.2f} s "
        f"({rate:,.0f} turns/s); ended: {recording.status}"
    )
    for name, count in (
        ("effects denied", tally.denied),
        ("effects rejected", tally.rejected),
        ("messages undelivered", tally.undelivered),
        ("bad input lines", tally.bad_lines),
    ):
        if count:
            tell(f"  {name}: {count}")
    tell(f"  digest {recording.digests.digest.hex()}")
    tell(f"  exact  {recording.digests.exact.hex()}")
    tell(f"  file   {recording.path}")
    _show_failures(recording)


def _show_failures(recording: Run) -> None:
    failed = recording.tally.failed
    if not failed:
        return
    say(f"{len(failed)} of {len(recording.world.agents)} agents failed:")
    for name in failed[:_FAILURES_SHOWN]:
        state = recording.world.agents[recording.world.directory.index[name]]
        if state.status is Status.FAILED:
            say(f"{name}: {state.reason}")
    if len(failed) > _FAILURES_SHOWN:
        more = len(failed) - _FAILURES_SHOWN
        say(f"... and {more} more; `tickwork inspect {recording.path} agents` has all")
