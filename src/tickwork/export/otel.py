"""OpenTelemetry spans as OTLP JSON lines, by the GenAI conventions of `SCHEMA`.

A run is one trace: `invoke_workflow` is the run, `invoke_agent` a turn with links to those whose messages
it found, `chat` a request to a model and `execute_tool` a call of a tool, both until their first answer.
Times are the virtual clock's. Ids are derived from the run, so that equal runs give equal files.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec
from blake3 import blake3

from tickwork.core.effects import Call, Infer, Level, Log
from tickwork.core.entry import TurnEntry
from tickwork.core.messages import Completion, Message, MessageClass
from tickwork.core.outcomes import OutcomeKind
from tickwork.core.requests import RequestKey
from tickwork.core.step import Turn
from tickwork.journal.reader import RunReader
from tickwork.runtime.chat_bodies import answer_of, prompt_of
from tickwork.runtime.fold import FoldedTick
from tickwork.runtime.views import Row

# The conventions for GenAI are in development; every release may rename. Raised only together with the code.
CONVENTIONS = "1.41.0"
SCHEMA = f"https://opentelemetry.io/schemas/{CONVENTIONS}"
_INTERNAL, _CLIENT = 1, 3
_OK, _ERROR = 1, 2
_SPANS_PER_LINE = 500
_LINKS_MAX = 128
_encode = msgspec.json.Encoder().encode


def lines(reader: RunReader, ticks: Iterator[FoldedTick]) -> Iterator[bytes]:
    """Yield lines of at most 500 spans, each one request as a collector takes it."""
    telling = _Telling(reader)
    batch: list[Row] = []
    for folded in ticks:
        batch += telling.tell(folded)
        while len(batch) >= _SPANS_PER_LINE:
            yield telling.line(batch[:_SPANS_PER_LINE])
            del batch[:_SPANS_PER_LINE]
    yield telling.line([*batch, *telling.rest()])


@dataclass(slots=True)
class _Open:
    """A request that waits for its answer."""

    span: Row
    attributes: dict[str, object]
    pieces: list[Row] = field(default_factory=list)


class _Telling:
    """The spans of a run."""

    def __init__(self, reader: RunReader) -> None:
        self._reader = reader
        self._spec = reader.spec
        header = reader.header
        # Runs of one specification have one id but may part; what they began from tells forks apart.
        seed = header.run.encode() + header.start.digest
        self._key = blake3(seed, derive_key_context="tickwork 1 otel ids").digest()
        self._trace = self._id("trace", 16)
        self._root = self._id("run", 8)
        self._open: dict[RequestKey, _Open] = {}
        self._first: int | None = None
        self._last = 0

    def _id(self, name: str, size: int) -> str:
        return blake3(name.encode(), key=self._key).digest(size).hex()

    def _turn_id(self, tick: int, agent: int) -> str:
        return self._id(f"turn {tick} {agent}", 8)

    def _now(self, tick: int) -> str:
        # OTLP's JSON has 64-bit numbers as text.
        return str(self._spec.start_ns + tick * max(self._spec.tick_ns, 1))

    def tell(self, folded: FoldedTick) -> Iterator[Row]:
        """Yield the spans that end with a tick."""
        tick = folded.planned.tick
        self._first = tick if self._first is None else self._first
        self._last = tick
        for completion in folded.planned.arrivals.completions:
            yield from self._answered(tick, completion)
        for planned, turn, used in zip(
            folded.planned.turns, folded.settled.entry.turns, folded.settled.fuel, strict=True
        ):
            agent = folded.before.agents[turn.agent].spec.id
            yield self._turn(tick, planned, turn, used, agent)
            yield from self._requests(tick, turn, agent)

    def _turn(self, tick: int, planned: Turn, turn: TurnEntry, used: int, agent: str) -> Row:
        attributes: dict[str, object] = {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.provider.name": "tickwork",
            "gen_ai.agent.name": agent,
            "gen_ai.agent.id": agent,
            "tickwork.tick": tick,
            "tickwork.fuel": used,
            "tickwork.inbox": len(planned.inbox),
            "tickwork.effects": len(turn.effects),
            "tickwork.refused": len(turn.refusals),
        }
        span = self._span(self._turn_id(tick, turn.agent), f"invoke_agent {agent}", tick, self._root)
        if turn.kind is not OutcomeKind.OK:
            attributes["error.type"] = str(turn.kind)
            span["status"] = {"code": _ERROR, "message": turn.detail}
        span["attributes"] = _attributes(attributes)
        senders = [message for message in planned.inbox if self._comes_from_a_turn(message)]
        span["links"] = [self._link(message) for message in senders[:_LINKS_MAX]]
        span["events"] = [
            {
                "timeUnixNano": self._now(tick),
                "name": "log",
                "attributes": _attributes({"level": _level(effect.level), "text": effect.text}),
            }
            for effect in turn.effects
            if isinstance(effect, Log)
        ]
        return span

    def _comes_from_a_turn(self, message: Message) -> bool:
        assert self._first is not None
        return message.kind != MessageClass.INPUT and message.tick >= self._first

    def _link(self, message: Message) -> Row:
        attributes = _attributes({"tickwork.topic": message.topic, "tickwork.effect": message.effect})
        span = self._turn_id(message.tick, message.agent)
        return {"traceId": self._trace, "spanId": span, "attributes": attributes}

    def _requests(self, tick: int, turn: TurnEntry, agent: str) -> Iterator[Row]:
        refused = {refusal.effect: refusal for refusal in turn.refusals}
        for place, effect in enumerate(turn.effects):
            if not isinstance(effect, (Infer, Call)):
                continue
            attributes: dict[str, object] = {
                "gen_ai.provider.name": "tickwork",
                "gen_ai.agent.name": agent,
                "tickwork.tick": tick,
            }
            if isinstance(effect, Infer):
                attributes |= {"gen_ai.operation.name": "chat", "gen_ai.request.model": effect.model}
                attributes |= _asked(effect.body)
                name = f"chat {effect.model}"
            else:
                attributes |= {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": effect.tool}
                attributes["gen_ai.tool.call.id"] = str(effect.request)
                name = f"execute_tool {effect.tool}"
            span_id = self._id(f"request {tick} {turn.agent} {place}", 8)
            span = self._span(span_id, name, tick, self._turn_id(tick, turn.agent))
            span["kind"] = _CLIENT if isinstance(effect, Infer) else _INTERNAL
            refusal = refused.get(place)
            if refusal is None:
                self._open[tick, turn.agent, place] = _Open(span, attributes)
                continue
            attributes["error.type"] = refusal.verdict
            span["status"] = {"code": _ERROR, "message": refusal.reason}
            span["attributes"] = _attributes(attributes)
            yield span

    def _answered(self, tick: int, completion: Completion) -> Iterator[Row]:
        key = (completion.tick, completion.agent, completion.effect)
        waiting = self._open.get(key)
        if waiting is None:
            return
        if not completion.last:
            waiting.pieces.append({"timeUnixNano": self._now(tick), "name": "tickwork.piece"})
            return
        del self._open[key]
        answer = answer_of(completion.body)
        told: dict[str, object] = {"tickwork.provider": completion.provider}
        for name, ours in (("prompt_tokens", "input"), ("completion_tokens", "output")):
            if name in answer.usage:
                told[f"gen_ai.usage.{ours}_tokens"] = answer.usage[name]
        if answer.finish is not None:
            told["gen_ai.response.finish_reasons"] = [answer.finish]
        if answer.model is not None:
            told["gen_ai.response.model"] = answer.model
        if answer.output is not None:
            part = {"type": "text", "content": answer.output}
            message = {"role": "assistant", "parts": [part], "finish_reason": answer.finish or ""}
            told["gen_ai.output.messages"] = _encode([message]).decode()
        waiting.span["status"] = {"code": _OK}
        if answer.failure is not None:
            told["error.type"] = "failed"
            waiting.span["status"] = {"code": _ERROR, "message": answer.failure}
        waiting.span["endTimeUnixNano"] = self._now(tick)
        waiting.span["attributes"] = _attributes(waiting.attributes | told)
        waiting.span["events"] = waiting.pieces
        yield waiting.span

    def _span(self, span: str, name: str, tick: int, parent: str | None) -> Row:
        return {
            "traceId": self._trace,
            "spanId": span,
            "parentSpanId": parent or "",
            "name": name,
            "kind": _INTERNAL,
            "startTimeUnixNano": self._now(tick),
            "endTimeUnixNano": self._now(tick + 1),
            "status": {},
        }

    def rest(self) -> Iterator[Row]:
        """Yield the requests that were never answered, and the run itself."""
        for waiting in self._open.values():
            waiting.span["endTimeUnixNano"] = self._now(self._last + 1)
            waiting.span["attributes"] = _attributes(waiting.attributes)
            yield waiting.span
        root = self._span(self._root, f"invoke_workflow {self._spec.name}", self._first or 0, None)
        root["endTimeUnixNano"] = self._now(self._last + 1)
        root["attributes"] = _attributes(
            {
                "gen_ai.operation.name": "invoke_workflow",
                "gen_ai.workflow.name": self._spec.name,
                "tickwork.run": self._reader.header.run,
                "tickwork.seed": self._spec.seed,
                "tickwork.status": self._reader.status,
            }
        )
        yield root

    def line(self, spans: list[Row]) -> bytes:
        """Return one line."""
        version = self._reader.header.tickwork
        resource = _attributes({"service.name": self._spec.name, "service.version": version})
        scoped: Row = {
            "scope": {"name": "tickwork", "version": version},
            "spans": spans,
            "schemaUrl": SCHEMA,
        }
        whole: Row = {"resource": {"attributes": resource}, "scopeSpans": [scoped], "schemaUrl": SCHEMA}
        return _encode({"resourceSpans": [whole]}) + b"\n"


def _asked(body: bytes) -> dict[str, object]:
    """Return what a request asks for, where it has the shape of chat completions."""
    prompt = prompt_of(body)
    told: dict[str, object] = {}
    if prompt.messages:
        parts = [
            {"role": role, "parts": [{"type": "text", "content": text}]} for role, text in prompt.messages
        ]
        told["gen_ai.input.messages"] = _encode(parts).decode()
    if prompt.tokens_max is not None:
        told["gen_ai.request.max_tokens"] = prompt.tokens_max
    return told


def _level(level: int) -> str:
    return Level(level).name.lower() if level in set(Level) else str(level)


def _attributes(values: dict[str, object]) -> list[Row]:
    return [{"key": name, "value": _value(value)} for name, value in values.items()]


def _value(value: object) -> Row:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, list):
        return {"arrayValue": {"values": [_value(item) for item in value]}}
    return {"stringValue": str(value)}
