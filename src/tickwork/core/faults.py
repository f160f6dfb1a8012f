"""What can be broken on purpose, as data. `core.fault_plan` has the plan of a run, `core.step` applies it.

Faults name agents by id and never by index, so a plan means the same after an agent was added or removed. A
fault that finds nothing to hit is not applied. What was applied is in the tick's entry.
"""

import msgspec


class Drop(msgspec.Struct, frozen=True, array_like=True, tag="drop"):
    """Lose a message: the one at place `nth` of those that `sender` sends in `tick`, or sends `to` one agent.

    A publish is one message for each subscriber. Nobody is told.
    """

    tick: int
    sender: str
    nth: int = 0
    to: str | None = None


class Delay(msgspec.Struct, frozen=True, array_like=True, tag="delay"):
    """Deliver a message, named as in `Drop`, `ticks` later than it would be."""

    tick: int
    sender: str
    nth: int = 0
    to: str | None = None
    ticks: int = 1


class Duplicate(msgspec.Struct, frozen=True, array_like=True, tag="duplicate"):
    """Deliver a message, named as in `Drop`, twice; the copy comes `ticks` after the first, 0 with it."""

    tick: int
    sender: str
    nth: int = 0
    to: str | None = None
    ticks: int = 0


class Reorder(msgspec.Struct, frozen=True, array_like=True, tag="reorder"):
    """Put the agents' message at place `nth` of `agent`'s inbox in `tick` behind all other such messages."""

    tick: int
    agent: str
    nth: int = 0


class Partition(msgspec.Struct, frozen=True, array_like=True, tag="partition"):
    """Lose all messages between `group` and everybody else that are sent in `ticks` ticks from `tick` on.

    Members are ids, or a prefix followed by `*`.
    """

    tick: int
    group: tuple[str, ...]
    ticks: int = 1


class CrashBefore(msgspec.Struct, frozen=True, array_like=True, tag="crash-before"):
    """Let `agent` fail in `tick` before its turn, whether or not it would have one."""

    tick: int
    agent: str


class CrashAfter(msgspec.Struct, frozen=True, array_like=True, tag="crash-after"):
    """Let `agent` fail after its turn in `tick`, of whose effects only the first `effects` happen.

    With None all of them do.
    """

    tick: int
    agent: str
    effects: int | None = None


class StarveFuel(msgspec.Struct, frozen=True, array_like=True, tag="starve-fuel"):
    """Give `agent`'s turn in `tick` no more than `fuel`."""

    tick: int
    agent: str
    fuel: int = 0


class RefuseMemory(msgspec.Struct, frozen=True, array_like=True, tag="refuse-memory"):
    """Refuse `agent` more memory in its turn of `tick` than it has by then."""

    tick: int
    agent: str


class FailRequest(msgspec.Struct, frozen=True, array_like=True, tag="fail-request"):
    """Let a request fail: that at place `nth` of those that `agent` makes of models and tools in `tick`."""

    tick: int
    agent: str
    nth: int = 0


class SlowRequest(msgspec.Struct, frozen=True, array_like=True, tag="slow-request"):
    """Let the result of a request, named as in `FailRequest`, come `ticks` later."""

    tick: int
    agent: str
    nth: int = 0
    ticks: int = 1


class GarbleRequest(msgspec.Struct, frozen=True, array_like=True, tag="garble-request"):
    """Spoil the result of a request, named as in `FailRequest`."""

    tick: int
    agent: str
    nth: int = 0


class LoseTimer(msgspec.Struct, frozen=True, array_like=True, tag="lose-timer"):
    """Lose `agent`'s timer with the number `request` that is due in `tick`, or with None all that are."""

    tick: int
    agent: str
    request: int | None = None


class Pause(msgspec.Struct, frozen=True, array_like=True, tag="pause"):
    """Let `agent` take no turn in `ticks` ticks from `tick` on; what comes for it waits."""

    tick: int
    agent: str
    ticks: int = 1


MessageFault = Drop | Delay | Duplicate
RequestFault = FailRequest | SlowRequest | GarbleRequest
Fault = (
    MessageFault
    | Reorder
    | Partition
    | CrashBefore
    | CrashAfter
    | StarveFuel
    | RefuseMemory
    | RequestFault
    | LoseTimer
    | Pause
)
# Every kind by the name that it has in files, in the order of this module.
KINDS: dict[str, type[Fault]] = {
    str(kind.__struct_config__.tag): kind
    for kind in (
        Drop,
        Delay,
        Duplicate,
        Reorder,
        Partition,
        CrashBefore,
        CrashAfter,
        StarveFuel,
        RefuseMemory,
        FailRequest,
        SlowRequest,
        GarbleRequest,
        LoseTimer,
        Pause,
    )
}


def kind_of(fault: Fault) -> str:
    """Return a fault's kind by name."""
    return str(fault.__struct_config__.tag)


class FaultRate(msgspec.Struct, frozen=True, array_like=True):
    """Faults of one `kind` that come by chance: each possible one with the probability `rate`.

    What is possible depends on the kind: each message (drop, delay, duplicate), each agents' message in an
    inbox (reorder), each request, each due timer, each turn (starve-fuel, refuse-memory, crash-after), or
    each agent in each tick (crash-before, pause, and partition, which cuts that agent off). Only those of the
    ticks from `first` to `last`, both included, whose agent (of a message, its sender) matches one of
    `agents`, ids or a prefix followed by `*`. `ticks` and `fuel` are those of the faults, where the kind has
    them.
    """

    kind: str
    rate: float
    first: int = 0
    last: int | None = None
    agents: tuple[str, ...] = ("*",)
    ticks: int = 1
    fuel: int = 0


class AppliedFault(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A fault that hit something, and what it hit.

    `agent` is the index of the agent concerned: a message's sender, else the agent that the fault names.
    `effect` is the place of the message's or request's effect in that agent's turn, -1 where there is none;
    `to` is the index of the message's receiver, or -1. For a fault from a rate, `fault` is the explicit one
    that does the same.
    """

    fault: Fault
    agent: int
    effect: int = -1
    to: int = -1
