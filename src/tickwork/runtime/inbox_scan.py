"""One agent's inboxes, read out of the record without retelling the whole run.

Retelling a tick costs a few microseconds for every turn in it, of which one matters here. So entries are
only searched for the agent's name and topics, and the few effects that match are decoded. The rules are
those of `core.step`, for the case in which nothing was refused and nobody ended; wherever it is not that
simple, `TooInvolved` is raised and the caller retells. A wrong inbox could not go unnoticed: the agent's turn
would not be the recorded one.
"""

import re
from collections.abc import Iterator, Sequence

import msgspec

from tickwork.core.effects import Effect, Infer, Publish, Send, Timer
from tickwork.core.entry import decode_fuel
from tickwork.core.messages import Arrivals, Completion, Message, MessageClass
from tickwork.core.names import INPUT_SENDER_PREFIX, MODEL_SENDER_PREFIX, TOPIC_PIECE, TOPIC_REPLY
from tickwork.core.order import inbox_order
from tickwork.core.outcomes import OutcomeKind
from tickwork.core.spec import AgentSpec
from tickwork.core.world import World
from tickwork.journal.reader import StoredEntry


class TooInvolved(Exception):  # noqa: N818 - sends the caller the longer way
    """The inbox depends on more than messages that were simply delivered."""


class _Turn(msgspec.Struct, frozen=True, array_like=True):
    """`core.entry.TurnEntry` with its effects left encoded."""

    agent: int
    kind: OutcomeKind
    effects: msgspec.Raw
    refusals: msgspec.Raw = msgspec.Raw(b"\x90")
    detail: msgspec.Raw = msgspec.Raw(b"\xa0")


class _Entry(msgspec.Struct, frozen=True, array_like=True):
    tick: int
    arrivals: Arrivals
    turns: tuple[_Turn, ...]
    undelivered: msgspec.Raw
    faults: msgspec.Raw = msgspec.Raw(b"\x90")


_decode_entry = msgspec.msgpack.Decoder(_Entry).decode
_decode_effects = msgspec.msgpack.Decoder(tuple[Effect, ...]).decode
_NOTHING = b"\x90"  # an empty MessagePack array
_NO_EFFECTS: tuple[Effect, ...] = ()


class AgentTick(msgspec.Struct, frozen=True):
    """A recorded turn of the agent: its inbox, and what it came to."""

    tick: int
    inbox: Sequence[Message]
    kind: OutcomeKind
    effects: tuple[Effect, ...]
    fuel: int


class InboxScan:
    """The turns of the agent with index `agent` from `world` on, where it is running.

    Or it is just set up: then nothing can wait for it, as agents ask for nothing in their setup.
    """

    def __init__(self, world: World, agent: int) -> None:
        if world.waves.count > 1 or world.delayed:
            raise TooInvolved  # messages may arrive in the tick in which they are sent, or later
        if any(request.fails or request.garbled for request in world.requests.pending.values()):
            raise TooInvolved  # what the agent gets is not what the record has
        state = world.agents[agent]
        self._world = world
        self._agent = agent
        self._spec: AgentSpec = state.spec
        self._ids = [each.spec.id for each in world.agents]
        self._waiting: list[Message] = list(world.mailboxes.get(agent, ()))
        self._timers = {
            request: (due, timer.tick, timer.effect, timer.topic, timer.body)
            for due, at in world.timers.pending.items()
            for (owner, request), timer in at.items()
            if owner == agent
        }
        self._requests = {
            (request.tick, request.effect): (world.run.models[request.model].name, request.request)
            for request in world.requests.pending.values()
            if request.agent == agent
        }
        names = (state.spec.id, *state.spec.subscribe)
        self._mentions = re.compile(b"|".join(re.escape(name.encode()) for name in names)).search

    def turns(self, entries: Iterator[StoredEntry], end: int) -> Iterator[AgentTick]:
        """Yield the agent's turns before tick `end`."""
        for stored in entries:
            if stored.tick >= end:
                return
            if stored.damage is not None:
                raise TooInvolved
            try:
                entry = _decode_entry(stored.entry)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                raise TooInvolved from None
            inbox = self._inbox(entry)
            place, own = next(
                ((place, turn) for place, turn in enumerate(entry.turns) if turn.agent == self._agent),
                (0, None),
            )
            if (own is None) != (not inbox and not self._spec.every_tick):
                raise TooInvolved
            self._waiting = self._sent_to(entry)
            if own is not None:
                effects = self._own_turn(entry.tick, own)
                yield AgentTick(entry.tick, inbox, own.kind, effects, _fuel(stored, place))

    def _inbox(self, entry: _Entry) -> Sequence[Message]:
        inbox = self._waiting
        extra: list[Message] = []
        for place, item in enumerate(entry.arrivals.inputs):
            source = self._world.run.inputs[item.source]
            if self._spec.id in source.to:
                sender = INPUT_SENDER_PREFIX + source.name
                extra.append(
                    Message(
                        MessageClass.INPUT, entry.tick, item.source, place, sender, source.topic, item.body
                    )
                )
        extra += [self._answer(each) for each in entry.arrivals.completions if each.agent == self._agent]
        for request, (due, tick, effect, topic, body) in list(self._timers.items()):
            if due == entry.tick:
                del self._timers[request]
                extra.append(
                    Message(
                        MessageClass.TIMER, tick, self._agent, effect, self._spec.id, topic, body, request
                    )
                )
        return sorted([*inbox, *extra], key=inbox_order) if extra else inbox

    def _answer(self, completion: Completion) -> Message:
        place = (completion.tick, completion.effect)
        if place not in self._requests:
            raise TooInvolved
        model, request = self._requests[place]
        if completion.last:
            del self._requests[place]
        return Message(
            MessageClass.COMPLETION,
            completion.tick,
            completion.agent,
            completion.effect,
            MODEL_SENDER_PREFIX + model,
            TOPIC_REPLY if completion.last else TOPIC_PIECE,
            completion.body,
            request,
        )

    def _sent_to(self, entry: _Entry) -> list[Message]:
        """Return what the tick's turns send to the agent."""
        if bytes(entry.undelivered) != _NOTHING or bytes(entry.faults) != _NOTHING:
            raise TooInvolved
        found: list[Message] = []
        mentions = self._mentions
        for turn in entry.turns:
            if mentions(turn.effects) is None:
                continue
            if bytes(turn.refusals) != _NOTHING:
                raise TooInvolved
            if turn.agent >= len(self._ids):
                raise TooInvolved  # spawned since
            for place, effect in enumerate(_decode_effects(turn.effects)):
                if (isinstance(effect, Send) and effect.to == self._spec.id) or (
                    isinstance(effect, Publish) and effect.topic in self._spec.subscribe
                ):
                    found.append(
                        Message(
                            MessageClass.MESSAGE,
                            entry.tick,
                            turn.agent,
                            place,
                            self._ids[turn.agent],
                            effect.topic,
                            effect.body,
                            effect.reply_to if isinstance(effect, Send) else None,
                        )
                    )
        return found

    def _own_turn(self, tick: int, own: _Turn) -> tuple[Effect, ...]:
        """Return the agent's own effects, after its timers and requests among them are noted."""
        if own.kind is not OutcomeKind.OK or bytes(own.refusals) != _NOTHING:
            raise TooInvolved
        effects: tuple[Effect, ...] = _decode_effects(own.effects)
        for place, effect in enumerate(effects):
            if isinstance(effect, Infer):
                self._requests[tick, place] = (effect.model, effect.request)
            elif isinstance(effect, Timer):
                self._timers.pop(effect.request, None)
                if effect.after_ticks:
                    self._timers[effect.request] = (
                        tick + effect.after_ticks,
                        tick,
                        place,
                        effect.topic,
                        effect.body,
                    )
        return effects


def _fuel(stored: StoredEntry, place: int) -> int:
    """Return what the entry's turn at `place` used."""
    try:
        return decode_fuel(stored.fuel).used[place]
    except (msgspec.MsgspecError, IndexError):
        raise TooInvolved from None
