"""One request on its way: its tokens, and everything that decides the next one."""

import math
from typing import Literal, NamedTuple

import numpy as np
from blake3 import blake3

from tickwork.inference.errors import Code, RequestError
from tickwork.inference.language.constraint import Constraint
from tickwork.inference.language.request import ChatRequest
from tickwork.inference.language.response import Completion, TokenLogprob, TopLogprob
from tickwork.inference.language.rows import Logits
from tickwork.inference.language.sampling import Sampler, logprobs
from tickwork.inference.language.stopping import StopTexts
from tickwork.inference.language.tokens import TextStream, Tokenizer

_UNDECODABLE = "\ufffd"


class Reading(NamedTuple):
    """How answers of a model are read: as text, up to which tokens, with their logits digested or not."""

    tokenizer: Tokenizer
    end_ids: frozenset[int]
    digest_logits: bool


class Sequence:
    """A request's state between steps: a function of the request and of the logits it was given."""

    def __init__(
        self,
        key: str,
        request: ChatRequest,
        prompt: list[int],
        tokens_max: int,
        sampler: Sampler,
        constraint: Constraint | None,
        reading: Reading,
    ) -> None:
        self.key = key
        self.prompt = prompt
        self.tokens: list[int] = []
        self.pieces: list[str] = []
        self.finish_reason: Literal["stop", "length"] | None = None
        self.prefilled = 0
        self._request = request
        self._tokens_max = tokens_max
        self._sampler = sampler
        self._constraint = constraint
        self._tokenizer = reading.tokenizer
        self._end_ids = reading.end_ids
        self._text = TextStream(reading.tokenizer)
        self._stops = StopTexts(request.stops)
        self._logprobs: list[TokenLogprob] = []
        self._digest = blake3(derive_key_context="tickwork 1 logits") if reading.digest_logits else None

    @property
    def length(self) -> int:
        """How many tokens the model has been given or is to be given next."""
        return len(self.prompt) + len(self.tokens)

    def accept(self, logits: Logits) -> None:
        """Choose the next token; sets `finish_reason` if it is the last. Raises RequestError."""
        # The maximum of a row with a NaN in it is NaN.
        if not math.isfinite(logits.max()):
            raise RequestError(
                Code.LOGITS_NOT_FINITE,
                f"the model gave NaN or infinity after {len(self.tokens)} tokens; its weights may be damaged",
            )
        if self._digest is not None:
            self._digest.update(np.ascontiguousarray(logits).view(np.uint8).data)
        allowed = None if self._constraint is None else self._constraint.allowed()
        if allowed is not None and not np.isfinite(logits[allowed].max()):
            raise RequestError(
                Code.UNMEETABLE_FORMAT,
                "the model rules out every token that the format allows",
                "response_format",
            )
        token = self._sampler.choose(logits, allowed)
        self.tokens.append(token)
        if self._request.logprobs:
            self._logprobs.append(self._logprob(logits, token))
        self._take(token)

    def completion(self, model: str, fingerprint: str) -> Completion:
        """Return the answer; only once `finish_reason` is set."""
        if self.finish_reason is None:
            raise ValueError(f"request {self.key} is not finished")
        return Completion(
            key=self.key,
            model=model,
            fingerprint=fingerprint,
            text="".join(self.pieces),
            tokens=tuple(self.tokens),
            pieces=tuple(self.pieces),
            finish_reason=self.finish_reason,
            prompt_tokens=len(self.prompt),
            logprobs=tuple(self._logprobs) if self._request.logprobs else None,
            logit_digest="" if self._digest is None else self._digest.hexdigest(),
        )

    def _take(self, token: int) -> None:
        ended = token in self._end_ids
        if self._constraint is not None:
            self._constraint.advance(token)
            ended = ended or self._constraint.complete
        piece = "" if token in self._end_ids else self._stops.push(self._text.push(token))
        if self._stops.met or ended:
            self.finish_reason = "stop"
        elif len(self.tokens) >= self._tokens_max:
            self.finish_reason = "length"
        if self.finish_reason is not None and not self._stops.met:
            piece += self._stops.push(self._text.finish())
            # What waited may have completed a stop text after all.
            if self._stops.met:
                self.finish_reason = "stop"
            piece += self._stops.finish()
        self.pieces.append(piece)

    def _logprob(self, logits: Logits, token: int) -> TokenLogprob:
        found = logprobs(logits, token, self._request.top_logprobs)
        text = self._tokenizer.spelling(token)
        return TokenLogprob(
            token=text,
            logprob=found.chosen,
            bytes=_bytes(text),
            top_logprobs=[self._top(one, logprob) for one, logprob in found.top],
        )

    def _top(self, token: int, logprob: float) -> TopLogprob:
        text = self._tokenizer.spelling(token)
        return TopLogprob(token=text, logprob=logprob, bytes=_bytes(text))


def _bytes(text: str) -> list[int] | None:
    """Return the text's bytes, or None where the token is a part of a character."""
    return None if _UNDECODABLE in text else list(text.encode())
