"""What reaches an agent: messages, and the turn's virtual clock, entropy and budget."""

import json
from collections.abc import Callable
from typing import Any, NamedTuple

# What `json.loads` calls between two searches for white space, which bodies of agents do not have.
_scan: Callable[[str, int], tuple[Any, int]] = vars(json.JSONDecoder())["scan_once"]


class Message(NamedTuple):
    """One message of an inbox.

    `sender` is an agent's id, `input:NAME`, or `tickwork` for the runtime itself. `reply_to` is the number
    that a request wants back, or on an answer that number.
    """

    sender: str
    topic: str
    body: bytes = b""
    reply_to: int | None = None

    def text(self) -> str:
        """Return the body as UTF-8 text; raises `UnicodeDecodeError` if it is not."""
        return self.body.decode()

    def json(self) -> Any:
        """Return the body's JSON value; raises `ValueError` if it is not JSON."""
        text = self.body.decode()
        try:
            value, end = _scan(text, 0)
        except StopIteration:
            return json.loads(text)
        return value if end == len(text) else json.loads(text)


class Now(NamedTuple):
    """The turn's context.

    `now_ns` counts nanoseconds since the Unix epoch on the run's virtual clock and is the same for every
    agent in a tick. `seed` is 64 fresh bits for this agent and tick. `fuel` is the instructions that the
    turn may use.
    """

    tick: int
    now_ns: int
    seed: int
    fuel: int
