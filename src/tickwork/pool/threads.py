"""The pool of worker threads: the kernel runs the turns, without the interpreter and on every core.

Setups run on the caller's thread as in the inline pool, while the workers are at the other turns. Where a
guest calls the host, its worker waits for the interpreter's lock: most turns of most guests never do.
"""

import contextlib
import functools
import itertools
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from tickwork.core.entropy import seed_bytes
from tickwork.core.errors import HostError
from tickwork.core.messages import NO_ARRIVALS
from tickwork.core.outcomes import Outcome
from tickwork.core.quiet import Plain, SentMail, acts_freely
from tickwork.core.settling import Performed
from tickwork.core.spec import AgentSpec
from tickwork.core.step import Plan, Turn, plan
from tickwork.core.world import Directory, Status, World
from tickwork.guest.hosting import Wave
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
    """Implements `Pool` over the kernel's threads. `pool.choose` says when it can be had.

    `patience_max` is how many quiet ticks at most pass before another one is tried whole.
    """

    patience_max = 64

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
        self._wave = Wave(self._kernel.printed)
        self._stuck_s = stuck_s
        self._stuck_error = stuck_error()
        self._fresh: list[tuple[int, AgentSpec]] = []
        # What the kernel knows of the world: its agents as receivers, and the messages that it sent itself.
        self._directory: Directory | None = None
        self._record: Plain | None = None
        self._patience = 1
        self._rest = 0

    def run(self, world: World, planned: Plan) -> list[Outcome]:
        """Run every turn of the plan; return the outcomes in the plan's order."""
        with self._signals() as deliver:
            self._wake_due(world, planned.turns)
            self._guard(world, planned.turns)
            self._admit_fresh()
            self._take_broken_back(world, planned)
            self._wave.begin(planned.now_ns)

            def other(turn: Turn) -> Outcome:
                outcome = self._take(world, planned, turn)
                deliver()
                return outcome

            with self._watched(world):
                outcomes: list[Outcome] = self._kernel.run(
                    planned.turns, planned.tick, planned.now_ns, other, self._failed
                )
            if self._wave.printed:
                self._add_printed(planned.turns, outcomes)
        return outcomes

    def _take_broken_back(self, world: World, planned: Plan) -> None:
        """Let the caller's thread take turns with an allowance of their own; the kernel knows only limits."""
        if planned.broken is None:
            return
        for turn in planned.turns:
            if not turn.plain and not turn.setup:
                self._kernel.dismiss(turn.agent)
                self._fresh.append((turn.agent, world.agents[turn.agent].spec))

    def _add_printed(self, turns: Sequence[Turn], outcomes: list[Outcome]) -> None:
        printed = set(self._wave.printed)
        for place, turn in enumerate(turns):
            if turn.agent in printed:
                outcomes[place] = self._instances[turn.agent].with_printed(outcomes[place])

    def run_quiet(self, world: World) -> Plain | list[Outcome] | None:
        """Run the whole of a quiet tick in the kernel, where it has all the agents whose turn it is.

        After a tick that was not plain the next ones are not tried: in some runs none is.
        """
        if self._rest > 0:
            self._rest -= 1
            return None
        if self._calls_host:
            with held_back():
                found = self._run_quiet(world)
        else:
            found = self._run_quiet(world)
        if isinstance(found, Plain):
            self._patience = 1
        else:
            self._patience = min(2 * self._patience, self.patience_max)
            self._rest = self._patience - 1
        return found

    def _run_quiet(self, world: World) -> Plain | list[Outcome] | None:
        if world.directory is not self._directory:
            self._learn(world)
        self._admit_fresh()
        mail = world.mailboxes
        held = self._kernel.held() if isinstance(mail, SentMail) and mail.record is self._record else None
        agents: Sequence[int]
        if held is None or self._asleep:
            turns = plan(world, NO_ARRIVALS).turns
            agents = [turn.agent for turn in turns]
            self._wake_due(world, turns)
            self._admit_fresh()
            seeds = b""
        else:
            turns = None
            agents = memoryview(held).cast("I")
            seeds = seed_bytes(world.run.seed, world.tick, agents, len(world.agents))
        if self._guarded:
            self._guard_agents(world, agents)
        judge = functools.partial(acts_freely, world)
        self._wave.begin(world.now_ns)
        with self._watched(world):
            found = self._kernel.run_plain(turns, world.tick, world.now_ns, seeds, judge, self._failed)
        if not isinstance(found, tuple):
            outcomes: list[Outcome] | None = found
            if outcomes is not None and self._wave.printed:
                self._add_printed(plan(world, NO_ARRIVALS).turns, outcomes)
            return outcomes
        entry, fuel, messages, sent, outputs = found
        performed = tuple(itertools.starmap(Performed, outputs))
        self._record = Plain(entry, fuel, agents, messages, sent, performed)
        return self._record

    def _learn(self, world: World) -> None:
        """Tell the kernel who can be sent what."""
        self._directory = world.directory
        self._kernel.know(
            tuple(
                [
                    (
                        agent.spec.id,
                        agent.live,
                        agent.spec.every_tick and agent.status is Status.RUNNING,
                        agent.spec.limits.mailbox_messages,
                        agent.spec.limits.mailbox_bytes,
                    )
                    for agent in world.agents
                ]
            ),
            world.run.outputs,
            tuple(
                [
                    (topic, array("I", subscribers).tobytes())
                    for topic, subscribers in world.directory.subscribers.items()
                ]
            ),
        )

    @contextlib.contextmanager
    def _watched(self, world: World) -> Iterator[None]:
        try:
            yield
        except self._stuck_error as error:
            self._lose()
            agent = world.agents[error.args[0]].spec.id
            raise HostError(
                f"agent {agent!r} has been in one turn for more than {self._stuck_s:g} s: its thread is "
                "stuck in native code, and this process should be ended"
            ) from None

    @contextlib.contextmanager
    def _signals(self) -> Iterator[Callable[[], None]]:
        if self._calls_host:
            with held_back() as deliver:
                yield deliver
        else:
            yield lambda: None

    def _ready(self, agent: int, spec: AgentSpec) -> None:
        super()._ready(agent, spec)
        self._instances[agent].join(self._wave, agent)
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

    def forget_record(self) -> None:
        """Learn that the next tick does not follow the last one."""
        self._record = None
        self._rest = 0
        self._patience = 1

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
