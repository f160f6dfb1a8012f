"""A project set up once and run many times without a run file.

What happens in a run of a case is what an ordinary run with the case's seed and faults would do, entry for
entry. The seed enters tick 0 only by the agents' random streams: where no agent reads its stream in its
setup, one setup serves all seeds, with the streams' keys exchanged; else each seed has a setup of its own.
"""

from collections.abc import Mapping

import msgspec

from tickwork.core.digest import Digests
from tickwork.core.entropy import turn_seeds
from tickwork.core.errors import InputError
from tickwork.core.fault_plan import NO_FAULTS
from tickwork.core.messages import NO_ARRIVALS, Arrivals, Input
from tickwork.core.spec import RunSpec
from tickwork.core.world import World, genesis_world
from tickwork.exploration.case import TICKS_DEFAULT, Case, Horizon, Lines
from tickwork.guest.program import Program
from tickwork.pool.inline import InlinePool
from tickwork.pool.native import kernel_fault
from tickwork.pool.rewind import Moment
from tickwork.pool.threads import ThreadsPool
from tickwork.runtime.inputs import LineInput
from tickwork.runtime.loop import Loop, Ticked
from tickwork.runtime.places import STREAM
from tickwork.runtime.programs import compile_project
from tickwork.runtime.project import Project

# Where the chain of an explored run begins: its entries are compared, not its specification.
CHAIN_START = Digests(b"", b"")
# The kernel then takes every turn on the caller's thread: the other processors have explorers of their own.
_ALWAYS_ALONE_NS = 1 << 62


def horizon_of(project: Project, ticks: int | None) -> Horizon:
    """Return when runs of a project end: after `ticks`, the manifest's, or `TICKS_DEFAULT` ticks.

    Only where an agent has `every_tick`, or the manifest does not say `until = "idle"`, may a run end busy.
    """
    restless = any(agent.every_tick for agent in (*project.spec.agents, *project.spec.kinds))
    return Horizon(
        ticks=ticks or project.ticks or TICKS_DEFAULT,
        until_idle=project.until_idle,
        must_idle=project.until_idle and not restless,
    )


def read_lines(project: Project, ticks: int) -> Lines:
    """Return what the project's input files bring in ticks 1 to `ticks` - 1, bad lines passed over.

    Raises `InputError` for standard input, which could be read only once.
    """
    opened: dict[int, LineInput] = {}
    try:
        for source, item in enumerate(project.spec.inputs):
            path = project.inputs.get(item.name)
            if path == STREAM:
                raise InputError(f"input {item.name!r} is standard input: give a file with --input NAME=PATH")
            if path is not None:
                opened[source] = LineInput(
                    item.name, source, path,
                    line_bytes_max=project.spec.limits.input_line_bytes,
                    report=lambda _: None, waiting=lambda: None,
                )  # fmt: skip
        rates = [item.rate for item in project.spec.inputs]
        lines: list[tuple[Input, ...]] = []
        while len(lines) < ticks - 1 and not all(reader.exhausted for reader in opened.values()):
            lines.append(
                tuple(line for source, reader in opened.items() for line in reader.take(rates[source]))
            )
        return tuple(lines)
    finally:
        for reader in opened.values():
            reader.close()


def with_case(spec: RunSpec, case: Case) -> RunSpec:
    """Return the specification of the ordinary run that a case is."""
    plan = spec.faults or NO_FAULTS
    if case.faults:
        plan = msgspec.structs.replace(plan, explicit=(*plan.explicit, *case.faults))
    return msgspec.structs.replace(spec, seed=case.seed, faults=plan or None)


class Stage:
    """A project's agents, set up, and taken back to that moment for every case. `close` it."""

    def __init__(
        self, project: Project, lines: Lines = (), programs: Mapping[str, Program] | None = None
    ) -> None:
        """Make the programs, unless they are given; raise `ModuleError` or `HostError` if that fails."""
        self.spec = project.spec
        self.programs = compile_project(project) if programs is None else programs
        self.setups = 0
        self.lines = lines
        self._pool = self._open_pool()
        self._moment: Moment | None = None
        self._first: Ticked | None = None
        self._seed: int | None = None

    def _open_pool(self) -> InlinePool:
        if kernel_fault() is None:
            return ThreadsPool(self.programs, workers=1, alone_ns=_ALWAYS_ALONE_NS)
        return InlinePool(self.programs)

    @property
    def pool(self) -> InlinePool:
        """The pool that the agents are in."""
        return self._pool

    @property
    def setup_draws(self) -> bool:
        """Whether setups depend on the seed, known once there was one."""
        return self._moment is not None and self._moment.drawn

    def begin(self, case: Case) -> tuple[Loop, Ticked]:
        """Return the case's run after tick 0, and that tick. What the stage ran before is over."""
        spec = with_case(self.spec, case)
        if any(fault.tick == 0 for fault in case.faults):
            return self._set_up(spec, keep=False)
        if self._moment is None or self._first is None or (self._moment.drawn and case.seed != self._seed):
            return self._set_up(spec, keep=True)
        world = self._moment.world
        keys = None
        if case.seed != self._seed:
            agents = range(len(self.spec.agents))
            seeds = turn_seeds(case.seed, 0, agents, len(agents))
            keys = {
                agent: seed.to_bytes(8, "little") + spec.agents[agent].id.encode()
                for agent, seed in zip(agents, seeds, strict=True)
                if agent in self._moment.agents
            }
        self._moment.rewind(keys)
        first = self._first._replace(world=msgspec.structs.replace(world, run=spec))
        return Loop(first.world, self._pool, first.digests), first

    def _set_up(self, spec: RunSpec, *, keep: bool) -> tuple[Loop, Ticked]:
        self._pool.forget_record()
        self._pool.retire(self._pool.holding())
        self.setups += 1
        loop = Loop(genesis_world(spec), self._pool, CHAIN_START)
        first = loop.tick(NO_ARRIVALS)
        self._moment = self._first = None
        if keep:
            self._moment, self._first, self._seed = Moment(self._pool, loop.world), first, spec.seed
        return loop, first

    def arrivals(self, tick: int) -> Arrivals:
        """Return what comes to a tick from outside."""
        at = tick - 1
        return Arrivals(self.lines[at]) if 0 <= at < len(self.lines) else NO_ARRIVALS

    def is_idle(self, world: World) -> bool:
        """Return whether nothing is left to do or to come."""
        return world.idle and world.tick > len(self.lines)

    def close(self) -> None:
        """Free the agents."""
        self._pool.close()
