"""`tickwork bisect`: find the first tick at which a condition holds."""

from pathlib import Path
from typing import Annotated

import typer

from tickwork.cli.console import print_json, print_line, printable
from tickwork.cli.options import JsonOption
from tickwork.cli.progress import progress
from tickwork.core.errors import InputError
from tickwork.runtime.bisect import Bisection
from tickwork.runtime.bisect import bisect as search
from tickwork.runtime.checks import load_check
from tickwork.runtime.seek import Recording

_EXIT_NOT_FOUND = 1


def bisect(
    file: Annotated[Path, typer.Argument(help="A run file.")],
    check: Annotated[
        str, typer.Option("--check", help="A Python expression, or a script with `check(moment)`.")
    ],
    first: Annotated[int | None, typer.Option("--from", min=0, help="The first tick to look at.")] = None,
    last: Annotated[int | None, typer.Option("--to", min=0, help="The last tick to look at.")] = None,
    *,
    json: JsonOption = False,
) -> None:
    """Find the first tick before which a condition holds, looking at few of them."""
    holds = load_check(check)
    with Recording.open(file) as recording:
        low = recording.first_tick if first is None else first
        high = recording.end_tick if last is None else last
        if low > high:
            raise InputError(f"--from {low} is after --to {high}")
        with progress("looking", None, quiet=json) as advance:
            done = 0

            def ask(tick: int) -> bool:
                nonlocal done
                answer = holds(recording.at(tick))
                done += 1
                advance(done)
                return answer

            found = search(low, high, ask)
    if json:
        print_json(_result(file, check, found))
    else:
        print_line(_words(found))
        print_line(f"  looked at {len(found.checked)} of {found.last - found.first + 1} moments")
    if found.tick is None:
        raise typer.Exit(_EXIT_NOT_FOUND)


def _result(file: Path, check: str, found: Bisection) -> dict[str, object]:
    return {
        "file": printable(str(file)),
        "check": check,
        "from": found.first,
        "to": found.last,
        "tick": found.tick,
        "from_beginning": found.from_beginning,
        "checked": [{"tick": tick, "holds": answer} for tick, answer in found.checked],
    }


def _words(found: Bisection) -> str:
    if found.tick is None:
        return f"does not hold before tick {found.last}, the last that was to be looked at"
    if found.from_beginning:
        return f"holds before tick {found.tick} already, the first that was to be looked at"
    before = found.tick - 1
    return f"holds before tick {found.tick} and not before tick {before}: tick {before} made it so"
