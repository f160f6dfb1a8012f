"""Many cases, each chosen by what those before it found."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tickwork.exploration.behaviour import signature
from tickwork.exploration.case import Case
from tickwork.exploration.checks import Failure
from tickwork.exploration.crew import LAG_CHUNKS
from tickwork.exploration.draws import Draws
from tickwork.exploration.explorer import CHUNK_CASES, Chunk, Result
from tickwork.exploration.store import CampaignFile

# How many of the last kept cases are varied more often than the others.
_RECENT = 16
_COMMIT_CASES = 256
# What separates the draws of parents from those of plans, which are keyed by the same two numbers.
_PARENTS = 1


@dataclass(frozen=True, slots=True)
class Finding:
    """The first case that failed a check."""

    number: int
    case: Case
    failure: Failure
    ticks: int


@dataclass(slots=True)
class Campaign:
    """What a campaign has come to: `cases` were run, `behaviours` of them were distinct.

    `kept` are the cases that showed something new, with their numbers, and `findings` the first failure of
    each check, in the order in which they were found.
    """

    key: int
    cases: int = 0
    features: set[int] = field(default_factory=set)
    behaviours: set[str] = field(default_factory=set)
    kept: list[tuple[int, Case]] = field(default_factory=list)
    findings: dict[str, Finding] = field(default_factory=dict)
    failures: int = 0
    ticks: int = 0

    @classmethod
    def resumed(cls, key: int, file: CampaignFile) -> "Campaign":
        """Return the campaign that a file holds, up to its last whole chunk without a gap."""
        campaign = cls(key)
        campaign.features.update(file.features())
        for row in file.rows():
            campaign._count(row.number, row.case, row.failure, row.ticks)
            campaign.behaviours.add(row.behaviour)
            if row.kept:
                campaign.kept.append((row.number, row.case))
        return campaign

    def chunks(self, end: int) -> Iterator[Chunk]:
        """Yield chunks of the cases that are still to run, up to number `end`.

        Which parent a chunk has depends only on what was known `LAG_CHUNKS` chunks before it.
        """
        first = self.cases
        while first < end:
            count = min(CHUNK_CASES - first % CHUNK_CASES, end - first)
            yield Chunk(first, count, self._parent(first))
            first += count

    def _parent(self, first: int) -> Case:
        chunk = first // CHUNK_CASES
        known = [case for number, case in self.kept if number // CHUNK_CASES < chunk - LAG_CHUNKS]
        if not known:
            return Case(self.key)
        draws = Draws(self.key, chunk, _PARENTS)
        return draws.one_of(known[-_RECENT:] if draws.chance(0.5) else known)

    def add(self, results: list[Result], file: CampaignFile | None) -> None:
        """Take the results of a chunk in, in the order of the chunks."""
        noted = []
        for result in results:
            new = [one for one in result.features if one not in self.features]
            self.features.update(new)
            behaviour = f"{signature(result.features):016x}"
            self.behaviours.add(behaviour)
            # What fails would be varied into more of the same.
            keep = bool(new) and result.failure is None
            if keep:
                self.kept.append((result.number, result.case))
            self._count(result.number, result.case, result.failure, result.ticks)
            noted.append((result, behaviour, keep, new))
        if file is not None:
            file.add(noted)
            if self.cases // _COMMIT_CASES != (self.cases - len(results)) // _COMMIT_CASES:
                file.commit()

    def _count(self, number: int, case: Case, failure: Failure | None, ticks: int) -> None:
        self.cases = number + 1
        self.ticks += ticks
        if failure is not None:
            self.failures += 1
            self.findings.setdefault(failure.check, Finding(number, case, failure, ticks))


def explore(
    campaign: Campaign,
    work: Callable[[Iterator[Chunk]], Iterator[list[Result]]],
    *,
    cases: int,
    file: CampaignFile | None = None,
    stop: Callable[[], bool] = lambda: False,
    go_on: bool = False,
    report: Callable[[Campaign], None] = lambda _: None,
) -> None:
    """Run the campaign until it has `cases` cases, or `stop()`, or its first failure unless it is to go on.

    `work` makes results of chunks, in their order.
    """
    chunks = campaign.chunks(cases)
    for results in work(chunks):
        kept = results if go_on else _to_first_failure(results)
        campaign.add(kept, file)
        report(campaign)
        if stop() or (campaign.findings and not go_on):
            break


def _to_first_failure(results: list[Result]) -> list[Result]:
    for place, result in enumerate(results):
        if result.failure is not None:
            return results[: place + 1]
    return results
