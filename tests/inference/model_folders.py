"""The tiny models of tests/data/models, and requests to put to them."""

import functools
import random  # noqa: TID251 - seeded by each test
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from tickwork.inference.invariance import Verdict
from tickwork.inference.language.engine import EngineSettings
from tickwork.inference.language.load import Loaded, LoadSettings, load
from tickwork.inference.language.request import ChatRequest, parse_request
from tickwork.inference.language.response import Result
from tickwork.inference.providers import SessionSettings

MODELS = Path(__file__).parent.parent / "data" / "models"
FREE = tuple(f"{family}-{kind}" for family in ("llama", "qwen2", "phi3") for kind in ("fp32", "int4", "int8"))
# Made for GPUs, with keys and values of 16 bits.
HALF = "llama-fp16"
CONTEXT = 400
_WORDS = (
    "the buyer offers twelve crates of apples for nine coins",
    "ünïcödé ☃ 你好",
    '{"price": 12, "ok": true}',
    "a",
)


@functools.cache
def verdict_of(name: str, variant: str = "") -> Verdict:
    """Return what the load-time check finds, made once per test process."""
    return load(MODELS / name, LoadSettings(variant=variant)).verdict


def opened(
    name: str,
    engine: EngineSettings | None = None,
    *,
    threads: int = 1,
    variant: str = "",
    verdict: Verdict | None = None,
    context: int = CONTEXT,
) -> Loaded:
    """Return a model with logit digests on."""
    engine = msgspec.structs.replace(engine or EngineSettings(), digest_logits=True)
    settings = LoadSettings(
        variant=variant, context_tokens=context, session=SessionSettings(threads=threads), engine=engine
    )
    return load(MODELS / name, settings, verdict or verdict_of(name, variant))


def request(text: str = "hello", **fields: Any) -> ChatRequest:
    """Return a request with one user message."""
    return parse_request(msgspec.json.encode({"messages": [{"role": "user", "content": text}], **fields}))


def mixed_requests(count: int, seed: int) -> dict[str, ChatRequest]:
    """Return requests of every kind: long and short, greedy and not, free or bound, some alike."""
    drawn = random.Random(seed)
    system = " ".join(drawn.choice(_WORDS) for _ in range(6))
    made: dict[str, ChatRequest] = {}
    for number in range(count):
        messages = [{"role": "user", "content": " ".join(drawn.choices(_WORDS, k=drawn.choice([1, 2, 5])))}]
        if number % 2:
            messages.insert(0, {"role": "system", "content": system})
        fields: dict[str, Any] = {
            "messages": messages,
            "max_tokens": drawn.choice([1, 4, 12, 30]),
            "temperature": drawn.choice([0, 0.7, 1.5]),
            "top_k": drawn.choice([0, 5, 50]),
            "top_p": drawn.choice([1, 0.9]),
            "min_p": drawn.choice([0, 0.02]),
            "repetition_penalty": drawn.choice([1, 1.3]),
            "stop": ["e", "th"] if number % 4 == 3 else None,
        }
        if number % 3 == 0:
            fields |= {"logprobs": True, "top_logprobs": 2}
        if number % 5 == 0:
            fields["response_format"] = {"type": "regex", "regex": "[a-z]{3,9}( [a-z]{2}){2}"}
        made[f"request-{number}"] = parse_request(msgspec.json.encode(fields))
    return made


def answers(
    loaded: Loaded, requests: dict[str, ChatRequest], arrivals: random.Random | None
) -> dict[str, bytes]:
    """Return each result's canonical bytes; requests come one by one when the last is done, or as drawn."""
    engine = loaded.engine
    waiting = list(requests)
    found: dict[str, bytes] = {}
    if arrivals is not None:
        arrivals.shuffle(waiting)
    while waiting or engine.busy:
        if waiting and (arrivals.random() < 0.4 if arrivals else not engine.busy):
            key = waiting.pop()
            engine.submit(key, requests[key], seed=int(key.rpartition("-")[2]))
        found |= encoded(engine.step())
    return found


def encoded(results: Iterable[Result]) -> dict[str, bytes]:
    """Return results as canonical bytes by key."""
    return {result.key: msgspec.json.encode(result) for result in results}
