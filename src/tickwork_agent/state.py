"""An agent's attributes as JSON, for whoever looks into a run.

The runtime asks by a message that only it can send, on topic `tickwork.state`, and only copies of an agent
that are thrown away afterwards: looking changes nothing.
"""

import dataclasses
import enum
import math
from collections.abc import Mapping, Sequence, Set
from typing import Any

from tickwork_agent.agent import Agent
from tickwork_agent.effects import Effect, Output
from tickwork_agent.encoding import encode_body, printable
from tickwork_agent.messages import Message

RUNTIME = "tickwork"
TOPIC = "tickwork.state"
DEPTH_MAX = 20
ITEMS_MAX = 10_000
TEXT_CHARS_MAX = 100_000
# The base class's own; an author's names may begin with an underscore too.
_OWN = frozenset({"_effects", "_now", "_random", "_requests"})


def is_asked(inbox: Sequence[Message]) -> bool:
    """Return whether the turn is a question for the agent's state and nothing else."""
    return len(inbox) == 1 and inbox[0].sender == RUNTIME and inbox[0].topic == TOPIC


def answer(agent: Agent) -> list[Effect]:
    """Return the agent's attributes as one output effect, named as the topic."""
    attributes = {name: value for name, value in vars(agent).items() if name not in _OWN}
    return [Output(TOPIC, encode_body(_Plain().of(attributes, 0)))]


class _Plain:
    """Turns values into what JSON has. What it lacks becomes an object with one key that says what it is."""

    def __init__(self) -> None:
        self._items = 0
        self._open: list[Any] = []

    def of(self, value: Any, depth: int) -> Any:
        """Return `value` in JSON's terms, cut off where it is too deep, too large, or contains itself."""
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, enum.Enum):
            return {"enum": printable(value)}
        if isinstance(value, int):
            return int(value)
        if isinstance(value, float):
            return float(value) if math.isfinite(value) else {"float": repr(value)}
        if isinstance(value, str):
            return printable(value[:TEXT_CHARS_MAX])
        if isinstance(value, (bytes, bytearray)):
            return {"bytes": bytes(value[:TEXT_CHARS_MAX]).hex()}
        self._items += 1
        if depth >= DEPTH_MAX or self._items > ITEMS_MAX or any(seen is value for seen in self._open):
            return {"cut": type(value).__name__}
        self._open.append(value)
        try:
            return self._container(value, depth + 1)
        finally:
            self._open.pop()

    def _container(self, value: Any, depth: int) -> Any:
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            names = [field.name for field in dataclasses.fields(value)]
            fields = {name: self.of(getattr(value, name, None), depth) for name in names}
            return {type(value).__name__: fields}
        if isinstance(value, Mapping):
            if all(isinstance(key, str) for key in value):
                return {printable(key): self.of(item, depth) for key, item in value.items()}
            return {"map": [[self.of(key, depth), self.of(item, depth)] for key, item in value.items()]}
        if isinstance(value, Set):
            # Text, because members of a set need not be comparable; sorted, because its order means nothing.
            members = [self.of(member, depth) for member in value]
            return {"set": sorted(members, key=encode_body)}
        if isinstance(value, Sequence):
            return [self.of(item, depth) for item in value]
        if hasattr(value, "__dict__") and type(value).__module__ == "__agent__":
            return {type(value).__name__: self.of(vars(value), depth)}
        return {"object": type(value).__name__}
