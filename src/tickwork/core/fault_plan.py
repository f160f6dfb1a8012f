"""All that is broken on purpose in one run, and what of it a tick has."""

import struct
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

import msgspec
from blake3 import blake3

from tickwork.core.faults import (
    KINDS,
    Delay,
    Duplicate,
    Fault,
    FaultRate,
    Partition,
    Pause,
    SlowRequest,
)

_U64_MAX = (1 << 64) - 1
_DRAW_BYTES = 8
# What one tick of a plan may cost to look up: faults that last are asked for in each of their ticks.
LASTING_TICKS_MAX = 1_000_000
# How far back a tick looks for what a rate began and that still lasts.
RATE_TICKS_MAX = 1_000
FAULTS_MAX = 10_000
RATES_MAX = 100


# With a __dict__ for what is derived from it once.
class FaultPlan(msgspec.Struct, frozen=True, array_like=True, dict=True):
    """A run's faults. `seed` decides, with nothing else, what the rates come to.

    An explicit fault that is there twice counts once.
    """

    explicit: tuple[Fault, ...] = ()
    rates: tuple[FaultRate, ...] = ()
    seed: int = 0

    def __bool__(self) -> bool:
        """Whether anything could be broken; the seed alone breaks nothing."""
        return bool(self.explicit or self.rates)

    @cached_property
    def _by_tick(self) -> Mapping[int, Sequence[Fault]]:
        found: dict[int, list[Fault]] = {}
        for fault in dict.fromkeys(self.explicit):
            if not isinstance(fault, (Partition, Pause)):
                found.setdefault(fault.tick, []).append(fault)
        return found

    @cached_property
    def _lasting(self) -> Sequence[Partition | Pause]:
        return [fault for fault in self.explicit if isinstance(fault, (Partition, Pause))]

    def touches(self, tick: int) -> bool:
        """Return whether any fault of the plan could hit something in `tick`."""
        return (
            tick in self._by_tick
            or any(fault.tick <= tick < fault.tick + fault.ticks for fault in self._lasting)
            or any(_in_window(rate, tick) for rate in self.rates)
        )

    def at(self, tick: int) -> Iterator[Fault]:
        """Yield the explicit faults of `tick`, first those that last, in the order of the plan."""
        for fault in self._lasting:
            if fault.tick <= tick < fault.tick + fault.ticks:
                yield fault
        yield from self._by_tick.get(tick, ())

    def chances_at(self, tick: int) -> list["Chance"]:
        """Return the rates that could be felt in `tick`."""
        return [chance for chance in self._chances if _in_window(chance.rate, tick)]

    @cached_property
    def _chances(self) -> Sequence["Chance"]:
        return [Chance(self.seed, place, rate) for place, rate in enumerate(self.rates)]


NO_FAULTS = FaultPlan()


class Chance:
    """One rate, ready to be asked; `kind` is what it makes."""

    def __init__(self, seed: int, place: int, rate: FaultRate) -> None:
        self.rate = rate
        self.kind = KINDS[rate.kind]
        self._key = seed, place
        self._below = int(rate.rate * 2.0**64)

    def draw(self, tick: int, agent: int, nth: int) -> int:
        """Return 64 random bits for the thing at place `nth` of the agent with this index."""
        key = struct.pack("<QQQQ", *self._key, tick, agent)
        stream = blake3(key, derive_key_context="tickwork 1 fault draw")
        return int.from_bytes(stream.digest(length=_DRAW_BYTES, seek=_DRAW_BYTES * nth), "little")

    def strikes(self, tick: int, agent: int, nth: int = 0) -> bool:
        """Return whether the fault comes to that thing."""
        return self.draw(tick, agent, nth) < self._below

    def concerns(self, agent_id: str) -> bool:
        """Return whether the rate is for the agent with this id."""
        return any(matches(pattern, agent_id) for pattern in self.rate.agents)

    def begun(self, tick: int, agent: int) -> int | None:
        """Return the first tick, not after `tick`, in which a fault that lasts came that has not passed."""
        first = max(self.rate.first, tick - self.rate.ticks + 1)
        last = tick if self.rate.last is None else min(tick, self.rate.last)
        return next((at for at in range(first, last + 1) if self.strikes(at, agent)), None)


def matches(pattern: str, agent_id: str) -> bool:
    """Return whether an id is the pattern, or begins with what stands before its final `*`."""
    if pattern.endswith("*"):
        return agent_id.startswith(pattern[:-1])
    return agent_id == pattern


def _in_window(rate: FaultRate, tick: int) -> bool:
    """Return whether a fault of the rate could be felt in `tick`."""
    lasts = rate.ticks if KINDS[rate.kind] in (Partition, Pause) else 1
    return rate.first <= tick and (rate.last is None or tick < rate.last + lasts)


def fault_of_plan(plan: FaultPlan) -> tuple[tuple[str, int], str] | None:
    """Return what is wrong with a plan, or None: where, as (`explicit` or `rates`, place), and why."""
    for place, fault in enumerate(plan.explicit):
        reason = _fault_of(fault)
        if reason is not None:
            return ("explicit", place), reason
    for place, rate in enumerate(plan.rates):
        reason = _rate_fault(rate)
        if reason is not None:
            return ("rates", place), reason
    if len(plan.explicit) > FAULTS_MAX:
        return ("explicit", FAULTS_MAX), f"a plan has at most {FAULTS_MAX} faults"
    if len(plan.rates) > RATES_MAX:
        return ("rates", RATES_MAX), f"a plan has at most {RATES_MAX} rates"
    if not 0 <= plan.seed <= _U64_MAX:
        return ("rates", 0), f"the seed must be between 0 and {_U64_MAX}"
    return None


def _fault_of(fault: Fault) -> str | None:
    for name in fault.__struct_fields__:
        value = getattr(fault, name)
        if isinstance(value, int) and not 0 <= value <= _U64_MAX:
            return f"{name} must be between 0 and {_U64_MAX}"
    if (
        isinstance(fault, (Delay, SlowRequest, Partition, Pause))
        and not 1 <= fault.ticks <= LASTING_TICKS_MAX
    ):
        return f"ticks must be between 1 and {LASTING_TICKS_MAX}"
    if isinstance(fault, Duplicate) and fault.ticks > LASTING_TICKS_MAX:
        return f"ticks must be between 0 and {LASTING_TICKS_MAX}"
    if isinstance(fault, Partition) and not fault.group:
        return "group must name at least one agent"
    return None


def _rate_fault(rate: FaultRate) -> str | None:
    if rate.kind not in KINDS:
        return f"kind must be one of {', '.join(KINDS)}"
    # Written so that what is no number at all is refused too.
    if not 0.0 <= rate.rate <= 1.0:
        return "rate must be between 0 and 1"
    for name, tick in (("first", rate.first), ("last", rate.last or 0)):
        if not 0 <= tick <= _U64_MAX:
            return f"{name} must be between 0 and {_U64_MAX}"
    if rate.last is not None and rate.last < rate.first:
        return (
            f"last, {rate.last}, is before first, {rate.first}: no tick is left; exchange them, or remove one"
        )
    least = 0 if rate.kind == Duplicate.__struct_config__.tag else 1
    if not least <= rate.ticks <= RATE_TICKS_MAX:
        return f"ticks must be between {least} and {RATE_TICKS_MAX}"
    if not 0 <= rate.fuel <= _U64_MAX:
        return f"fuel must be between 0 and {_U64_MAX}"
    return None if rate.agents else "agents must name at least one agent"
