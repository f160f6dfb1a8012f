"""What a run file tells about its run, as rows for tables and programs.

Nothing is run again: `fold` tells every inbox and every agent's standing, although the file holds neither.
"""

import base64
import difflib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import msgspec

from tickwork.core.effects import Effect, Level, Log, Metric, Publish, Send
from tickwork.core.errors import InputError
from tickwork.core.faults import kind_of
from tickwork.core.messages import MessageClass
from tickwork.core.names import INPUT_SENDER_PREFIX, RUNTIME_SENDER
from tickwork.core.refusals import target
from tickwork.journal.reader import RunReader
from tickwork.runtime.fold import FoldedTick, begin, fold

Row = dict[str, object]
# How many names an error offers.
_NEAR_MAX = 3
_LISTED_MAX = 10


@dataclass(frozen=True, slots=True)
class Filter:
    """Which rows are wanted: of one agent, of the ticks from `first` to `last`, both included."""

    agent: str | None = None
    first: int = 0
    last: int | None = None

    def has_tick(self, tick: int) -> bool:
        """Return whether rows of `tick` are wanted."""
        return self.first <= tick and (self.last is None or tick <= self.last)

    def has_agent(self, *agents: str) -> bool:
        """Return whether rows that concern `agents` are wanted."""
        return self.agent is None or self.agent in agents


def require_known(reader: RunReader, agent: str) -> None:
    """Raise `InputError`, with names that come near, unless some sender or receiver has this id."""
    world, _ = begin(reader, reader.header.start_tick)
    senders = [RUNTIME_SENDER, *(f"{INPUT_SENDER_PREFIX}{item.name}" for item in reader.spec.inputs)]
    if agent in world.directory.index or agent in senders:
        return
    for tick in fold(reader):
        world = tick.settled.world
        if agent in world.directory.index:
            return
    ids = list(world.directory.index)
    near = difflib.get_close_matches(agent, [*ids, *senders], n=_NEAR_MAX)
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are: {_listed(ids)}"
    raise InputError(f"there is no agent {agent!r}; {hint}")


def _listed(names: list[str]) -> str:
    return ", ".join([*names[:_LISTED_MAX], *(["..."] if len(names) > _LISTED_MAX else [])])


def readable(body: bytes) -> object:
    """Return a body as JSON if it is that, else as text if it is UTF-8, else as `{"base64": ...}`."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    try:
        return body.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(body).decode()}


def tick_rows(reader: RunReader, wanted: Filter) -> Iterator[Row]:
    """Yield a row for each tick."""
    for tick in fold(reader):
        entry = tick.settled.entry
        if wanted.has_tick(entry.tick):
            yield {
                "tick": entry.tick,
                "turns": len(entry.turns),
                "inputs": len(entry.arrivals.inputs),
                "messages": sum(len(turn.inbox) for turn in tick.planned.turns),
                "effects": sum(len(turn.effects) for turn in entry.turns),
                "refused": sum(len(turn.refusals) for turn in entry.turns),
                "undelivered": len(entry.undelivered),
                "faults": len(entry.faults),
                "failed": sum(turn.kind != "ok" for turn in entry.turns),
                "fuel": sum(tick.settled.fuel),
                "digest": tick.stored.digests.digest.hex(),
                "exact": tick.stored.digests.exact.hex(),
            }


def message_rows(reader: RunReader, wanted: Filter) -> Iterator[Row]:
    """Yield a row for each message in the inbox in which it was found."""
    for tick in fold(reader):
        if not wanted.has_tick(tick.planned.tick):
            continue
        for turn in tick.planned.turns:
            to = tick.before.agents[turn.agent].spec.id
            for message in turn.inbox:
                if wanted.has_agent(to, message.sender):
                    yield {
                        "tick": tick.planned.tick,
                        "to": to,
                        "sender": message.sender,
                        "topic": message.topic,
                        "class": MessageClass(message.kind).name.lower(),
                        "sent": message.tick,
                        "reply_to": message.reply_to,
                        "bytes": len(message.body),
                        "body": readable(message.body),
                    }


def _effect_fields(effect: Effect) -> Row:
    fields = msgspec.structs.asdict(effect)
    return {name: readable(value) if isinstance(value, bytes) else value for name, value in fields.items()}


def effect_rows(reader: RunReader, wanted: Filter) -> Iterator[Row]:
    """Yield a row for each effect, with what became of it."""
    for tick in fold(reader):
        if not wanted.has_tick(tick.planned.tick):
            continue
        for turn in tick.settled.entry.turns:
            agent = tick.before.agents[turn.agent].spec.id
            if not wanted.has_agent(agent):
                continue
            refused = {refusal.effect: refusal for refusal in turn.refusals}
            for place, effect in enumerate(turn.effects):
                refusal = refused.get(place)
                yield {
                    "tick": tick.planned.tick,
                    "agent": agent,
                    "effect": place,
                    "kind": type(effect).__name__.lower(),
                    "target": target(effect),
                    "verdict": "performed" if refusal is None else refusal.verdict,
                    "reason": "" if refusal is None else refusal.reason,
                    "fields": _effect_fields(effect),
                }


def log_rows(reader: RunReader, wanted: Filter) -> Iterator[Row]:
    """Yield a row for each log line and metric, and for each failed turn its reason."""
    for tick in fold(reader):
        if not wanted.has_tick(tick.planned.tick):
            continue
        for turn in tick.settled.entry.turns:
            agent = tick.before.agents[turn.agent].spec.id
            if not wanted.has_agent(agent):
                continue
            place: Row = {"tick": tick.planned.tick, "agent": agent}
            for effect in turn.effects:
                if isinstance(effect, Log):
                    yield {**place, "level": Level(effect.level).name.lower(), "text": effect.text}
                elif isinstance(effect, Metric):
                    yield {**place, "level": "metric", "text": f"{effect.name} = {effect.value!r}"}
            if turn.kind != "ok":
                yield {**place, "level": "failed", "text": f"{turn.kind}: {turn.detail}".rstrip(": ")}


def fault_rows(reader: RunReader, wanted: Filter) -> Iterator[Row]:
    """Yield a row for each fault that hit something: what it was, and what it hit."""
    for tick in fold(reader):
        if not wanted.has_tick(tick.planned.tick):
            continue
        agents = tick.settled.world.agents
        for applied in tick.settled.entry.faults:
            agent = agents[applied.agent].spec.id
            to = agents[applied.to].spec.id if applied.to >= 0 else None
            if wanted.has_agent(agent, to or agent):
                yield {
                    "tick": tick.planned.tick,
                    "kind": kind_of(applied.fault),
                    "agent": agent,
                    "effect": applied.effect if applied.effect >= 0 else None,
                    "to": to,
                    "fields": msgspec.structs.asdict(applied.fault),
                }


def undelivered_rows(reader: RunReader, wanted: Filter) -> Iterator[Row]:
    """Yield a row for each message that did not reach its receiver, with why: dead letters are among them."""
    for tick in fold(reader):
        if not wanted.has_tick(tick.planned.tick):
            continue
        for row in lost_rows(tick):
            to, sender, body = row["to"], row["sender"], row["body"]
            if wanted.has_agent(str(to), *([] if sender is None else [str(sender)])):
                yield {**row, "body": readable(body) if isinstance(body, bytes) else None}


def lost_rows(tick: FoldedTick) -> Iterator[Row]:
    """Yield a tick's messages that did not reach their receiver, bodies as bytes.

    Of what the record does not tell any more, sender, topic and body are None.
    """
    known = _letters(tick) if tick.settled.entry.undelivered else {}
    for lost in tick.settled.entry.undelivered:
        topic, body, sender = known.get((lost.kind, lost.tick, lost.agent, lost.effect), (None, None, None))
        yield {
            "tick": tick.planned.tick,
            "to": lost.to,
            "sender": sender,
            "topic": topic,
            "class": MessageClass(lost.kind).name.lower(),
            "sent": lost.tick,
            "effect": lost.effect,
            "reason": lost.reason,
            "body": body,
        }


def _letters(tick: FoldedTick) -> dict[tuple[int, int, int, int], tuple[str, bytes, str]]:
    """Return topic, body and sender of everything that was on its way in a tick, by what orders it."""
    found: dict[tuple[int, int, int, int], tuple[str, bytes, str]] = {}
    boxes = [*tick.before.mailboxes.values(), *(turn.inbox for turn in tick.planned.turns)]
    if tick.planned.broken is not None:
        boxes += [*tick.planned.broken.crashed.values(), *tick.planned.broken.held.values()]
    boxes += [[delayed.message for delayed in late] for late in tick.before.delayed.values()]
    for box in boxes:
        for message in box:
            key = (message.kind, message.tick, message.agent, message.effect)
            if message.sender != RUNTIME_SENDER or key not in found:
                found[key] = (message.topic, message.body, message.sender)
    now = tick.planned.tick
    for place, item in enumerate(tick.settled.entry.arrivals.inputs):
        source = tick.before.run.inputs[item.source]
        sender = INPUT_SENDER_PREFIX + source.name
        found[MessageClass.INPUT, now, item.source, place] = (source.topic, item.body, sender)
    for turn in tick.settled.entry.turns:
        for place, effect in enumerate(turn.effects):
            if isinstance(effect, (Send, Publish)):
                sender = tick.settled.world.agents[turn.agent].spec.id
                found[MessageClass.MESSAGE, now, turn.agent, place] = (effect.topic, effect.body, sender)
    return found


def agent_rows(reader: RunReader, wanted: Filter) -> Iterator[Row]:
    """Yield a row for each agent, as it stands at the end of the wanted ticks; counts are of those ticks."""
    world, _ = begin(reader, reader.header.start_tick)
    turns: dict[int, int] = {}
    received: dict[int, int] = {}
    effects: dict[int, int] = {}
    fuel: dict[int, int] = {}
    for tick in fold(reader):
        if wanted.last is not None and tick.planned.tick > wanted.last:
            break
        world = tick.settled.world
        if not wanted.has_tick(tick.planned.tick):
            continue
        for planned, turn, used in zip(
            tick.planned.turns, tick.settled.entry.turns, tick.settled.fuel, strict=True
        ):
            agent = turn.agent
            turns[agent] = turns.get(agent, 0) + 1
            received[agent] = received.get(agent, 0) + len(planned.inbox)
            effects[agent] = effects.get(agent, 0) + len(turn.effects)
            fuel[agent] = fuel.get(agent, 0) + used
    for index, state in enumerate(world.agents):
        if wanted.has_agent(state.spec.id):
            yield {
                "index": index,
                "id": state.spec.id,
                "kind": state.spec.kind,
                "status": str(state.status),
                "reason": state.reason,
                "turns": turns.get(index, 0),
                "received": received.get(index, 0),
                "effects": effects.get(index, 0),
                "fuel": fuel.get(index, 0),
                "waiting": len(world.mailboxes.get(index, ())),
                "grants": [str(grant) for grant in state.spec.grants],
            }


VIEWS: dict[str, Callable[[RunReader, Filter], Iterator[Row]]] = {
    "agents": agent_rows,
    "ticks": tick_rows,
    "messages": message_rows,
    "effects": effect_rows,
    "logs": log_rows,
    "undelivered": undelivered_rows,
    "faults": fault_rows,
}
