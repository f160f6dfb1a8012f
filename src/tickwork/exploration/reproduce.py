"""From a case that fails to a run file that shows it, and back: checks held against a run file."""

from dataclasses import dataclass, replace
from pathlib import Path

from tickwork.core.digest import Digests, advance
from tickwork.core.errors import HostError
from tickwork.exploration.case import Case, Horizon, Lines
from tickwork.exploration.checks import Check, Failure
from tickwork.exploration.execution import Explored, Judging
from tickwork.exploration.stage import CHAIN_START, horizon_of, with_case
from tickwork.exploration.view import View
from tickwork.journal.reader import RunReader
from tickwork.pool.choose import Workers
from tickwork.runtime.comparison import Divergence
from tickwork.runtime.launch import project_of
from tickwork.runtime.project import Project
from tickwork.runtime.record import STATUS_CLOSED, STATUS_IDLE, STATUS_TICKS, Run
from tickwork.runtime.rerun import Rerun
from tickwork.runtime.schedule import SnapshotSettings

_STATUS = {"idle": STATUS_IDLE, "ticks": STATUS_TICKS}


def record_case(
    project: Project,
    case: Case,
    lines: Lines,
    horizon: Horizon,
    explored: Explored,
    path: Path,
    *,
    force: bool = False,
) -> None:
    """Record the case as an ordinary run of as many ticks as were explored, with its failure as its note.

    Raises `HostError` if the run is not the one that was explored, which would be a defect.
    """
    note = "" if explored.failure is None else f"found by exploring: {explored.failure}"
    told = replace(
        project,
        spec=with_case(project.spec, case),
        inputs={},
        outputs={},
        ticks=horizon.ticks,
        until_idle=horizon.until_idle,
        snapshots=SnapshotSettings(every=0),
        note=note,
    )
    names = [item.name for item in project.spec.inputs]
    with Run(told, path, force=force, workers=0) as run:
        while run.world.tick < explored.ticks:
            at = run.world.tick - 1
            for line in lines[at] if 0 <= at < len(lines) else ():
                run.post(names[line.source], line.body)
            run.advance()
        run.status = _STATUS.get(explored.ended, STATUS_CLOSED)
    if chain_of(path) != explored.digests:
        raise HostError(f"{path}: the run does not repeat what was explored; this is a defect of tickwork")


def chain_of(path: Path) -> Digests:
    """Return the chain over a run file's entries as explored runs have it: without the specification."""
    chain = CHAIN_START
    with RunReader.open(path) as reader:
        for stored in reader.entries():
            chain = advance(chain, stored.entry, stored.fuel)
    return chain


@dataclass(frozen=True, slots=True)
class Checked:
    """What became of checks held against a run file that was replayed: nothing, a failure, or a divergence.

    `ticks` were replayed.
    """

    ticks: int
    failure: Failure | None
    divergence: Divergence | None
    note: str


def check_file(path: Path, checks: tuple[Check, ...], *, workers: Workers = "auto") -> Checked:
    """Replay a run file and hold it against checks, the built-in ones included, up to the first failure.

    Goals are judged where the record ends. Models are not asked: what they answered is in the record. Raises
    `RunFileError` if the file is none.
    """
    with RunReader.open(path) as reader:
        project = project_of(reader.spec, reader.header.launch)
        horizon = horizon_of(project, None)
        rerun = Rerun(reader, workers=workers)
        try:
            view = View(rerun.pool.image, rerun.programs)
            judging = Judging(checks, view, horizon)
            first = rerun.world.tick
            for stored in reader.entries():
                before = rerun.world
                divergence = rerun.tick(stored)
                if divergence is not None:
                    return Checked(before.tick - first, None, divergence, project.note)
                entry, _ = stored.decode()
                failure = judging.tick(before, entry, rerun.world)
                if failure is not None:
                    return Checked(rerun.world.tick - first, failure, None, project.note)
            world = rerun.world
            # A run that was cut short has not had its chance to go idle.
            idle = world.idle or world.tick < horizon.ticks
            failure = judging.end(world, idle=idle) if world.tick > first else None
            return Checked(world.tick - first, failure, None, project.note)
        finally:
            rerun.close()
