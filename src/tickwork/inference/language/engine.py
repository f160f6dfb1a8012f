"""Serves many requests from one model together, each with the bits of being served alone.

Theory of operation. Sequences that decode lie in rows 0..n-1 without gaps, and each step gives all of them
one token (continuous batching). One prompt at a time is prefilled, a chunk per step, in a row behind them,
so that a long prompt delays the others by a chunk and not by its length. When a sequence ends, the last one
moves into its row. How many rows run together, and how prompts may be cut, is what the load-time check
found (`invariance.Serving`); rows added to please it hold one token that nobody reads.

Why company cannot change an answer: every row's logits have the same bits however many rows run (that was
measured), each request draws its randomness by counting and not from a shared stream, and nothing else
reaches a `Sequence`. Order of arrival, chunk length, number of slots and the prefix cache decide when a
request is done, never what it says.

An engine belongs to one thread.
"""

from collections import OrderedDict, deque

import msgspec
import numpy as np

from tickwork.inference.errors import Code, ModelError, RequestError, one_line, thrown
from tickwork.inference.invariance import Serving, chunk_spans
from tickwork.inference.language.constraint import Grammars
from tickwork.inference.language.prefix import PrefixCache
from tickwork.inference.language.request import ChatRequest, check_request
from tickwork.inference.language.response import Failure, Result
from tickwork.inference.language.rows import Logits, Rows
from tickwork.inference.language.sampling import Sampler
from tickwork.inference.language.sequence import Reading, Sequence
from tickwork.inference.language.template import ChatTemplate
from tickwork.inference.language.tokens import Tokenizer

# Rows behind the slots: two to run one sequence beside a row that nobody reads, one to prefill in.
ROWS_BESIDE_SLOTS = 3
_CHUNK_MIN = 2


class Names(msgspec.Struct, frozen=True):
    """What completions say of the model that made them."""

    model: str
    fingerprint: str


class EngineSettings(msgspec.Struct, frozen=True):
    """How an engine works. `tokens_default` alone is part of what answers are; the rest is speed and memory.

    `slots`: sequences decoded together, 1 to 256. `chunk`: tokens of a prompt prefilled in one step, at least
    2. `prefix_bytes`: how much to remember of prompts. `tokens_default`: how long an answer may be where the
    request does not say. `digest_logits`: whether completions carry `logit_digest`.
    """

    slots: int = 16
    chunk: int = 128
    prefix_bytes: int = 256 << 20
    tokens_default: int = 256
    digest_logits: bool = False


class Engine:
    """A model at work."""

    def __init__(
        self,
        names: Names,
        rows: Rows,
        tokenizer: Tokenizer,
        template: ChatTemplate | None,
        end_ids: frozenset[int],
        serving: Serving,
        settings: EngineSettings,
    ) -> None:
        """`rows` has at least `settings.slots` + ROWS_BESIDE_SLOTS rows."""
        if settings.chunk < _CHUNK_MIN or settings.slots + ROWS_BESIDE_SLOTS > rows.count:
            raise ValueError(f"chunk {settings.chunk} or slots {settings.slots} are out of bounds")
        self._names = names
        self._rows = rows
        self._tokenizer = tokenizer
        self._template = template
        self._reading = Reading(tokenizer, end_ids, settings.digest_logits)
        self._serving = serving
        self._settings = settings
        self._grammars = Grammars(tokenizer, rows.vocabulary, sorted(end_ids))
        reusable = rows.shared and serving.chunking != "pinned"
        self._prefixes = PrefixCache(settings.prefix_bytes if reusable else 0)
        self._waiting: OrderedDict[str, Sequence] = OrderedDict()
        self._spans: deque[tuple[int, int]] = deque()
        self._prefilling: Sequence | None = None
        self._prefill_row = 0
        self._active: list[Sequence] = []
        self._failures: list[Failure] = []

    @property
    def busy(self) -> bool:
        """Whether a step would do anything."""
        return bool(self._waiting or self._prefilling or self._active or self._failures)

    @property
    def prefix_bytes_held(self) -> int:
        """How many bytes the prefix cache holds."""
        return self._prefixes.bytes_held

    @property
    def prefix_tokens_reused(self) -> int:
        """How many tokens of prompts the prefix cache has saved so far; depends on the order of requests."""
        return self._prefixes.tokens_reused

    def warm_up(self) -> None:
        """Run the model once, so that the first request does not pay for it; raises ModelError."""
        if self.busy:
            return
        row = self._rows.count - 1
        try:
            self._rows.prefill(row, [0, 0], 0)
            self._rows.decode(row, [0], [3])
        except Exception as error:
            raise ModelError(f"the model does not run: {one_line(error)}") from error

    def submit(self, key: str, request: ChatRequest, seed: int = 0) -> None:
        """Take a request on; its result comes out of a later step, a failure too.

        `key` names it and must not be in use (ValueError). `seed` counts where the request names none.
        """
        if self._find(key) is not None or any(failure.key == key for failure in self._failures):
            raise ValueError(f"request {key} is already here")
        try:
            self._waiting[key] = self._sequence(key, request, seed)
        except RequestError as error:
            self._failures.append(Failure.of(key, error))

    def cancel(self, key: str) -> bool:
        """Drop a request, which then has no result; return whether it was here."""
        failures = [failure for failure in self._failures if failure.key != key]
        if self._waiting.pop(key, None) is not None or len(failures) < len(self._failures):
            self._failures = failures
            return True
        if self._prefilling is not None and self._prefilling.key == key:
            self._prefilling = None
            return True
        for row, sequence in enumerate(self._active):
            if sequence.key == key:
                self._remove({row})
                return True
        return False

    def pieces(self, key: str) -> tuple[str, ...]:
        """Return an unfinished request's texts so far, one per token; KeyError if it is not here."""
        sequence = self._find(key)
        if sequence is None:
            raise KeyError(key)
        return tuple(sequence.pieces)

    def step(self) -> list[Result]:
        """Prefill a chunk and decode a token for everybody; return what is finished, failures first."""
        results: list[Result] = [*self._failures]
        self._failures.clear()
        self._decode(results)
        self._prefill(results)
        return results

    def run(self) -> dict[str, Result]:
        """Step until nothing is left to do; return all results by key."""
        results: dict[str, Result] = {}
        while self.busy:
            results.update((result.key, result) for result in self.step())
        return results

    def _sequence(self, key: str, request: ChatRequest, seed: int) -> Sequence:
        check_request(request)
        if self._template is None:
            raise RequestError(
                Code.INVALID_REQUEST,
                "the model has no chat template; add chat_template.jinja to its folder",
                "messages",
            )
        prompt = self._tokenizer.encode(
            self._template.render([message.plain() for message in request.messages])
        )
        if not prompt or max(prompt) >= self._rows.vocabulary:
            reason = "make an empty prompt" if not prompt else "hold a token that the model does not have"
            raise RequestError(Code.INVALID_REQUEST, f"the messages {reason}", "messages")
        context = self._rows.context
        tokens_max = request.tokens_max
        if len(prompt) + (tokens_max or 1) > context:
            asked = "" if tokens_max is None else f" and {tokens_max} more are asked for"
            raise RequestError(
                Code.CONTEXT_LENGTH_EXCEEDED,
                f"the prompt has {len(prompt)} tokens{asked}; the model's context has {context}",
                "messages" if len(prompt) >= context else "max_tokens",
            )
        if tokens_max is None:
            tokens_max = min(self._settings.tokens_default, context - len(prompt))
        return Sequence(
            key,
            request,
            prompt,
            tokens_max,
            Sampler(request, seed, prompt, self._rows.vocabulary),
            self._grammars.constraint(request.response_format),
            self._reading,
        )

    def _prefill(self, results: list[Result]) -> None:
        """Prefill up to a chunk of tokens, of one prompt or of several short ones; at least one span."""
        left = self._settings.chunk
        while True:
            if self._prefilling is None and not self._start():
                return
            start, stop = self._spans[0]
            if stop - start > left < self._settings.chunk:
                return
            left -= stop - start
            self._prefill_span(results)

    def _start(self) -> bool:
        """Turn to the next request, if there is one and a slot for it."""
        if not self._waiting or len(self._active) >= self._settings.slots:
            return False
        _, sequence = self._waiting.popitem(last=False)
        self._prefilling = sequence
        # Behind the rows that decode; out of reach of those that are only there to make up a number.
        padded = self._serving.batching in {"pad", "even"}
        self._prefill_row = self._rows.count - 1 if padded else len(self._active)
        known = self._prefixes.restore(self._rows, self._prefill_row, sequence.prompt)
        spans = chunk_spans(known, len(sequence.prompt), self._settings.chunk, self._serving.chunking)
        self._spans = deque(spans)
        return True

    def _prefill_span(self, results: list[Result]) -> None:
        sequence = self._prefilling
        if sequence is None:
            return
        start, stop = self._spans.popleft()
        try:
            logits = self._rows.prefill(self._prefill_row, sequence.prompt[start:stop], start)
        except Exception as error:  # whatever the session throws is this request's alone
            self._prefilling = None
            results.append(_failed(sequence, error))
            return
        if self._spans:
            return
        self._prefilling = None
        if len(sequence.prompt) > 1:
            # A prompt of one token is computed as generated tokens are, so longer prompts cannot use it.
            self._prefixes.keep(self._rows, self._prefill_row, sequence.prompt)
        if self._accept(sequence, logits, results):
            if self._prefill_row != len(self._active):
                self._rows.move(self._prefill_row, len(self._active), len(sequence.prompt))
            self._active.append(sequence)

    def _decode(self, results: list[Result]) -> None:
        if not self._active:
            return
        done: set[int] = set()
        for row, (sequence, logits) in enumerate(zip(self._active, self._logits(), strict=True)):
            if isinstance(logits, Exception):
                results.append(_failed(sequence, logits))
                done.add(row)
            elif not self._accept(sequence, logits, results):
                done.add(row)
        self._remove(done)

    def _logits(self) -> "list[Logits] | list[Logits | Exception]":
        """Return the next logits of every active sequence, or what the session threw at it.

        A batch that throws is run again one sequence at a time: the one at fault throws again, and the others
        get what they would have got.
        """
        if self._serving.batching == "alone":
            return [self._alone(row) for row in range(len(self._active))]
        count = len(self._active)
        padding = max(0, 2 - count) if self._serving.batching == "pad" else 0
        if self._serving.batching == "even":
            padding = count % 2
        tokens = [sequence.tokens[-1] for sequence in self._active] + [0] * padding
        lengths = [sequence.length for sequence in self._active] + [1] * padding
        try:
            return list(self._rows.decode(0, tokens, lengths)[:count])
        except Exception:  # the session's own; found out one by one
            return [self._alone(row) for row in range(count)]

    def _alone(self, row: int) -> "Logits | Exception":
        sequence = self._active[row]
        token, length = sequence.tokens[-1], sequence.length
        try:
            if self._serving.batching in {"free", "alone"}:
                return np.array(self._rows.decode(row, [token], [length])[0])
            spare = self._rows.count - ROWS_BESIDE_SLOTS
            self._rows.move(row, spare, length - 1)
            logits = np.array(self._rows.decode(spare, [token, 0], [length, 1])[0])
            self._rows.move(spare, row, length)
        except Exception as error:
            return error
        return logits

    def _accept(self, sequence: Sequence, logits: Logits, results: list[Result]) -> bool:
        """Give a sequence its next token; return whether it goes on."""
        try:
            sequence.accept(logits)
        except RequestError as error:
            results.append(Failure.of(sequence.key, error, sequence.pieces))
            return False
        if sequence.finish_reason is None:
            return True
        results.append(sequence.completion(self._names.model, self._names.fingerprint))
        return False

    def _remove(self, done: set[int]) -> None:
        """Take rows out, and close each gap with the last row that stays."""
        for row in sorted(done, reverse=True):
            last = len(self._active) - 1
            if row != last:
                self._rows.move(last, row, self._active[last].length - 1)
                self._active[row] = self._active[last]
            self._active.pop()

    def _find(self, key: str) -> Sequence | None:
        if self._prefilling is not None and self._prefilling.key == key:
            return self._prefilling
        return self._waiting.get(key) or next((one for one in self._active if one.key == key), None)


def _failed(sequence: Sequence, error: Exception) -> Failure:
    failure = thrown(error, f"the model failed after {len(sequence.tokens)} tokens")
    return Failure.of(sequence.key, failure, sequence.pieces)
