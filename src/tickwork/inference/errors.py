"""What can go wrong with a model and with a request; the latter never touches another request."""

from enum import StrEnum

from tickwork.core.errors import TickworkError


class ModelError(TickworkError):
    """A model that cannot be loaded or served: the message names the file or key, and the fix."""


class Code(StrEnum):
    """Why a request failed, as a word that a program can act on."""

    INVALID_REQUEST = "invalid_request"
    CONTEXT_LENGTH_EXCEEDED = "context_length_exceeded"
    UNMEETABLE_FORMAT = "unmeetable_format"
    LOGITS_NOT_FINITE = "logits_not_finite"
    MODEL_FAILED = "model_failed"


class RequestError(TickworkError):
    """One request that cannot be answered. `param` is the request's field at fault, if one is."""

    def __init__(self, code: Code, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.param = param


def one_line(error: BaseException) -> str:
    """Return the error's first line, short enough for a message."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:300]
