"""What comes back: text that ends where it should, keeps to its format, and has the shape that all know."""

import json
import re
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from model_folders import FREE, MODELS, opened, request

from tickwork.inference.errors import ModelError, RequestError
from tickwork.inference.language.response import Completion
from tickwork.inference.language.stopping import StopTexts
from tickwork.inference.language.template import ChatTemplate
from tickwork.inference.language.tokens import TextStream, Tokenizer

TOKENIZER = Tokenizer(MODELS / "llama-fp32" / "tokenizer.json")


def answer(model: str, **fields: Any) -> Completion:
    engine = opened(model).engine
    engine.submit("a", request(**fields))
    found = engine.run()["a"]
    assert isinstance(found, Completion), found
    return found


# ---- stop texts


@given(st.text("ab", max_size=30), st.lists(st.text("ab", min_size=1, max_size=5), max_size=4), st.data())
def test_an_answer_ends_before_the_stop_text_that_is_whole_first_however_it_is_cut(
    text: str, stops: list[str], data: st.DataObject
) -> None:
    prefixes = (text[:length] for length in range(len(text) + 1))
    first = next((prefix for prefix in prefixes if any(prefix.endswith(stop) for stop in stops)), None)
    wanted = text
    if first is not None:
        wanted = first[: len(first) - max(len(stop) for stop in stops if first.endswith(stop))]
    stream, passed, at = StopTexts(stops), "", 0
    while at < len(text) and not stream.met:
        size = data.draw(st.integers(1, 6))
        passed += stream.push(text[at : at + size])
        assert wanted.startswith(passed)  # nothing that was passed on is taken back
        at += size
    assert stream.met is (first is not None)
    assert passed + ("" if stream.met else stream.finish()) == wanted


@pytest.mark.parametrize("name", ["llama-fp32", "qwen2-int4"])
def test_an_answer_stops_before_its_stop_text(name: str) -> None:
    free = answer(name, text="apples", max_tokens=60, seed=4)
    assert len(free.text) > 8
    stop = free.text[4:6]
    stopped = answer(name, text="apples", max_tokens=60, seed=4, stop=[stop, "never in it"])
    assert stopped.text == free.text[: free.text.index(stop)]
    assert stopped.finish_reason == "stop"
    assert stopped.tokens == free.tokens[: len(stopped.tokens)]
    assert len(stopped.tokens) < len(free.tokens)


# ---- pieces


@example([0, 177, 99, 99, 99])
@example([99] * 30 + [177, 99, 99, 99] + [68, 0, 69])
@example([99, 99, 99, 99, 99, 177, 99, 99, 99])
@given(st.lists(st.integers(0, TOKENIZER.size - 1), max_size=40))
def test_pieces_add_up_to_the_text_of_all_tokens(tokens: list[int]) -> None:
    stream = TextStream(TOKENIZER)
    pieces = [stream.push(token) for token in tokens]
    assert "".join(pieces) + stream.finish() == TOKENIZER.decode(tokens)


@given(st.text(max_size=30))
def test_no_piece_ends_within_a_character(text: str) -> None:
    stream = TextStream(TOKENIZER)
    pieces = [stream.push(token) for token in TOKENIZER.encode(text)]
    assert "\ufffd" in text or all("\ufffd" not in piece for piece in pieces)


# ---- formats

SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 8},
        "kind": {"enum": ["buy", "sell"]},
        "coins": {"type": "integer", "minimum": 1, "maximum": 99},
        "tags": {"type": "array", "items": {"type": "boolean"}, "maxItems": 3},
    },
    "required": ["name", "kind", "coins", "tags"],
    "additionalProperties": False,
}


def _keeps(value: Any) -> bool:
    return (
        set(value) == set(SCHEMA["required"])
        and isinstance(value["name"], str)
        and len(value["name"]) <= 8
        and value["kind"] in {"buy", "sell"}
        and isinstance(value["coins"], int)
        and 1 <= value["coins"] <= 99
        and len(value["tags"]) <= 3
        and all(isinstance(one, bool) for one in value["tags"])
    )


@pytest.mark.parametrize("name", FREE)
def test_an_answer_keeps_to_its_json_schema(name: str) -> None:
    engine = opened(name).engine
    form = {"type": "json_schema", "json_schema": {"name": "offer", "schema": SCHEMA}}
    for number, temperature in enumerate((0, 0.7, 1, 3, 3, 3)):
        asked = request(f"offer {number}", response_format=form, temperature=temperature, max_tokens=120)
        engine.submit(f"{number}", asked, seed=number)
    for key, found in engine.run().items():
        assert isinstance(found, Completion), (key, found)
        assert found.finish_reason == "stop"
        assert _keeps(json.loads(found.text)), found.text
    assert (
        len({found.text for found in (answer(name, seed=seed, response_format=form) for seed in (1, 2))}) == 2
    )


def test_an_answer_keeps_to_its_regular_expression() -> None:
    for seed in range(5):
        found = answer(
            "qwen2-fp32", seed=seed, response_format={"type": "regex", "regex": "(yes|no), [0-9]{2}!"}
        )
        assert re.fullmatch(r"(yes|no), [0-9]{2}!", found.text)
        assert found.finish_reason == "stop"


def test_a_json_object_is_one_as_far_as_it_goes() -> None:
    found = answer("llama-fp32", response_format={"type": "json_object"}, max_tokens=40, seed=1)
    if found.finish_reason == "stop":
        assert isinstance(json.loads(found.text), dict)
    assert found.text.startswith("{")


def test_a_format_that_is_cut_off_says_that_it_is() -> None:
    form = {"type": "regex", "regex": "[ab]{50}"}
    found = answer("llama-fp32", response_format=form, max_tokens=5)
    assert (found.finish_reason, len(found.tokens)) == ("length", 5)


# ---- bodies


def test_the_body_is_that_of_a_chat_completion() -> None:
    found = answer("llama-fp32", max_tokens=7, temperature=0)
    body = msgspec.json.decode(msgspec.json.encode(found.body()))
    (choice,) = body.pop("choices")
    assert body == {
        "id": "chatcmpl-a",
        "object": "chat.completion",
        "created": 0,
        "model": "llama-fp32",
        "usage": {
            "prompt_tokens": found.prompt_tokens,
            "completion_tokens": len(found.tokens),
            "total_tokens": found.prompt_tokens + len(found.tokens),
        },
        "system_fingerprint": found.fingerprint,
    }
    assert choice == {
        "index": 0,
        "message": {"role": "assistant", "content": found.text, "refusal": None},
        "logprobs": None,
        "finish_reason": found.finish_reason,
    }
    assert re.fullmatch(r"fp_[0-9a-f]{16}", found.fingerprint)


def test_logprobs_are_told_for_every_token_with_the_likeliest_beside() -> None:
    found = answer("llama-fp32", max_tokens=9, temperature=0, logprobs=True, top_logprobs=3)
    assert found.logprobs is not None
    assert len(found.logprobs) == len(found.tokens)
    for one in found.logprobs:
        assert len(one.top_logprobs) == 3
        assert one.logprob == one.top_logprobs[0].logprob <= 0  # greedy takes the likeliest
        assert one.token == one.top_logprobs[0].token
        assert one.bytes is None or bytes(one.bytes).decode() == one.token
        assert np.exp([top.logprob for top in one.top_logprobs]).sum() <= 1 + 1e-9


def test_an_answer_has_at_most_as_many_tokens_as_asked_for() -> None:
    for tokens in (1, 2, 17):
        for key in ("max_tokens", "max_completion_tokens"):
            found = answer("phi3-int4", **{key: tokens}, response_format={"type": "regex", "regex": "a{99}"})
            assert len(found.tokens) <= tokens
            assert "".join(found.pieces) == found.text
            assert len(found.pieces) == len(found.tokens)


# ---- templates


def test_a_template_sees_the_messages_and_special_tokens_and_no_clock() -> None:
    source = "{{ bos_token }}{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"
    source += "{% if strftime_now is defined %}{{ strftime_now('%Y') }}{% endif %}{{ messages[0] | tojson }}"
    template = ChatTemplate(source, {"bos_token": "<s>"})
    assert template.render([{"role": "user", "content": "ü"}]) == '<s>[user]ü{"role": "user", "content": "ü"}'


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("{{ raise_exception('roles must alternate') }}", "refuses these messages: roles must alternate"),
        ("{{ messages.__class__.__mro__ }}", "fails on these messages"),
        ("{{ messages.append(1) }}", "fails on these messages"),
        ("{% include '/etc/passwd' %}", "fails on these messages"),
        ("{{ 1 / 0 }}", "fails on these messages"),
        ("{{ 'x' * 20000000 }}", "the prompt has more than"),
        ("{{ range(1000000000) | list }}", "fails on these messages"),
    ],
)
def test_a_hostile_template_fails_its_request(source: str, words: str) -> None:
    with pytest.raises(RequestError, match=words):
        ChatTemplate(source, {}).render([{"role": "user", "content": "hello"}])


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("{{ lipsum(n=1) }}", "'lipsum' is undefined"),
        ("{{ raise_exception }}", "a function has no text"),
        ("{{ messages | map('upper') }}", "a generator has no text"),
        ("{{ joiner() }}", "a Joiner has no text"),
    ],
)
def test_no_template_says_what_differs_from_process_to_process(source: str, words: str) -> None:
    with pytest.raises(RequestError, match=words):
        ChatTemplate(source, {}).render([{"role": "user", "content": "hello"}])
    with pytest.raises(ModelError, match="random"):
        ChatTemplate("{{ messages | random }}", {})


def test_what_is_no_template_is_the_models_fault() -> None:
    with pytest.raises(ModelError, match="is no jinja2 template"):
        ChatTemplate("{% for %}", {})


@settings(max_examples=20)
@given(st.text(max_size=200))
def test_any_text_of_a_message_is_answered(text: str) -> None:
    found = answer("llama-int8", text=text, max_tokens=1)
    assert found.prompt_tokens > 0
