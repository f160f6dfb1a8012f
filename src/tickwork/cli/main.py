"""The command `tickwork`: its commands, and how errors leave it.

Exit codes: 0 done, 1 the run or check failed, 2 usage or bad input, 130 interrupted.
"""

import io
import os
import sys
from importlib.metadata import version
from typing import Annotated

import typer

from tickwork.cli import (
    bench,
    bisect,
    demo,
    diff,
    doctor,
    explore,
    export,
    fork,
    inspect,
    models,
    new,
    replay,
    resume,
    run,
    snapshots,
    ui,
)
from tickwork.cli.console import say
from tickwork.core.errors import HostError, TickworkError

EXIT_FAILED = 1
EXIT_USAGE = 2

app = typer.Typer(
    name="tickwork",
    help="A deterministic runtime for multi-agent systems: a run is one file that replays bit for bit.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("new")(new.new)
app.command("run")(run.run)
app.command("replay")(replay.replay)
app.command("resume")(resume.resume)
app.command("fork")(fork.fork)
app.command("inspect")(inspect.inspect)
app.command("snapshots")(snapshots.snapshots)
app.command("diff")(diff.diff)
app.command("bisect")(bisect.bisect)
app.command("explore")(explore.explore)
app.command("ui")(ui.ui)
app.command("export")(export.export)
app.add_typer(models.app, name="models")
app.command("bench")(bench.bench)
app.command("demo")(demo.demo)
app.command("doctor")(doctor.doctor)


def _show_version(*, wanted: bool) -> None:
    if wanted:
        typer.echo(f"tickwork {version('tickwork')}")
        raise typer.Exit


@app.callback()
def options(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=lambda wanted: _show_version(wanted=wanted),
            is_eager=True,
            help="Show the version and exit.",
        ),
    ] = False,
) -> None:
    """Record, replay and inspect deterministic runs of multi-agent systems; a run is one file."""


def main() -> None:
    """Run the command line; every error of ours becomes one message and an exit code."""
    _prepare_streams()
    code = _run()
    try:
        sys.stdout.flush()
    except OSError as error:
        code = code or EXIT_FAILED
        # Whoever read our output may have had enough. The interpreter would try again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            say(f"error: standard output: {error.strerror}")
    sys.exit(code)


def _run() -> int:
    try:
        app()
    except SystemExit as end:  # how typer ends, also after a mistake in the usage
        return end.code if isinstance(end.code, int) else EXIT_USAGE
    except TickworkError as error:
        say(f"error: {error}")
        return EXIT_FAILED if isinstance(error, HostError) else EXIT_USAGE
    except OSError as error:
        if not isinstance(error, BrokenPipeError):
            say(f"error: {error.filename or 'standard output'}: {error.strerror}")
        return EXIT_FAILED
    return 0


def _prepare_streams() -> None:
    """Let nothing fail for a character that the terminal's encoding lacks, or for a stream that is closed."""
    for name, mode in (("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            # Also takes the descriptor's number, so that no file of ours gets it.
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115, PTH123 - lasts
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
