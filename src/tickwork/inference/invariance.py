"""Finds out, when a model is loaded, how it may be served so that company never changes an answer.

Two halves, and the stricter one counts:

- what its graph is made of: operators whose results were found to depend on the batch, on the threads or on
  padding bound how it may be served (the tables below say which);
- what it does: a few sequences, long and short, are run alone and in company, whole and in chunks, with one
  thread and with several, and the bits of their logits are compared.

A rule that fails costs speed and nothing else: the model is then padded, or served one sequence at a time.
Only a model that does not give the same bits twice running is refused, and that on the CPU alone: what other
providers compute is recorded.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, Protocol

import msgspec
from blake3 import blake3
from numpy.typing import NDArray

from tickwork.inference.errors import ModelError, UnrepeatableError
from tickwork.inference.onnx_graph import Graph, Operator
from tickwork.inference.providers import CPU, Basis

Batching = Literal["free", "pad", "even", "alone"]
Chunking = Literal["free", "even", "pinned"]

# In order of strictness: a model that may do one may do those after it.
_BATCHING: tuple[Batching, ...] = ("free", "pad", "even", "alone")
_CHUNKING: tuple[Chunking, ...] = ("free", "even", "pinned")
# The chunk length of models whose bits depend on it: part of what their answers are, so never a setting.
PINNED_CHUNK = 64

_ROWS = 16
_PROMPT_LENGTHS = (5, 2, 33, 9, 70, 3, 16, 24)
_LONG_PROMPT = 131
_STEPS = 3
_BATCHES = (1, 2, 3, 4, 7, 8, 16)
_CHUNKS = (2, 3, 8, 21, 64)
_CONTEXT_MIN = 16
_ATTENTION = "GroupQueryAttention"
_RANDOM = (
    "RandomNormal",
    "RandomNormalLike",
    "RandomUniform",
    "RandomUniformLike",
    "Multinomial",
    "Bernoulli",
)
_DYNAMIC_INT8 = ("DynamicQuantizeLinear", "DynamicQuantizeMatMul", "DynamicQuantizeLSTM")
_PLACE_DEPENDENT = ("Sin", "Cos", "Softplus")
# A graph that branches may branch on the width of the batch's mask, which is the longest sequence's.
_BRANCHES = ("If", "Loop", "Scan")
_ACCURACY_INT8 = 4
# The largest block, by bits, up to which any number of rows gives the same bits.
_BLOCK_MAX = {4: 32, 8: 64}
_NBITS_DEFAULTS = (("bits", 4), ("block_size", 32), ("accuracy_level", 0))


class Serving(msgspec.Struct, frozen=True):
    """How a model may be served.

    `batching`: free, any number of sequences at once; pad, at least two rows; even, an even number of rows;
    alone, one. `chunking` of prompts: free, chunks of two tokens and more; even, chunks of even length;
    pinned, chunks of PINNED_CHUNK from the start. `threads`: whether their number is free or must be one.
    """

    batching: Batching = "free"
    chunking: Chunking = "free"
    threads: Literal["free", "one"] = "free"


# The strictest there is.
ALONE = Serving("alone", "pinned", "one")


class Finding(msgspec.Struct, frozen=True):
    """One rule, whether it held, and what was seen."""

    rule: str
    held: bool
    detail: str


class Verdict(msgspec.Struct, frozen=True):
    """How a model may be served here, and why. Holds for `basis` only: another machine may find otherwise."""

    serving: Serving
    findings: tuple[Finding, ...]
    basis: Basis


class Subject(Protocol):
    """What is examined: the rows of `language.rows`."""

    shared: bool
    context: int
    vocabulary: int

    def prefill(self, row: int, tokens: Sequence[int], past: int) -> NDArray[Any]:
        """See language.rows.Rows."""

    def decode(self, first: int, tokens: Sequence[int], lengths: Sequence[int]) -> NDArray[Any]:
        """See language.rows.Rows."""


ROWS_NEEDED = _ROWS


def examine(graph: Graph, opened: Callable[[int], Subject], threads: int, basis: Basis) -> Verdict:
    """Return how the model may be served.

    `opened(n)` gives fresh rows (at least ROWS_NEEDED) of a session with n threads. Raises ModelError if the
    model is not repeatable or cannot be run at all.
    """
    bound, findings = judge_graph(graph)
    many = max(2, threads)
    plan = _Plan(bound)
    one_thread = _observe(opened(1), plan)
    if _observe(opened(1), plan) != one_thread:
        reason = "the model gives different results for the same input"
        if basis.provider == CPU:
            raise UnrepeatableError(f"{reason}; it cannot be used in a replay")
        # What other providers compute is recorded, and a replay uses that.
        return Verdict(ALONE, (*findings, Finding("repeatable", held=False, detail=reason)), basis)
    several = _observe(opened(many), plan)
    differ = _differences(one_thread, several)
    agreement = _agreement(differ, len(one_thread))
    findings.append(Finding("threads", not differ, f"1 and {many} threads: {agreement}"))
    one_only = bool(differ) or bound.threads == "one"
    # With one thread for good, what several do no longer counts.
    seen = (one_thread,) if one_only else (one_thread, several)
    batching, batch_findings = _judge_batching(seen, bound.batching)
    chunking, chunk_findings = _judge_chunking(seen, bound.chunking)
    serving = Serving(batching, chunking, "one" if one_only else "free")
    return Verdict(serving, tuple(findings + batch_findings + chunk_findings), basis)


def judge_graph(graph: Graph) -> tuple[Serving, list[Finding]]:
    """Return how far a language model of these operators may be trusted, with the reasons."""
    appends = appends_in_place(graph)
    more = {} if appends else {f"no {_ATTENTION}: depends on padding and length": ALONE}
    return judge_operators(graph.operators, more)


def judge_operators(
    operators: Sequence[Operator], more: Mapping[str, Serving] | None = None
) -> tuple[Serving, list[Finding]]:
    """Return how far any model of these operators may be trusted, with the reasons and `more` of them."""
    for kind in sorted({operator.kind for operator in operators}):
        if kind in _RANDOM:
            raise UnrepeatableError(
                f"the model draws its own randomness ({kind}); it cannot be used in a replay"
            )
    reasons = {**_reasons(operators), **(more or {})}
    if not reasons:
        return Serving(), [Finding("operators", held=True, detail="none is known to depend on company")]
    bounds = reasons.values()
    serving = Serving(
        max((bound.batching for bound in bounds), key=_BATCHING.index),
        max((bound.chunking for bound in bounds), key=_CHUNKING.index),
        "one" if any(bound.threads == "one" for bound in bounds) else "free",
    )
    return serving, [Finding("operators", held=False, detail=reason) for reason in sorted(reasons)]


def appends_in_place(graph: Graph) -> bool:
    """Return whether the model appends keys and values in place, which GroupQueryAttention does."""
    kinds = {operator.kind for operator in graph.operators}
    return _ATTENTION in kinds and not kinds & {
        "MultiHeadAttention",
        "Attention",
        "DecoderMaskedMultiHeadAttention",
    }


def _reasons(operators: Sequence[Operator]) -> dict[str, Serving]:
    """Return each reason against serving freely, with what it leaves."""
    found: dict[str, Serving] = {}
    for operator in operators:
        if operator.kind in _DYNAMIC_INT8:
            found[f"{operator.kind}: one scale for the whole batch"] = ALONE
        elif operator.kind in _PLACE_DEPENDENT:
            found[f"{operator.kind}: depends on the place in the buffer"] = ALONE
        elif operator.kind in _BRANCHES:
            found[f"{operator.kind}: may branch on the length of the longest sequence"] = ALONE
        elif operator.kind in {"MatMul", "Gemm"} and not any(operator.constant_inputs[1:2]):
            found[f"{operator.kind} of two computed inputs: depends on the shape and on threads"] = ALONE
        elif operator.kind == "MatMulNBits":
            bits, block, accuracy = (operator.numbers.get(name, default) for name, default in _NBITS_DEFAULTS)
            left = _nbits(bits, block, accuracy)
            if left != Serving():
                found[f"MatMulNBits of {bits} bits, block {block}, accuracy {accuracy}"] = left
    return found


def _nbits(bits: int, block: int, accuracy: int) -> Serving:
    """Return what a quantised matrix product leaves possible: measured for x86-64, ONNX Runtime 1.31."""
    if accuracy == _ACCURACY_INT8 and bits in _BLOCK_MAX:
        return Serving() if block <= _BLOCK_MAX[bits] else Serving("even", "even")
    if bits == min(_BLOCK_MAX):
        return Serving("pad", "free")
    return ALONE


class _Plan:
    """What is to be run, given what the graph already rules out."""

    def __init__(self, bound: Serving) -> None:
        self.batches = (1,) if bound.batching == "alone" else _BATCHES
        self.chunks = () if bound.chunking == "pinned" else _CHUNKS


Observed = dict[tuple[str, int, int, int], bytes]


def _observe(subject: Subject, plan: _Plan) -> Observed:
    """Run everything in the plan; return a digest for each logit row, under (what, size, row, step)."""
    if subject.context < _CONTEXT_MIN:
        raise ModelError(f"the model's context has {subject.context} tokens; {_CONTEXT_MIN} are the least")
    prompts = _prompts(subject.vocabulary, subject.context - _STEPS - 1)
    seen: Observed = {}
    for row, prompt in enumerate(prompts):
        seen["whole", len(prompt), row, 0] = _digest(subject.prefill(row, prompt, 0))
        for size in plan.chunks:
            for chunking in ("free", "even"):
                spans = list(chunk_spans(0, len(prompt), size, chunking))
                ends = [subject.prefill(row, prompt[start:stop], start) for start, stop in spans]
                seen[chunking, size, row, 0] = _digest(ends[-1])
                # The keys and values of the chunks show in what follows.
                logits = subject.decode(row, [prompt[0]], [len(prompt) + 1])
                seen[chunking, size, row, 1] = _digest(logits[0])
        if not subject.shared:
            _decode_alone(subject, row, prompt, seen)
    if subject.shared:
        for batch in plan.batches:
            _decode_together(subject, batch, prompts, seen)
    return seen


def _decode_alone(subject: Subject, row: int, prompt: list[int], seen: Observed) -> None:
    for step in range(_STEPS):
        logits = subject.decode(row, [_forced(prompt, step)], [len(prompt) + step + 1])
        seen["batch", 1, row, step] = _digest(logits[0])


def _decode_together(subject: Subject, batch: int, prompts: list[list[int]], seen: Observed) -> None:
    """Decode windows of `batch` rows; a row's place and mates differ from one batch size to the next."""
    for first in range(0, _ROWS - batch + 1, batch):
        window = prompts[first : first + batch]
        for step in range(_STEPS):
            tokens = [_forced(prompt, step) for prompt in window]
            lengths = [len(prompt) + step + 1 for prompt in window]
            for row, logits in enumerate(subject.decode(first, tokens, lengths), first):
                seen["batch", batch, row, step] = _digest(logits)


def _judge_batching(seen: Sequence[Observed], bound: Batching) -> tuple[Batching, list[Finding]]:
    findings = []
    for batching in at_least(bound):
        sizes = [size for size in _BATCHES if allows(batching, size)]
        differ = sum(_unequal(observed, "batch", sizes, sizes[0]) for observed in seen)
        compared = sum(key[0] == "batch" and key[1] in sizes for key in seen[0])
        words = f"rows {', '.join(map(str, sizes))} at once: "
        findings.append(Finding(f"batching {batching}", not differ, words + _agreement(differ, compared)))
        if not differ:
            return batching, findings
    return "alone", findings


def at_least(bound: Batching) -> Sequence[Batching]:
    """Return the ways of batching that are no less strict than `bound`, the strictest last."""
    return _BATCHING[_BATCHING.index(bound) :]


def allows(batching: Batching, rows: int) -> bool:
    """Return whether that many rows may run at once."""
    if batching == "alone":
        return rows == 1
    return batching == "free" or (rows > 1 and (batching == "pad" or rows % 2 == 0))


def _judge_chunking(seen: Sequence[Observed], bound: Chunking) -> tuple[Chunking, list[Finding]]:
    findings = []
    for chunking in _CHUNKING[_CHUNKING.index(bound) :]:
        if chunking == "pinned":
            findings.append(
                Finding("chunking pinned", held=True, detail=f"chunks of {PINNED_CHUNK} from the start")
            )
            break
        differ = sum(_unequal(observed, chunking, _CHUNKS, _CHUNKS[-1]) for observed in seen)
        if chunking == "free":
            differ += sum(_unlike_whole(observed) for observed in seen)
        compared = sum(key[0] == chunking for key in seen[0])
        words = f"chunks of {', '.join(map(str, _CHUNKS))}: "
        findings.append(Finding(f"chunking {chunking}", not differ, words + _agreement(differ, compared)))
        if not differ:
            return chunking, findings
    return "pinned", findings


def _unequal(observed: Observed, what: str, sizes: Sequence[int], reference: int) -> int:
    """Count the rows whose bits at one of `sizes` are not those at the reference size."""
    return sum(
        kind == what and size in sizes and observed.get((what, reference, row, step), found) != found
        for (kind, size, row, step), found in observed.items()
    )


def _unlike_whole(observed: Observed) -> int:
    whole = {row: found for (kind, _, row, _), found in observed.items() if kind == "whole"}
    return sum(
        kind == "free" and step == 0 and found != whole[row]
        for (kind, _, row, step), found in observed.items()
    )


def _differences(one: Observed, other: Observed) -> int:
    return sum(found != other[key] for key, found in one.items())


def _agreement(differ: int, compared: int) -> str:
    return f"{compared} logit rows are equal" if not differ else f"{differ} logit rows differ"


def chunk_spans(start: int, stop: int, size: int, chunking: Chunking) -> Iterator[tuple[int, int]]:
    """Yield the spans [from, to) in which tokens [start, stop) of a prompt are prefilled, in order.

    A span may begin before the last one's end: a lone last token is computed together with the one before it,
    because one token and several take different arithmetic. `size` is at least 2. A prompt of one token is
    one span.
    """
    if chunking == "pinned":
        size, start = PINNED_CHUNK, 0
    elif chunking == "even":
        size -= size % 2
    at = start
    while at < stop:
        to = min(stop, at + size)
        odd = (to - at) % 2 == 1
        if chunking == "free":
            yield (at - 1 if to - at == 1 and at else at), to
        elif chunking == "even" and odd and at:
            yield at - 1, to
        elif chunking == "even" and odd and to > 1:
            yield at, to - 1
            yield to - 2, to
        else:
            yield at, to
        at = to


def _prompts(vocabulary: int, longest: int) -> list[list[int]]:
    lengths = [_PROMPT_LENGTHS[row % len(_PROMPT_LENGTHS)] for row in range(_ROWS)]
    lengths[-1] = _LONG_PROMPT
    return [_tokens(row, min(length, longest), vocabulary) for row, length in enumerate(lengths)]


def _tokens(row: int, count: int, vocabulary: int) -> list[int]:
    stream = blake3(row.to_bytes(4, "little"), derive_key_context="tickwork 1 invariance check").digest(
        4 * count
    )
    return [int.from_bytes(stream[4 * i : 4 * i + 4], "little") % vocabulary for i in range(count)]


def _forced(prompt: list[int], step: int) -> int:
    return prompt[(7 * step + 1) % len(prompt)]


def _digest(logits: NDArray[Any]) -> bytes:
    return blake3(logits.tobytes()).digest()
