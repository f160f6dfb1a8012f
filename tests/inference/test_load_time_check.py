"""What the load-time check finds is what is there, by the graph and by the bits."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_folders import FREE, HALF, MODELS, opened, verdict_of

from tickwork.inference.errors import ModelError
from tickwork.inference.invariance import (
    PINNED_CHUNK,
    ROWS_NEEDED,
    Serving,
    chunk_spans,
    examine,
    judge_graph,
)
from tickwork.inference.language.folder import read_folder
from tickwork.inference.language.rows import SharedRows
from tickwork.inference.onnx_graph import Graph, Operator, read_graph
from tickwork.inference.providers import SessionSettings, basis, open_session

NOTHING_KNOWN = Graph((Operator("GroupQueryAttention", {}, ()),), frozenset())


@pytest.mark.parametrize("name", [*FREE, HALF])
def test_builder_models_of_floats_and_of_small_blocks_are_served_freely(name: str) -> None:
    verdict = verdict_of(name)
    assert verdict.serving == Serving("free", "free", "free")
    assert all(finding.held for finding in verdict.findings)


@pytest.mark.parametrize(
    ("name", "variant", "serving"),
    [
        ("llama-pad", "", Serving("pad", "free", "free")),
        ("llama-even", "", Serving("even", "even", "free")),
        ("llama-eager", "", Serving("alone", "pinned", "one")),
        ("llama-eager", "quantized", Serving("alone", "pinned", "one")),
    ],
)
def test_models_whose_bits_depend_on_company_are_limited(name: str, variant: str, serving: Serving) -> None:
    assert verdict_of(name, variant).serving == serving


def _rows(name: str) -> Callable[[int], SharedRows]:
    folder = read_folder(MODELS / name)

    def rows(threads: int) -> SharedRows:
        session = open_session(folder.graph, ("cpu",), SessionSettings(threads=threads)).session
        return SharedRows(session, folder, ROWS_NEEDED, 256)

    return rows


@pytest.mark.parametrize(
    ("name", "batching", "chunking"),
    [("llama-fp32", "free", "free"), ("llama-pad", "pad", "free"), ("llama-even", "even", "even")],
)
def test_the_bits_alone_show_the_rule_where_the_graph_is_unknown(
    name: str, batching: str, chunking: str
) -> None:
    """On x86-64 with AVX2 and more, where these kernels were measured."""
    verdict = examine(NOTHING_KNOWN, _rows(name), 2, basis("cpu"))
    assert (verdict.serving.batching, verdict.serving.chunking) == (batching, chunking)


class _CompanyCounts(SharedRows):
    """A real model, with one thing added: its logits feel how many rows run."""

    def decode(self, first: int, tokens: list[int], lengths: list[int]) -> np.ndarray:
        return super().decode(first, tokens, lengths) + np.float32(len(tokens))


class _NeverTheSame(SharedRows):
    """A real model, with noise that moves on at each call."""

    calls = 0

    def prefill(self, row: int, tokens: list[int], past: int) -> np.ndarray:
        _NeverTheSame.calls += 1
        return super().prefill(row, tokens, past) + np.float32(_NeverTheSame.calls)


def _perturbed(kind: type[SharedRows]) -> Callable[[int], SharedRows]:
    folder = read_folder(MODELS / "llama-fp32")
    return lambda _: kind(open_session(folder.graph).session, folder, ROWS_NEEDED, 256)


def test_a_model_that_feels_its_company_is_served_alone() -> None:
    verdict = examine(NOTHING_KNOWN, _perturbed(_CompanyCounts), 2, basis("cpu"))
    assert verdict.serving.batching == "alone"
    assert [finding.held for finding in verdict.findings if finding.rule.startswith("batching")][:3] == [
        False
    ] * 3


def test_a_model_that_does_not_repeat_itself_is_refused() -> None:
    with pytest.raises(ModelError, match="different results for the same input"):
        examine(NOTHING_KNOWN, _perturbed(_NeverTheSame), 2, basis("cpu"))


def test_a_model_that_draws_its_own_randomness_is_refused() -> None:
    with pytest.raises(ModelError, match="RandomNormal"):
        judge_graph(Graph((Operator("RandomNormal", {}, ()),), frozenset()))


@pytest.mark.parametrize(
    ("bits", "block", "accuracy", "batching"),
    [
        (4, 32, 4, "free"),
        (4, 64, 4, "even"),
        (8, 64, 4, "free"),
        (8, 128, 4, "even"),
        (4, 32, 0, "pad"),
        (8, 32, 1, "alone"),
        (2, 32, 4, "alone"),
    ],
)
def test_quantised_products_are_judged_by_bits_block_and_accuracy(
    bits: int, block: int, accuracy: int, batching: str
) -> None:
    numbers = {"bits": bits, "block_size": block, "accuracy_level": accuracy}
    graph = Graph(
        (*NOTHING_KNOWN.operators, Operator("MatMulNBits", numbers, (False, True, True))), frozenset()
    )
    assert judge_graph(graph)[0].batching == batching


def test_a_verdict_is_believed_without_another_check() -> None:
    limited = verdict_of("llama-pad")
    assert opened("llama-fp32", verdict=limited).verdict is limited


def test_attention_over_computed_keys_is_seen_in_the_graph() -> None:
    graph = read_graph(MODELS / "llama-eager" / "onnx" / "model.onnx")
    products = [operator.constant_inputs for operator in graph.operators if operator.kind == "MatMul"]
    assert (False, True) in products
    assert (False, False) in products


@given(
    start=st.integers(0, 300),
    more=st.integers(1, 300),
    size=st.integers(2, 130),
    chunking=st.sampled_from(["free", "even", "pinned"]),
)
def test_spans_cover_a_prompt_in_order_and_keep_the_rule(
    start: int, more: int, size: int, chunking: str
) -> None:
    stop = start + more
    spans = list(chunk_spans(start, stop, size, chunking))
    reached = 0 if chunking == "pinned" else start
    for begin, end in spans:
        assert begin <= reached < end
        reached = end
    assert reached == stop
    if chunking == "pinned":
        assert spans == [(at, min(stop, at + PINNED_CHUNK)) for at in range(0, stop, PINNED_CHUNK)]
    elif stop > 1:
        assert all(1 < end - begin <= max(size, 2) + 1 for begin, end in spans)
        assert chunking == "free" or all((end - begin) % 2 == 0 for begin, end in spans)
