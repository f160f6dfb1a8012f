"""What a request for a completion looks like: OpenAI's chat-completions body, as far as a local model has it.

Fields that other servers know and OpenAI does not: `top_k`, `min_p`, `repetition_penalty` and the response
format `{"type": "regex", "regex": ...}`. An unknown field is an error: a request that asks for what will not
happen should not look answered. `stream` asks whoever serves the request for its text in pieces and changes
no answer. `seed` left out means the caller's (in a run: the agent's turn decides it).
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from tickwork.core.nesting import NESTING_MAX, nests_too_deep
from tickwork.inference.errors import Code, RequestError

STOPS_MAX = 16
_BODY_BYTES_MAX = 32 << 20
_SCHEMA_BYTES_MAX = 256 << 10

Text = Annotated[str, Meta(max_length=4 << 20)]
Stop = Annotated[str, Meta(min_length=1, max_length=256)]


class TextPart(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A piece of a message's content."""

    type: Literal["text"]
    text: Text


class Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One message of the conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Text | Annotated[list[TextPart], Meta(min_length=1, max_length=1024)]
    name: Annotated[str, Meta(max_length=256)] | None = None

    def plain(self) -> dict[str, str]:
        """Return the message as chat templates take it."""
        content = (
            self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)
        )
        plain = {"role": self.role, "content": content}
        return plain if self.name is None else plain | {"name": self.name}


class PlainText(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="text"):
    """Any text."""


class JsonObject(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="json_object"):
    """Some JSON object."""


class Schema(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A JSON schema under OpenAI's names; output always keeps to it, whatever `strict` says."""

    schema: dict[str, Any]
    name: str = ""
    description: str = ""
    strict: bool | None = None


class JsonSchema(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="json_schema"):
    """JSON that keeps to a schema."""

    json_schema: Schema


class Regex(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="regex"):
    """Text that a regular expression (Rust's syntax) matches as a whole."""

    regex: Annotated[str, Meta(min_length=1, max_length=64 << 10)]


ResponseFormat = PlainText | JsonObject | JsonSchema | Regex


class ChatRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """A request for one completion. `max_completion_tokens` is OpenAI's newer name for `max_tokens`."""

    messages: Annotated[list[Message], Meta(min_length=1, max_length=4096)]
    model: Annotated[str, Meta(max_length=256)] = ""
    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Meta(ge=1)] | None = None
    temperature: Annotated[float, Meta(ge=0, le=100)] = 1.0
    top_p: Annotated[float, Meta(gt=0, le=1)] = 1.0
    top_k: Annotated[int, Meta(ge=0)] = 0
    min_p: Annotated[float, Meta(ge=0, le=1)] = 0.0
    repetition_penalty: Annotated[float, Meta(ge=0.01, le=100)] = 1.0
    presence_penalty: Annotated[float, Meta(ge=-2, le=2)] = 0.0
    frequency_penalty: Annotated[float, Meta(ge=-2, le=2)] = 0.0
    seed: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | None = None
    stop: Stop | Annotated[list[Stop], Meta(max_length=STOPS_MAX)] | None = None
    logprobs: bool = False
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] = 0
    response_format: ResponseFormat = PlainText()
    n: Annotated[int, Meta(ge=1, le=1)] = 1
    stream: bool = False
    user: Annotated[str, Meta(max_length=256)] = ""

    @property
    def tokens_max(self) -> int | None:
        """How many tokens may be generated, or None if the request leaves it to the model's settings."""
        return self.max_completion_tokens if self.max_completion_tokens is not None else self.max_tokens

    @property
    def stops(self) -> tuple[str, ...]:
        """The texts that end the answer."""
        if self.stop is None:
            return ()
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop)


def parse_request(body: bytes) -> ChatRequest:
    """Return the request in a JSON body; raises RequestError naming the field."""
    if len(body) > _BODY_BYTES_MAX:
        raise RequestError(Code.INVALID_REQUEST, f"the request has more than {_BODY_BYTES_MAX} bytes")
    if nests_too_deep(body):
        raise RequestError(Code.INVALID_REQUEST, f"the request nests deeper than {NESTING_MAX}")
    try:
        request = msgspec.json.decode(body, type=ChatRequest)
    except msgspec.ValidationError as error:
        reason, _, path = str(error).partition(" - at `$")
        param = path.strip("`").lstrip(".") or None
        raise RequestError(
            Code.INVALID_REQUEST, reason if param is None else f"{param}: {reason}", param
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RequestError(Code.INVALID_REQUEST, f"the request is not JSON: {error}") from error
    check_request(request)
    return request


def check_request(request: ChatRequest) -> None:
    """Raise RequestError for what the types alone do not say."""
    if request.max_tokens is not None and request.max_completion_tokens is not None:
        raise RequestError(
            Code.INVALID_REQUEST, "max_tokens and max_completion_tokens say the same; give one", "max_tokens"
        )
    if request.top_logprobs and not request.logprobs:
        raise RequestError(Code.INVALID_REQUEST, "top_logprobs needs logprobs to be true", "top_logprobs")
    if isinstance(request.response_format, JsonSchema):
        size = len(msgspec.json.encode(request.response_format.json_schema.schema))
        if size > _SCHEMA_BYTES_MAX:
            raise RequestError(
                Code.INVALID_REQUEST,
                f"the schema has {size} bytes; at most {_SCHEMA_BYTES_MAX} are taken",
                "response_format",
            )
