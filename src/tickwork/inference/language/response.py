"""What comes of a request: a completion or a failure, each also as OpenAI's body.

Nothing in a body tells when, where or in whose company it was made: `created` is 0, and how much of the
prompt came from a cache is not said. Equal requests with equal seeds have equal bodies.
"""

from collections.abc import Iterable
from typing import Any, Literal

import msgspec

from tickwork.inference.errors import Code, RequestError

_SERVER_ERRORS = {Code.MODEL_FAILED, Code.LOGITS_NOT_FINITE, Code.OUTPUT_IS_NAN, Code.OUT_OF_MEMORY}


class TopLogprob(msgspec.Struct, frozen=True):
    """One of the likeliest tokens at a place."""

    token: str
    logprob: float
    bytes: list[int] | None


class TokenLogprob(msgspec.Struct, frozen=True):
    """A generated token's log-probability by the model alone: no penalties, temperature or format."""

    token: str
    logprob: float
    bytes: list[int] | None
    top_logprobs: list[TopLogprob]


class Completion(msgspec.Struct, frozen=True):
    """An answer. `text` is the sum of `pieces`, one for each token.

    A piece is empty while a character or a possible stop text is incomplete. `tokens` are all that were
    generated, the end token included. `logit_digest` is the BLAKE3 (hex) of every logit row that a token
    was chosen from, in order, or empty if the engine was not asked for it.
    """

    key: str
    model: str
    fingerprint: str
    text: str
    tokens: tuple[int, ...]
    pieces: tuple[str, ...]
    finish_reason: Literal["stop", "length"]
    prompt_tokens: int
    logprobs: tuple[TokenLogprob, ...] | None
    logit_digest: str

    def body(self) -> dict[str, Any]:
        """Return OpenAI's `chat.completion` object."""
        logprobs = (
            None
            if self.logprobs is None
            else {"content": msgspec.to_builtins(self.logprobs), "refusal": None}
        )
        return {
            "id": f"chatcmpl-{self.key}",
            "object": "chat.completion",
            "created": 0,
            "model": self.model,
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": self.text, "refusal": None},
                    "logprobs": logprobs,
                    "finish_reason": self.finish_reason,
                }
            ],
            "usage": {
                "prompt_tokens": self.prompt_tokens,
                "completion_tokens": len(self.tokens),
                "total_tokens": self.prompt_tokens + len(self.tokens),
            },
            "system_fingerprint": self.fingerprint,
        }


class Failure(msgspec.Struct, frozen=True):
    """A request that could not be answered. `pieces` are the texts of the tokens before it failed.

    Who streams may have been told them, so they are as much a function of the request as an answer's.
    """

    key: str
    code: str
    message: str
    param: str | None = None
    pieces: tuple[str, ...] = ()

    @classmethod
    def of(cls, key: str, error: RequestError, pieces: Iterable[str] = ()) -> "Failure":
        """Return the failure of request `key` by `error`."""
        return cls(key, str(error.code), error.message, error.param, tuple(pieces))

    def body(self) -> dict[str, Any]:
        """Return OpenAI's error object."""
        kind = "server_error" if self.code in _SERVER_ERRORS else "invalid_request_error"
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}


Result = Completion | Failure
