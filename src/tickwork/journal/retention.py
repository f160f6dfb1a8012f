"""Which snapshots to keep: pure functions of their ticks."""

import itertools
from collections.abc import Sequence

import msgspec


class KeepAll(msgspec.Struct, frozen=True):
    """Keep every snapshot."""


class KeepLast(msgspec.Struct, frozen=True):
    """Keep the last `count` snapshots, at least one."""

    count: int


class Thin(msgspec.Struct, frozen=True):
    """Keep the first and the last snapshot, and between them fewer the older they are.

    A snapshot goes if the gap that it leaves is at most a `dense`-th of the gap's age, so going back to a
    tick of age `a` means running at most `a / dense` ticks again, or as many as there were between two
    snapshots when they were taken. About `dense` snapshots stay for each doubling of the age.
    """

    dense: int = 8


Policy = KeepAll | KeepLast | Thin


def kept_ticks(ticks: Sequence[int], policy: Policy) -> tuple[int, ...]:
    """Return which of `ticks`, ascending, a policy keeps; the last is always among them.

    Raises ValueError for a policy that would keep nothing.
    """
    match policy:
        case KeepAll():
            return tuple(ticks)
        case KeepLast(count):
            if count < 1:
                raise ValueError("at least one snapshot is kept")
            return tuple(ticks[-count:])
        case Thin(dense):
            if dense < 1:
                raise ValueError("a gap can be at most its whole age")
            return _thinned(ticks, dense)


def _thinned(ticks: Sequence[int], dense: int) -> tuple[int, ...]:
    kept = list(ticks[:1])
    # Oldest first: what is left of the older ones decides the gap that dropping the next would leave.
    for tick, following in itertools.pairwise(ticks[1:]):
        if (following - kept[-1]) * dense > ticks[-1] - following:
            kept.append(tick)
    return (*kept, *ticks[-1:]) if len(ticks) > 1 else tuple(kept)
