"""Requests to models and tools as the record has them: the effect that asked, and the completion that came.

A request is an `infer` or `call` effect, and named by it: completions say which effect they answer. Requests
of one tick to one model are batch-mates.
"""

import msgspec

from tickwork.core.effects import Call, Infer
from tickwork.core.messages import Completion
from tickwork.core.requests import RequestKey
from tickwork.runtime.chat_bodies import answer_of, prompt_of
from tickwork.runtime.clock import monotonic_s
from tickwork.runtime.fold import FoldedTick, begin, fold
from tickwork.runtime.seek import Recording
from tickwork.ui.bodies import Body, body_of

_SLICE_S = 0.5
_BODY_BYTES = 8_192
# Pieces of one answer that are kept apart; more are counted only.
_PIECES_MAX = 64
_MATES_MAX = 20
_PROMPT_MAX = 32
_PROMPT_CHARS = 4_096


class CompletionRow(msgspec.Struct, frozen=True):
    """An answer, or with `piece` a part of one that is streamed. `provider` is what computed it.

    What it says of itself, where it has the shape of chat completions: `output`, the text; `usage`, the
    tokens; `finish`, why it ended; `failure`, why there is no answer.
    """

    tick: int
    piece: bool
    provider: str
    recomputable: bool
    body: Body
    output: str | None = None
    usage: dict[str, int] = {}
    finish: str | None = None
    failure: str | None = None


class RequestRow(msgspec.Struct):
    """One request. `batch` is how many the same tick asked of the same model, this one included.

    `mates` are who made the others, 20 at most.
    `prompt` are its messages as (role, text), where it has the shape of chat completions: the last 32 of
    them, and of each the first 4,096 characters.

    `model` is the hash of the model's files where the run declares it. The answer is due in tick `due`, if
    one was ever due. Of a streamed answer the last 64 pieces are in `completions`; `pieces` counts them all.
    """

    tick: int
    agent: str
    effect: int
    kind: str
    target: str
    request: int
    verdict: str
    reason: str
    body: Body
    prompt: list[tuple[str, str]]
    batch: int
    mates: list[str]
    model: str | None
    due: int | None
    pieces: int
    completions: list[CompletionRow]


class Requests(msgspec.Struct, frozen=True):
    """Requests of the ticks up to `next`, which is None when the record is at its end.

    `targets` counts them by model or tool; `tick_ns` is how long a tick is by the virtual clock.
    """

    requests: list[RequestRow]
    next: int | None
    end_tick: int
    targets: dict[str, int]
    tick_ns: int


def requests(
    recording: Recording, *, target: str | None, agent: str | None, first: int, limit: int, reach: int = 256
) -> Requests:
    """Return the requests from tick `first` on, with what came for them within `reach` ticks of the last."""
    until = monotonic_s() + _SLICE_S
    found: list[RequestRow] = []
    open_requests: dict[RequestKey, RequestRow] = {}
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
    return Requests(found, following, recording.end_tick, targets, recording.spec.tick_ns)


def _collect(
    folded: FoldedTick,
    found: list[RequestRow],
    waiting: dict[RequestKey, RequestRow],
    targets: dict[str, int],
    target: str | None,
    agent: str | None,
) -> None:
    batches: dict[str, list[RequestRow]] = {}
    tick, pending = folded.planned.tick, folded.settled.world.requests.pending
    models = {model.name: model.hash for model in folded.before.run.models}
    for turn in folded.settled.entry.turns:
        name = folded.before.agents[turn.agent].spec.id
        refused = {refusal.effect: refusal for refusal in turn.refusals}
        for place, effect in enumerate(turn.effects):
            if not isinstance(effect, (Infer, Call)):
                continue
            aim = effect.model if isinstance(effect, Infer) else effect.tool
            refusal = refused.get(place)
            key = (tick, turn.agent, place)
            row = RequestRow(
                tick=tick,
                agent=name,
                effect=place,
                kind=type(effect).__name__.lower(),
                target=aim,
                request=effect.request,
                verdict="performed" if refusal is None else refusal.verdict,
                reason="" if refusal is None else refusal.reason,
                body=body_of(effect.body, _BODY_BYTES),
                prompt=[
                    (role[:_PROMPT_CHARS], text[:_PROMPT_CHARS])
                    for role, text in prompt_of(effect.body).messages[-_PROMPT_MAX:]
                ],
                batch=0,
                mates=[],
                model=models.get(aim) if isinstance(effect, Infer) else None,
                due=pending[key].due if key in pending else None,
                pieces=0,
                completions=[],
            )
            targets[aim] = targets.get(aim, 0) + 1
            batches.setdefault(aim, []).append(row)
            if target in {None, aim} and agent in {None, name}:
                found.append(row)
                if refusal is None:
                    waiting[key] = row
    for rows in batches.values():
        for row in rows:
            row.batch = len(rows)
            row.mates = [mate.agent for mate in rows[: _MATES_MAX + 1] if mate is not row][:_MATES_MAX]


def _complete(folded: FoldedTick, waiting: dict[RequestKey, RequestRow]) -> None:
    for completion in folded.planned.arrivals.completions:
        key = (completion.tick, completion.agent, completion.effect)
        row = waiting.get(key)
        if row is None:
            continue
        row.completions.append(completion_row(folded.planned.tick, completion))
        row.pieces += not completion.last
        if len(row.completions) > _PIECES_MAX:
            del row.completions[0]
        if completion.last:
            del waiting[key]


def completion_row(tick: int, completion: Completion) -> CompletionRow:
    """Return what came for a request in `tick`."""
    answer = answer_of(completion.body)
    return CompletionRow(
        tick=tick,
        piece=not completion.last,
        provider=completion.provider,
        recomputable=completion.recomputable,
        body=body_of(completion.body, _BODY_BYTES),
        output=answer.output,
        usage=answer.usage,
        finish=answer.finish,
        failure=answer.failure,
    )
