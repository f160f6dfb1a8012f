"""Who takes part in a run, and from when to when: learnt from the record as it is read."""

from dataclasses import dataclass

import msgspec

from tickwork.core.effects import Spawn, Stop
from tickwork.core.entry import Entry, TurnEntry
from tickwork.core.faults import CrashAfter, CrashBefore, kind_of
from tickwork.core.outcomes import OutcomeKind
from tickwork.core.spec import AgentSpec, RunSpec
from tickwork.core.supervision import OnFailure, Supervision
from tickwork.core.world import Status, World, run_waves

# How an agent that failed goes on, by its place in a recovery.
RECOVERIES = ("restarted", "rolled back")
_RESTARTED, _ROLLED_BACK = range(len(RECOVERIES))
# Bounds the memory of runs in which agents fail all the time; those after it are not told.
_RECOVERIES_MAX = 100_000


class Member(msgspec.Struct):
    """One agent. `born` is the tick that spawned it, or the run's first; `ended` the one that ended it.

    `ending` says how: an outcome's name, `stopped`, or empty. `recovered` is how often it failed and went on.
    """

    index: int
    id: str
    kind: str
    python: bool
    born: int
    ended: int | None = None
    ending: str = ""
    recovered: int = 0


@dataclass(slots=True)
class _Watched:
    """An agent that goes on after a failure: the ticks of those that count, and whether it was set up."""

    supervised: Supervision
    past: tuple[int, ...] = ()
    running: bool = False


class Cast:
    """The agents of a run by index and id, as far as the record was read."""

    def __init__(self, spec: RunSpec, first_tick: int, world: World | None = None) -> None:
        """Begin with the declared agents, or with those of the world that a fork began with.

        `recoveries` are (tick, agent, how) in the order of ticks, how being a place in `RECOVERIES`.
        """
        self.recoveries: list[tuple[int, int, int]] = []
        self._restarted: set[tuple[int, int]] = set()
        self._watched: dict[int, _Watched] = {}
        self.members: list[Member] = []
        self.index: dict[str, int] = {}
        self.inputs = [source.name for source in spec.inputs]
        self._subscribers: dict[str, list[int]] = {}
        self._kinds = {kind.id: kind for kind in spec.kinds}
        self._declared = len(spec.agents)
        self._waves = run_waves(spec)
        self._readers = [source.to for source in spec.inputs]
        if world is None:
            for agent in spec.agents:
                self._add(agent, agent.id, first_tick)
        else:
            for index, state in enumerate(world.agents):
                self._add(state.spec, state.spec.id, first_tick)
                if index in self._watched:
                    self._watched[index].past = tuple(world.restarts.get(index, ()))
                    self._watched[index].running = state.status is Status.RUNNING
                if state.status in {Status.STOPPED, Status.FAILED}:
                    self.members[-1].ended = first_tick
                    self.members[-1].ending = str(state.status)

    def _add(self, spec: AgentSpec, agent_id: str, born: int) -> None:
        index = len(self.members)
        self.members.append(Member(index, agent_id, spec.kind, bool(spec.preamble), born))
        self.index[agent_id] = index
        if spec.supervised.on_failure is not OnFailure.STOP:
            self._watched[index] = _Watched(spec.supervised)
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
        """Return the tick in which `receiver` finds a message of tick `sent`.

        Who was spawned or restarted in that tick is set up first.
        """
        anew = self.members[receiver].born == sent > 0 or (sent, receiver) in self._restarted
        return sent + (2 if anew else 1)

    def joined(self, sender: int, receiver: int, sent: int) -> bool:
        """Return whether a message of tick `sent` arrives in it, if the receiver has a turn there."""
        if not 0 <= sender < len(self.members):
            return False  # a damaged record may tell of anybody
        to = self.members[receiver]
        spawned = receiver >= self._declared and to.born == sent - 1
        just_set_up = spawned or (sent - 1, receiver) in self._restarted
        return not just_set_up and self._waves.joined(self.members[sender].id, to.id)

    def learn(self, entry: Entry) -> None:
        """Take in who ended and who was spawned in a tick."""
        crashed = {
            applied.agent: kind_of(applied.fault)
            for applied in entry.faults
            if isinstance(applied.fault, (CrashBefore, CrashAfter))
        }
        count = len(self.members)
        for turn in entry.turns:
            if not 0 <= turn.agent < count:
                continue
            if turn.kind is not OutcomeKind.OK:
                self._fail(turn.agent, entry.tick, str(turn.kind))
            elif turn.agent not in crashed:
                self._go_on(turn.agent)
            else:
                self._fail(turn.agent, entry.tick, crashed.pop(turn.agent))
        taken = {turn.agent for turn in entry.turns} if crashed else set()
        for agent, reason in crashed.items():
            if 0 <= agent < count and agent not in taken:
                self._fail(agent, entry.tick, reason)
        for turn in entry.turns:
            for effect in performed(turn, Spawn, Stop):
                if isinstance(effect, Spawn):
                    kind = self._kinds.get(effect.kind)
                    if kind is not None:
                        self._add(kind, effect.id, entry.tick)
                elif isinstance(effect, Stop):
                    self._stop(effect, turn.agent, entry.tick)

    def _go_on(self, agent: int) -> None:
        member = self.members[agent]
        member.ended, member.ending = None, ""
        watched = self._watched.get(agent)
        if watched is not None:
            watched.running = True

    def _fail(self, agent: int, tick: int, reason: str) -> None:
        """Let an agent end, or go on as its supervision says."""
        member, watched = self.members[agent], self._watched.get(agent)
        verdict = OnFailure.STOP if watched is None else watched.supervised.verdict(watched.past, tick)
        if watched is None or verdict is OnFailure.STOP:
            member.ended, member.ending = tick, reason
            return
        watched.past = (*watched.supervised.recent(watched.past, tick), tick)
        how = _ROLLED_BACK if verdict is OnFailure.ROLLBACK and watched.running else _RESTARTED
        watched.running = how == _ROLLED_BACK
        member.recovered += 1
        if len(self.recoveries) < _RECOVERIES_MAX:
            self.recoveries.append((tick, agent, how))
            if how == _RESTARTED:
                self._restarted.add((tick, agent))

    def _stop(self, effect: Stop, caller: int, tick: int) -> None:
        index = caller if effect.id is None else self.index.get(effect.id, -1)
        if 0 <= index < len(self.members):
            self.members[index].ended = tick
            self.members[index].ending = "stopped"
            self._forget(index, tick)

    def _forget(self, agent: int, tick: int) -> None:
        """Take back that an agent went on: who failed in the tick in which it was stopped does not."""
        for place in range(len(self.recoveries) - 1, -1, -1):
            at, who, _ = self.recoveries[place]
            if at != tick:
                return
            if who == agent:
                del self.recoveries[place]
                self._restarted.discard((tick, agent))
                self.members[agent].recovered -= 1
                return


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
