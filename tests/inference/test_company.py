"""Whoever shares the batch, an answer has the same bytes: text, tokens, log-probabilities, logit digests."""

import random  # noqa: TID251 - seeded by each test

import pytest
from model_folders import FREE, MODELS, answers, mixed_requests, opened, request

from tickwork.inference.language.engine import EngineSettings

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


@pytest.mark.parametrize(("name", "variant"), [*((name, "") for name in FREE), *LIMITED])
def test_company_arrival_chunks_threads_and_prefix_cache_change_no_answer(name: str, variant: str) -> None:
    alone = answers(opened(name, ALONE, threads=1, variant=variant), REQUESTS, arrivals=None)
    assert len(alone) == len(REQUESTS)
    assert all(b'"logit_digest":"' in answer for answer in alone.values())
    for seed, (settings, threads) in enumerate(COMPANIES):
        loaded = opened(name, settings, threads=threads, variant=variant)
        assert answers(loaded, REQUESTS, random.Random(seed)) == alone, f"settings {settings}, seed {seed}"


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
