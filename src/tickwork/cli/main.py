"""The command `tickwork`: its commands, and how errors leave it.

Exit codes: 0 done, 1 the run or check failed, 2 usage or bad input, 130 interrupted.
"""

import sys
from importlib.metadata import version
from typing import Annotated

import typer

from tickwork.cli import demo, doctor, inspect, new, replay, run
from tickwork.cli.console import errors
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
app.command("inspect")(inspect.inspect)
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
    try:
        app()
    except TickworkError as error:
        errors.print(f"error: {error}", markup=False, highlight=False, soft_wrap=True)
        sys.exit(EXIT_FAILED if isinstance(error, HostError) else EXIT_USAGE)
    except BrokenPipeError:
        # Whoever read our output has enough; the interpreter must not try to flush it at exit.
        sys.stdout = None
        sys.exit(EXIT_FAILED)
