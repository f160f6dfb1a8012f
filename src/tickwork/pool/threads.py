"""The pool of worker threads: the kernel runs the turns, without the interpreter and on every core.

It takes the agents whose modules import nothing from the host. The others, and setups, run on the caller's
thread as in the inline pool, while the workers are at theirs.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping

from tickwork.core.errors import HostError
from tickwork.core.outcomes import Outcome
from tickwork.core.spec import AgentSpec
from tickwork.core.step import Plan, Turn
from tickwork.core.world import World
from tickwork.guest.program import Program
from tickwork.pool.faults import failed_outcome
from tickwork.pool.inline import InlinePool
from tickwork.pool.native import ALONE_NS, WORKERS_MAX, cpus, kernel_fault, open_kernel, stuck_error
from tickwork.pool.signals import held_back

# Fuel ends a guest's turn long before; what outlasts this is native code that does not come back.
STUCK_S = 3600.0
# What a stuck worker may still touch must stay until the process ends.
_LOST: list[object] = []


class ThreadsPool(InlinePool):
    """Implements `Pool` over the kernel's threads. `pool.choose` says when it can be had."""

    def __init__(
        self,
        programs: Mapping[str, Program],
        *,
        workers: int | None = None,
        stuck_s: float | None = None,
        alone_ns: int = ALONE_NS,
    ) -> None:
        """Start `workers` threads, or one for each processor; raise `HostError` if that cannot be.

        A worker that is at one turn for longer than `stuck_s` seconds (`STUCK_S`) ends the run with a
        `HostError`. Waves that should take less than `alone_ns` run on the caller's thread, unwatched: the
        guests' fuel bounds them.
        """
        super().__init__(programs)
        fault = kernel_fault()
        if fault is not None:
            raise HostError(f"the kernel cannot be used: {fault}")
        count = cpus() if workers is None else workers
        if not 1 <= count <= WORKERS_MAX:
            raise HostError(f"{count} workers; a pool has 1 to {WORKERS_MAX}")
        stuck_s = STUCK_S if stuck_s is None else stuck_s
        try:
            self._kernel = open_kernel(count, round(stuck_s * 1e9), alone_ns)
        except OSError as error:
            raise HostError(f"the kernel cannot start {count} threads: {error}") from None
        self._stuck_s = stuck_s
        self._stuck_error = stuck_error()
        self._fresh: list[tuple[int, AgentSpec]] = []

    def run(self, world: World, planned: Plan) -> list[Outcome]:
        """Run every turn of the plan; return the outcomes in the plan's order."""
        with self._signals() as deliver:
            self._wake_due(world, planned)
            self._admit_fresh()

            def other(turn: Turn) -> Outcome:
                if turn.setup:
                    outcome = self._set_up(world, planned, turn)
                else:
                    instance = self._instances[turn.agent]
                    outcome = instance.step(planned.tick, planned.now_ns, turn.seed, turn.inbox)
                deliver()
                return outcome

            try:
                outcomes: list[Outcome] = self._kernel.run(
                    planned.turns, planned.tick, planned.now_ns, other, self._failed
                )
            except self._stuck_error as error:
                self._lose()
                agent = world.agents[error.args[0]].spec.id
                raise HostError(
                    f"agent {agent!r} has been in one turn for more than {self._stuck_s:g} s: its thread is "
                    "stuck in native code, and this process should be ended"
                ) from None
        return outcomes

    @contextlib.contextmanager
    def _signals(self) -> Iterator[Callable[[], None]]:
        if self._calls_host:
            with held_back() as deliver:
                yield deliver
        else:
            yield lambda: None

    def _ready(self, agent: int, spec: AgentSpec) -> None:
        if not self._programs[spec.module].plan.hosts:
            self._fresh.append((agent, spec))

    def _admit_fresh(self) -> None:
        for agent, spec in self._fresh:
            instance = self._instances.get(agent)
            if instance is not None:  # not retired at once, for its setup failed
                limits = spec.limits
                self._kernel.admit(
                    agent,
                    *instance.handles(),
                    limits.fuel_per_turn,
                    limits.effects_per_turn,
                    limits.bytes_per_turn,
                )
        self._fresh.clear()

    def _failed(self, agent: int, fault: int, first: int, second: int) -> Outcome:
        return failed_outcome(self._instances[agent], fault, first, second)

    def _lose(self) -> None:
        """Give everything up that the stuck worker may touch, without freeing any of it."""
        _LOST.append((self._kernel, self._instances, self._programs))
        for instance in self._instances.values():
            instance.abandon()
        self._instances = {}

    def retire(self, agents: Iterable[int]) -> None:
        """Free the instances of agents that have ended."""
        for agent in agents:
            if agent in self._instances:
                self._kernel.dismiss(agent)
            super().retire((agent,))

    def close(self) -> None:
        """End the threads and free every instance."""
        self._fresh.clear()
        self._asleep.clear()
        self._kernel.stop()
        super().retire(list(self._instances))
