"""How much happened where: counts by agent and span of ticks, in bounded memory however long a run is.

A pyramid of arrays, each level four times as coarse as the one below. When the finest would outgrow its
bound, all levels become twice as coarse; so a short run is counted tick by tick, and a long one in spans
that are still narrower than a screen's columns.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

# What is counted, by its place in a cell.
TURNS, MESSAGES, FAILED, DENIED, REJECTED, REQUESTS, NOTES, FAULTS = range(8)
KINDS = ("turns", "messages", "failed", "denied", "rejected", "requests", "notes", "faults")
# Cells of the finest level; each takes 16 bytes, and all levels a third more: about 80 MiB.
CELLS_MAX = 4_000_000
_STEP = 4
_COUNT_MAX = 2**16 - 1
_BUCKETS_FIRST = 256

Cells = npt.NDArray[np.uint16]
Sums = npt.NDArray[np.int64]


class Counts(NamedTuple):
    """Counts of a window: by column, row and kind. A column is `width` ticks, from `first` on."""

    first: int
    width: int
    cells: Sums


class Lanes:
    """The counts of one run; `add` takes ticks in order, `window` may be called between."""

    def __init__(self, first_tick: int, agents: int, cells_max: int = CELLS_MAX) -> None:
        self._first = first_tick
        self._cells_max = cells_max
        self.width = 1
        self._agents = max(agents, 1)
        self._buckets = 0
        self._levels: list[Cells] = [self._empty(_BUCKETS_FIRST)]

    @property
    def nbytes(self) -> int:
        """The memory that the counts take."""
        return sum(level.nbytes for level in self._levels)

    def _empty(self, buckets: int) -> Cells:
        return np.zeros((buckets, self._agents, len(KINDS)), np.uint16)

    def add(self, ticks: Sums, agents: Sums, counts: npt.NDArray[np.int64]) -> None:
        """Count turns: `ticks` ascending, `agents` the index of each, `counts` a row of `KINDS` for each."""
        if not len(ticks):
            return
        self._make_room(int(ticks[-1]) - self._first + 1, int(agents.max()) + 1)
        for place in range(len(self._levels)):
            width = self.width * _STEP**place
            buckets = (ticks - self._first) // width
            low, high = int(buckets[0]), int(buckets[-1]) + 1
            added = np.zeros((high - low, self._agents, len(KINDS)), np.int64)
            np.add.at(added, (buckets - low, agents), counts)
            level = self._levels[place]
            # Saturated, not wrapped: a span that is this full looks full either way.
            level[low:high] = np.minimum(added + level[low:high], _COUNT_MAX)
        self._buckets = max(self._buckets, (int(ticks[-1]) - self._first) // self.width + 1)

    def _make_room(self, ticks: int, agents: int) -> None:
        if agents > self._agents:
            self._agents = max(agents, self._agents * 5 // 4)
            self._levels = [
                np.concatenate(
                    (old, np.zeros((len(old), self._agents - old.shape[1], len(KINDS)), np.uint16)), axis=1
                )
                for old in self._levels
            ]
        while (ticks - 1) // self.width + 1 > max(self._cells_max // self._agents, 1):
            self._levels = [_halved(level) for level in self._levels]
            self._buckets = (self._buckets + 1) // 2
            self.width *= 2
        needed = (ticks - 1) // self.width + 1
        if needed > len(self._levels[0]):
            limit = max(self._cells_max // self._agents, 1)
            self._grow(max(needed, min(limit, len(self._levels[0]) * 2)))

    def _grow(self, buckets: int) -> None:
        for place, old in enumerate(self._levels):
            wanted = -(-buckets // _STEP**place)
            if wanted > len(old):
                self._levels[place] = np.concatenate((old, self._empty(wanted - len(old))))
        while len(self._levels[-1]) > _BUCKETS_FIRST:
            below = self._levels[-1]
            self._levels.append(_summed(below, _STEP))

    def window(self, first: int, last: int, lanes: range, *, columns: int, rows: int) -> Counts:
        """Return the counts of the ticks `first` to `last` in at most so many columns and rows.

        Columns are wider than asked for where the counts are no finer, and begin at multiples of their width.
        A row is of as many lanes as it takes.
        """
        width = self.width
        while (last - self._first) // width - (first - self._first) // width + 1 > columns:
            width *= 2
        place = 0
        while place + 1 < len(self._levels) and self.width * _STEP ** (place + 1) <= width:
            place += 1
        per_column = width // (self.width * _STEP**place)
        begin = (first - self._first) // width
        end = (last - self._first) // width + 1
        level = self._levels[place]
        part = level[begin * per_column : end * per_column, lanes.start : min(lanes.stop, self._agents)]
        sums = _reduced(part.astype(np.int64), per_column, axis=0, count=end - begin)
        per_row = max(-(-len(lanes) // max(rows, 1)), 1)
        sums = _reduced(sums, per_row, axis=1, count=-(-len(lanes) // per_row))
        return Counts(self._first + begin * width, width, sums)


def _halved(level: Cells) -> Cells:
    """Return the counts of pairs of buckets, in as many buckets as before."""
    halved = np.zeros_like(level)
    summed = _summed(level, 2)
    halved[: len(summed)] = summed
    return halved


def _summed(level: Cells, step: int) -> Cells:
    sums = np.add.reduceat(level, np.arange(0, len(level), step), axis=0, dtype=np.uint32)
    return np.minimum(sums, _COUNT_MAX).astype(np.uint16)


def _reduced(cells: Sums, step: int, *, axis: int, count: int) -> Sums:
    """Return sums of each `step` along an axis, filled up with zeros to `count`."""
    if step > 1 and cells.shape[axis]:
        cells = np.add.reduceat(cells, np.arange(0, cells.shape[axis], step), axis=axis)
    missing = count - cells.shape[axis]
    if missing > 0:
        shape = list(cells.shape)
        shape[axis] = missing
        cells = np.concatenate((cells, np.zeros(shape, np.int64)), axis=axis)
    return cells
