"""The agents of the next world in the making: who starts, who ends, who is about to be stopped."""

from collections.abc import Mapping, Sequence

import msgspec

from tickwork.core.refusals import quoted
from tickwork.core.spec import AgentSpec
from tickwork.core.supervision import OnFailure
from tickwork.core.world import AgentState, Directory, Status, World


class Roster:
    """All agents by index, as they stand at this point of the settling.

    `ended` are those that ended in this tick, in the order in which they did. `restarted` and `rolled_back`
    are those that failed and go on, set up anew or from before their turn; whoever stops them ends them too.
    """

    def __init__(self, world: World) -> None:
        self._before = world
        self._agents: Sequence[AgentState] = world.agents
        self._own: list[AgentState] | None = None
        self._new_index: dict[str, int] = {}
        self._stopping: dict[int, str] = {}
        self._restarts: dict[int, Sequence[int]] | None = None
        self.ended: list[int] = []
        self.restarted: list[int] = []
        self.rolled_back: list[int] = []

    def __len__(self) -> int:
        return len(self._agents)

    def __getitem__(self, agent: int) -> AgentState:
        return self._agents[agent]

    def _writable(self) -> list[AgentState]:
        """Return the agents for a change; in most ticks there is none, and nothing is copied."""
        if self._own is None:
            self._agents = self._own = list(self._agents)
        return self._own

    def find(self, agent_id: str) -> int:
        """Return the index of the agent with this id, one spawned just now included; -1 if there is none."""
        found = self._before.directory.index.get(agent_id, -1)
        return self._new_index.get(agent_id, -1) if found < 0 else found

    def add(self, spec: AgentSpec) -> None:
        """Give a spawned agent, whose id nobody has, the next index."""
        agents = self._writable()
        self._new_index[spec.id] = len(agents)
        agents.append(AgentState(spec))

    def start(self, agent: int) -> None:
        """Let an agent that was set up run."""
        self._writable()[agent] = msgspec.structs.replace(self._agents[agent], status=Status.RUNNING)

    def end(self, agent: int, status: Status, reason: str) -> None:
        """Let the agent end now."""
        self._writable()[agent] = AgentState(self._agents[agent].spec, status, reason)
        self.ended.append(agent)

    def fail(self, agent: int, reason: str, *, setup: bool) -> OnFailure:
        """Do with an agent that failed what its supervision says; return what that was.

        What failed in its setup has nothing to go back to, and is set up anew. Who is about to be stopped is.
        """
        if agent in self._stopping:
            return OnFailure.STOP
        spec, tick = self._agents[agent].spec, self._before.tick
        past = self._before.restarts.get(agent, ())
        verdict = spec.supervised.verdict(past, tick)
        if verdict is OnFailure.STOP:
            self.end(agent, Status.FAILED, reason)
            return verdict
        if self._restarts is None:
            self._restarts = dict(self._before.restarts)
        self._restarts[agent] = (*spec.supervised.recent(past, tick), tick)
        if verdict is OnFailure.ROLLBACK and not setup:
            self.rolled_back.append(agent)
            return verdict
        self._writable()[agent] = AgentState(spec)
        self.restarted.append(agent)
        return OnFailure.RESTART

    def stop(self, agent: int, reason: str) -> None:
        """Let the agent end with the tick; who stops it first gives the reason."""
        self._stopping.setdefault(agent, reason)

    def end_stopped(self) -> None:
        """End those who were to be stopped, in index order."""
        for agent, reason in sorted(self._stopping.items()):
            self.end(agent, Status.STOPPED, reason)
        self.restarted = [agent for agent in self.restarted if agent not in self._stopping]
        self.rolled_back = [agent for agent in self.rolled_back if agent not in self._stopping]

    def ended_fault(self, agent: int) -> str | None:
        """Return that the agent is ended, or about to be, in the words of a refusal."""
        state = self._agents[agent]
        if state.live and agent not in self._stopping:
            return None
        status = Status.STOPPED if state.live else state.status
        return f"agent {quoted(state.spec.id)} is {status}"

    def restarts(self) -> Mapping[int, Sequence[int]]:
        """Return the ticks of recent failures of agents that go on, by agent."""
        if self._restarts is None and not (self.ended and self._before.restarts):
            return self._before.restarts
        restarts = self._before.restarts if self._restarts is None else self._restarts
        return {agent: ticks for agent, ticks in restarts.items() if self._agents[agent].live}

    def done(self) -> tuple[tuple[AgentState, ...], Directory]:
        """Return the next world's agents and their directory."""
        if self._own is None:
            return self._before.agents, self._before.directory
        return tuple(self._own), Directory.of(self._own)
