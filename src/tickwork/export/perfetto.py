"""The Trace Event Format, which Perfetto's UI and others open.

Agents are threads, messages flows, and requests to models and tools asynchronous slices.

Times are the virtual clock's, in microseconds since the run's beginning: a tick is as long as the manifest
says, and what happened in one tick happened at once.
"""

from collections.abc import Iterator

import msgspec

from tickwork.core.effects import Call, Infer, Level, Log, Metric
from tickwork.core.entry import TurnEntry
from tickwork.core.faults import kind_of
from tickwork.core.messages import Completion, MessageClass
from tickwork.core.outcomes import OutcomeKind
from tickwork.core.requests import RequestKey
from tickwork.core.step import Turn
from tickwork.journal.reader import RunReader
from tickwork.runtime.chat_bodies import answer_of, prompt_of
from tickwork.runtime.fold import FoldedTick
from tickwork.runtime.views import Row

_PROCESS = 1
# Threads from here on are agents; this one has what belongs to all.
_RUN_THREAD = 0
# How much of its tick a turn fills, and where in it a message leaves and arrives.
_FILLED = 0.8
_LEAVES = 0.7
_ARRIVES = 0.1
_TEXT_CHARS = 500
_encode = msgspec.json.Encoder().encode


def lines(reader: RunReader, ticks: Iterator[FoldedTick]) -> Iterator[bytes]:
    """Yield one JSON object, in pieces, whose `traceEvents` are the run's ticks."""
    about = {"run": reader.header.run, "name": reader.spec.name, "tickwork": reader.header.tickwork}
    yield b'{"displayTimeUnit":"ms","otherData":' + _encode(about) + b',"traceEvents":[\n'
    yield _encode(_named("process_name", _RUN_THREAD, f"tickwork: {reader.spec.name}"))
    yield b",\n" + _encode(_named("thread_name", _RUN_THREAD, "run"))
    drawing = _Drawing(max(reader.spec.tick_ns, 1) / 1000)
    for folded in ticks:
        for event in drawing.draw(folded):
            yield b",\n" + _encode(event)
    yield b"\n]}\n"


def _named(what: str, thread: int, name: str) -> Row:
    return {"ph": "M", "name": what, "pid": _PROCESS, "tid": thread, "args": {"name": name}}


class _Drawing:
    """The events of ticks in order."""

    def __init__(self, tick_us: float) -> None:
        self._tick_us = tick_us
        self._known = 0
        self._flows = 0
        self._asked: dict[RequestKey, Row] = {}

    def draw(self, folded: FoldedTick) -> Iterator[Row]:
        tick = folded.planned.tick
        agents = folded.before.agents
        for index in range(self._known, len(agents)):
            yield _named("thread_name", index + 1, agents[index].spec.id)
            order: Row = {"sort_index": index + 1}
            yield {**_named("thread_sort_index", index + 1, ""), "args": order}
        self._known = max(self._known, len(agents))
        entry = folded.settled.entry
        yield self._counter(tick, "fuel", sum(folded.settled.fuel))
        yield self._counter(tick, "turns", len(entry.turns))
        for applied in entry.faults:
            yield self._instant(tick, applied.agent, f"fault: {kind_of(applied.fault)}", "fault")
        for completion in folded.planned.arrivals.completions:
            if completion.last:
                yield from self._answered(tick, completion)
        for planned, turn, used in zip(folded.planned.turns, entry.turns, folded.settled.fuel, strict=True):
            yield from self._requests(tick, turn)
            yield self._slice(tick, planned, turn, used)
            yield from self._flows_of(tick, planned)
            yield from self._said(tick, turn, agents[turn.agent].spec.id)

    def _at(self, tick: int, part: float = 0.0) -> float:
        return (tick + part) * self._tick_us

    def _counter(self, tick: int, name: str, value: float) -> Row:
        return {
            "ph": "C",
            "name": name,
            "pid": _PROCESS,
            "tid": _RUN_THREAD,
            "ts": self._at(tick),
            "args": {name: value},
        }

    def _instant(self, tick: int, agent: int, name: str, category: str) -> Row:
        return {
            "ph": "i",
            "s": "t",
            "name": name,
            "cat": category,
            "pid": _PROCESS,
            "tid": agent + 1,
            "ts": self._at(tick, _FILLED / 2),
        }

    def _slice(self, tick: int, planned: Turn, turn: TurnEntry, used: int) -> Row:
        name = "set-up" if planned.setup else planned.inbox[0].topic if planned.inbox else "turn"
        told: Row = {"tick": tick, "fuel": used, "inbox": len(planned.inbox), "effects": len(turn.effects)}
        if turn.refusals:
            told["refused"] = [f"{refusal.verdict}: {refusal.reason}" for refusal in turn.refusals]
        if turn.kind is not OutcomeKind.OK:
            name = str(turn.kind)
            told["detail"] = turn.detail[:_TEXT_CHARS]
        return {
            "ph": "X",
            "name": name or "turn",
            "cat": "turn" if turn.kind is OutcomeKind.OK else "turn,failed",
            "pid": _PROCESS,
            "tid": turn.agent + 1,
            "ts": self._at(tick),
            "dur": self._tick_us * _FILLED,
            "args": told,
        }

    def _requests(self, tick: int, turn: TurnEntry) -> Iterator[Row]:
        """Yield the beginnings of requests, which last until their answers."""
        refused = {refusal.effect for refusal in turn.refusals}
        for place, effect in enumerate(turn.effects):
            if not isinstance(effect, (Infer, Call)) or place in refused:
                continue
            name = effect.model if isinstance(effect, Infer) else effect.tool
            both: Row = {"cat": "request", "name": name, "id": f"{tick}.{turn.agent}.{place}"}
            both |= {"pid": _PROCESS, "tid": turn.agent + 1}
            self._asked[tick, turn.agent, place] = both
            prompt = "\n".join(f"{role}: {text}" for role, text in prompt_of(effect.body).messages)
            told = {"prompt": prompt[:_TEXT_CHARS], "request": effect.request}
            yield {**both, "ph": "b", "ts": self._at(tick, _LEAVES), "args": told}

    def _answered(self, tick: int, completion: Completion) -> Iterator[Row]:
        both = self._asked.pop((completion.tick, completion.agent, completion.effect), None)
        if both is None:
            return
        answer = answer_of(completion.body)
        told: Row = {"output": (answer.output or answer.failure or "")[:_TEXT_CHARS], **answer.usage}
        told["provider"] = completion.provider
        yield {**both, "ph": "e", "ts": self._at(tick, _ARRIVES), "args": told}

    def _flows_of(self, tick: int, planned: Turn) -> Iterator[Row]:
        """Yield an arrow for each message of an inbox that came from a turn."""
        for message in planned.inbox:
            if message.kind == MessageClass.INPUT or message.agent >= self._known:
                continue
            self._flows += 1
            both: Row = {"cat": "message", "name": message.topic or "message", "id": self._flows}
            both["pid"] = _PROCESS
            yield {**both, "ph": "s", "tid": message.agent + 1, "ts": self._at(message.tick, _LEAVES)}
            yield {**both, "ph": "f", "bp": "e", "tid": planned.agent + 1, "ts": self._at(tick, _ARRIVES)}

    def _said(self, tick: int, turn: TurnEntry, agent: str) -> Iterator[Row]:
        for effect in turn.effects:
            if isinstance(effect, Log):
                level = Level(effect.level).name.lower() if effect.level in set(Level) else "log"
                yield self._instant(tick, turn.agent, effect.text[:_TEXT_CHARS] or level, f"log,{level}")
            elif isinstance(effect, Metric):
                yield self._counter(tick, f"{agent}: {effect.name}", effect.value)
