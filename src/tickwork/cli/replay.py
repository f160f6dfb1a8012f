"""`tickwork replay`: run a run file again and compare every tick."""

from pathlib import Path
from typing import Annotated

import typer

from tickwork.cli.console import print_json, print_line, say
from tickwork.cli.options import JsonOption
from tickwork.cli.progress import progress
from tickwork.cli.workers import AUTO, WorkersOption, workers_of
from tickwork.exploration.checks import Failure, load_checks
from tickwork.exploration.reproduce import check_file
from tickwork.runtime.replay import Replay
from tickwork.runtime.replay import replay as replay_file

_EXIT_FAILED = 1


def replay(
    file: Annotated[Path, typer.Argument(help="A run file.")],
    *,
    workers: WorkersOption = AUTO,
    recompute: Annotated[
        bool,
        typer.Option("--recompute", help="Ask models again also what they need not answer as recorded."),
    ] = False,
    check: Annotated[
        Path | None, typer.Option("--check", help="A Python file with invariants and goals to hold it to.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Run a run file again, from nothing but the file, and compare every tick with the record."""
    threads = workers_of(workers)
    checks = None if check is None else load_checks(check)
    with progress("replaying", None, quiet=json) as advance:
        result = replay_file(
            file, progress=lambda tick: advance(tick + 1), workers=threads, recompute=recompute
        )
    failure = None
    if checks is not None and result.identical:
        failure = check_file(file, checks, workers=threads).failure
    if json:
        told = {} if checks is None else {"failure": None if failure is None else _failure(failure)}
        print_json({**_result(result), **told})
    else:
        show(result)
        if failure is not None:
            print_line(str(failure))
        elif checks is not None and result.identical:
            print_line(f"all {len(checks)} checks hold")
    if failure is not None or not result.identical:
        raise typer.Exit(_EXIT_FAILED)


def _failure(failure: Failure) -> dict[str, object]:
    return {"check": failure.check, "tick": failure.tick, "message": failure.message}


def _result(result: Replay) -> dict[str, object]:
    first = result.first_divergence
    return {
        "identical": result.identical,
        "ticks": result.ticks,
        "turns": result.turns,
        "first_divergence": None
        if first is None
        else {"tick": first.tick, "agent": first.agent, "reason": first.reason},
        "digest": result.digest,
        "exact": result.exact,
        "status": result.status,
        "warnings": list(result.warnings),
        "recomputed": result.recomputed,
        "differences": list(result.differences),
        "note": result.note,
        "wall_s": round(result.wall_s, 6),
    }


def show(result: Replay) -> None:
    """Print a replay's result for people."""
    for warning in result.warnings:
        say(f"warning: {warning}")
    for difference in result.differences:
        say(f"difference: {difference}")
    if result.note:
        print_line(result.note)
    if result.first_divergence is None:
        print_line(
            f"identical: {result.ticks} ticks, {result.turns} turns replayed in {result.wall_s:.2f} s; "
            "all digests match"
        )
        if result.recomputed:
            print_line(f"  {result.recomputed} answers and pieces of models computed again")
        print_line(f"  digest {result.digest}")
        print_line(f"  exact  {result.exact}")
    else:
        print_line(f"diverged at {result.first_divergence}")
