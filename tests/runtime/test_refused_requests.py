"""Requests that are refused, or fail: their agents are told, it is on record, and nobody else is touched."""

from pathlib import Path
from typing import Any

import pytest

from asking import EVEN, MODELS, Told, agents, make
from tickwork import replay
from tickwork.inference.cache import ModelCache
from tickwork.inference.invariance import Verdict
from tickwork.inference.language.load import LoadSettings, load
from tickwork.inference.sources import source_at
from tickwork.runtime.seek import Recording


def refusals(path: Path) -> list[tuple[str, str]]:
    """Return what the run file says was refused, in order: verdict and reason."""
    with Recording.open(path) as found:
        return [
            (refusal.verdict, refusal.reason)
            for stored in found.reader.entries()
            for turn in stored.decode()[0].turns
            for refusal in turn.refusals
        ]


BUDGETS = {
    "per_tick = 1": "over the limit of 1 per tick of grant infer:even",
    "per_run = 3": "over the limit of 3 per run of grant infer:even",
    "tokens_per_tick = 7": (
        "over the limit of 7 tokens per tick of grant infer:even: it may cost 6, and 1 are left"
    ),
    "tokens_per_run = 20": (
        "over the limit of 20 tokens per run of grant infer:even: it may cost 6, and 2 are left"
    ),
}


@pytest.mark.parametrize("limit", BUDGETS)
def test_what_is_over_budget_is_refused_on_record_and_the_agent_told(tmp_path: Path, limit: str) -> None:
    grant = f'{{ capability = "infer:even", {limit} }}'
    # Two in each of two ticks.
    asking = make(tmp_path / "p", agents("a", 1, grant, times=2, at_once=2), EVEN)
    path = asking.run()
    rejected = asking.of("rejected")
    assert len(asking.of("asked")) == len(asking.of("reply")) + len(rejected) == 4
    assert rejected
    assert [each.body["reason"] for each in rejected] == [BUDGETS[limit]] * len(rejected)
    assert refusals(path) == [("rejected", BUDGETS[limit])] * len(rejected)
    assert replay(path).identical


def test_a_model_that_is_not_granted_is_denied_and_one_that_is_full_rejects(tmp_path: Path) -> None:
    models = EVEN + "requests_max = 3\n"
    askers = agents("a", 1, grant='"infer:other"', times=1) + agents("b", 1, times=1, at_once=5)
    asking = make(tmp_path / "p", askers, models + EVEN.replace("even", "other"))
    path = asking.run()
    full = "over the limit of 3 pending requests of the model"
    assert refusals(path) == [("denied", "no grant covers 'infer:even'"), *[("rejected", full)] * 2]
    assert [each.agent for each in asking.of("denied")] == ["a-0"]
    assert [each.request for each in asking.of("rejected")] == [
        each.request for each in asking.of("asked") if each.agent == "b-0"
    ][3:]
    assert len(asking.of("reply")) == 3


def tensor(dtype: str, shape: list[int], data: str) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data": data}


ONE_LETTER = {"type": "object", "properties": {"a": {"enum": []}}, "required": ["a"]}
LANGUAGE = {
    "temperature": ({"max_tokens": 2, "temperature": -1}, "invalid_request", "temperature"),
    "unknown field": ({"max_tokens": 2, "colour": "red"}, "invalid_request", "colour"),
    "no number": ({"max_tokens": "many"}, "invalid_request", "max_tokens"),
    "context": ({"max_tokens": 4000}, "context_length_exceeded", "4000 more are asked for"),
    "regex": (
        {"max_tokens": 3, "response_format": {"type": "regex", "regex": "("}},
        "unmeetable_format",
        "",
    ),
    "schema": (
        {
            "max_tokens": 3,
            "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": ONE_LETTER}},
        },
        "unmeetable_format",
        "",
    ),
}


@pytest.mark.parametrize("fault", LANGUAGE)
def test_a_request_that_cannot_be_met_is_answered_by_its_error_and_nobody_elses_is_touched(
    tmp_path: Path, fault: str
) -> None:
    options, code, words = LANGUAGE[fault]
    both = agents("bad", 1, options=options, times=1) + agents("good", 1, times=1)
    asking = make(tmp_path / "p", both, EVEN + "context_tokens = 256\n", ticks=6)
    path = asking.run()
    bad, good = sorted(asking.of("reply"), key=lambda each: each.agent)
    assert (bad.code, good.code) == (code, "")
    assert words in bad.error
    assert good.body["choices"][0]["finish_reason"] in {"stop", "length"}
    assert replay(path).identical


def test_an_absurd_number_of_tokens_is_rejected(tmp_path: Path) -> None:
    asking = make(tmp_path / "p", agents("a", 1, options={"max_tokens": 10**15}, times=1), EVEN)
    path = asking.run()
    reason = f"it asks for {10**15} tokens; tokens_max of the model is 4096"
    assert [each.body["reason"] for each in asking.of("rejected")] == [reason]
    assert refusals(path) == [("rejected", reason)]


def test_tensors_at_which_a_model_throws_or_that_make_it_give_nan_fail_alone(tmp_path: Path) -> None:
    """All in one tick, so that they would share a batch."""
    ones = tensor("int64", [1, 1], "AQAAAAAAAAA=")
    far = tensor("int64", [1, 1], "APAAAAAAAAA=")  # the table has 300 places
    numbers = {"good": "AACAPwAAAEAAAEBAAACAQA==", "nan": "AACAvwAAAEAAAEBAAACAQA=="}
    words = {"there": ones, "far": far}
    models = "".join(
        f'[models.{name}]\npath = "MODELS/plain/{name}"\nlatency_ticks = 2\n'
        for name in ("logarithm", "embedding")
    )
    askers = "".join(
        agents(name, 2, model="logarithm", times=1, body={"inputs": {"x": tensor("float32", [1, 4], data)}})
        for name, data in numbers.items()
    ) + "".join(
        agents(
            name, 2, model="embedding", times=1, body={"inputs": {"input_ids": ids, "attention_mask": ones}}
        )
        for name, ids in words.items()
    )
    asking = make(tmp_path / "p", askers, models, ticks=6)
    path = asking.run()
    codes = {each.agent: each.code for each in asking.of("reply")}
    want = {"good": "", "nan": "output_is_nan", "there": "", "far": "model_failed"}
    assert codes == {f"{name}-{n}": code for name, code in want.items() for n in (0, 1)}
    told = next(each for each in asking.of("reply") if each.agent == "far-0")
    assert told.error.startswith("the model failed: ")
    assert "\n" not in told.error
    assert replay(path).identical


@pytest.fixture
def trusting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache that remembers a model as sound in which only some tokens show that it is not.

    The load-time check of that model meets one of them, and it would not be served at all.
    """
    cache = ModelCache(tmp_path / "cache")
    sound: Verdict = load(MODELS / "llama-fp32", LoadSettings()).verdict
    cache.keep_verdict(source_at(MODELS / "llama-faulty", "").hash, sound)
    monkeypatch.setattr("tickwork.runtime.serving.model_cache", lambda: cache)


@pytest.mark.usefixtures("trusting")
def test_a_model_that_throws_or_gives_nan_midway_fails_only_those_who_led_it_there(tmp_path: Path) -> None:
    """Hot enough that some generate the token that throws, and some the one whose logits are NaN."""
    models = '[models.faulty]\npath = "MODELS/llama-faulty"\ntokens_per_tick = 16\nlatency_ticks = 1\n'
    hot = agents(
        "hot", 14, model="faulty", times=1, options={"max_tokens": 96, "temperature": 100, "stream": True}
    )
    calm = agents(
        "calm", 2, model="faulty", times=1, text="hello", options={"max_tokens": 60, "temperature": 0}
    )
    asking = make(tmp_path / "p", hot + calm, models, ticks=10)
    path = asking.run()
    replies = {each.agent: each for each in asking.of("reply")}
    assert len(replies) == 16
    codes = {each.code for name, each in replies.items() if name.startswith("hot")}
    assert codes == {"", "model_failed", "logits_not_finite"}
    # What they were told before it went wrong was told all the same.
    failed = [name for name, each in replies.items() if each.code]
    assert {each.agent for each in asking.of("piece")} & {*failed}
    assert len({replies[name].text for name in ("calm-0", "calm-1")}) == 1
    alone = make(tmp_path / "q", calm, models, ticks=10)
    alone.run()
    assert _texts(alone.of("reply")) == _texts([replies["calm-0"], replies["calm-1"]])
    found = replay(path)
    assert found.identical
    assert found.recomputed == 16 + len(asking.of("piece"))


def _texts(replies: list[Told]) -> list[str]:
    return [each.text for each in replies]


def test_a_model_that_cannot_be_served_fails_its_own_requests_alone(tmp_path: Path) -> None:
    models = EVEN + '[models.broken]\npath = "MODELS/llama-faulty"\n'
    both = agents("a", 1, model="broken", times=2) + agents("b", 1, times=1)
    asking = make(tmp_path / "p", both, models)
    path = asking.run()
    failed = [each for each in asking.of("reply") if each.agent == "a-0"]
    assert [each.code for each in failed] == ["model_failed", "model_failed"]
    assert failed[0].error.startswith("the model cannot be served: ")
    assert str(MODELS) not in failed[0].error
    assert [each.code for each in asking.of("reply") if each.agent == "b-0"] == [""]
    assert replay(path).identical
