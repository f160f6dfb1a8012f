"""A campaign from beginning to end: cases are run, what failed is shrunk, recorded and told."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from tickwork.core.errors import HostError, InputError
from tickwork.exploration.campaign import Campaign, explore
from tickwork.exploration.checks import Check, load_checks
from tickwork.exploration.crew import JOBS_MAX, alone, together
from tickwork.exploration.explorer import Assignment, Chunk, Explorer, Result
from tickwork.exploration.findings import Reported, report_finding
from tickwork.exploration.plans import FaultMix
from tickwork.exploration.stage import horizon_of, read_lines
from tickwork.exploration.store import CampaignFile, identity
from tickwork.pool.native import cpus
from tickwork.runtime.clock import monotonic_s
from tickwork.runtime.project import Project

SEEDS_DEFAULT = 1_000
CAMPAIGN_NAME = "campaign.sqlite"


@dataclass(frozen=True, slots=True)
class Wishes:
    """How to explore: `seeds` cases in `jobs` processes, 0 for one each processor.

    `checks` is a file of checks, or the checks themselves, which only this process can run. With `go_on` a
    failure does not end the campaign; with `twice` every case is executed twice.
    """

    seeds: int = SEEDS_DEFAULT
    mix: FaultMix = field(default_factory=FaultMix)
    checks: Path | Sequence[Check] = ()
    jobs: int = 0
    ticks: int | None = None
    twice: bool = False
    go_on: bool = False


@dataclass(frozen=True, slots=True)
class Hunted:
    """What a campaign came to. `ran` cases of it were run now, in `wall_s` seconds."""

    campaign: Campaign
    reported: tuple[Reported, ...]
    interrupted: bool
    ran: int
    wall_s: float
    shrink_s: float


def hunt(
    project: Project,
    wishes: Wishes,
    folder: Path,
    *,
    resume: bool = False,
    force: bool = False,
    stop: Callable[[], bool] = lambda: False,
    report: Callable[[Campaign, int], None] = lambda *_: None,
) -> Hunted:
    """Explore a project into a folder, which is made; `stop` ends it early and cleanly.

    `report` is told what the campaign has come to, and how many of its cases were run now.
    Raises `InputError` if the folder has a campaign, unless it is to be resumed or replaced (`force`), and
    `HostError` where the machine fails.
    """
    is_file = isinstance(wishes.checks, Path)
    checks = load_checks(wishes.checks) if isinstance(wishes.checks, Path) else tuple(wishes.checks)
    horizon = horizon_of(project, wishes.ticks)
    lines = read_lines(project, horizon.ticks)
    assignment = Assignment(
        horizon,
        wishes.mix,
        project.spec.seed,
        str(wishes.checks.absolute()) if isinstance(wishes.checks, Path) else None,
        wishes.twice,
    )
    source = wishes.checks.read_bytes() if isinstance(wishes.checks, Path) else b""
    jobs = jobs_of(wishes, is_file=is_file)
    with ExitStack() as stack:
        explorer = stack.enter_context(Explorer(project, lines, assignment, checks))
        file = _open(folder, identity(project.spec, assignment, source), resume=resume, force=force)
        stack.callback(file.close)
        campaign = Campaign.resumed(assignment.key, file)
        before, started_s = campaign.cases, monotonic_s()

        def work(chunks: Iterator[Chunk]) -> Iterator[list[Result]]:
            if jobs == 1:
                return alone(explorer, chunks, stop)
            return together(project, lines, assignment, jobs, chunks)

        if wishes.go_on or not campaign.findings:
            explore(
                campaign, work, cases=wishes.seeds, file=file, stop=stop, go_on=wishes.go_on,
                report=lambda now: report(now, now.cases - before),
            )  # fmt: skip
        wall_s = monotonic_s() - started_s
        file.commit()
        checks_file = str(wishes.checks) if isinstance(wishes.checks, Path) else None
        reported = tuple(
            report_finding(project, lines, explorer, finding, folder, checks_file=checks_file)
            for finding in campaign.findings.values()
        )
        shrink_s = monotonic_s() - started_s - wall_s
    interrupted = stop() and campaign.cases < wishes.seeds
    return Hunted(campaign, reported, interrupted, campaign.cases - before, wall_s, shrink_s)


def jobs_of(wishes: Wishes, *, is_file: bool) -> int:
    """Return the number of processes: checks that are no file cannot leave this one."""
    if wishes.checks and not is_file:
        return 1
    return min(wishes.jobs or cpus(), JOBS_MAX)


def _open(folder: Path, name: str, *, resume: bool, force: bool) -> CampaignFile:
    path = folder / CAMPAIGN_NAME
    if resume:
        return CampaignFile.resume(path, name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if path.exists():
            if not force:
                raise InputError(f"{folder}: has a campaign already; go on with --resume, or use --force")
            path.unlink()
    except OSError as error:
        raise HostError(f"{folder}: cannot be written ({error.strerror})") from error
    return CampaignFile.create(path, name)
