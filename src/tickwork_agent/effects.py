"""What an agent may ask for: one class for each case of the ABI's `effect`.

Authors meet these in tests; in an agent the methods of `Agent` make them. Bodies are bytes here, already
encoded, and every number and name has been checked.
"""

import enum
from dataclasses import dataclass


class Level(enum.IntEnum):
    """The severity of a log line."""

    DEBUG = 0
    INFO = 1
    WARN = 2
    ERROR = 3


# Not frozen: a frozen dataclass takes three times as long to make, and an agent makes one per effect.
@dataclass(slots=True)
class Send:
    """A message to the agent `to`, delivered in the next tick."""

    to: str
    topic: str
    body: bytes = b""
    reply_to: int | None = None


@dataclass(slots=True)
class Publish:
    """A message to every agent that subscribes to `topic`."""

    topic: str
    body: bytes = b""


@dataclass(slots=True)
class Infer:
    """A request to a model; the answer's `reply_to` is `request`."""

    model: str
    body: bytes
    request: int


@dataclass(slots=True)
class Call:
    """A request to a tool; the answer's `reply_to` is `request`."""

    tool: str
    body: bytes
    request: int


@dataclass(slots=True)
class Output:
    """A record for the run's output `name`, written once the tick is committed."""

    name: str
    body: bytes


@dataclass(slots=True)
class Timer:
    """A message to oneself in `after_ticks` ticks; zero cancels the timer `request`."""

    topic: str
    body: bytes
    after_ticks: int
    request: int


@dataclass(slots=True)
class Log:
    """A line for whoever inspects the run."""

    level: Level
    text: str


@dataclass(slots=True)
class Metric:
    """A number for whoever inspects the run."""

    name: str
    value: float


@dataclass(slots=True)
class Spawn:
    """A new agent `KIND/NAME` of a declared kind; an empty config means the kind's own."""

    id: str
    kind: str
    config: bytes = b""


@dataclass(slots=True)
class Stop:
    """The end of the agent `id`, or of the caller when None."""

    id: str | None
    reason: str


Effect = Send | Publish | Infer | Call | Output | Timer | Log | Metric | Spawn | Stop
EFFECTS: tuple[type[Effect], ...] = (Send, Publish, Infer, Call, Output, Timer, Log, Metric, Spawn, Stop)
