"""One run to explore, and what a campaign is told to do."""

import msgspec

from tickwork.core.faults import Fault
from tickwork.core.messages import Input

# A run that says neither when it ends nor goes idle ends here.
TICKS_DEFAULT = 1_000


class Case(msgspec.Struct, frozen=True, array_like=True):
    """One explored run: its seed, and the faults that come to those of the project itself."""

    seed: int
    faults: tuple[Fault, ...] = ()


class Horizon(msgspec.Struct, frozen=True, array_like=True):
    """When an explored run ends: after `ticks` ticks, or with `until_idle` also when nothing is left to do.

    `must_idle` says that a run that is not idle by then has failed.
    """

    ticks: int
    until_idle: bool
    must_idle: bool


# What every explored run of a project is given: the lines of each tick from tick 1 on.
Lines = tuple[tuple[Input, ...], ...]
