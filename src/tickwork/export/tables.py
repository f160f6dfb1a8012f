"""A run as tables: agents, ticks, turns, messages found or undelivered, effects, log lines, faults.

Bodies are bytes.
"""

from collections.abc import Iterator

import msgspec

from tickwork.core.effects import Effect, Level, Log, Metric
from tickwork.core.faults import kind_of
from tickwork.core.messages import MessageClass
from tickwork.core.refusals import target
from tickwork.core.world import World
from tickwork.runtime.fold import FoldedTick
from tickwork.runtime.views import Row, lost_rows

TABLES = ("agents", "ticks", "turns", "messages", "effects", "logs", "faults", "undelivered")
PERFORMED = "performed"


def tick_rows(folded: FoldedTick) -> Iterator[tuple[str, Row]]:
    """Yield a tick's rows with the names of their tables; `agents` is not among them."""
    entry, digests, tick = folded.settled.entry, folded.stored.digests, folded.planned.tick
    yield (
        "ticks",
        {
            "tick": tick,
            "now_ns": folded.planned.now_ns,
            "turns": len(entry.turns),
            "inputs": len(entry.arrivals.inputs),
            "undelivered": len(entry.undelivered),
            "fuel": sum(folded.settled.fuel),
            "digest": digests.digest.hex(),
            "exact": digests.exact.hex(),
        },
    )
    yield from _fault_rows(folded)
    for row in lost_rows(folded):
        yield "undelivered", row
    yield from _turn_rows(folded)


def _fault_rows(folded: FoldedTick) -> Iterator[tuple[str, Row]]:
    found = folded.settled.world.agents
    for applied in folded.settled.entry.faults:
        yield (
            "faults",
            {
                "tick": folded.planned.tick,
                "agent": found[applied.agent].spec.id,
                "kind": kind_of(applied.fault),
                "effect": None if applied.effect < 0 else applied.effect,
                "to": None if applied.to < 0 else found[applied.to].spec.id,
                "fields": msgspec.structs.asdict(applied.fault),
            },
        )


def _turn_rows(folded: FoldedTick) -> Iterator[tuple[str, Row]]:
    entry, tick = folded.settled.entry, folded.planned.tick
    for planned, turn, used in zip(folded.planned.turns, entry.turns, folded.settled.fuel, strict=True):
        agent = folded.before.agents[turn.agent].spec.id
        yield (
            "turns",
            {
                "tick": tick,
                "agent": agent,
                "setup": planned.setup,
                "outcome": str(turn.kind),
                "detail": turn.detail,
                "fuel": used,
                "inbox": len(planned.inbox),
                "effects": len(turn.effects),
                "refused": len(turn.refusals),
            },
        )
        for place, message in enumerate(planned.inbox):
            yield (
                "messages",
                {
                    "tick": tick,
                    "to": agent,
                    "place": place,
                    "sender": message.sender,
                    "topic": message.topic,
                    "class": MessageClass(message.kind).name.lower(),
                    "sent": message.tick,
                    "effect": message.effect,
                    "reply_to": message.reply_to,
                    "body": message.body,
                },
            )
        refused = {refusal.effect: refusal for refusal in turn.refusals}
        for place, effect in enumerate(turn.effects):
            refusal = refused.get(place)
            verdict = (PERFORMED, "") if refusal is None else (refusal.verdict, refusal.reason)
            yield from _effect_rows(tick, agent, place, effect, verdict)


def _effect_rows(
    tick: int, agent: str, place: int, effect: Effect, verdict: tuple[str, str]
) -> Iterator[tuple[str, Row]]:
    fields = msgspec.structs.asdict(effect)
    body = next((value for value in fields.values() if isinstance(value, bytes)), b"")
    yield (
        "effects",
        {
            "tick": tick,
            "agent": agent,
            "effect": place,
            "kind": type(effect).__name__.lower(),
            "target": target(effect),
            "verdict": verdict[0],
            "reason": verdict[1],
            "fields": {name: value for name, value in fields.items() if not isinstance(value, bytes)},
            "body": body,
        },
    )
    if isinstance(effect, Log):
        level = Level(effect.level).name.lower() if effect.level in set(Level) else str(effect.level)
        yield "logs", {"tick": tick, "agent": agent, "level": level, "text": effect.text, "value": None}
    elif isinstance(effect, Metric):
        row: Row = {"tick": tick, "agent": agent, "level": "metric", "text": effect.name}
        yield "logs", {**row, "value": effect.value}


def agent_rows(world: World) -> Iterator[tuple[str, Row]]:
    """Yield a row for each agent, as it stands in `world`."""
    for index, state in enumerate(world.agents):
        yield (
            "agents",
            {
                "index": index,
                "id": state.spec.id,
                "kind": state.spec.kind,
                "module": state.spec.module,
                "status": str(state.status),
                "reason": state.reason,
                "grants": [str(grant) for grant in state.spec.grants],
            },
        )
