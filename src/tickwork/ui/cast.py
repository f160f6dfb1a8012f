"""Who takes part in a run, and from when to when: learnt from the record as it is read."""

from collections.abc import Iterable

import msgspec

from tickwork.core.effects import Spawn, Stop
from tickwork.core.entry import Entry, TurnEntry
from tickwork.core.faults import CrashAfter, CrashBefore, kind_of
from tickwork.core.outcomes import OutcomeKind
from tickwork.core.spec import AgentSpec, RunSpec
from tickwork.core.world import AgentState, Status, run_waves


class Member(msgspec.Struct):
    """One agent. `born` is the tick that spawned it, or the run's first; `ended` the one that ended it.

    `ending` says how: an outcome's name, `stopped`, or empty.
    """

    index: int
    id: str
    kind: str
    python: bool
    born: int
    ended: int | None = None
    ending: str = ""


class Cast:
    """The agents of a run by index and id, as far as the record was read."""

    def __init__(self, spec: RunSpec, first_tick: int, standing: Iterable[AgentState] | None = None) -> None:
        """Begin with the declared agents, or with those that a fork began with."""
        self.members: list[Member] = []
        self.index: dict[str, int] = {}
        self.inputs = [source.name for source in spec.inputs]
        self._subscribers: dict[str, list[int]] = {}
        self._kinds = {kind.id: kind for kind in spec.kinds}
        self._declared = len(spec.agents)
        self._waves = run_waves(spec)
        self._readers = [source.to for source in spec.inputs]
        if standing is None:
            for agent in spec.agents:
                self._add(agent, agent.id, first_tick)
        else:
            for state in standing:
                self._add(state.spec, state.spec.id, first_tick)
                if state.status in {Status.STOPPED, Status.FAILED}:
                    self.members[-1].ended = first_tick
                    self.members[-1].ending = str(state.status)

    def _add(self, spec: AgentSpec, agent_id: str, born: int) -> None:
        index = len(self.members)
        self.members.append(Member(index, agent_id, spec.kind, bool(spec.preamble), born))
        self.index[agent_id] = index
        for topic in dict.fromkeys(spec.subscribe):
            self._subscribers.setdefault(topic, []).append(index)

    def name(self, index: int) -> str:
        """Return an agent's id, or `#INDEX` where the record does not tell."""
        return self.members[index].id if 0 <= index < len(self.members) else f"#{index}"

    def readers(self, source: int) -> list[int]:
        """Return the agents that get the lines of an input, by the input's place in the specification."""
        to = self._readers[source] if 0 <= source < len(self._readers) else ()
        return [self.index[name] for name in to if name in self.index]

    def subscribers(self, topic: str, tick: int) -> list[int]:
        """Return the agents that hear what is published in `tick`."""
        members = self.members
        return [index for index in self._subscribers.get(topic, ()) if _hears(members[index], tick)]

    def arrival(self, receiver: int, sent: int) -> int:
        """Return the tick in which `receiver` finds a message of tick `sent`; a new agent is set up first."""
        return sent + (2 if self.members[receiver].born == sent > 0 else 1)

    def joined(self, sender: int, receiver: int, sent: int) -> bool:
        """Return whether a message of tick `sent` arrives in it, if the receiver has a turn there."""
        to = self.members[receiver]
        just_set_up = receiver >= self._declared and to.born == sent - 1
        return not just_set_up and self._waves.joined(self.members[sender].id, to.id)

    def learn(self, entry: Entry) -> None:
        """Take in who ended and who was spawned in a tick."""
        members = self.members
        for turn in entry.turns:
            if turn.agent < len(members):
                member = members[turn.agent]
                failed = turn.kind is not OutcomeKind.OK
                member.ended = entry.tick if failed else None
                member.ending = str(turn.kind) if failed else ""
        for applied in entry.faults:
            if isinstance(applied.fault, (CrashBefore, CrashAfter)) and applied.agent < len(members):
                members[applied.agent].ended = entry.tick
                members[applied.agent].ending = kind_of(applied.fault)
        for turn in entry.turns:
            for effect in performed(turn, Spawn, Stop):
                if isinstance(effect, Spawn):
                    kind = self._kinds.get(effect.kind)
                    if kind is not None:
                        self._add(kind, effect.id, entry.tick)
                elif isinstance(effect, Stop):
                    self._stop(effect, turn.agent, entry.tick)

    def _stop(self, effect: Stop, caller: int, tick: int) -> None:
        index = caller if effect.id is None else self.index.get(effect.id, -1)
        if 0 <= index < len(self.members):
            self.members[index].ended = tick
            self.members[index].ending = "stopped"


def _hears(member: Member, tick: int) -> bool:
    return member.born <= tick and (member.ended is None or member.ended > tick)


def performed(turn: TurnEntry, *kinds: type) -> list[object]:
    """Return a turn's effects of these kinds that were not refused."""
    if not turn.effects:
        return []
    refused = {refusal.effect for refusal in turn.refusals}
    return [
        effect
        for place, effect in enumerate(turn.effects)
        if isinstance(effect, kinds) and place not in refused
    ]
