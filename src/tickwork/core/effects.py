"""What an agent may ask for. The tags are the cases of the WIT variant `effect`, in its order."""

import enum

import msgspec


class Level(enum.IntEnum):
    """The severity of a log line, in the order of the WIT enum."""

    DEBUG = 0
    INFO = 1
    WARN = 2
    ERROR = 3


class Send(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=0):
    """A message to the agent `to`, delivered in the next tick."""

    to: str
    topic: str
    body: bytes
    reply_to: int | None = None


class Publish(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=1):
    """A message to every agent that subscribes to `topic`."""

    topic: str
    body: bytes


class Infer(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=2):
    """A request to a model; its completion carries `request` as `reply_to`."""

    model: str
    body: bytes
    request: int


class Call(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=3):
    """A request to a tool; its completion carries `request` as `reply_to`."""

    tool: str
    body: bytes
    request: int


class Output(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=4):
    """A record for the run's output `name`, written after the tick is committed."""

    name: str
    body: bytes


class Timer(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=5):
    """A message to oneself in `after_ticks` ticks; the same `request` replaces it, zero ticks cancels it."""

    topic: str
    body: bytes
    after_ticks: int
    request: int


class Log(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=6):
    """A line for whoever inspects the run."""

    level: int
    text: str


class Metric(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=7):
    """A number for whoever inspects the run."""

    name: str
    value: float


class Spawn(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=8):
    """A new agent of a declared kind."""

    id: str
    kind: str
    config: bytes


class Stop(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=9):
    """The end of the agent `id`, or of the caller when None."""

    id: str | None
    reason: str


Effect = Send | Publish | Infer | Call | Output | Timer | Log | Metric | Spawn | Stop
