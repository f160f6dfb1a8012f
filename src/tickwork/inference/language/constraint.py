"""Keeps an answer to its format: at each step, which tokens may come next (by llguidance).

A format's cost is bounded by llguidance's own limits, which count steps and items and not time, so whether a
format is refused does not depend on what the machine is doing.
"""

import json
from collections.abc import Sequence

import llguidance
import llguidance.numpy
import numpy as np
from numpy.typing import NDArray

from tickwork.inference.errors import Code, ModelError, RequestError, one_line
from tickwork.inference.language.request import JsonObject, JsonSchema, PlainText, Regex, ResponseFormat
from tickwork.inference.language.tokens import Tokenizer

_SILENT = 0


class Grammars:
    """Makes constraints for one model. Loading its vocabulary takes long, so it waits for the first use."""

    def __init__(self, tokenizer: Tokenizer, vocabulary: int, end_ids: Sequence[int]) -> None:
        """`vocabulary` is the length of a logit row, which may exceed the tokenizer's."""
        self._tokenizer = tokenizer
        self._vocabulary = vocabulary
        self._end_ids = list(end_ids)
        self._loaded: llguidance.LLTokenizer | None = None

    def constraint(self, form: ResponseFormat) -> "Constraint | None":
        """Return a new constraint, None for plain text; raises RequestError if the format cannot be met."""
        if isinstance(form, PlainText):
            return None
        try:
            grammar = _grammar(form)
            matcher = llguidance.LLMatcher(self._load(), grammar, log_level=_SILENT)
        except ModelError as error:
            raise RequestError(Code.UNMEETABLE_FORMAT, str(error), "response_format") from error
        except (ValueError, RecursionError) as error:
            raise _unmeetable(one_line(error)) from error
        if matcher.is_error():
            raise _unmeetable(matcher.get_error())
        return Constraint(matcher, self._vocabulary, self._end_ids)

    def _load(self) -> llguidance.LLTokenizer:
        if self._loaded is None:
            if not self._end_ids:
                raise ModelError("the model names no end token, so a format's end cannot be told to it")
            try:
                self._loaded = llguidance.LLTokenizer(
                    self._tokenizer.source, n_vocab=self._vocabulary, eos_token=self._end_ids
                )
            except Exception as error:
                raise ModelError(
                    f"the model's tokenizer cannot be used for formats: {one_line(error)}"
                ) from error
        return self._loaded


class Constraint:
    """One answer's way through its format."""

    def __init__(self, matcher: llguidance.LLMatcher, vocabulary: int, end_ids: Sequence[int]) -> None:
        self._matcher = matcher
        self._end_ids = list(end_ids)
        self._bits = llguidance.numpy.allocate_token_bitmask(1, vocabulary)
        self._vocabulary = vocabulary

    def allowed(self) -> NDArray[np.bool_]:
        """Return which tokens may come next; raises RequestError if none may, or if a limit was reached."""
        llguidance.numpy.fill_next_token_bitmask(self._matcher, self._bits, 0)
        if self._matcher.is_error():
            raise _unmeetable(self._matcher.get_error())
        bits = np.unpackbits(self._bits[0].view(np.uint8), bitorder="little")[: self._vocabulary]
        if not bits.any():
            raise _unmeetable("no token of the model can continue it")
        return bits.view(np.bool_)

    def advance(self, token: int) -> None:
        """Take `token`, which `allowed` allowed."""
        if not self._matcher.consume_token(token):
            raise _unmeetable(self._matcher.get_error())

    @property
    def complete(self) -> bool:
        """Whether the format is met and nothing but the end can follow."""
        return bool(self._matcher.is_stopped())


def _grammar(form: JsonObject | JsonSchema | Regex) -> str:
    if isinstance(form, Regex):
        return str(llguidance.LLMatcher.grammar_from_regex(form.regex))
    schema = {"type": "object"} if isinstance(form, JsonObject) else form.json_schema.schema
    # Free white space is where a weak model wanders for ever.
    return str(
        llguidance.LLMatcher.grammar_from_json_schema(
            json.dumps(schema), defaults={"whitespace_flexible": False}
        )
    )


def _unmeetable(reason: str) -> RequestError:
    lines = reason.strip().splitlines() or ["the format cannot be met"]
    return RequestError(
        Code.UNMEETABLE_FORMAT, f"the response format cannot be met: {lines[0][:300]}", "response_format"
    )
