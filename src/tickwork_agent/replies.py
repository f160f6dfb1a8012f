"""What models answer, read from the messages that bring it."""

import json
from typing import Any, NamedTuple

from tickwork_agent.messages import Message

# The topics of answers, and of the pieces of one that is streamed.
REPLY_TOPIC = "reply"
PIECE_TOPIC = "reply.piece"


class Reply(NamedTuple):
    """A language model's answer, or a piece of one, or why there is none.

    `finish_reason` is `stop`, or `length` if the answer was cut off at `max_tokens`; empty for a piece and a
    failure. `error` says why there is no answer, and `code` the same in a word; both empty if there is one.
    `tokens` is how many the answer took, 0 for a piece.
    """

    text: str
    finish_reason: str = ""
    error: str = ""
    code: str = ""
    tokens: int = 0

    @classmethod
    def of(cls, message: Message) -> "Reply":
        """Return what a message on topic `reply` or `reply.piece` says; raises `ValueError` for any other."""
        body = message.json()
        try:
            if "error" in body:
                return cls("", error=body["error"]["message"], code=body["error"]["code"])
            choice = body["choices"][0]
            if "delta" in choice:
                return cls(choice["delta"]["content"])
            tokens = body["usage"]["completion_tokens"]
            return cls(choice["message"]["content"], choice["finish_reason"], tokens=tokens)
        except (KeyError, IndexError, TypeError):
            raise ValueError(f"the message on topic {message.topic!r} is no answer of a model") from None

    def json(self) -> Any:
        """Return the answer's text as a JSON value; raises `ValueError` if it is not JSON."""
        return json.loads(self.text)
