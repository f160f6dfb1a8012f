"""One agent over time: its turns in a window, and its memory at each snapshot."""

import msgspec

from tickwork.core.errors import RunFileError
from tickwork.journal.reader import RunReader
from tickwork.ui.timeline import marks_of

SPAN_MAX = 2_000
# Each costs a look at all the agent's pages.
_SNAPSHOTS_MAX = 24


class TurnPoint(msgspec.Struct, frozen=True, array_like=True):
    """One turn: its tick, fuel, number of effects and marks (bits by place in the timeline's `marks`)."""

    tick: int
    fuel: int
    effects: int
    marks: int


class MemoryPoint(msgspec.Struct, frozen=True, array_like=True):
    """At the snapshot before `tick`: bytes of all linear memories, and of the pages that it changed."""

    tick: int
    bytes: int
    changed: int


class History(msgspec.Struct, frozen=True):
    """An agent's turns in a window of ticks; `memory` is of the whole run, thinned to 24 snapshots."""

    agent: str
    first: int
    last: int
    turns: list[TurnPoint]
    memory: list[MemoryPoint]


def history(reader: RunReader, agent: str, index: int, first: int, last: int) -> History:
    """Return what the record and its snapshots say of an agent; a damaged tick or snapshot is left out."""
    last = min(last, first + SPAN_MAX - 1)
    turns: list[TurnPoint] = []
    for stored in reader.entries(first):
        if stored.tick > last:
            break
        if stored.damage is not None:
            continue
        entry, fuel = stored.decode()
        for turn, used in zip(entry.turns, fuel.used, strict=True):
            if turn.agent == index:
                turns.append(TurnPoint(entry.tick, used, len(turn.effects), marks_of(turn)))
                break
    return History(agent, first, last, turns, _memory(reader, index))


def _memory(reader: RunReader, index: int) -> list[MemoryPoint]:
    ticks = sorted(reader.snapshot_ticks())
    chosen = ticks[:: -(-len(ticks) // _SNAPSHOTS_MAX) or 1]
    points = []
    for tick in chosen:
        try:
            image = reader.snapshot(tick, (index,)).images[index]
        except (RunFileError, KeyError):
            continue  # damaged, or the agent had no state then
        size = sum(memory.size for memory in image.memories)
        changed = sum(len(page) for memory in image.memories for page in memory.pages)
        points.append(MemoryPoint(tick, size, changed))
    return points
