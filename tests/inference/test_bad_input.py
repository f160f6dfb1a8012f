"""A bad model is refused with its fault named; a bad request fails by itself, and nobody else notices."""

import json
import random  # noqa: TID251 - seeded by each test
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from model_folders import MODELS, answers, mixed_requests, opened, request, verdict_of

from tickwork.inference.errors import ModelError, RequestError
from tickwork.inference.invariance import Serving, Verdict
from tickwork.inference.language.engine import Engine, EngineSettings
from tickwork.inference.language.load import LoadSettings, load
from tickwork.inference.language.request import parse_request
from tickwork.inference.language.response import Completion, Failure
from tickwork.inference.providers import basis

FREELY = Verdict(Serving(), (), basis("cpu"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of a model, to be spoiled."""
    return Path(shutil.copytree(MODELS / "llama-int4", tmp_path / "llama"))


def refused(folder: Path, **settings: Any) -> str:
    """Return why the folder cannot be loaded; the check is skipped, so that loading itself has to tell."""
    with pytest.raises(ModelError) as error:
        load(folder, LoadSettings(**settings), FREELY)
    return str(error.value)


# ---- models


@pytest.mark.parametrize("file", ["model.onnx", "model.onnx.data", "tokenizer.json", "genai_config.json"])
def test_a_missing_file_is_named(folder: Path, file: str) -> None:
    (folder / file).unlink()
    wanted = "neither genai_config.json" if file == "genai_config.json" else file
    assert wanted in refused(folder)


@pytest.mark.parametrize("file", ["model.onnx", "model.onnx.data", "tokenizer.json", "genai_config.json"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.97])
def test_a_file_that_was_cut_off_is_refused(folder: Path, file: str, share: float) -> None:
    content = (folder / file).read_bytes()
    (folder / file).write_bytes(content[: int(len(content) * share)])
    reason = refused(folder)
    assert file in reason or "model.onnx" in reason


def test_a_graph_of_damaged_bytes_is_refused_or_answers_but_never_ends_the_process(folder: Path) -> None:
    graph = folder / "model.onnx"
    sound = graph.read_bytes()
    outcomes = set()
    for seed in range(60):
        drawn = random.Random(seed)
        spoiled = bytearray(sound)
        for _ in range(drawn.choice([1, 3, 20])):
            spoiled[drawn.randrange(len(spoiled))] = drawn.randrange(256)
        graph.write_bytes(spoiled)
        try:
            engine = load(folder, LoadSettings(context_tokens=64), FREELY).engine
            engine.submit("a", request(max_tokens=2))
            outcomes.add(type(engine.run()["a"]))
        except ModelError:
            outcomes.add(ModelError)
    assert ModelError in outcomes
    assert outcomes <= {ModelError, Completion, Failure}


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("genai_config.json", b"[]", "must hold a JSON object"),
        ("genai_config.json", b"{", "is not readable JSON"),
        ("genai_config.json", b"[" * 100_000, "is not readable JSON"),
        ("genai_config.json", b"\xff\xfe", "is not readable JSON"),
        ("genai_config.json", b'{"model": 3}', "model must be an object"),
        ("tokenizer.json", b"{}", "is no tokenizer that can be used"),
        ("tokenizer.json", b"\xff", "is no tokenizer that can be used"),
        ("tokenizer_config.json", b"3", "must hold a JSON object"),
        ("chat_template.jinja", b"{% for %}", "is no jinja2 template"),
        ("chat_template.jinja", b"\xff", "is not readable text"),
    ],
)
def test_a_file_of_something_else_is_named(folder: Path, file: str, content: bytes, words: str) -> None:
    (folder / file).write_bytes(content)
    assert words in refused(folder)


def _configured(folder: Path, *path: str, value: object) -> None:
    file = folder / "genai_config.json"
    config = json.loads(file.read_text())
    at = config
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    file.write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("model", "decoder", "num_key_value_heads"), 3, "the two belong to different models"),
        (
            ("model", "decoder", "head_size"),
            1 << 40,
            "decoder.head_size must be a whole number from 1 to 4096",
        ),
        (("model", "decoder", "num_hidden_layers"), 3, "has no input past_key_values.2.key"),
        (
            ("model", "decoder", "num_hidden_layers"),
            1,
            "has an input past_key_values.1.key, which is not supp",
        ),
        (("model", "decoder", "num_hidden_layers"), -1, "num_hidden_layers must be a whole number from 1"),
        (("model", "decoder", "num_hidden_layers"), True, "num_hidden_layers must be a whole number from 1"),
        (("model", "decoder", "filename"), "../model.onnx", "which its configuration names"),
        (("model", "decoder", "filename"), "/etc/hostname", "lies outside of"),
        (("model", "decoder", "filename"), 3, "filename must be a text"),
        (("model", "decoder", "inputs", "input_ids"), "ids", "has no input ids"),
        (("model", "decoder", "outputs", "logits"), "scores", "has no output scores"),
        (("model", "decoder", "inputs", "past_key_names"), "past", "must hold %d once"),
        (("model", "decoder", "inputs", "past_key_names"), "%s.%d", "must hold %d once"),
        (("model", "context_length"), 1 << 60, "context_length must be a whole number from 1 to"),
        (("model", "eos_token_id"), [4, "x"], "eos_token_id must be a whole number"),
        (("model", "eos_token_id"), 5000, "the end token 5000 is none of the model's 384"),
    ],
)
def test_a_configuration_of_another_model_is_told_by_its_key(
    folder: Path, path: tuple[str, ...], value: object, words: str
) -> None:
    _configured(folder, *path, value=value)
    assert words in refused(folder)


def test_sizes_that_only_show_at_work_are_found_by_the_check_or_fail_their_request(folder: Path) -> None:
    _configured(folder, "model", "decoder", "head_size", value=8)
    with pytest.raises(ModelError, match=r"model\.onnx cannot be run: .*head"):
        load(folder)
    engine = load(folder, verdict=FREELY).engine
    engine.submit("a", request())
    failed = engine.run()["a"]
    assert isinstance(failed, Failure)
    assert failed.code == "model_failed"


def test_a_graph_of_another_model_is_found_by_its_shapes(folder: Path) -> None:
    for file in ("model.onnx", "model.onnx.data"):
        shutil.copy(MODELS / "phi3-int4" / file, folder / file)
    assert "the two belong to different models" in refused(folder)


def test_a_context_that_no_memory_holds_is_refused_with_the_fix(folder: Path) -> None:
    _configured(folder, "model", "context_length", value=1 << 24)
    engine = EngineSettings(slots=256)
    reason = refused(folder, context_tokens=1 << 24, engine=engine)
    assert reason.startswith("no memory for 259 rows of 16777216 tokens; ask for fewer")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"context_tokens": 3}, "context_tokens is 3"),
        ({"engine": EngineSettings(slots=0)}, "slots is 0"),
        ({"engine": EngineSettings(chunk=1)}, "chunk is 1"),
        ({"engine": EngineSettings(prefix_bytes=-1)}, "prefix_bytes is -1"),
        ({"variant": "q4"}, "is a builder folder with one graph"),
        ({"providers": ("tpu",)}, 'unknown provider "tpu"'),
    ],
)
def test_settings_out_of_bounds_are_named(folder: Path, settings: dict[str, Any], words: str) -> None:
    assert words in refused(folder, **settings)


# ---- requests


BAD = {
    "tokens-absurd": (request(max_tokens=10**9), "context_length_exceeded", "max_tokens"),
    "tokens-beyond-64-bits": (
        parse_request(b'{"messages": [{"role": "user", "content": "x"}], "max_tokens": 1%s}' % (b"0" * 40)),
        "context_length_exceeded",
        "max_tokens",
    ),
    "prompt-too-long": (request("apples " * 2000), "context_length_exceeded", "messages"),
    "schema-empty": (
        request(response_format={"type": "json_schema", "json_schema": {"schema": {"enum": []}}}),
        "unmeetable_format",
        "response_format",
    ),
    "schema-contradicts-itself": (
        request(
            response_format={
                "type": "json_schema",
                "json_schema": {"schema": {"type": "string", "minLength": 5, "maxLength": 2}},
            }
        ),
        "unmeetable_format",
        "response_format",
    ),
    "schema-is-none": (
        request(response_format={"type": "json_schema", "json_schema": {"schema": {"type": "number-ish"}}}),
        "unmeetable_format",
        "response_format",
    ),
    "schema-keeps-a-million-remainders-apart": (
        request(
            response_format={
                "type": "json_schema",
                "json_schema": {"schema": {"type": "integer", "multipleOf": 1_000_003}},
            }
        ),
        "unmeetable_format",
        "response_format",
    ),
    "schema-keeps-as-many-apart-by-parts": (
        request(
            response_format={
                "type": "json_schema",
                "json_schema": {
                    "schema": {"allOf": [{"type": "integer", "multipleOf": n} for n in (97, 1009, 13)]}
                },
            }
        ),
        "unmeetable_format",
        "response_format",
    ),
    "regex-is-none": (
        request(response_format={"type": "regex", "regex": "(unclosed"}),
        "unmeetable_format",
        "response_format",
    ),
    "regex-is-huge": (
        request(response_format={"type": "regex", "regex": "(((a{1000}){1000}){1000}){1000}"}),
        "unmeetable_format",
        "response_format",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_request_that_cannot_be_met_fails_alone_with_the_field(name: str) -> None:
    bad, code, param = BAD[name]
    engine = opened("llama-int4").engine
    engine.submit("before", request("hello", max_tokens=5), seed=1)
    engine.submit("bad", bad)
    engine.submit("after", request("hello", max_tokens=5), seed=1)
    results = engine.run()
    failed = results["bad"]
    assert isinstance(failed, Failure)
    assert (failed.code, failed.param) == (code, param)
    assert failed.body()["error"]["type"] == "invalid_request_error"
    assert isinstance(results["before"], Completion)
    assert results["before"].tokens == results["after"].tokens  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "integer", "multipleOf": 99_991},
        {"type": "number", "multipleOf": 0.01},
        {"properties": {"a": {"multipleOf": 0.0001}, "b": {"multipleOf": 1000}}},
    ],
)
def test_a_schema_with_few_remainders_is_met(schema: dict[str, Any]) -> None:
    form = {"type": "json_schema", "json_schema": {"schema": schema}}
    engine = opened("llama-int4").engine
    engine.submit("a", request(max_tokens=2, response_format=form))
    assert isinstance(engine.run()["a"], Completion)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": -5}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"max_tokens": 3, "max_completion_tokens": 3}, "max_tokens"),
        ({"temperature": -1}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"n": 2}, "n"),
        ({"seed": 2**63}, "seed"),
        ({"stop": [""]}, "stop[0]"),
        ({"stop": ["x"] * 17}, "stop"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "nobody", "content": "x"}]}, "messages[0].role"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"top_logprobs": 3}, "top_logprobs"),
    ],
)
def test_a_field_out_of_bounds_is_named(fields: dict[str, Any], param: str) -> None:
    body = {"messages": [{"role": "user", "content": "hello"}], **fields}
    with pytest.raises(RequestError) as error:
        parse_request(json.dumps(body).encode())
    assert error.value.param == param
    assert param.partition("[")[0] in str(error.value)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b'{"\xff": 1}',
        b'{"messages": [{"role": "user", "content": "\xff"}]}',
        b"[" * 100_000,
        b'{"messages": "x"}',
        b'{"mesages": []}',
    ],
)
def test_a_body_that_is_no_request_is_refused(body: bytes) -> None:
    with pytest.raises(RequestError, match=r"not JSON|Expected|unknown|required|nests deeper"):
        parse_request(body)


def test_a_prompt_may_fill_the_context_but_for_one_token() -> None:
    engine = opened("llama-int4", context=64).engine
    text = "a"
    longest = None
    while longest is None:
        engine.submit("a", request(text, temperature=0))
        result = engine.run()["a"]
        if isinstance(result, Failure):
            assert result.code == "context_length_exceeded"
            break
        assert result.prompt_tokens + len(result.tokens) <= 64
        text += "a"
    assert len(text) > 20


# ---- models that fail at work


def _faulty(settings: EngineSettings | None = None) -> Engine:
    return opened("llama-faulty", settings, verdict=verdict_of("llama-fp32")).engine


def _kind(answer: bytes) -> str:
    decoded = json.loads(answer)
    return str(decoded.get("code", "completed"))


@pytest.mark.parametrize(
    "settings", [EngineSettings(slots=16), EngineSettings(slots=5, chunk=3), EngineSettings(prefix_bytes=0)]
)
def test_sessions_that_throw_and_logits_that_are_nan_reach_only_the_request_concerned(
    settings: EngineSettings,
) -> None:
    """Hot enough that some generate the token that throws, and some the one whose logits are NaN."""
    requests = {f"hot-{n}": request(f"{n}", temperature=100, max_tokens=100) for n in range(24)}
    requests |= {f"nan-{n}": request("ünïcödé") for n in range(2)}
    requests |= {f"calm-{n}": request("hello", temperature=0, max_tokens=60) for n in range(4)}
    verdict = verdict_of("llama-fp32")
    alone = {}
    for key, one in requests.items():
        loaded = opened("llama-faulty", EngineSettings(slots=1), verdict=verdict)
        alone |= answers(loaded, {key: one}, arrivals=None)
    kinds = {key: _kind(answer) for key, answer in alone.items()}
    assert {kind for key, kind in kinds.items() if key.startswith("hot")} == {
        "completed",
        "model_failed",
        "logits_not_finite",
    }
    assert {kind for key, kind in kinds.items() if key.startswith("nan")} == {"logits_not_finite"}
    loaded = opened("llama-faulty", settings, verdict=verdict)
    assert answers(loaded, requests, random.Random(2)) == alone


def test_what_a_failing_session_said_is_passed_on_in_one_line() -> None:
    engine = _faulty()
    for n in range(24):
        engine.submit(f"{n}", request(f"{n}", temperature=100, max_tokens=100), seed=n)
    failures = [result for result in engine.run().values() if isinstance(result, Failure)]
    thrown = [failure for failure in failures if failure.code == "model_failed"]
    assert thrown
    for failure in thrown:
        assert failure.message.startswith("the model failed after ")
        assert "out of data bounds" in failure.message
        assert "\n" not in failure.message
        assert failure.body()["error"]["type"] == "server_error"


def _cancelled(engine: Engine, drop: Callable[[int], bool]) -> dict[str, bytes]:
    requests = mixed_requests(12, seed=4)
    for key, one in requests.items():
        engine.submit(key, one, seed=int(key.rpartition("-")[2]))
    found = {}
    steps = 0
    while engine.busy:
        found |= {result.key: msgspec.json.encode(result) for result in engine.step()}
        steps += 1
        for number, key in enumerate(requests):
            if drop(number) and steps == 1 + number // 2 and key not in found:
                assert engine.cancel(key)
                assert not engine.cancel(key)
    return found


def test_cancelling_at_any_moment_changes_nobody_elses_answer() -> None:
    everything = _cancelled(opened("llama-int4", EngineSettings(slots=4, chunk=16)).engine, lambda _: False)
    some = _cancelled(opened("llama-int4", EngineSettings(slots=4, chunk=16)).engine, lambda n: n % 3 == 1)
    assert len(some) < len(everything) == 12
    assert some.items() <= everything.items()
