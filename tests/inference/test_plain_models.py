"""Plain models answer everybody as if alone, or say what is wrong, to the one concerned."""

import base64
import random  # noqa: TID251 - seeded by each test
import struct
from typing import Any

import msgspec
import numpy as np
import pytest
from plain_models import PLAIN, answered, asked, engine_of, floats, values, verdict_of

from tickwork.inference.errors import ModelError, RequestError
from tickwork.inference.invariance import Serving
from tickwork.inference.language.response import Failure
from tickwork.inference.plain.encoding import Tensor, TensorRequest, parse_tensors
from tickwork.inference.plain.engine import PlainResult, TensorResult
from tickwork.inference.plain.load import load_plain
from tickwork.inference.plain.pooling import Pooling

SERVED = {
    "classifier": Serving("free", "free", "free"),
    "company": Serving("alone", "free", "one"),
    "dynamic-int8": Serving("alone", "free", "one"),
    "embedding": Serving("free", "free", "free"),
    "embedding-pooled": Serving("alone", "free", "one"),
    "every-type": Serving("free", "free", "free"),
    "fixed": Serving("alone", "free", "free"),
    "logarithm": Serving("free", "free", "free"),
}


# ---- how models are served


@pytest.mark.parametrize("name", SERVED)
def test_the_check_finds_how_a_model_may_be_served(name: str) -> None:
    assert verdict_of(name).serving == SERVED[name]


def test_company_that_counts_is_found_in_the_bits_also_where_no_operator_tells(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tickwork.inference.plain.check._SUMS", ())
    assert load_plain(PLAIN / "company").verdict.serving.batching == "alone"


def test_a_model_with_its_own_randomness_is_refused() -> None:
    with pytest.raises(ModelError, match="draws its own randomness"):
        load_plain(PLAIN / "noisy")


def made_up(name: str, drawn: random.Random) -> TensorRequest:
    rows = drawn.choice([1, 1, 1, 2, 5])
    generator = np.random.default_rng(drawn.randrange(2**32))
    if name.startswith("embedding"):
        places = drawn.choice([1, 2, 7, 20])
        mask = np.sort(generator.integers(0, 2, (rows, places)))[:, ::-1].astype(np.int64)
        mask[:, 0] = 1
        return asked(input_ids=generator.integers(0, 300, (rows, places)), attention_mask=mask)
    if name == "fixed":
        rows = 2
    return asked(x=generator.standard_normal((rows, 4)).astype(np.float32) + 9 * (name == "logarithm"))


@pytest.mark.parametrize("name", sorted(SERVED.keys() - {"every-type"}))
def test_company_order_and_threads_change_no_answer(name: str) -> None:
    drawn = random.Random(3)
    requests = {f"{number}": made_up(name, drawn) for number in range(60)}
    pooling = (Pooling("last_hidden_state", "attention_mask", unit=True),) if name == "embedding" else ()
    alone = engine_of(name, pooling=pooling)
    expected = {key: answered(alone, request) for key, request in requests.items()}
    assert not any(isinstance(result, Failure) for result in expected.values())
    for threads, rows in ((1, 64), (2, 7), (8, 64)):
        engine = engine_of(name, threads, rows=rows, pooling=pooling)
        order = drawn.sample(sorted(requests), len(requests))
        found: dict[str, PlainResult] = {}
        for key in order:
            engine.submit(key, requests[key])
            if drawn.random() < 0.1:
                found.update((result.key, result) for result in engine.step())
        found |= engine.run()
        assert found == {key: msgspec.structs.replace(expected[key], key=key) for key in requests}


def test_requests_of_one_form_share_a_run_where_the_check_allows_it() -> None:
    for name, results in (("classifier", 10), ("company", 1)):
        engine = engine_of(name)
        for number in range(10):
            engine.submit(f"{number}", asked(x=floats([number, 2, 3, 4])))
        assert len(engine.step()) == results


@pytest.mark.parametrize(("batching", "rows"), [("free", 1), ("pad", 2), ("even", 2)])
def test_rows_are_made_up_to_what_the_model_needs_and_not_answered(batching: str, rows: int) -> None:
    verdict = msgspec.structs.replace(verdict_of("classifier"), serving=Serving(batching))  # type: ignore[arg-type]
    engine = load_plain(PLAIN / "classifier", verdict=verdict).engine
    seen = []
    run = engine._session.run
    engine._session = type("Watched", (), {"run": lambda _, n, f: seen.append(len(f["x"])) or run(n, f)})()
    assert values(answered(engine, asked(x=floats([1, 2, 3, 4]))), "label").shape == (1,)
    assert seen == [rows]


# ---- what is computed


def test_outputs_are_those_of_the_model_in_its_order() -> None:
    result = answered(engine_of("classifier"), asked(x=floats([1, 2, 3, 4], [4, 3, 2, 1])))
    probabilities = values(result, "probabilities")
    assert list(result.outputs) == ["probabilities", "label"]
    assert np.allclose(probabilities.sum(axis=1), 1)
    assert list(values(result, "label")) == list(probabilities.argmax(axis=1))


def test_only_the_outputs_asked_for_come_back() -> None:
    result = answered(engine_of("classifier"), asked(("label",), x=floats([1, 2, 3, 4])))
    assert list(result.outputs) == ["label"]


def test_every_element_type_goes_through_unchanged() -> None:
    types = {
        "BOOL": np.bool_, "FLOAT16": np.float16, "FLOAT": np.float32, "DOUBLE": np.float64,
        "INT8": np.int8, "INT16": np.int16, "INT32": np.int32, "INT64": np.int64,
        "UINT8": np.uint8, "UINT16": np.uint16, "UINT32": np.uint32, "UINT64": np.uint64,
    }  # fmt: skip
    generator = np.random.default_rng(1)
    arrays = {
        f"in_{kind}": generator.integers(0, 2, (2, 3)).astype(dtype)
        if dtype is np.bool_
        else generator.integers(0, 100, (2, 3)).astype(dtype)
        for kind, dtype in types.items()
    }
    result = answered(engine_of("every-type"), asked(**arrays))
    for kind in types:
        assert np.array_equal(values(result, f"out_{kind}"), arrays[f"in_{kind}"])


def test_an_agent_needs_only_base64_and_struct() -> None:
    text = base64.b64encode(struct.pack("<4f", 1, 2, 3, 4)).decode()
    body = '{"inputs": {"x": {"dtype": "float32", "shape": [1, 4], "data": "' + text + '"}}}'
    result = answered(engine_of("classifier"), parse_tensors(body.encode()))
    assert isinstance(result, TensorResult)
    label = msgspec.json.decode(msgspec.json.encode(result.body()))["outputs"]["label"]
    assert (label["dtype"], label["shape"]) == ("int64", [1])
    assert struct.unpack("<q", base64.b64decode(label["data"]))[0] in range(3)


def _body(**changes: Any) -> bytes:
    tensor = {"dtype": "float32", "shape": [1, 4], "data": base64.b64encode(bytes(16)).decode()} | changes
    return msgspec.json.encode({"inputs": {"x": tensor}})


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "is not JSON"),
        (b'{"inputs":' + b"[" * 100_000, "got `array`"),
        (b'{"inputs": {"x": ', "is not JSON"),
        (b"\xff", "is not JSON"),
        (b'{"inputs": {"\xff": 1}}', "is not JSON"),
        (b"{}", "inputs"),
        (b'{"inputs": {}}', "inputs: "),
        (_body(dtype="complex64"), "dtype"),
        (_body(shape=[1, -4]), "shape"),
        (_body(shape=[1, 0]), "shape"),
        (_body(shape=[1, 4.5]), "shape"),
        (_body(shape=[1] * 9), "shape"),
        (_body(shape=[2**62, 2**62]), "shape"),
        (_body(data="?"), "data"),
        (_body(data=[1, 2]), "data"),
        (_body(strides=[1]), "strides"),
        (b'{"inputs": {"x": 3}}', "inputs"),
        (_body()[:-1] + b', "outputs": []}', "outputs"),
        (_body()[:-1] + b', "temperature": 1}', "temperature"),
    ],
)
def test_a_body_that_is_no_request_is_refused_with_the_field(body: bytes, words: str) -> None:
    with pytest.raises(RequestError, match=words):
        parse_tensors(body)


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (parse_tensors(_body(shape=[2, 4])), "inputs.x has 16 bytes of data; float32 of shape [2, 4] has 32"),
        (parse_tensors(_body(shape=[2**26, 4])), "has 16 bytes of data"),
        (asked(x=floats([1, 2, 3])), "x must have the shape [rows, 4], not [1, 3]"),
        (asked(x=np.zeros(4, np.float32)), "x must have the shape [rows, 4], not [4]"),
        (asked(x=np.zeros((1, 4))), "x must be float32, not float64"),
        (asked(x=floats([1, 2, 3, float("nan")])), "inputs.x has a NaN in it"),
        (asked(y=floats([1, 2, 3, 4])), "the model has no input y; it has x"),
        (asked(x=floats([1, 2, 3, 4]), y=floats([1])), "the model has no input y"),
        (asked(("z",), x=floats([1, 2, 3, 4])), "the model has no output z; it has probabilities, label"),
    ],
)
def test_a_request_that_does_not_fit_the_model_is_told_why(request_: TensorRequest, words: str) -> None:
    engine = engine_of("classifier")
    engine.submit("good", asked(x=floats([1, 2, 3, 4])))
    engine.submit("bad", request_)
    results = engine.run()
    assert isinstance(results["good"], TensorResult)
    bad = results["bad"]
    assert isinstance(bad, Failure)
    assert bad.code == "invalid_request"
    assert words in bad.message


def test_sizes_of_one_name_must_agree() -> None:
    result = answered(
        engine_of("embedding"),
        asked(input_ids=np.zeros((1, 3), np.int64), attention_mask=np.ones((1, 4), np.int64)),
    )
    assert isinstance(result, Failure)
    assert result.message == "attention_mask has 4 for places, and input_ids has 3"


def test_a_bool_of_another_byte_is_refused() -> None:
    tensor = msgspec.structs.replace(Tensor.of(np.array([[True]])), data=b"\x02")
    arrays = {port: Tensor.of(np.zeros((1, 1), kind)) for port, kind in _every_type().items()}
    result = answered(engine_of("every-type"), TensorRequest(arrays | {"in_BOOL": tensor}))
    assert isinstance(result, Failure)
    assert "neither 0 nor 1" in result.message


def _every_type() -> dict[str, np.dtype]:
    return {name: port.dtype for name, port in load_plain(PLAIN / "every-type").ports.inputs.items()}


# ---- failures reach the request concerned and nobody else


def test_nan_in_an_output_fails_its_request_and_infinity_passes() -> None:
    engine = engine_of("logarithm")
    engine.submit("nan", asked(x=floats([-1, 1, 1, 1])))
    engine.submit("infinite", asked(x=floats([0, 1, 1, 1])))
    engine.submit("fine", asked(x=floats([1, 1, 1, 1])))
    results = {result.key: result for result in engine.step()}
    assert results["nan"] == Failure("nan", "output_is_nan", "the model's y has a NaN in it", "inputs")
    assert values(results["infinite"], "y")[0, 0] == -np.inf
    assert values(results["fine"], "y").tolist() == [[0, 0, 0, 0]]


def test_a_request_that_the_model_throws_at_fails_alone() -> None:
    engine = engine_of("embedding")
    good = asked(input_ids=np.array([[5, 6]]), attention_mask=np.array([[1, 1]]))
    bad = asked(input_ids=np.array([[5, 300]]), attention_mask=np.array([[1, 1]]))
    expected = answered(engine_of("embedding"), good)
    for number in range(6):
        engine.submit(f"{number}", bad if number == 3 else good)
    results = engine.run()
    failed = results.pop("3")
    assert isinstance(failed, Failure)
    assert failed.code == "model_failed"
    assert "out of data bounds" in failed.message
    assert all(
        values(result, "last_hidden_state").tobytes() == values(expected, "last_hidden_state").tobytes()
        for result in results.values()
    )


def test_a_cancelled_request_has_no_result() -> None:
    engine = engine_of("classifier")
    engine.submit("a", asked(x=floats([1, 2, 3, 4])))
    engine.submit("b", asked(x=floats([1, 2, 3])))
    assert engine.cancel("a")
    assert engine.cancel("b")
    assert not engine.cancel("a")
    assert not engine.busy
    assert engine.run() == {}


def test_a_key_in_use_is_a_mistake_of_the_caller() -> None:
    engine = engine_of("classifier")
    engine.submit("a", asked(x=floats([1, 2, 3, 4])))
    with pytest.raises(ValueError, match="already here"):
        engine.submit("a", asked(x=floats([1, 2, 3, 4])))
