"""Why a turn came about, and what came of it: messages followed backwards and forwards through the record."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from tickwork.core.effects import Spawn
from tickwork.core.errors import InputError
from tickwork.core.messages import MessageClass
from tickwork.core.names import RUNTIME_SENDER
from tickwork.runtime.fold import FoldedTick, begin, fold
from tickwork.runtime.seek import Recording
from tickwork.ui.cast import performed

# Turns in one direction of one trace: what can still be drawn and read.
TURNS_MAX = 300
REACH_MAX = 500

Key = tuple[int, int]  # (tick, agent index) of a turn


class TraceTurn(msgspec.Struct, frozen=True):
    """A turn that is a cause or a consequence; `depth` counts messages, negative for causes."""

    tick: int
    agent: str
    index: int
    outcome: str
    depth: int


class TraceLink(msgspec.Struct, frozen=True):
    """What led from one turn to another: a message, a timer, a notice, a completion or a spawn.

    `source` and `target` are places in `turns`; a source of None is an external input's line.
    """

    source: int | None
    target: int
    kind: str
    topic: str
    effect: int
    sender: str


class Trace(msgspec.Struct, frozen=True):
    """A turn, the first of `turns`, with its causes and consequences within so many ticks.

    With `cut` there are more than 300 in a direction, or the ticks were not enough.
    """

    turns: list[TraceTurn]
    links: list[TraceLink]
    first: int
    last: int
    cut: bool


@dataclass(slots=True)
class _Found:
    """Turns and links in the order in which they were found."""

    turns: list[TraceTurn] = field(default_factory=list)
    places: dict[Key, int] = field(default_factory=dict)
    links: list[TraceLink] = field(default_factory=list)
    cut: bool = False


@dataclass(frozen=True, slots=True)
class _Cause:
    """One message of an inbox; `origin` is the turn that it came from."""

    origin: Key | None
    kind: str
    topic: str
    effect: int
    sender: str


def trace(recording: Recording, tick: int, agent: str, reach: int) -> Trace:
    """Return what led to an agent's turn in `tick`, and what it led to, within `reach` ticks each way.

    Raises `InputError` if the agent has no turn in that tick.
    """
    first = max(recording.first_tick, tick - reach)
    last = min(recording.end_tick - 1, tick + reach)
    inboxes: dict[Key, list[_Cause]] = {}
    outcomes: dict[Key, str] = {}
    names: list[str] = []
    wanted: set[Key] = set()
    start: Key | None = None
    world, _ = begin(recording.reader, first)
    for folded in fold(recording.reader, world):
        now = folded.planned.tick
        if now > last:
            break
        if now < first:
            continue
        if now <= tick or wanted:
            _note(folded, inboxes, outcomes, wanted if now > tick else None)
        if now == tick:
            index = folded.before.directory.index.get(agent, -1)
            start = (tick, index)
            if start not in inboxes:
                raise InputError(f"agent {agent!r} has no turn in tick {tick}")
            wanted = _led_to_at_once(start, inboxes)
        names = [state.spec.id for state in folded.settled.world.agents]
    if start is None:
        raise InputError(f"the file has no tick {tick}")
    found = _Found()
    _add(found, start, 0, outcomes, names)
    _backwards(found, start, inboxes, outcomes, names)
    _forwards(found, start, inboxes, outcomes, names)
    return Trace(found.turns, found.links, first, last, found.cut)


def _led_to_at_once(start: Key, inboxes: dict[Key, list[_Cause]]) -> set[Key]:
    """Return a turn and those of the same tick that it led to, in later waves."""
    wanted = {start}
    for key, causes in inboxes.items():
        if key[0] == start[0] and any(cause.origin in wanted for cause in causes):
            wanted.add(key)
    return wanted


def _note(
    folded: FoldedTick,
    inboxes: dict[Key, list[_Cause]],
    outcomes: dict[Key, str],
    wanted: set[Key] | None,
) -> None:
    """Take in a tick's inboxes; with `wanted` only those that something of it led to, which then are too."""
    tick = folded.planned.tick
    for planned, turn in zip(folded.planned.turns, folded.settled.entry.turns, strict=True):
        causes = [
            _Cause(
                None if message.kind == MessageClass.INPUT else (message.tick, message.agent),
                "notice" if message.sender == RUNTIME_SENDER else MessageClass(message.kind).name.lower(),
                message.topic,
                message.effect,
                message.sender,
            )
            for message in planned.inbox
            # What is wanted makes a small set; most messages of a crowded tick are none of its business.
            if wanted is None or (message.tick, message.agent) in wanted
        ]
        key = (tick, turn.agent)
        if wanted is None or causes or key in inboxes:
            inboxes.setdefault(key, []).extend(causes)
            outcomes[key] = str(turn.kind)
            if wanted is not None:
                wanted.add(key)
        if wanted is None or key in wanted:
            for effect in performed(turn, Spawn):
                assert isinstance(effect, Spawn)
                child = folded.settled.world.directory.index.get(effect.id)
                if child is not None:
                    spawn = _Cause(key, "spawn", effect.kind, 0, planned_name(folded, turn.agent))
                    inboxes.setdefault((tick + 1, child), []).append(spawn)


def planned_name(folded: FoldedTick, agent: int) -> str:
    """Return the id of an agent that has a turn."""
    return folded.before.agents[agent].spec.id


def _add(found: _Found, key: Key, depth: int, outcomes: dict[Key, str], names: list[str]) -> int:
    tick, agent = key
    found.places[key] = len(found.turns)
    found.turns.append(TraceTurn(tick, names[agent], agent, outcomes.get(key, "ok"), depth))
    return found.places[key]


def _backwards(
    found: _Found, start: Key, inboxes: dict[Key, list[_Cause]], outcomes: dict[Key, str], names: list[str]
) -> None:
    reached, level, depth = 1, [start], 0
    while level:
        depth -= 1
        following: list[Key] = []
        for key in level:
            for cause in inboxes.get(key, ()):
                origin = cause.origin
                if origin is not None and origin not in outcomes:
                    found.cut = True
                    continue
                if origin is not None and origin not in found.places:
                    if reached == TURNS_MAX:
                        found.cut = True
                        continue
                    reached += 1
                    _add(found, origin, depth, outcomes, names)
                    following.append(origin)
                source = None if origin is None else found.places[origin]
                found.links.append(_link(source, found.places[key], cause))
        level = following


def _forwards(
    found: _Found, start: Key, inboxes: dict[Key, list[_Cause]], outcomes: dict[Key, str], names: list[str]
) -> None:
    # In the order of the record: later waves of a tick after earlier ones.
    later = [key for key in outcomes if key[0] >= start[0] and key != start]
    depths: dict[Key, int] = {start: 0}
    for key in later:
        causes = [cause for cause in inboxes[key] if cause.origin in depths]
        if not causes:
            continue
        if len(depths) > TURNS_MAX:
            found.cut = True
            return
        depths[key] = 1 + min(depths[cause.origin] for cause in causes if cause.origin is not None)
        place = _add(found, key, depths[key], outcomes, names)
        found.links += _links(found, place, causes)


def _links(found: _Found, place: int, causes: Iterable[_Cause]) -> list[TraceLink]:
    return [_link(found.places[cause.origin], place, cause) for cause in causes if cause.origin is not None]


def _link(source: int | None, target: int, cause: _Cause) -> TraceLink:
    return TraceLink(source, target, cause.kind, cause.topic, cause.effect, cause.sender)
