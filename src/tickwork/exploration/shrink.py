"""Making a failing case smaller: fewer and shorter faults, fewer agents and ticks, the same check failing."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import msgspec

from tickwork.core.faults import CrashAfter, Delay, Duplicate, Fault, Partition, Pause, SlowRequest
from tickwork.core.spec import AgentSpec, RunSpec
from tickwork.exploration.case import Case, Horizon, Lines
from tickwork.exploration.checks import Check, Failure
from tickwork.exploration.execution import TICKS, Explored, run_case
from tickwork.exploration.stage import Stage
from tickwork.runtime.project import Project

# Enough for plans of hundreds of faults; bounds what a plan of thousands costs.
RUNS_MAX = 2_000
_SHORTER = range(1, 10)
_NUMBERED = re.compile(r"^(.*)-(\d+)$")


@dataclass(frozen=True, slots=True)
class Shrunk:
    """A failing case that none of the tried steps makes smaller; `runs` is how many were tried."""

    project: Project
    case: Case
    horizon: Horizon
    explored: Explored
    runs: int

    @property
    def failure(self) -> Failure:
        """How the case fails."""
        assert self.explored.failure is not None
        return self.explored.failure


class Shrinking:
    """One case on its way to a smaller one."""

    def __init__(
        self,
        project: Project,
        lines: Lines,
        checks: Sequence[Check],
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self._project = project
        self._lines = lines
        self._checks = checks
        self._stop = stop
        self._runs = 0

    def shrink(self, stage: Stage, case: Case, horizon: Horizon) -> Shrunk | None:
        """Return the smallest failing case that was found, or None if the case does not fail.

        `stop` ends it early, with what there is by then. The project's own faults stay as they are.
        """
        explored = self._run(stage, case, horizon)
        if explored.failure is None:
            return None
        found = Shrunk(self._project, case, horizon, explored, 0)
        found = self._fewer_faults(stage, found)
        found = self._simpler_faults(stage, found)
        found = self._own_seed(stage, found)
        found = self._fewer_ticks(stage, found)
        found = self._fewer_agents(stage, found)
        return replace(found, runs=self._runs)

    def _run(self, stage: Stage, case: Case, horizon: Horizon) -> Explored:
        self._runs += 1
        return run_case(stage, case, horizon, self._checks)

    @property
    def _over(self) -> bool:
        return self._runs >= RUNS_MAX or self._stop()

    def _try(self, stage: Stage, found: Shrunk, case: Case) -> Shrunk | None:
        """Return what was found with another case, if it fails the same check."""
        if self._over:
            return None
        explored = self._run(stage, case, found.horizon)
        if explored.failure is None or explored.failure.check != found.failure.check:
            return None
        return replace(found, case=case, explored=explored)

    def _with_faults(self, stage: Stage, found: Shrunk, faults: Sequence[Fault]) -> Shrunk | None:
        return self._try(stage, found, Case(found.case.seed, tuple(faults)))

    def _fewer_faults(self, stage: Stage, found: Shrunk) -> Shrunk:
        """Delta debugging (Zeller and Hildebrandt 2002): leave out ever smaller parts of the plan."""
        size = len(found.case.faults)
        while size >= 1:
            faults = found.case.faults
            for start in range(0, len(faults), size):
                without = faults[:start] + faults[start + size :]
                smaller = self._with_faults(stage, found, without)
                if smaller is not None:
                    found = smaller
                    size = min(size, len(without)) or 1
                    break
            else:
                size = size // 2
            if not found.case.faults:
                break
        return found

    def _simpler_faults(self, stage: Stage, found: Shrunk) -> Shrunk:
        for place in range(len(found.case.faults)):
            for simpler in _simpler(found.case.faults[place]):
                faults = (*found.case.faults[:place], simpler, *found.case.faults[place + 1 :])
                better = self._with_faults(stage, found, faults)
                if better is not None:
                    found = better
                    break
        return found

    def _own_seed(self, stage: Stage, found: Shrunk) -> Shrunk:
        seed = self._project.spec.seed
        if found.case.seed == seed:
            return found
        return self._try(stage, found, Case(seed, found.case.faults)) or found

    def _holds(self, stage: Stage, found: Shrunk, horizon: Horizon) -> bool:
        """Return whether the run passes without the faults: only then is it they that make it fail."""
        return bool(found.case.faults) and (self._run(stage, Case(found.case.seed), horizon).failure is None)

    def _fewer_ticks(self, stage: Stage, found: Shrunk) -> Shrunk:
        """Let a run that would go on for long end sooner, where it still fails by its faults alone."""
        if found.explored.ended != TICKS:
            return found
        last = max((fault.tick for fault in found.case.faults), default=0)
        ticks = found.horizon.ticks // 2
        while ticks > last + 1 and not self._over:
            horizon = msgspec.structs.replace(found.horizon, ticks=ticks)
            shorter = self._try(stage, replace(found, horizon=horizon), found.case)
            if shorter is None or not self._holds(stage, shorter, horizon):
                break
            found = shorter
            ticks //= 2
        return found

    def _fewer_agents(self, stage: Stage, found: Shrunk) -> Shrunk:
        for spec in _smaller_crowds(found.project.spec, found.case):
            if self._over:
                break
            project = replace(found.project, spec=spec)
            small = Stage(project, self._lines, stage.programs)
            try:
                fewer = self._try(small, replace(found, project=project), found.case)
                if fewer is not None and self._holds(small, fewer, fewer.horizon):
                    return self._fewer_agents(small, fewer)
            finally:
                small.close()
        return found


def _simpler(fault: Fault) -> Iterator[Fault]:
    """Yield simpler faults of the same kind, the simplest first."""
    change = msgspec.structs.replace
    if isinstance(fault, Duplicate) and fault.ticks:
        yield change(fault, ticks=0)
    if isinstance(fault, (Delay, Duplicate, SlowRequest, Partition, Pause)):
        for ticks in _SHORTER:
            if ticks < fault.ticks:
                yield change(fault, ticks=ticks)
    if isinstance(fault, Partition) and len(fault.group) > 1:
        for member in fault.group:
            yield change(fault, group=(member,))
    if isinstance(fault, CrashAfter) and fault.effects:
        yield change(fault, effects=None)


def _smaller_crowds(spec: RunSpec, case: Case) -> Iterator[RunSpec]:
    """Yield the run with fewer of those agents of which the manifest's `count` makes several."""
    crowds: dict[tuple[str, str], list[AgentSpec]] = {}
    for agent in spec.agents:
        numbered = _NUMBERED.match(agent.id)
        if numbered is not None:
            crowds.setdefault((agent.kind, numbered[1]), []).append(agent)
    named = _named(case.faults)
    for crowd in crowds.values():
        keep = len(crowd) // 2
        while keep < len(crowd):
            gone = {agent.id for agent in crowd[max(keep, 1) :]}
            if not gone & named:
                smaller = _without(spec, gone)
                if smaller is not None:
                    yield smaller
            keep += max((len(crowd) - keep) // 2, 1)


def _without(spec: RunSpec, gone: set[str]) -> RunSpec | None:
    """Return the run without some agents, or None if an input then reaches nobody."""
    inputs = []
    for item in spec.inputs:
        to = tuple(name for name in item.to if name not in gone)
        if not to:
            return None
        inputs.append(msgspec.structs.replace(item, to=to))
    agents = tuple(agent for agent in spec.agents if agent.id not in gone)
    return msgspec.structs.replace(spec, agents=agents, inputs=tuple(inputs))


def _named(faults: Sequence[Fault]) -> set[str]:
    """Return the ids that faults name."""
    names: set[str] = set()
    for fault in faults:
        for field in ("agent", "sender", "to"):
            name = getattr(fault, field, None)
            if name is not None:
                names.add(name)
        if isinstance(fault, Partition):
            names.update(fault.group)
    return names
