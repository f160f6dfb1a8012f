"""Requests to models and tools as the record has them: the effect that asked, and the completion that came.

A request is an `infer` or `call` effect; its completion is a message of that class with the request's number.
Requests of one tick to one model are batch-mates.
"""

from typing import Any

import msgspec

from tickwork.core.effects import Call, Infer
from tickwork.core.messages import Message, MessageClass
from tickwork.runtime.clock import monotonic_s
from tickwork.runtime.fold import FoldedTick, begin, fold
from tickwork.runtime.seek import Recording
from tickwork.ui.bodies import Body, body_of

_SLICE_S = 0.5
_BODY_BYTES = 8_192
# Pieces of one answer that are kept apart; more are counted only.
_PIECES_MAX = 64


class Completion(msgspec.Struct, frozen=True):
    """An answer, or a piece of one. `usage` is the answer's own count of tokens, if it states any."""

    tick: int
    topic: str
    body: Body
    usage: dict[str, int]


class RequestRow(msgspec.Struct):
    """One request. `batch` is how many the same tick asked of the same model, this one included."""

    tick: int
    agent: str
    effect: int
    kind: str
    target: str
    request: int
    verdict: str
    reason: str
    body: Body
    batch: int
    completions: list[Completion]


class Requests(msgspec.Struct, frozen=True):
    """Requests of the ticks up to `next`, which is None when the record is at its end."""

    requests: list[RequestRow]
    next: int | None
    end_tick: int
    targets: dict[str, int]


def requests(
    recording: Recording, *, target: str | None, agent: str | None, first: int, limit: int, reach: int = 256
) -> Requests:
    """Return the requests from tick `first` on, with what came for them within `reach` ticks of the last."""
    until = monotonic_s() + _SLICE_S
    found: list[RequestRow] = []
    open_requests: dict[tuple[str, int], RequestRow] = {}
    targets: dict[str, int] = {}
    following: int | None = None
    first = max(first, recording.first_tick)
    world, _ = begin(recording.reader, min(first, recording.end_tick))
    for folded in fold(recording.reader, world):
        tick = folded.planned.tick
        if tick < first:
            continue
        if following is None and (len(found) >= limit or monotonic_s() > until):
            following = tick
        if following is not None and (not open_requests or tick > following + reach):
            break
        _complete(folded, open_requests)
        if following is None:
            _collect(folded, found, open_requests, targets, target, agent)
    return Requests(found, following, recording.end_tick, targets)


def _collect(
    folded: FoldedTick,
    found: list[RequestRow],
    waiting: dict[tuple[str, int], RequestRow],
    targets: dict[str, int],
    target: str | None,
    agent: str | None,
) -> None:
    batches: dict[str, list[RequestRow]] = {}
    for turn in folded.settled.entry.turns:
        name = folded.before.agents[turn.agent].spec.id
        refused = {refusal.effect: refusal for refusal in turn.refusals}
        for place, effect in enumerate(turn.effects):
            if not isinstance(effect, (Infer, Call)):
                continue
            aim = effect.model if isinstance(effect, Infer) else effect.tool
            refusal = refused.get(place)
            row = RequestRow(
                tick=folded.planned.tick,
                agent=name,
                effect=place,
                kind=type(effect).__name__.lower(),
                target=aim,
                request=effect.request,
                verdict="performed" if refusal is None else refusal.verdict,
                reason="" if refusal is None else refusal.reason,
                body=body_of(effect.body, _BODY_BYTES),
                batch=0,
                completions=[],
            )
            targets[aim] = targets.get(aim, 0) + 1
            batches.setdefault(aim, []).append(row)
            if target in {None, aim} and agent in {None, name}:
                found.append(row)
                if refusal is None:
                    waiting[name, effect.request] = row
    for rows in batches.values():
        for row in rows:
            row.batch = len(rows)


def _complete(folded: FoldedTick, waiting: dict[tuple[str, int], RequestRow]) -> None:
    if not waiting:
        return
    for turn in folded.planned.turns:
        for message in turn.inbox:
            if message.kind != MessageClass.COMPLETION or message.reply_to is None:
                continue
            row = waiting.get((folded.before.agents[turn.agent].spec.id, message.reply_to))
            if row is not None and len(row.completions) < _PIECES_MAX:
                row.completions.append(_completion(folded.planned.tick, message))


def _completion(tick: int, message: Message) -> Completion:
    return Completion(tick, message.topic, body_of(message.body, _BODY_BYTES), _usage(message.body))


def _usage(body: bytes) -> dict[str, int]:
    """Return an answer's `usage`, as the chat-completions shape has it."""
    try:
        answer: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    usage = answer.get("usage") if isinstance(answer, dict) else None
    if not isinstance(usage, dict):
        return {}
    return {str(name): value for name, value in usage.items() if isinstance(value, int)}
