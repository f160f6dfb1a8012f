"""`tickwork explore`: run a project many times, with faults, and bring back the smallest run that fails."""

from pathlib import Path
from typing import Annotated

import typer

from tickwork.cli.console import print_json, print_line, printable, say
from tickwork.cli.interrupt import interruptible
from tickwork.cli.options import JsonOption
from tickwork.cli.progress import progress
from tickwork.cli.recording import leave, named_paths
from tickwork.exploration.campaign import Campaign
from tickwork.exploration.crew import JOBS_MAX
from tickwork.exploration.findings import Reported
from tickwork.exploration.hunt import SEEDS_DEFAULT, Hunted, Wishes, hunt
from tickwork.exploration.plans import parse_mix
from tickwork.exploration.story import counted, fault_text
from tickwork.runtime.assemble import load_project
from tickwork.runtime.clock import monotonic_s

_EXIT_FOUND = 1
_EXIT_INTERRUPTED = 130


def explore(
    path: Annotated[Path, typer.Argument(help="A project's folder, or its tickwork.toml.")],
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="How many runs to explore.")] = SEEDS_DEFAULT,
    faults: Annotated[
        str | None,
        typer.Option("--faults", help="`none`, or kinds as in `drop,delay`, or rates as in `drop=0.01`."),
    ] = None,
    check: Annotated[
        Path | None, typer.Option("--check", help="A Python file with invariants and goals.")
    ] = None,
    jobs: Annotated[
        int, typer.Option("--jobs", min=0, max=JOBS_MAX, help="Processes; 0 is one for each processor.")
    ] = 0,
    ticks: Annotated[int | None, typer.Option("--ticks", min=1, help="End each run after so many.")] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, max=2**64 - 1, help="Begin with another seed.")
    ] = None,
    *,
    input_: Annotated[
        list[str] | None,
        typer.Option("--input", metavar="NAME=PATH", help="Read an input from PATH."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="The folder of the results; NAME-explored if not given.")
    ] = None,
    go_on: Annotated[bool, typer.Option("--all", help="Go on after a failure, for other ones.")] = False,
    twice: Annotated[bool, typer.Option("--twice", help="Execute every run twice.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the folder's campaign.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace the folder's campaign.")] = False,
    json: JsonOption = False,
) -> None:
    """Run a project many times with other seeds and faults; shrink and record the first run that fails."""
    if resume and force:
        raise typer.BadParameter("give one of --resume and --force", param_hint="--resume")
    wishes = Wishes(
        seeds=seeds,
        mix=parse_mix(faults),
        checks=check or (),
        jobs=jobs,
        ticks=ticks,
        twice=twice,
        go_on=go_on,
    )
    project = load_project(path, say).with_paths(inputs=named_paths("--input", input_ or []), outputs={})
    if seed is not None:
        project = project.with_seed(seed)
    folder = out if out is not None else Path(f"{project.spec.name}-explored")
    started_s = monotonic_s()
    with interruptible("run") as stop, progress("exploring", seeds, quiet=json, unit="runs") as advance:

        def show(campaign: Campaign, ran: int) -> None:
            rate = ran / max(monotonic_s() - started_s, 1e-9)
            advance(
                campaign.cases,
                f"{rate:,.0f} runs/s, {len(campaign.behaviours)} behaviours, {campaign.failures} failures",
            )

        hunted = hunt(project, wishes, folder, resume=resume, force=force, stop=stop, report=show)
    if json:
        print_json(_result(hunted, folder))
    else:
        _show(hunted, folder, seeds)
    if hunted.campaign.findings:
        leave(_EXIT_FOUND)
    leave(_EXIT_INTERRUPTED if hunted.interrupted else 0)


def _result(hunted: Hunted, folder: Path) -> dict[str, object]:
    campaign = hunted.campaign
    return {
        "folder": printable(str(folder)),
        "runs": campaign.cases,
        "ran_now": hunted.ran,
        "ticks": campaign.ticks,
        "behaviours": len(campaign.behaviours),
        "kept": len(campaign.kept),
        "failures": campaign.failures,
        "interrupted": hunted.interrupted,
        "findings": [_finding(one) for one in hunted.reported],
        "runs_per_s": round(hunted.ran / hunted.wall_s, 1) if hunted.wall_s else 0.0,
        "wall_s": round(hunted.wall_s, 6),
        "shrink_s": round(hunted.shrink_s, 6),
    }


def _finding(one: Reported) -> dict[str, object]:
    shrunk = one.shrunk
    return {
        "check": one.failure.check,
        "tick": one.failure.tick,
        "message": one.failure.message,
        "case": one.number,
        "seed": None if shrunk is None else shrunk.case.seed,
        "faults": None if shrunk is None else [fault_text(fault) for fault in shrunk.case.faults],
        "ticks": None if shrunk is None else shrunk.explored.ticks,
        "agents": None if shrunk is None else len(shrunk.project.spec.agents),
        "shrink_runs": one.runs,
        "file": None if one.file is None else printable(str(one.file)),
        "story": None if one.story is None else printable(str(one.story)),
    }


def _show(hunted: Hunted, folder: Path, seeds: int) -> None:
    campaign = hunted.campaign
    rate = hunted.ran / hunted.wall_s if hunted.wall_s else 0.0
    print_line(
        f"explored {counted(campaign.cases, 'run')}, {counted(campaign.ticks, 'tick')}, "
        f"{counted(len(campaign.behaviours), 'behaviour')} in {hunted.wall_s:.2f} s ({rate:,.0f} runs/s)"
    )
    for one in hunted.reported:
        print_line(str(one.failure))
        shrunk = one.shrunk
        if shrunk is None:
            continue
        print_line(
            f"  shrunk to seed {shrunk.case.seed}, {counted(len(shrunk.case.faults), 'fault')}, "
            f"{counted(len(shrunk.project.spec.agents), 'agent')}, {counted(shrunk.explored.ticks, 'tick')} "
            f"({counted(one.runs, 'run')} tried)"
        )
        for fault in shrunk.case.faults:
            print_line(f"    {fault_text(fault)}")
        print_line(f"  run    {one.file}")
        print_line(f"  story  {one.story}")
    if not hunted.reported:
        print_line("no failure was found")
    if hunted.interrupted:
        say(f"interrupted; go on with --resume --seeds {seeds}: the campaign is in {folder}")
