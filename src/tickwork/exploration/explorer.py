"""One explorer: a stage that runs chunks of cases, with the same results in whichever process it is."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from tickwork.core.entry import Entry
from tickwork.core.errors import InputError
from tickwork.core.world import genesis_world
from tickwork.exploration.behaviour import subscriber_ids
from tickwork.exploration.case import Case, Horizon, Lines
from tickwork.exploration.checks import DETERMINISTIC, Check, Failure, load_checks
from tickwork.exploration.draws import Draws
from tickwork.exploration.events import Events, events_of
from tickwork.exploration.execution import Explored, digests_of, run_case
from tickwork.exploration.plans import FaultMix, vary
from tickwork.exploration.stage import Stage, horizon_of, read_lines
from tickwork.guest.program import Program
from tickwork.runtime.project import Project

CHUNK_CASES = 8
# A setup that depends on the seed is worth more than a new seed: so many cases share one.
CASES_PER_SETUP = 16
_PARENTS_KEPT = 64


class Assignment(msgspec.Struct, frozen=True):
    """What is explored, in a form that another process can be given.

    `key` is what all choices are drawn from; the seeds of the cases count on from it. `twice` has every case
    executed twice, and not only one in each chunk.
    """

    horizon: Horizon
    mix: FaultMix
    key: int
    checks: str | None = None
    twice: bool = False


class Chunk(msgspec.Struct, frozen=True):
    """Consecutive cases from `first` on, varied from one parent."""

    first: int
    count: int
    parent: Case


class Result(msgspec.Struct, frozen=True, array_like=True):
    """What came of one case of a chunk."""

    number: int
    case: Case
    failure: Failure | None
    ended: str
    ticks: int
    digest: bytes
    features: tuple[int, ...]


def refuse_unexplorable(project: Project) -> None:
    """Raise `InputError` for a project whose runs need something served from outside the sandbox."""
    if project.spec.models:
        raise InputError(
            "this project asks models, which exploring does not serve: explore a variant of it in which an "
            "agent plays the model's part"
        )


class Explorer:
    """Runs cases of one project. Use it in a `with` block."""

    def __init__(
        self,
        project: Project,
        lines: Lines,
        assignment: Assignment,
        checks: Sequence[Check] | None = None,
        programs: Mapping[str, Program] | None = None,
    ) -> None:
        """Set the project up; `checks` are used instead of the assignment's file."""
        refuse_unexplorable(project)
        self.assignment = assignment
        self.stage = Stage(project, lines, programs)
        if checks is None:
            checks = load_checks(Path(assignment.checks)) if assignment.checks else ()
        self.checks = tuple(checks)
        self._events: dict[Case, Events] = {}
        # From then on it is known whether setups depend on the seed.
        self.stage.begin(Case(assignment.key))
        self._subscribers = subscriber_ids(genesis_world(project.spec))

    @classmethod
    def of(
        cls,
        project: Project,
        *,
        ticks: int | None = None,
        checks: Sequence[Check] = (),
        mix: FaultMix | None = None,
    ) -> Self:
        """Return an explorer of a project with these settings, for use in this process."""
        horizon = horizon_of(project, ticks)
        assignment = Assignment(horizon, mix or FaultMix(), project.spec.seed)
        return cls(project, read_lines(project, horizon.ticks), assignment, checks)

    def run(self, case: Case) -> Explored:
        """Run one case and hold it against the checks."""
        return run_case(self.stage, case, self.assignment.horizon, self.checks)

    def run_chunk(self, chunk: Chunk, stop: Callable[[], bool] = lambda: False) -> list[Result]:
        """Run the chunk's cases; fewer of them if `stop()` became true."""
        results = []
        for number in range(chunk.first, chunk.first + chunk.count):
            if stop():
                break
            results.append(self._one(number, chunk))
        return results

    def _one(self, number: int, chunk: Chunk) -> Result:
        case = self._case(number, chunk.parent)
        explored = self.run(case)
        failure = explored.failure
        if self.assignment.twice or number == chunk.first or failure is not None:
            failure = self._again(case, explored)
        digest = explored.digests.digest
        return Result(number, case, failure, explored.ended, explored.ticks, digest, explored.features)

    def _case(self, number: int, parent: Case) -> Case:
        """Return the case of a number. The first is the project as it is."""
        key = self.assignment.key
        if number == 0:
            return Case(key)
        if self.stage.setup_draws:
            seed = (key + number // CASES_PER_SETUP) % (1 << 64)
            parent = Case(seed, parent.faults)
        else:
            seed = (key + number) % (1 << 64)
        draws = Draws(key, number)
        # Seeds alone can be what matters.
        if self.assignment.mix.none or draws.chance(0.05):
            return Case(seed)
        if not self.stage.setup_draws and parent.faults and draws.chance(0.5):
            seed = parent.seed
        return Case(seed, vary(parent.faults, self._events_of(parent), self.assignment.mix, draws))

    def _events_of(self, case: Case) -> Events:
        found = self._events.get(case)
        if found is None:
            if len(self._events) >= _PARENTS_KEPT:
                del self._events[next(iter(self._events))]
            explored = run_case(self.stage, case, self.assignment.horizon, keep_entries=True)
            found = self._events[case] = self._read(explored.entries)
        return found

    def _read(self, entries: Sequence[Entry]) -> Events:
        return events_of(self.stage.spec, entries, self._subscribers)

    def _again(self, case: Case, explored: Explored) -> Failure | None:
        """Return the case's failure; that it is another one when executed again is a failure too."""
        digests = digests_of(self.stage, case, explored.ticks)
        if digests != explored.digests:
            return Failure(DETERMINISTIC, explored.ticks - 1, "two executions differ")
        return explored.failure

    def close(self) -> None:
        """Free the agents."""
        self.stage.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
