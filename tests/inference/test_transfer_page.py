"""docs/reference/inference-transfer.md says what crosses the border to ONNX Runtime."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from model_folders import MODELS, opened, request

from tickwork.inference import tensors
from tickwork.inference.errors import Code
from tickwork.inference.language.folder import read_folder
from tickwork.inference.language.rows import SharedRows
from tickwork.inference.providers import open_session

PAGE = (Path(__file__).parents[2] / "docs/reference/inference-transfer.md").read_text()
ROWS, CONTEXT = 5, 64


def test_the_element_types_are_those_of_the_code() -> None:
    listed = dict(re.findall(r"^\| `(tensor\(\w+\))` \| `(\w+)` \|$", PAGE, re.MULTILINE))
    assert listed == {name: np.dtype(kind).name for name, kind in tensors._DTYPES.items()}


class _Seen:
    """Everything that was bound: (direction, name, element type, shape), and the address."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bound: dict[tuple[str, str, str, tuple[int, ...]], int] = {}
        for direction in ("in", "out"):
            name = f"bind_{direction}put"
            monkeypatch.setattr(tensors, name, self._recording(getattr(tensors, name), direction))

    def _recording(self, bind: Any, direction: str) -> Any:
        def recorded(binding: Any, name: str, array: np.ndarray) -> None:
            self.bound[direction, name, array.dtype.name, array.shape] = array.ctypes.data
            bind(binding, name, array)

        return recorded


@pytest.mark.parametrize("family", ["llama", "qwen2", "phi3"])
def test_what_a_language_model_is_given_has_the_shapes_of_the_page(
    monkeypatch: pytest.MonkeyPatch, family: str
) -> None:
    folder = read_folder(MODELS / f"{family}-fp32")
    seen = _Seen(monkeypatch)
    rows = SharedRows(open_session(folder.graph).session, folder, ROWS, CONTEXT)
    heads, size, layers = folder.kv_heads, folder.head_size, folder.layers
    assert rows._memory.shape == (2 * layers, ROWS, heads, CONTEXT, size)

    rows.prefill(4, [5, 6, 7], 0)
    rows.prefill(4, [8, 9], 3)
    assert ("in", "input_ids", "int64", (1, 2)) in seen.bound
    assert ("in", "attention_mask", "int64", (1, 5)) in seen.bound
    _same_memory(seen, layers, ("float32", (1, heads, CONTEXT, size)))

    rows.decode(0, [1, 2, 3], [1, 7, 2])
    assert ("in", "input_ids", "int64", (3, 1)) in seen.bound
    assert ("in", "attention_mask", "int64", (3, 7)) in seen.bound
    assert ("out", "logits", "float32", (3, 1, rows.vocabulary)) in seen.bound
    _same_memory(seen, layers, ("float32", (3, heads, CONTEXT, size)))


def _same_memory(seen: _Seen, layers: int, form: tuple[str, tuple[int, ...]]) -> None:
    for layer in range(layers):
        for part in ("key", "value"):
            past = seen.bound["in", f"past_key_values.{layer}.{part}", *form]
            assert seen.bound["out", f"present.{layer}.{part}", *form] == past


def test_the_page_names_every_tensor_that_is_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = _Seen(monkeypatch)
    engine = opened("llama-fp32").engine
    engine.submit("a", request(max_tokens=2))
    engine.run()
    for _, name, _, _ in seen.bound:
        assert f"`{re.sub(r'[.][0-9]+[.]', '.i.', name)}`" in PAGE


def test_every_code_of_a_failing_run_is_on_the_page() -> None:
    codes = {Code.MODEL_FAILED, Code.LOGITS_NOT_FINITE, Code.OUTPUT_IS_NAN, Code.OUT_OF_MEMORY}
    assert all(f"`{code}`" in PAGE for code in codes)


def test_an_array_with_gaps_is_not_bound() -> None:
    folder = read_folder(MODELS / "llama-fp32")
    binding = open_session(folder.graph).session.io_binding()
    with pytest.raises(ValueError, match="not contiguous"):
        tensors.bind_input(binding, "input_ids", np.zeros((4, 4), np.int64)[:, ::2])
