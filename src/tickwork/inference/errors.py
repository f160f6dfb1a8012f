"""What can go wrong with a model and with a request; the latter never touches another request."""

from enum import StrEnum

from tickwork.core.errors import TickworkError

_CONDITION = " was false. "
# How onnxruntime and the providers' own libraries say that they got no memory.
_NO_MEMORY = ("bfc_arena", "bad_alloc", "bad allocation", "allocate memory", "out of memory", "OutOfMemory")


class ModelError(TickworkError):
    """A model that cannot be loaded or served: the message names the file or key, and the fix."""


class UnrepeatableError(ModelError):
    """A model that gives other results for the same input, or draws its own randomness: never served."""


class Code(StrEnum):
    """Why a request failed, as a word that a program can act on."""

    INVALID_REQUEST = "invalid_request"
    CONTEXT_LENGTH_EXCEEDED = "context_length_exceeded"
    UNMEETABLE_FORMAT = "unmeetable_format"
    LOGITS_NOT_FINITE = "logits_not_finite"
    OUTPUT_IS_NAN = "output_is_nan"
    MODEL_FAILED = "model_failed"
    OUT_OF_MEMORY = "out_of_memory"


class RequestError(TickworkError):
    """One request that cannot be answered. `param` is the request's field at fault, if one is."""

    def __init__(self, code: Code, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.param = param


def thrown(error: Exception, when: str) -> RequestError:
    """Return what a request is told of what the model's session threw at it; `when` begins the words.

    A lack of memory is this machine's, and no fault of the model: it has a code of its own.
    """
    if lacks_memory(error):
        return RequestError(Code.OUT_OF_MEMORY, "the machine has too little memory for this request")
    return RequestError(Code.MODEL_FAILED, f"{when}: {one_line(error)}")


def lacks_memory(error: BaseException) -> bool:
    """Return whether the error, of a session or of its making, says that this machine has no more memory."""
    return isinstance(error, MemoryError) or any(words in str(error) for words in _NO_MEMORY)


def one_line(error: BaseException) -> str:
    """Return the error's first line, short enough for a message.

    ONNX Runtime puts the place in its source and the condition that failed first; they are left out.
    """
    lines = str(error).strip().splitlines() or [type(error).__name__]
    _, condition, reason = lines[0].partition(_CONDITION)
    return (reason if condition and reason else lines[0])[:300]
