"""What lies in an inbox, and the four classes that order it."""

import enum

import msgspec

# The provider whose answers can be computed again.
CPU = "cpu"


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


class DelayedMessage(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A message on its way to the agent with index `to`, later than it should be."""

    to: int
    message: Message


class Input(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One accepted line of the external input with index `source` in the manifest."""

    source: int
    body: bytes


class Completion(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What came of the request that effect `effect` of agent `agent` made in tick `tick`.

    One that is not the `last` is a piece of a streamed answer. `provider` is what computed it: an answer of
    the provider `cpu` can be computed again, bit for bit; any other is a fact that only its record knows.
    It is `none` where the machine had no memory for an answer.
    """

    tick: int
    agent: int
    effect: int
    body: bytes
    last: bool = True
    provider: str = CPU

    @property
    def recomputable(self) -> bool:
        """Whether computing it again gives the same bytes."""
        return self.provider == CPU


class Arrivals(msgspec.Struct, frozen=True, array_like=True):
    """What comes to a tick from outside the world: inputs in the order in which they were accepted.

    Completions are in the order of the effects that asked for them. Written by `entry.encode_arrivals`.
    """

    inputs: tuple[Input, ...] = ()
    completions: tuple[Completion, ...] = ()


NO_ARRIVALS = Arrivals()
