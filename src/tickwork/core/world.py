"""The pure state of a run between two ticks."""

import enum
from collections.abc import Mapping, Sequence

import msgspec

from tickwork.core.dag import ONE_WAVE, Waves, waves_of
from tickwork.core.limits import Limits
from tickwork.core.messages import DelayedMessage, Message
from tickwork.core.requests import NO_REQUESTS, Requests
from tickwork.core.spec import AgentSpec, RunSpec
from tickwork.core.supervision import OnExhausted
from tickwork.core.timers import NO_TIMERS, Timers


class Status(enum.StrEnum):
    """Where an agent stands. Only `RUNNING` agents take steps; `STARTING` ones are about to be set up."""

    STARTING = "starting"
    RUNNING = "running"
    STOPPED = "stopped"
    FAILED = "failed"


class AgentState(msgspec.Struct, frozen=True):
    """One agent: what it is, where it stands, and why it ended if it did."""

    spec: AgentSpec
    status: Status = Status.STARTING
    reason: str = ""

    @property
    def live(self) -> bool:
        """Whether messages can still reach the agent."""
        return self.status is Status.RUNNING or self.status is Status.STARTING


class Directory(msgspec.Struct, frozen=True):
    """Look-ups derived from the agents; rebuilt when one starts, stops or fails.

    `routes` is a memo, not state: by sender, the receivers whose grant was found once and has no limits.
    `fatal` is the first agent by whose failure the run is to end.
    """

    index: Mapping[str, int]
    subscribers: Mapping[str, tuple[int, ...]]
    every_tick: tuple[int, ...]
    starting: tuple[int, ...]
    routes: dict[int, dict[str, int]] = {}
    fatal: int | None = None

    @classmethod
    def of(cls, agents: Sequence[AgentState]) -> "Directory":
        """Return the look-ups for `agents`, each list in index order."""
        subscribers: dict[str, list[int]] = {}
        every_tick: list[int] = []
        starting: list[int] = []
        fatal: int | None = None
        for index, agent in enumerate(agents):
            if not agent.live:
                if fatal is None and agent.status is Status.FAILED:
                    ends_run = agent.spec.supervised.on_exhausted is OnExhausted.STOP_RUN
                    fatal = index if ends_run else None
                continue
            for topic in dict.fromkeys(agent.spec.subscribe):
                subscribers.setdefault(topic, []).append(index)
            if agent.status is Status.STARTING:
                starting.append(index)
            elif agent.spec.every_tick:
                every_tick.append(index)
        return cls(
            index={agent.spec.id: index for index, agent in enumerate(agents)},
            subscribers={topic: tuple(indexes) for topic, indexes in subscribers.items()},
            every_tick=tuple(every_tick),
            starting=tuple(starting),
            fatal=fatal,
        )


class World(msgspec.Struct, frozen=True):
    """Everything that the next tick depends on, apart from what arrives from outside.

    `tick` is the tick that comes next. `mailboxes` holds only agents with something waiting, each in
    inbox order. `spent` counts effects under grants that have a `per_run` limit, by (agent, grant index);
    `tokens_spent` likewise what their requests to models may have cost, under a `tokens_per_run` limit.
    `delayed` are messages that faults hold back, by the tick in which they are found, and `restarts` the
    ticks of recent failures of agents that went on, by agent.
    inbox order. `spent` counts effects under grants that have a `per_run` limit, by (agent, grant index).
    `waves` follow from the specification.
    """

    run: RunSpec
    agents: tuple[AgentState, ...]
    directory: Directory
    tick: int = 0
    mailboxes: Mapping[int, Sequence[Message]] = {}
    timers: Timers = NO_TIMERS
    spent: Mapping[tuple[int, int], int] = {}
    tokens_spent: Mapping[tuple[int, int], int] = {}
    requests: Requests = NO_REQUESTS
    delayed: Mapping[int, Sequence[DelayedMessage]] = {}
    restarts: Mapping[int, Sequence[int]] = {}
    waves: Waves = ONE_WAVE

    @property
    def now_ns(self) -> int:
        """The virtual time of the coming tick."""
        return self.run.start_ns + self.tick * self.run.tick_ns

    @property
    def idle(self) -> bool:
        """Whether no agent would take a turn now or later unless something arrives from outside."""
        directory = self.directory
        waits = self.mailboxes or self.timers.due or self.requests.pending or self.delayed
        return not (waits or directory.every_tick or directory.starting)

    @property
    def fatal(self) -> AgentState | None:
        """The agent by whose failure the run is to end, if there is one."""
        fatal = self.directory.fatal
        return None if fatal is None else self.agents[fatal]

    def limits(self, agent: int) -> Limits:
        """Return the limits of the agent with this index."""
        return self.agents[agent].spec.limits


def run_waves(run: RunSpec) -> Waves:
    """Return the waves of a run's ticks; raise `core.dag.Cycle` if its edges form one."""
    return waves_of((agent.id for agent in run.agents), (kind.id for kind in run.kinds), run.edges)


def genesis_world(run: RunSpec) -> World:
    """Return the world before tick 0, in which every declared agent is about to be set up."""
    agents = tuple(AgentState(spec) for spec in run.agents)
    return World(run=run, agents=agents, directory=Directory.of(agents), waves=run_waves(run))
