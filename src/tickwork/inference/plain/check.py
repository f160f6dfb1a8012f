"""Finds out, when a plain model is loaded, whether a row's outputs depend on the rows beside it.

As with language models (`invariance`), the operators bound what may be done, and rows that are made up are
run alone and in company, with one thread and with several, at several of the sizes that the model leaves
open; the bits of every output are compared. A model that cannot be run on made-up rows is served one request
at a time, on one thread.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnxruntime as ort  # type: ignore[import-untyped]
from blake3 import blake3
from numpy.typing import NDArray

from tickwork.inference import tensors
from tickwork.inference.errors import UnrepeatableError
from tickwork.inference.invariance import (
    ALONE,
    Finding,
    Serving,
    Verdict,
    allows,
    at_least,
    judge_operators,
)
from tickwork.inference.onnx_graph import Operator
from tickwork.inference.plain.engine import Ports
from tickwork.inference.providers import CPU, Basis
from tickwork.inference.tensors import Port

_ROWS = 16
_BATCHES = (1, 2, 3, 4, 7, 8, 16)
# What open sizes beside the first axis are tried at, and up to which number whole numbers are made.
_SIZES = (3, 8, 33)
_WHOLE_MAX = (1000, 100, 10, 2)
# Operators whose output's size depends on what the rows hold.
_SELECTIVE = ("NonZero", "Unique", "Compress", "NonMaxSuppression")
# Sums over an axis: over the last one their bits held in every trial, over others they did not. The graph's
# reader does not tell which it is.
_SUMS = (
    "Einsum",
    "GlobalAveragePool",
    "ReduceL1",
    "ReduceL2",
    "ReduceLogSum",
    "ReduceLogSumExp",
    "ReduceMean",
    "ReduceProd",
    "ReduceSum",
    "ReduceSumSquare",
)
# Sums that several threads split where the shapes ask for it, however many rows there are.
_SPLIT = ("Conv", "ConvTranspose", "FusedConv")
_SPREAD = 3.0

Rows = dict[str, NDArray[Any]]
Observed = dict[tuple[int, int, int], bytes]


def check_plain(
    operators: Sequence[Operator],
    ports: Ports,
    opened: Callable[[int], ort.InferenceSession],
    threads: int,
    basis: Basis,
) -> Verdict:
    """Return how the model may be served; `opened(n)` gives a session with n threads.

    Raises UnrepeatableError if the model is not repeatable.
    """
    bound, findings = judge_operators(operators, dict(_structure(operators, ports)))
    many = max(2, threads)
    trials = list(_trials(opened(1), ports))
    if not trials:
        reason = "the model does not run on made-up inputs, so company could not be tried"
        return Verdict(ALONE, (*findings, Finding("trial", held=False, detail=reason)), basis)
    batches = (1,) if bound.batching == "alone" else _BATCHES
    one = _observe(opened(1), trials, batches)
    if _observe(opened(1), trials, batches) != one:
        reason = "the model gives different results for the same input"
        if basis.provider == CPU:
            raise UnrepeatableError(f"{reason}; it cannot be used in a replay")
        return Verdict(ALONE, (*findings, Finding("repeatable", held=False, detail=reason)), basis)
    several = _observe(opened(many), trials, batches)
    differ = sum(found != several.get(key) for key, found in one.items())
    detail = f"1 and {many} threads: {_agreement(differ, len(one))}"
    findings.append(Finding("threads", not differ, detail))
    one_only = bool(differ) or bound.threads == "one"
    batching = bound.batching
    for batching in at_least(bound.batching):
        sizes = [size for size in batches if allows(batching, size)]
        unequal = sum(_unequal(seen, sizes) for seen in ((one,) if one_only else (one, several)))
        words = f"rows {', '.join(map(str, sizes))} at once: {_agreement(unequal, len(one))}"
        findings.append(Finding(f"batching {batching}", not unequal, words))
        if not unequal:
            break
    return Verdict(Serving(batching, "free", "one" if one_only else "free"), tuple(findings), basis)


def _structure(operators: Sequence[Operator], ports: Ports) -> Iterator[tuple[str, Serving]]:
    """Yield what the model's form says against joining rows."""
    for kinds, reason, left in (
        (_SELECTIVE, "sizes depend on what the rows hold", Serving("alone")),
        (_SUMS, "may depend on the shape and on threads", ALONE),
        (_SPLIT, "depends on threads", Serving(threads="one")),
    ):
        for kind in sorted({operator.kind for operator in operators} & set(kinds)):
            yield f"{kind}: {reason}", left
    firsts: set[str | None] = set()
    for port in (*ports.inputs.values(), *ports.outputs.values()):
        if not port.shape or port.shape[0] is not None:
            yield f"{port.name} has no open first axis for rows", Serving("alone")
    for name in ports.inputs:
        firsts.update(ports.symbols[name][:1])
    if len(firsts) > 1:
        yield "the inputs' first axes differ", Serving("alone")


def _trials(session: ort.InferenceSession, ports: Ports) -> Iterator[Rows]:
    """Yield rows, at each size, that the model runs on."""
    open_sizes = any(size is None for port in ports.inputs.values() for size in port.shape[1:])
    for size in _SIZES if open_sizes else _SIZES[:1]:
        for whole_max in _WHOLE_MAX:
            rows = {name: _made_up(port, size, whole_max) for name, port in ports.inputs.items()}
            try:
                session.run(None, _slice(ports.inputs, rows, 0, 1))
            except Exception:  # such inputs are not the model's; others may be
                continue
            yield rows
            break


def _made_up(port: Port, size: int, whole_max: int) -> NDArray[Any]:
    shape = tuple(size if wanted is None else wanted for wanted in port.shape)
    if port.shape and port.shape[0] is None:
        shape = (_ROWS, *shape[1:])
    count = int(np.prod(shape))
    stream = blake3(f"{port.name} {size}".encode(), derive_key_context="tickwork 1 plain check")
    drawn = np.frombuffer(stream.digest(4 * count), "<u4").reshape(shape)
    if port.dtype.kind == "f":
        made = (drawn / 2**31 - 1) * _SPREAD
        if port.shape and port.shape[0] is None:
            # One row that overflows: its mates must not feel it.
            made[_ROWS // 2 - 1] *= float(np.sqrt(np.finfo(port.dtype).max))
        return made.astype(port.dtype)
    if port.dtype.kind == "b" or "mask" in port.name:
        made = drawn % 2
        made[..., :1] = 1
        return made.astype(port.dtype)
    return (drawn % min(whole_max, np.iinfo(port.dtype).max)).astype(port.dtype)


def _slice(inputs: Mapping[str, Port], rows: Rows, start: int, stop: int) -> Rows:
    """Return rows [start, stop) of each input that has rows."""
    return {
        name: np.ascontiguousarray(array[start:stop])
        if inputs[name].shape and inputs[name].shape[0] is None
        else array
        for name, array in rows.items()
    }


def _observe(session: ort.InferenceSession, trials: Sequence[Rows], batches: Sequence[int]) -> Observed:
    """Run every trial in windows of each size; return a digest for each row, under (trial, size, row)."""
    inputs = tensors.inputs(session)
    joinable = len(batches) > 1
    seen: Observed = {}
    for number, rows in enumerate(trials):
        for batch in batches:
            for first in range(0, _ROWS - batch + 1, batch):
                outputs = session.run(None, _slice(inputs, rows, first, first + batch))
                for row in range(batch):
                    parts = [output[row : row + 1] for output in outputs] if joinable else outputs
                    seen[number, batch, first + row] = _digest(parts)
    return seen


def _digest(parts: Sequence[NDArray[Any]]) -> bytes:
    total = blake3()
    for part in parts:
        if part.dtype.kind == "f":
            # Which NaN it is does not count: none of them reaches anybody.
            part = np.where(np.isnan(part), part.dtype.type(np.nan), part)  # noqa: PLW2901
        total.update(str(part.shape).encode() + np.ascontiguousarray(part).tobytes())
    return total.digest()


def _unequal(seen: Observed, sizes: Sequence[int]) -> int:
    """Count the rows whose bits at one of `sizes` are not those at the first of them."""
    return sum(
        size in sizes and seen.get((trial, sizes[0], row), found) != found
        for (trial, size, row), found in seen.items()
    )


def _agreement(differ: int, compared: int) -> str:
    return f"{compared} rows are equal" if not differ else f"{differ} rows differ"
