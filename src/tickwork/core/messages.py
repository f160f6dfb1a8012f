"""What lies in an inbox, and the four classes that order it."""

import enum

import msgspec


class MessageClass(enum.IntEnum):
    """Where a message came from; the first key of every inbox's order."""

    INPUT = 0
    MESSAGE = 1
    COMPLETION = 2
    TIMER = 3


# gc=False: a message holds no containers, so it can never be part of a cycle.
class Message(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One message with the four numbers that order it.

    `agent` is the origin's index: an agent's, or for inputs the input's place in the manifest. `effect` is
    the effect's index in the origin's turn, or for inputs the line's place among those accepted this tick.
    """

    kind: int
    tick: int
    agent: int
    effect: int
    sender: str
    topic: str
    body: bytes
    reply_to: int | None = None


class Input(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One accepted line of the external input with index `source` in the manifest."""

    source: int
    body: bytes


class Arrivals(msgspec.Struct, frozen=True, array_like=True):
    """What comes to a tick from outside the world, in the order in which it was accepted."""

    inputs: tuple[Input, ...] = ()


NO_ARRIVALS = Arrivals()
