"""The first tick at which a condition holds, found by halving."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bisection:
    """What a search found. `tick` is the first at which the condition held, None if it did not at the end.

    `checked` are the ticks that were asked and the answers, in that order: about log2 of the range of them.
    Between `tick` - 1 and `tick` the answer changes for certain, unless the condition held at the beginning.
    """

    first: int
    last: int
    tick: int | None
    checked: tuple[tuple[int, bool], ...]

    @property
    def from_beginning(self) -> bool:
        """Whether the condition held at the first tick already."""
        return self.tick == self.first


def bisect(first: int, last: int, holds: Callable[[int], bool]) -> Bisection:
    """Search the ticks `first` to `last`, both included, for the first at which `holds` is true.

    Both ends are asked. In between it is taken that a condition that became true stays true; where one comes
    and goes, some tick is found at which it came.
    """
    if first > last:
        raise ValueError("a search needs at least one tick")
    checked: list[tuple[int, bool]] = []

    def ask(tick: int) -> bool:
        answer = holds(tick)
        checked.append((tick, answer))
        return answer

    found = None
    if ask(first):
        found = first
    elif first < last and ask(last):
        without, found = first, last
        while found - without > 1:
            middle = (without + found) // 2
            if ask(middle):
                found = middle
            else:
                without = middle
    return Bisection(first, last, found, tuple(checked))
