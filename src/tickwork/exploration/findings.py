"""What a campaign leaves behind for each check that failed: a run file that fails it, and its story."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tickwork.core.errors import HostError
from tickwork.exploration.campaign import Finding
from tickwork.exploration.case import Lines
from tickwork.exploration.checks import DETERMINISTIC, GOAL, INVARIANT, Failure
from tickwork.exploration.explorer import Explorer
from tickwork.exploration.reproduce import record_case
from tickwork.exploration.shrink import Shrinking, Shrunk
from tickwork.exploration.story import story
from tickwork.runtime.project import Project

_NO_NAME = re.compile(r"\W+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Reported:
    """One finding, shrunk and written down. `runs` is how many cases shrinking tried."""

    number: int
    shrunk: Shrunk | None
    failure: Failure
    file: Path | None
    story: Path | None

    @property
    def runs(self) -> int:
        """How many cases shrinking tried."""
        return 0 if self.shrunk is None else self.shrunk.runs


def shrink_finding(
    project: Project,
    lines: Lines,
    explorer: Explorer,
    finding: Finding,
    stop: Callable[[], bool] = lambda: False,
) -> Shrunk:
    """Return the finding's case made as small as it gets; `HostError` if it does not fail again."""
    shrinking = Shrinking(project, lines, explorer.checks, stop)
    shrunk = shrinking.shrink(explorer.stage, finding.case, explorer.assignment.horizon)
    if shrunk is None:
        raise HostError(
            f"case {finding.number} failed ({finding.failure}) and does not fail again: its check depends on "
            "something else than the run"
        )
    return shrunk


def report_finding(
    project: Project,
    lines: Lines,
    explorer: Explorer,
    finding: Finding,
    folder: Path,
    *,
    checks_file: str | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Reported:
    """Shrink a finding, record it in `folder` and tell its story there; earlier files are replaced.

    What is not deterministic cannot be recorded: of it there is only the finding.
    """
    check = finding.failure.check
    if check == DETERMINISTIC:
        return Reported(finding.number, None, finding.failure, None, None)
    shrunk = shrink_finding(project, lines, explorer, finding, stop)
    # The name of a function of the user's, which may be `<lambda>`.
    path = folder / f"{_NO_NAME.sub('-', check).strip('-')}.tick"
    record_case(shrunk.project, shrunk.case, lines, shrunk.horizon, shrunk.explored, path, force=True)
    by_user = check.startswith((INVARIANT, GOAL))
    told = path.with_suffix(".md")
    text = story(path, shrunk, finding.number, explorer.checks, checks_file if by_user else None)
    told.write_text(text, encoding="utf-8")
    return Reported(finding.number, shrunk, shrunk.failure, path, told)
