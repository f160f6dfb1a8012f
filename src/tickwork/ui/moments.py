"""One tick and one turn in full: who did what, with what inbox, and what came of it."""

from collections.abc import Sequence
from typing import Any

import msgspec

from tickwork.core.effects import Effect, Level, Log, Publish, Send, Spawn
from tickwork.core.entry import TurnEntry, Undelivered
from tickwork.core.errors import InputError
from tickwork.core.faults import kind_of
from tickwork.core.messages import Message, MessageClass
from tickwork.core.refusals import target
from tickwork.core.step import Settled
from tickwork.core.world import AgentState, World
from tickwork.runtime.fold import FoldedTick, fold
from tickwork.runtime.seek import Moment, Recording
from tickwork.ui.bodies import Body, body_of
from tickwork.ui.cast import RECOVERIES
from tickwork.ui.deliveries import Delivery, deliveries

PERFORMED = "performed"


class Origin(msgspec.Struct, frozen=True):
    """Which effect a message came from: the agent's `effect` in its turn of `tick`."""

    tick: int
    agent: str
    effect: int


class MessageRow(msgspec.Struct, frozen=True):
    """A message in an inbox or a mailbox, by its place there. An input's and the runtime's have no origin."""

    place: int
    sender: str
    topic: str
    kind: str
    sent: int
    reply_to: int | None
    body: Body
    origin: Origin | None = None


class EffectRow(msgspec.Struct, frozen=True):
    """An effect by its place in the turn. `fields` are what it has besides `target` and `body`."""

    place: int
    kind: str
    target: str
    verdict: str
    reason: str
    fields: dict[str, Any]
    body: Body | None = None
    deliveries: tuple[Delivery, ...] = ()


class TurnRow(msgspec.Struct, frozen=True):
    """One turn of a tick, in short; `recovery` as in `TurnView`."""

    agent: str
    index: int
    setup: bool
    outcome: str
    detail: str
    fuel: int
    inbox: int
    effects: int
    refused: int
    recovery: str | None = None


class LateRow(msgspec.Struct, frozen=True):
    """A message that reached nobody, or was in the inbox of a turn that failed: a dead letter."""

    kind: str
    sent: int
    to: str
    reason: str
    origin: Origin | None = None


class FaultRow(msgspec.Struct, frozen=True):
    """A fault that hit `agent`: its message or request by `effect`, or its turn where that is None.

    `to` is the agent that the message was for. `fields` are the fault's own.
    """

    kind: str
    agent: str
    effect: int | None
    to: str | None
    fields: dict[str, Any]


class TickView(msgspec.Struct, frozen=True):
    """One tick: its turns from `offset` on, the faults that hit somebody in it, and its digests."""

    tick: int
    first_tick: int
    end_tick: int
    now_ns: int
    digest: str
    exact: str
    total: int
    offset: int
    turns: list[TurnRow]
    inputs: list[tuple[str, Body]]
    undelivered: list[LateRow]
    faults: list[FaultRow]


class GrantRow(msgspec.Struct, frozen=True):
    """A grant with its limits, and how often it was used so far where that is counted."""

    grant: str
    per_tick: int | None
    per_run: int | None
    spent: int | None


class TimerRow(msgspec.Struct, frozen=True):
    """A timer that is set before the tick."""

    due: int
    topic: str
    request: int
    set: int
    body: Body


class SupervisionRow(msgspec.Struct, frozen=True):
    """What is done when an agent fails. `past` are the ticks of recent failures after which it went on."""

    on_failure: str
    max_restarts: int
    restart_window_ticks: int
    on_exhausted: str
    past: tuple[int, ...]


class TurnView(msgspec.Struct, frozen=True):
    """One agent in one tick. Without a turn in it `outcome` is None, and inbox and effects are empty.

    `mailbox` is what waits after the tick, `status` the agent's before it and `status_after` after it.
    `recovery` is how it went on after it failed in this tick: `restarted`, `rolled back` or None.
    `undelivered` is what was for it and did not reach it.
    """

    tick: int
    first_tick: int
    end_tick: int
    agent: str
    index: int
    kind: str
    python: bool
    status: str
    status_after: str
    reason: str
    setup: bool
    outcome: str | None
    detail: str
    fuel: int
    fuel_limit: int
    inbox: list[MessageRow]
    effects: list[EffectRow]
    mailbox: list[MessageRow]
    timers: list[TimerRow]
    grants: list[GrantRow]
    limits: dict[str, int]
    subscribe: tuple[str, ...]
    config: Body
    faults: list[FaultRow]
    supervision: SupervisionRow
    recovery: str | None
    undelivered: list[LateRow]


def folded_at(recording: Recording, tick: int) -> tuple[Moment, FoldedTick]:
    """Return the world before a recorded tick, and the tick retold; `InputError` if it is not in the file."""
    moment = recording.at(tick)
    found = next(fold(recording.reader, moment.world), None)
    if found is None:
        raise InputError(f"the file has no tick {tick}; its last is {recording.end_tick - 1}")
    return moment, found


def tick_view(recording: Recording, tick: int, offset: int, limit: int) -> TickView:
    """Return a tick with at most `limit` of its turns from `offset` on."""
    _, folded = folded_at(recording, tick)
    entry, names = folded.settled.entry, folded.before.agents
    turns = [
        TurnRow(
            agent=names[turn.agent].spec.id,
            index=turn.agent,
            setup=planned.setup,
            outcome=str(turn.kind),
            detail=turn.detail,
            fuel=used,
            inbox=len(planned.inbox),
            effects=len(turn.effects),
            refused=len(turn.refusals),
            recovery=_recovery(folded.settled, turn.agent),
        )
        for planned, turn, used in _slices(folded, offset, limit)
    ]
    sources = recording.spec.inputs
    return TickView(
        tick=tick,
        first_tick=recording.first_tick,
        end_tick=recording.end_tick,
        now_ns=folded.before.now_ns,
        digest=folded.stored.digests.digest.hex(),
        exact=folded.stored.digests.exact.hex(),
        total=len(entry.turns),
        offset=offset,
        turns=turns,
        inputs=[(sources[item.source].name, body_of(item.body)) for item in entry.arrivals.inputs],
        undelivered=[_late(folded.settled.world, late) for late in entry.undelivered],
        faults=fault_rows(folded.settled),
    )


def _slices(folded: FoldedTick, offset: int, limit: int) -> Sequence[tuple[Any, TurnEntry, int]]:
    part = slice(offset, offset + limit)
    entry = folded.settled.entry
    return list(zip(folded.planned.turns[part], entry.turns[part], folded.settled.fuel[part], strict=True))


def _late(world: World, late: Undelivered) -> LateRow:
    origin = None
    if late.kind != MessageClass.INPUT and 0 <= late.agent < len(world.agents):
        origin = Origin(late.tick, world.agents[late.agent].spec.id, late.effect)
    return LateRow(MessageClass(late.kind).name.lower(), late.tick, late.to, late.reason, origin)


def _recovery(settled: Settled, agent: int) -> str | None:
    if agent in settled.restarted:
        return RECOVERIES[0]
    return RECOVERIES[1] if agent in settled.rolled_back else None


def _supervision(world: World, index: int) -> SupervisionRow:
    supervised = world.agents[index].spec.supervised
    return SupervisionRow(
        on_failure=str(supervised.on_failure),
        max_restarts=supervised.max_restarts,
        restart_window_ticks=supervised.restart_window_ticks,
        on_exhausted=str(supervised.on_exhausted),
        past=supervised.recent(world.restarts.get(index, ()), world.tick),
    )


def fault_rows(settled: Settled) -> list[FaultRow]:
    """Return the faults of a tick that hit somebody."""
    agents = settled.world.agents
    return [
        FaultRow(
            kind=kind_of(applied.fault),
            agent=agents[applied.agent].spec.id,
            effect=None if applied.effect < 0 else applied.effect,
            to=None if applied.to < 0 else agents[applied.to].spec.id,
            fields=msgspec.structs.asdict(applied.fault),
        )
        for applied in settled.entry.faults
    ]


def turn_view(recording: Recording, tick: int, agent: str) -> TurnView:
    """Return one agent in one tick; `InputError` if there is no such agent by then."""
    moment, folded = folded_at(recording, tick)
    before = folded.before
    index = before.directory.index.get(agent)
    if index is None:
        raise InputError(f"there is no agent {agent!r} in tick {tick}")
    place = next((place for place, turn in enumerate(folded.planned.turns) if turn.agent == index), None)
    state, after = before.agents[index], folded.settled.world.agents[index]
    planned = None if place is None else folded.planned.turns[place]
    turn = None if place is None else folded.settled.entry.turns[place]
    setup = planned is not None and planned.setup
    limits = state.spec.limits
    return TurnView(
        tick=tick,
        first_tick=recording.first_tick,
        end_tick=recording.end_tick,
        agent=agent,
        index=index,
        kind=state.spec.kind,
        python=bool(state.spec.preamble),
        status=str(state.status),
        status_after=str(after.status),
        reason=after.reason,
        setup=setup,
        outcome=None if turn is None else str(turn.kind),
        detail="" if turn is None else turn.detail,
        fuel=0 if place is None else folded.settled.fuel[place],
        fuel_limit=limits.fuel_setup if setup else limits.fuel_per_turn,
        inbox=[] if planned is None else message_rows(before, planned.inbox),
        effects=[] if turn is None else effect_rows(folded, turn),
        mailbox=message_rows(folded.settled.world, folded.settled.world.mailboxes.get(index, ())),
        timers=[
            TimerRow(due, timer.topic, timer.request, timer.tick, body_of(timer.body))
            for due, timer in moment.agent(agent).timers
        ],
        grants=grant_rows(before, index, state),
        limits=msgspec.structs.asdict(limits),
        subscribe=state.spec.subscribe,
        config=body_of(state.spec.config),
        faults=[row for row in fault_rows(folded.settled) if agent in {row.agent, row.to}],
        supervision=_supervision(before, index),
        recovery=_recovery(folded.settled, index),
        undelivered=[
            _late(folded.settled.world, late) for late in folded.settled.entry.undelivered if late.to == agent
        ],
    )


def grant_rows(world: World, index: int, state: AgentState) -> list[GrantRow]:
    """Return an agent's grants as they stand before the world's tick."""
    return [
        GrantRow(
            str(grant),
            grant.per_tick,
            grant.per_run,
            None if grant.per_run is None else world.spent.get((index, place), 0),
        )
        for place, grant in enumerate(state.spec.grants)
    ]


def message_rows(world: World, messages: Sequence[Message]) -> list[MessageRow]:
    """Return messages in their order."""
    return [
        MessageRow(
            place=place,
            sender=message.sender,
            topic=message.topic,
            kind=MessageClass(message.kind).name.lower(),
            sent=message.tick,
            reply_to=message.reply_to,
            body=body_of(message.body),
            origin=_origin(world, message),
        )
        for place, message in enumerate(messages)
    ]


def _origin(world: World, message: Message) -> Origin | None:
    if message.kind == MessageClass.INPUT or not 0 <= message.agent < len(world.agents):
        return None
    return Origin(message.tick, world.agents[message.agent].spec.id, message.effect)


def effect_rows(folded: FoldedTick, turn: TurnEntry) -> list[EffectRow]:
    """Return a turn's effects, what became of each, and where it is found again."""
    refused = {refusal.effect: refusal for refusal in turn.refusals}
    found = deliveries(folded, turn.agent)
    rows = []
    for place, effect in enumerate(turn.effects):
        refusal = refused.get(place)
        places = tuple(found.get(place, ()))
        if refusal is None and isinstance(effect, Spawn):
            places = (Delivery(effect.id, folded.planned.tick + 1),)
        rows.append(
            EffectRow(
                place=place,
                kind=type(effect).__name__.lower(),
                target=target(effect),
                verdict=PERFORMED if refusal is None else refusal.verdict,
                reason="" if refusal is None else refusal.reason,
                fields=_fields(effect),
                body=_body(effect),
                deliveries=places,
            )
        )
    return rows


def _fields(effect: Effect) -> dict[str, Any]:
    fields = msgspec.structs.asdict(effect)
    fields = {name: value for name, value in fields.items() if not isinstance(value, bytes)}
    if isinstance(effect, Log):
        fields["level"] = Level(effect.level).name.lower() if effect.level in set(Level) else effect.level
        fields["text"] = effect.text[:2_048]
    if isinstance(effect, (Send, Publish)):
        fields.pop("to", None)
    return fields


def _body(effect: Effect) -> Body | None:
    for value in msgspec.structs.astuple(effect):
        if isinstance(value, bytes):
            return body_of(value)
    return None
