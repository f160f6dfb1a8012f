"""Whoever shares the batch, an answer has the same bytes: text, tokens, log-probabilities, logit digests."""

import random  # noqa: TID251 - seeded by each test
from typing import Any

import msgspec
import pytest
from model_folders import CONTEXT, FREE, HALF, MODELS, answers, mixed_requests, opened, request, verdict_of

from tickwork.inference.language.engine import EngineSettings
from tickwork.inference.language.load import LoadSettings, make_engine, open_weights
from tickwork.inference.language.rows import Logits, Rows
from tickwork.inference.providers import SessionSettings
from tickwork.inference.verdicts import GivenVerdict

LIMITED = (("llama-pad", ""), ("llama-even", ""), ("llama-eager", ""), ("llama-eager", "quantized"))
REQUESTS = mixed_requests(18, seed=11)
ALONE = EngineSettings(slots=1, chunk=512, prefix_bytes=0)
# Slots, chunk, bytes of prefix cache (0: off; the middle one is too small for all), threads.
COMPANIES = (
    (EngineSettings(slots=16, chunk=512, prefix_bytes=0), 2),
    (EngineSettings(slots=5, chunk=7, prefix_bytes=100_000), 1),
    (EngineSettings(slots=16, chunk=2, prefix_bytes=1 << 24), 8),
    (EngineSettings(slots=2, chunk=33, prefix_bytes=1 << 24), 2),
)
THREADS = (1, 2, 8)


@pytest.mark.parametrize(("name", "variant"), [*((name, "") for name in (*FREE, HALF)), *LIMITED])
def test_company_arrival_chunks_threads_and_prefix_cache_change_no_answer(name: str, variant: str) -> None:
    alone = answers(opened(name, ALONE, threads=1, variant=variant), REQUESTS, arrivals=None)
    assert len(alone) == len(REQUESTS)
    assert all(b'"logit_digest":"' in answer for answer in alone.values())
    for seed, (settings, threads) in enumerate(COMPANIES):
        loaded = opened(name, settings, threads=threads, variant=variant)
        assert answers(loaded, REQUESTS, random.Random(seed)) == alone, f"settings {settings}, seed {seed}"


class _Watched:
    """Rows that note how many run at once."""

    def __init__(self, rows: Rows, seen: set[int]) -> None:
        self._rows = rows
        self._seen = seen

    def __getattr__(self, name: str) -> Any:
        return getattr(self._rows, name)

    def decode(self, first: int, tokens: list[int], lengths: list[int]) -> Logits:
        self._seen.add(len(tokens))
        return self._rows.decode(first, tokens, lengths)


@pytest.mark.parametrize("name", FREE)
def test_no_batch_size_from_1_to_16_changes_an_answer(name: str) -> None:
    """Each with another chunk, number of threads, prefix cache and order of arrival."""
    verdicts = GivenVerdict(verdict_of(name))
    base = LoadSettings(context_tokens=CONTEXT)
    weights = [
        open_weights(
            MODELS / name, msgspec.structs.replace(base, session=SessionSettings(threads=threads)), verdicts
        )
        for threads in THREADS
    ]
    requests = mixed_requests(10, seed=12)
    requests |= {f"long-{n}": request(f"{n} crates", max_tokens=24, logprobs=True) for n in range(16)}
    alone = None
    seen: set[int] = set()
    for slots in range(1, 17):
        engine = EngineSettings(
            slots=slots,
            # Short chunks let few sequences decode at once.
            chunk=((2, 3, 5, 9) if slots < 6 else (512, 64, 200))[slots % 3],
            prefix_bytes=(0, 60_000, 1 << 24)[slots % 4 % 3],
            digest_logits=True,
        )
        settings = msgspec.structs.replace(base, engine=engine)
        loaded = make_engine(weights[slots % len(THREADS)], settings, name)
        loaded.engine._rows = _Watched(loaded.engine._rows, seen)  # type: ignore[assignment]
        order = list(requests)
        random.Random(slots).shuffle(order)
        for key in order:
            loaded.engine.submit(key, requests[key], seed=int(key.rpartition("-")[2]))
        found = {key: msgspec.json.encode(result) for key, result in loaded.engine.run().items()}
        alone = alone or found
        assert found == alone, f"{settings.engine}"
    assert seen == set(range(1, 17))


def test_another_seed_gives_another_answer() -> None:
    engine = opened("llama-fp32").engine
    for seed in (1, 2):
        engine.submit(f"{seed}", request("hello", max_tokens=20), seed=seed)
    results = engine.run()
    assert results["1"].tokens != results["2"].tokens


def test_the_requests_own_seed_goes_before_the_callers() -> None:
    engine = opened("llama-fp32").engine
    for key, seed in (("a", 1), ("b", 2)):
        engine.submit(key, request("hello", max_tokens=20, seed=-5), seed=seed)
    results = engine.run()
    assert results["a"].tokens == results["b"].tokens


def test_a_turn_that_continues_a_conversation_reuses_its_prompt_and_equals_a_cold_start() -> None:
    first = {"messages": [{"role": "user", "content": "the buyer offers twelve crates " * 6}]}
    warm = opened("llama-int4", EngineSettings(chunk=16)).engine
    warm.submit("1", request(first["messages"][0]["content"], max_tokens=30, temperature=0))
    answer = warm.run()["1"].text
    held = warm.prefix_bytes_held
    assert held > 0
    later = [
        *first["messages"],
        {"role": "assistant", "content": answer},
        {"role": "user", "content": "and?"},
    ]
    bodies = []
    for engine in (warm, opened("llama-int4", EngineSettings(prefix_bytes=0)).engine):
        engine.submit("2", request(messages=later, max_tokens=30))
        bodies.append(engine.run()["2"])
    assert bodies[0] == bodies[1]
    assert warm.prefix_tokens_reused >= 32


def test_the_cache_stays_within_its_bytes() -> None:
    settings = EngineSettings(prefix_bytes=70_000)
    engine = opened("llama-fp32", settings).engine
    for number in range(12):
        engine.submit(
            f"{number}", request(f"{number} " + "the buyer offers twelve crates " * 8, max_tokens=1)
        )
        engine.run()
        assert 0 < engine.prefix_bytes_held <= settings.prefix_bytes


def test_every_fixture_says_what_made_it() -> None:
    assert (MODELS / "versions.json").is_file()
