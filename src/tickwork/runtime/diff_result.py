"""What a comparison of two run files finds."""

import enum
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tickwork.journal.header import Parent
from tickwork.runtime.spec_diff import SpecChange
from tickwork.runtime.tick_diff import TickDiff
from tickwork.runtime.views import Filter

Label = Literal["A", "B"]
# What a file full of holes may add to a result; beyond, only the number is kept.
DAMAGE_MAX = 100
RANGES_MAX = 100


class Verdict(enum.StrEnum):
    """What a comparison came to, for programs. Whatever is not `IDENTICAL` is a difference."""

    IDENTICAL = "identical"
    # The common ticks are equal to the fuel, and one file has more after them.
    A_PREFIX_OF_B = "a-prefix-of-b"
    B_PREFIX_OF_A = "b-prefix-of-a"
    # Effects, outcomes and arrivals are equal in every common tick.
    FUEL_DIFFERS = "fuel-differs"
    # The common ticks are equal, but not what they began from: specification, a fork's edits, earlier ticks.
    ORIGIN_DIFFERS = "origin-differs"
    # Nothing differs in what can be read.
    DAMAGED = "damaged"
    DIFFERENT = "different"
    UNRELATED = "unrelated"


@dataclass(slots=True)
class Ticks:
    """A growing set of ticks, as ranges with both ends included; `count` is right beyond `RANGES_MAX` too."""

    ranges: list[tuple[int, int]] = field(default_factory=list)
    count: int = 0

    def add(self, tick: int) -> None:
        """Add a tick that is greater than every one before."""
        self.count += 1
        if self.ranges and self.ranges[-1][1] == tick - 1:
            self.ranges[-1] = (self.ranges[-1][0], tick)
        elif len(self.ranges) < RANGES_MAX:
            self.ranges.append((tick, tick))


@dataclass(frozen=True, slots=True)
class Side:
    """One of the files. `ticks` and the ticks and digests after are of the range that was asked for.

    A file that is no fork starts with tick 0 and has no `parent`.
    """

    path: Path
    run: str
    name: str
    status: str
    start_tick: int
    parent: Parent | None
    ticks: int
    first_tick: int | None
    last_tick: int | None
    digest: str
    exact: str


@dataclass(frozen=True, slots=True)
class Damage:
    """An entry that is missing, cannot be read, or does not have its digest."""

    file: Label
    tick: int
    reason: str


@dataclass(frozen=True, slots=True)
class FuelDiff:
    """The first tick in which turns came to the same with other fuel: (agent, fuel in A, fuel in B)."""

    tick: int
    turns: tuple[tuple[str, int, int], ...]


@dataclass(slots=True)
class AgentDiff:
    """One agent over all common ticks: the first in which its turn differs, and how many do.

    A turn that only one file has differs. `fuel_turns` differ in nothing but fuel, from tick `fuel_first` on.
    """

    agent: str
    first: int | None = None
    turns: int = 0
    fuel_first: int | None = None
    fuel_turns: int = 0


@dataclass(frozen=True, slots=True)
class Diff:
    """How two run files differ.

    `fork` names the file that is a fork of the other. Ticks before the later start of the two are not
    compared. `common` ticks are in both files and readable; `differing` of them differ in more than fuel.
    `only_a` and `only_b` are the ticks that the other file lacks. At most `DAMAGE_MAX` of `damage_count`
    are in `damage`.
    """

    verdict: Verdict
    a: Side
    b: Side
    same_spec: bool
    fork: Label | None
    spec: tuple[SpecChange, ...]
    hosts: tuple[SpecChange, ...]
    wanted: Filter
    common: int
    differing: int
    first: TickDiff | None
    first_fuel: FuelDiff | None
    agents: tuple[AgentDiff, ...]
    only_a: Ticks
    only_b: Ticks
    damage: tuple[Damage, ...]
    damage_count: int

    @property
    def identical(self) -> bool:
        """Whether nothing differs, not even fuel."""
        return self.verdict is Verdict.IDENTICAL
