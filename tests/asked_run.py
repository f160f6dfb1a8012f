"""A run file with answers of models and with faults, written through the real core; nobody is run."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from core_worlds import Tick, powerful, run_of, tick
from tickwork.core.digest import advance, content_hash
from tickwork.core.effects import Effect, Infer, Send
from tickwork.core.entry import Fuel, encode, encode_entry
from tickwork.core.fault_plan import FaultPlan
from tickwork.core.faults import CrashBefore, Delay, Drop, Duplicate
from tickwork.core.messages import NO_ARRIVALS, Arrivals, Completion
from tickwork.core.outcomes import Outcome
from tickwork.core.spec import ModelSpec, RunSpec
from tickwork.core.world import genesis_world
from tickwork.journal.header import header_of
from tickwork.journal.writer import RunWriter

Does = Mapping[str, Sequence[Effect] | Outcome]

_CODE = b"\0asm\x01\0\0\0" + bytes(range(256))
MODEL = ModelSpec("tiny", "ab" * 32, 2, 64, 256, 1_024, 8, tokens_per_tick=16)
CRASHED = "frail"


def _prompt(text: str, **rest: object) -> bytes:
    return json.dumps({"messages": [{"role": "user", "content": text}], **rest}).encode()


def _answer(text: str, tokens: int) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 5, "completion_tokens": tokens, "total_tokens": 5 + tokens}
    return json.dumps({"model": "tiny", "choices": [choice], "usage": usage}).encode()


def _piece(text: str) -> bytes:
    return json.dumps({"choices": [{"index": 0, "delta": {"content": text}}]}).encode()


_ERROR = b'{"error":{"message":"the prompt is too long","code":"too_long"}}'
# In tick 1 `asker` and `other` ask in one batch, `asker` once more in pieces; one request has no answer yet.
_DOES: dict[int, dict[str, Sequence[Effect] | Outcome]] = {
    1: {
        "asker": (
            Infer("tiny", _prompt("Who is there?", max_tokens=16), 1),
            Infer("tiny", _prompt("Count.", max_tokens=48, stream=True), 2),
        ),
        "other": (Infer("tiny", _prompt("x" * 50, max_tokens=16), 1), Send("asker", "hello", b"1")),
    },
    2: {"other": (Send("asker", "late", b"2"), Send("asker", "lost", b"3"), Send("asker", "twice", b"4"))},
    5: {"asker": (Infer("tiny", _prompt("Too late?", max_tokens=16), 1),)},
}
_ARRIVALS = {
    3: (
        Completion(1, 0, 0, _answer("It is me, <b>the model</b>.", 7)),
        Completion(1, 0, 1, _piece("one "), last=False),
        Completion(1, 1, 0, _ERROR, provider="cuda"),
    ),
    4: (Completion(1, 0, 1, _answer("one two", 2)),),
}
_FAULTS = FaultPlan(
    (
        Delay(2, "other", 0, None, 2),
        Drop(2, "other", 1),
        Duplicate(2, "other", 2),
        CrashBefore(4, CRASHED),
    )
)
TICKS = 7


def asked(file: Path) -> Path:
    """Write the run; its ticks are from 0 to 6."""
    agents = [powerful(name, every_tick=True) for name in ("asker", "other", CRASHED)]
    return written(file, run_of(*agents, models=(MODEL,), faults=_FAULTS), TICKS, _DOES, _ARRIVALS)


def written(
    file: Path,
    spec: RunSpec,
    ticks: int,
    does: Mapping[int, Does],
    arrivals: Mapping[int, Sequence[Completion]] = {},
) -> Path:
    """Write a run in which agents do in each tick what is said; their module is no program."""
    code = content_hash(_CODE)
    agents = tuple(msgspec.structs.replace(agent, module=code) for agent in spec.agents)
    spec = msgspec.structs.replace(spec, agents=agents)
    header = header_of(spec, tickwork="0", engine="none 1", engine_config="00" * 32, isa="x", os="y")
    world, digests = genesis_world(spec), header.genesis()
    with RunWriter.create(file, header, {code: _CODE}) as writer:
        for now in range(ticks):
            come = Arrivals((), tuple(arrivals[now])) if now in arrivals else NO_ARRIVALS
            ticked: Tick = tick(world, does.get(now, {}), come)
            entry = encode_entry(ticked.settled.entry)
            fuel = encode(Fuel(ticked.settled.fuel))
            digests = advance(digests, entry, fuel)
            writer.append(now, digests, entry, fuel)
            world = ticked.after
        writer.finish("ticks")
    return file
