"""What kind of thing happened in a run: features by which runs are told apart, without message bodies.

A feature is a number made from names alone, equal in every process: who got what after what, how turns ended,
what was refused, put out or logged, which faults hit, and how agents stood at the end. Runs that have none
that is new to a campaign teach it nothing.
"""

from collections.abc import Sequence

from blake3 import blake3

from tickwork.core.effects import Effect, Log, Output, Publish, Send
from tickwork.core.entry import Entry
from tickwork.core.faults import kind_of
from tickwork.core.outcomes import OutcomeKind
from tickwork.core.world import AgentState, World

_FEATURE_BYTES = 8
_LOG_CHARS = 32
_MEMO_MAX = 200_000
_DIGITS = str.maketrans("0123456789", "##########")
# The ids of those who subscribe, by topic.
Subscribers = dict[str, tuple[str, ...]]
_memo: dict[tuple[object, ...], int] = {}


def feature(parts: tuple[object, ...]) -> int:
    """Return the number of a feature; parts are texts and small numbers."""
    if len(_memo) >= _MEMO_MAX:
        _memo.clear()
    data = repr(parts).encode("utf-8", "backslashreplace")
    found = _memo[parts] = int.from_bytes(blake3(data).digest(length=_FEATURE_BYTES), "little")
    return found


class Behaviour:
    """The features of one run, taken in tick by tick."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[str, str]] = {}
        self._seen: set[tuple[object, ...]] = set()

    def add(
        self, entry: Entry, agents: Sequence[AgentState], subscribers: dict[str, tuple[str, ...]]
    ) -> None:
        """Take one tick in, with the agents after it and the ids of those who subscribe to each topic."""
        note = self._seen.add
        last = self._last
        for turn in entry.turns:
            sender = agents[turn.agent].spec.id
            if turn.kind is not OutcomeKind.OK:
                note(("outcome", sender, str(turn.kind)))
            for refusal in turn.refusals:
                note(("refused", sender, refusal.verdict, type(turn.effects[refusal.effect]).__name__))
            for effect in turn.effects:
                if type(effect) is Send:
                    came = sender, effect.topic
                    note((effect.to, last.get(effect.to), came))
                    last[effect.to] = came
                else:
                    self._add_other(sender, effect, subscribers)
        for item in entry.undelivered:
            note(("undelivered", item.to))
        for applied in entry.faults:
            note(("fault", kind_of(applied.fault), applied.agent, applied.to))

    def _add_other(self, sender: str, effect: Effect, subscribers: Subscribers) -> None:
        if isinstance(effect, Publish):
            came = sender, effect.topic
            for to in subscribers.get(effect.topic, ()):
                self._seen.add((to, self._last.get(to), came))
                self._last[to] = came
        elif isinstance(effect, Output):
            self._seen.add(("output", sender, effect.name))
        elif isinstance(effect, Log):
            self._seen.add(("log", sender, effect.text[:_LOG_CHARS].translate(_DIGITS)))

    def done(self, world: World, ended: str) -> tuple[int, ...]:
        """Return the run's features in order; `ended` says how it ended."""
        for agent in world.agents:
            self._seen.add(("status", agent.spec.id, str(agent.status)))
        self._seen.add(("ended", ended, world.tick.bit_length()))
        known = _memo.get
        return tuple(sorted([known(parts) or feature(parts) for parts in self._seen]))


def signature(features: Sequence[int]) -> int:
    """Return the number of a behaviour: of all its features together."""
    data = b"".join(number.to_bytes(_FEATURE_BYTES, "little") for number in features)
    return int.from_bytes(blake3(data).digest(length=_FEATURE_BYTES), "little")


def subscriber_ids(world: World) -> Subscribers:
    """Return the ids of those who subscribe, by topic."""
    agents = world.agents
    return {
        topic: tuple(agents[agent].spec.id for agent in found)
        for topic, found in world.directory.subscribers.items()
    }
