"""What happened in a run that a fault could have hit."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, TypeVar

from tickwork.core.effects import Publish, Send, Timer
from tickwork.core.entry import Entry
from tickwork.core.spec import AgentSpec, RunSpec
from tickwork.core.supervision import OnFailure
from tickwork.exploration.behaviour import Subscribers

Event = TypeVar("Event")
# Of a long run's events only so many of each sort are kept, spread over all of it.
_KEPT_MAX = 20_000


class Sent(NamedTuple):
    """The message at place `nth` of those that `sender` sent `to` one agent in `tick`."""

    tick: int
    sender: str
    to: str
    nth: int
    topic: str


class Took(NamedTuple):
    """A turn that an agent took, with how many effects and how many agents' messages."""

    tick: int
    agent: str
    effects: int
    messages: int


class Due(NamedTuple):
    """A timer that an agent set, and when it was due."""

    tick: int
    agent: str
    request: int


@dataclass(frozen=True)
class Events:
    """All of a run's events; `supervised` are the ids of agents that are to survive a failure."""

    ticks: int
    agents: tuple[str, ...]
    supervised: tuple[str, ...]
    sent: tuple[Sent, ...]
    turns: tuple[Took, ...]
    timers: tuple[Due, ...]

    @cached_property
    def later_sent(self) -> tuple[Sent, ...]:
        """What was sent after tick 0."""
        return tuple(sent for sent in self.sent if sent.tick)

    @cached_property
    def later_turns(self) -> tuple[Took, ...]:
        """Turns after tick 0, which is setup."""
        return tuple(turn for turn in self.turns if turn.tick)

    @cached_property
    def supervised_turns(self) -> tuple[Took, ...]:
        """Those of agents that are to survive a failure."""
        return tuple(turn for turn in self.later_turns if turn.agent in self.supervised)

    @cached_property
    def crowded(self) -> tuple[Took, ...]:
        """Turns that found more than one message."""
        return tuple(turn for turn in self.later_turns if turn.messages > 1)


def events_of(spec: RunSpec, entries: Iterable[Entry], subscribers: Subscribers) -> Events:
    """Return the events of a run with these entries. Agents beyond those declared count by their kind."""
    sent: list[Sent] = []
    turns: list[Took] = []
    timers: list[Due] = []
    names = [agent.id for agent in spec.agents]
    inboxes: dict[tuple[int, str], int] = {}
    ticks = 0
    for entry in entries:
        ticks = entry.tick + 1
        for turn in entry.turns:
            if turn.agent >= len(names):
                continue  # spawned: its id is not in the entry's turn
            name = names[turn.agent]
            turns.append(Took(entry.tick, name, len(turn.effects), inboxes.pop((entry.tick, name), 0)))
            counts: dict[str, int] = {}
            refused = {refusal.effect for refusal in turn.refusals}
            for place, effect in enumerate(turn.effects):
                if place in refused:
                    continue
                if isinstance(effect, Timer):
                    if effect.after_ticks:
                        timers.append(Due(entry.tick + effect.after_ticks, name, effect.request))
                    continue
                if isinstance(effect, Send):
                    receivers: tuple[str, ...] = (effect.to,)
                elif isinstance(effect, Publish):
                    receivers = subscribers.get(effect.topic, ())
                else:
                    continue
                for to in receivers:
                    sent.append(Sent(entry.tick, name, to, counts.get(to, 0), effect.topic))
                    counts[to] = counts.get(to, 0) + 1
                    at = entry.tick + 1, to
                    inboxes[at] = inboxes.get(at, 0) + 1
    return Events(
        ticks, tuple(names), tuple(filter(None, map(_survivor, spec.agents))),
        _thinned(sent), _thinned(turns), _thinned(timers),
    )  # fmt: skip


def _survivor(agent: AgentSpec) -> str | None:
    return None if agent.supervised.on_failure is OnFailure.STOP else agent.id


def _thinned(events: list[Event]) -> tuple[Event, ...]:
    return tuple(events[:: len(events) // _KEPT_MAX + 1])
