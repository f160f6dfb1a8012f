"""The plain models of tests/data/models, and requests to put to them."""

import functools
from typing import Any

import numpy as np
from model_folders import MODELS

from tickwork.inference.invariance import Verdict
from tickwork.inference.plain.encoding import Tensor, TensorRequest
from tickwork.inference.plain.engine import PlainEngine, PlainResult, TensorResult
from tickwork.inference.plain.load import PlainSettings, load_plain
from tickwork.inference.providers import SessionSettings

PLAIN = MODELS / "plain"


@functools.cache
def verdict_of(name: str) -> Verdict:
    return load_plain(PLAIN / name).verdict


def engine_of(name: str, threads: int = 1, **settings: Any) -> PlainEngine:
    asked = PlainSettings(session=SessionSettings(threads=threads), **settings)
    return load_plain(PLAIN / name, asked, verdict_of(name)).engine


def asked(outputs: tuple[str, ...] | None = None, **arrays: Any) -> TensorRequest:
    return TensorRequest({name: Tensor.of(np.asarray(array)) for name, array in arrays.items()}, outputs)


def floats(*rows: list[float]) -> np.ndarray:
    return np.array(rows, np.float32)


def answered(engine: PlainEngine, request: TensorRequest) -> PlainResult:
    engine.submit("only", request)
    return engine.run()["only"]


def values(result: PlainResult, name: str) -> np.ndarray:
    assert isinstance(result, TensorResult), result
    tensor = result.outputs[name]
    return np.frombuffer(tensor.data, tensor.dtype).reshape(tensor.shape)
