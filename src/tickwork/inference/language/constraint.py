"""Keeps an answer to its format: at each step, which tokens may come next (by llguidance).

A format's cost is bounded by llguidance's own limits, which count steps and items and not time, so whether a
format is refused does not depend on what the machine is doing. Where it has no limit, here is one.
"""

import json
import math
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

import llguidance
import llguidance.numpy
import numpy as np
from numpy.typing import NDArray

from tickwork.inference.errors import Code, ModelError, RequestError, one_line
from tickwork.inference.language.request import JsonObject, JsonSchema, PlainText, Regex, ResponseFormat
from tickwork.inference.language.tokens import Tokenizer

_SILENT = 0
# llguidance makes a state for each remainder, at a cost that grows faster than their number.
_REMAINDERS_MAX = 100_000
# What brings together the numbers of several places of a schema.
_JOINING = frozenset({"$ref", "$dynamicRef", "allOf", "anyOf", "oneOf"})


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
    if _remainders(schema) > _REMAINDERS_MAX:
        raise ValueError(f"multipleOf has more than {_REMAINDERS_MAX} remainders to keep apart")
    # Free white space is where a weak model wanders for ever.
    return str(
        llguidance.LLMatcher.grammar_from_json_schema(
            json.dumps(schema), defaults={"whitespace_flexible": False}
        )
    )


def _remainders(schema: dict[str, Any]) -> int:
    """Return how many remainders the `multipleOf`s of a schema ask for at most, of one number."""
    found: list[Decimal] = []
    joined = False
    for key, value in _keywords(schema):
        joined = joined or key in _JOINING
        if key == "multipleOf" and type(value) in {int, float} and value > 0:
            found.append(Decimal(repr(value)))
    if not joined:
        return max((_scaled([one]) for one in found), default=1)
    return _scaled(found)


def _scaled(numbers: Sequence[Decimal]) -> int:
    """Return the least common multiple, in units of the last decimal that any of the numbers has."""
    places = max((-int(one.as_tuple().exponent) for one in numbers), default=0)
    if any(one.adjusted() + max(places, 0) >= len(str(_REMAINDERS_MAX)) for one in numbers):
        return _REMAINDERS_MAX + 1
    return math.lcm(*(int(one.scaleb(max(places, 0))) for one in numbers))


def _keywords(schema: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield every key of every object in a schema with its value."""
    pending: list[Any] = [schema]
    while pending:
        at = pending.pop()
        if isinstance(at, dict):
            yield from at.items()
            pending += at.values()
        elif isinstance(at, list):
            pending += at


def _unmeetable(reason: str) -> RequestError:
    lines = reason.strip().splitlines() or ["the format cannot be met"]
    return RequestError(
        Code.UNMEETABLE_FORMAT, f"the response format cannot be met: {lines[0][:300]}", "response_format"
    )
