"""What a request to a model and its answer say of themselves, read from bodies that may be anything."""

from typing import Any

import msgspec


class Answer(msgspec.Struct, frozen=True):
    """An answer in the shape of OpenAI's `chat.completion`, or of its error; None and empty where it is not.

    `output` is the text of all choices, `usage` the counts of tokens by their names, `finish` the first
    choice's reason to end, `failure` the error's message.
    """

    output: str | None = None
    usage: dict[str, int] = {}
    finish: str | None = None
    failure: str | None = None
    model: str | None = None


class Prompt(msgspec.Struct, frozen=True):
    """A request in the shape of chat completions: its messages as (role, text), and its bound on tokens."""

    messages: tuple[tuple[str, str], ...] = ()
    tokens_max: int | None = None


_NOTHING = Answer()


def prompt_of(body: bytes) -> Prompt:
    """Return what can be read of a request's body."""
    content = _object(body)
    listed = content.get("messages")
    messages = [
        (str(message.get("role", "")), str(message["content"]))
        for message in (listed if isinstance(listed, list) else ())
        if isinstance(message, dict) and isinstance(message.get("content"), str)
    ]
    bounds = [content.get(name) for name in ("max_completion_tokens", "max_tokens")]
    return Prompt(tuple(messages), next((bound for bound in bounds if type(bound) is int), None))


def answer_of(body: bytes) -> Answer:
    """Return what can be read of an answer's body."""
    content = _object(body)
    if not content:
        return _NOTHING
    usage, error, choices = content.get("usage"), content.get("error"), content.get("choices")
    found = [choice for choice in choices if isinstance(choice, dict)] if isinstance(choices, list) else []
    texts = [text for choice in found if (text := _text(choice)) is not None]
    finish = found[0].get("finish_reason") if found else None
    return Answer(
        output="\n".join(texts) if texts else None,
        usage=_counts(usage),
        finish=finish if isinstance(finish, str) else None,
        failure=str(error.get("message") or "the request failed") if isinstance(error, dict) else None,
        model=content["model"] if isinstance(content.get("model"), str) else None,
    )


def _counts(usage: object) -> dict[str, int]:
    if not isinstance(usage, dict):
        return {}
    # A bool is an int in Python, but no count.
    return {str(name): value for name, value in usage.items() if type(value) is int and value >= 0}


def _text(choice: dict[str, Any]) -> str | None:
    """Return a choice's text; a streamed piece has it in `delta`."""
    for part in ("message", "delta"):
        message = choice.get(part)
        if isinstance(message, dict) and isinstance(message.get("content"), str):
            return str(message["content"])
    return None


def _object(body: bytes) -> dict[str, Any]:
    try:
        content: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
