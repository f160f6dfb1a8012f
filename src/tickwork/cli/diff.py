"""`tickwork diff`: compare two run files tick by tick."""

from pathlib import Path
from typing import Annotated

import typer

from tickwork.cli.console import print_json
from tickwork.cli.diff_text import show
from tickwork.cli.options import JsonOption
from tickwork.cli.progress import progress
from tickwork.runtime.diff import diff as diff_files
from tickwork.runtime.diff_rows import result

_EXIT_DIFFERENT = 1


def diff(
    a: Annotated[Path, typer.Argument(metavar="A", help="A run file.")],
    b: Annotated[Path, typer.Argument(metavar="B", help="The run file to compare it with.")],
    agent: Annotated[str | None, typer.Option("--agent", help="Only what concerns this agent.")] = None,
    first: Annotated[int, typer.Option("--from", min=0, help="Only from this tick on.")] = 0,
    last: Annotated[int | None, typer.Option("--to", min=0, help="Only up to this tick.")] = None,
    *,
    json: JsonOption = False,
) -> None:
    """Show where two runs part: the first tick, the agents' effects side by side, a summary by agent."""
    with progress("comparing", None, quiet=json) as advance:
        found = diff_files(a, b, agent=agent, first=first, last=last, progress=lambda tick: advance(tick + 1))
    if json:
        print_json(result(found))
    else:
        show(found)
    if not found.identical:
        raise typer.Exit(_EXIT_DIFFERENT)
