"""What the timeline shows of a window: turns and messages one by one, or how many where.

A wide window is answered from counts alone, in a time that does not depend on the run's length. A narrow
one is read from the file, up to a bound on turns; beyond it counts are given instead.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter

import msgspec
import numpy as np

from tickwork.core.effects import Call, Effect, Infer, Log, Output, Publish, Send, Spawn, Stop, Timer
from tickwork.core.entry import Entry, Fuel, TurnEntry
from tickwork.core.errors import InputError, RunFileError
from tickwork.core.faults import Delay, Drop, Duplicate, Fault, Partition, kind_of
from tickwork.core.messages import MessageClass
from tickwork.core.outcomes import OutcomeKind
from tickwork.core.refusals import DENIED, NOT_EVERYBODY, REJECTED, quoted
from tickwork.journal.reader import RunReader
from tickwork.ui.cast import RECOVERIES, Cast
from tickwork.ui.follow import Follower
from tickwork.ui.lanes import KINDS, MESSAGES, TURNS, Counts

# Columns times rows of one answer.
CELLS_MAX = 60_000
DETAIL_TICKS_MAX = 400
_DETAIL_TURNS_MAX = 40_000
_ARROWS_MAX = 6_000
_SNAPSHOTS_MAX = 500

_Sent = tuple[int, int, int]  # a message's sender, effect and receiver
_Lost = tuple[int, int, int, int]  # the tick in which it was sent, and these

# The bits of a turn's marks.
MARKS = ("failed", "denied", "rejected", "request", "note", "membership", "output", "timer")
FAILED, DENIED_MARK, REJECTED_MARK, REQUESTS, NOTE, MEMBERSHIP, OUTPUT, TIMER = (
    1 << place for place in range(len(MARKS))
)
_VERDICT_MARKS = {DENIED: DENIED_MARK, REJECTED: REJECTED_MARK}
_MARK_OF = {
    Infer: REQUESTS,
    Call: REQUESTS,
    Spawn: MEMBERSHIP,
    Stop: MEMBERSHIP,
    Output: OUTPUT,
    Timer: TIMER,
}


class Row(msgspec.Struct, frozen=True):
    """One row of the picture: `count` agents from `index` on, named after the first."""

    index: int
    count: int
    id: str
    kind: str
    born: int
    ended: int | None
    ending: str


class Density(msgspec.Struct, frozen=True):
    """Counts by column and row. A column is `width` ticks; the first begins with `first`.

    `turns` and `messages` are flat, row after row. `marks` are (row, column, kind, count), kind being a
    place in `kinds`. Counts above 65,535 are given as that.
    """

    first: int
    width: int
    columns: int
    turns: list[int]
    messages: list[int]
    marks: list[tuple[int, int, int, int]]
    kinds: tuple[str, ...] = KINDS


class Detail(msgspec.Struct, frozen=True):
    """Turns and messages one by one.

    `turns` are (tick, agent, marks, fuel, effects), marks being bits by place in `marks`. `messages` are
    (sent, from, effect, found, to, topic): an arrow from agent and tick to agent and tick, topic a place in
    `topics`. `inputs` are (tick, to, input). `faults` are (tick, agent, kind), kind a place in `fault_kinds`.
    `recoveries` are (tick, agent, how) of agents that failed and went on, how a place in `recovery_kinds`.
    With `cut` there were more messages than are given.
    """

    turns: list[tuple[int, int, int, int, int]]
    messages: list[tuple[int, int, int, int, int, int]]
    inputs: list[tuple[int, int, int]]
    faults: list[tuple[int, int, int]]
    topics: list[str]
    sources: list[str]
    fault_kinds: list[str]
    cut: bool
    recoveries: list[tuple[int, int, int]]
    marks: tuple[str, ...] = MARKS
    recovery_kinds: tuple[str, ...] = RECOVERIES


class Timeline(msgspec.Struct, frozen=True):
    """A window of a run: one of `density` and `detail`. Ticks from `indexed` on are not counted yet."""

    first: int
    last: int
    first_tick: int
    end_tick: int
    indexed: int
    generation: int
    agents: int
    rows: list[Row]
    snapshots: list[int]
    damaged: list[int]
    density: Density | None = None
    detail: Detail | None = None


@dataclass(frozen=True, slots=True)
class Window:
    """What is asked for: ticks and agents, ends included, and how finely."""

    first: int
    last: int
    lane_first: int
    lane_count: int
    columns: int
    rows: int
    detail: bool


def timeline(follower: Follower, asked: Window) -> Timeline:
    """Return a window of a run; `RunFileError` if the file cannot be read, `InputError` for no window."""
    standing = follower.standing
    cast, lanes = follower.cast, follower.lanes
    if cast is None or lanes is None:
        raise RunFileError(standing.error or "the file has not been read yet; ask again")
    if asked.last < asked.first:
        raise InputError(f"a window ends before it begins: {asked.first} to {asked.last}")
    first = max(asked.first, standing.first_tick)
    last = max(first, min(asked.last, max(standing.end_tick - 1, standing.first_tick)))
    chosen = range(
        min(asked.lane_first, standing.agents), min(asked.lane_first + asked.lane_count, standing.agents)
    )
    detail = None
    snapshots: list[int] = []
    try:
        with RunReader.open(follower.path) as reader:
            snapshots = _thinned([tick for tick in reader.snapshot_ticks() if first <= tick <= last + 1])
            if asked.detail and last - first < DETAIL_TICKS_MAX:
                detail = _detail(reader, cast, first, last, chosen)
    except RunFileError:
        if standing.error is None:
            raise
    counts: Counts | None = None
    columns = max(min(asked.columns, CELLS_MAX // max(min(asked.rows, len(chosen)), 1)), 1)
    with follower.lock:
        if detail is None:
            counts = lanes.window(first, last, chosen, columns=columns, rows=asked.rows)
        per_row = 1 if detail is not None else max(-(-len(chosen) // max(asked.rows, 1)), 1)
        rows = [_row(cast, index, min(per_row, chosen.stop - index)) for index in chosen[::per_row]]
    return Timeline(
        first=first,
        last=last,
        first_tick=standing.first_tick,
        end_tick=standing.end_tick,
        indexed=standing.indexed,
        generation=standing.generation,
        agents=standing.agents,
        rows=rows,
        snapshots=snapshots,
        damaged=[damaged.tick for damaged in standing.damage if first <= damaged.tick <= last],
        density=None if counts is None else _density(counts),
        detail=detail,
    )


def _row(cast: Cast, index: int, count: int) -> Row:
    member = cast.members[index]
    return Row(index, count, member.id, member.kind, member.born, member.ended, member.ending)


def _thinned(ticks: Sequence[int]) -> list[int]:
    return sorted(ticks)[:: len(ticks) // _SNAPSHOTS_MAX + 1]


def _density(counts: Counts) -> Density:
    cells = np.minimum(counts.cells, 2**16 - 1).transpose(1, 0, 2)
    marked = np.argwhere(cells[:, :, MESSAGES + 1 :])
    return Density(
        first=counts.first,
        width=counts.width,
        columns=cells.shape[1],
        turns=cells[:, :, TURNS].ravel().tolist(),
        messages=cells[:, :, MESSAGES].ravel().tolist(),
        marks=[
            (int(row), int(column), int(kind) + MESSAGES + 1, int(cells[row, column, kind + MESSAGES + 1]))
            for row, column, kind in marked
        ],
    )


def _detail(reader: RunReader, cast: Cast, first: int, last: int, chosen: range) -> Detail | None:
    """Return the window turn by turn, or None if that is too much."""
    drawing = _Drawing(cast, first, last, chosen)
    # What is found in the first tick was sent up to two before.
    for stored in reader.entries(max(first - 2, reader.header.start_tick)):
        if stored.tick > last:
            break
        if stored.damage is not None:
            continue
        drawing.draw(*stored.decode())
        if drawing.seen > _DETAIL_TURNS_MAX:
            return None
    return drawing.done()


class _Drawing:
    """A detailed window in the making."""

    def __init__(self, cast: Cast, first: int, last: int, chosen: range) -> None:
        self._cast = cast
        self._first = first
        self._last = last
        self._chosen = chosen
        self.seen = 0
        self._turns: list[tuple[int, int, int, int, int]] = []
        self._arrows: list[tuple[int, int, int, int, int, int]] = []
        self._inputs: list[tuple[int, int, int]] = []
        self._faults: list[tuple[int, int, int]] = []
        self._fault_kinds: dict[str, int] = {}
        # Of the tick that is drawn: who has a turn, and what faults did to messages.
        self._taken: set[int] = set()
        self._broken: dict[_Sent, list[Fault]] = {}
        # Messages that were not found in the end: in which tick that was said, and whether a turn had them.
        self._lost: dict[_Lost, tuple[int, bool]] = {}
        self._topics: dict[str, int] = {}
        self._cut = False

    def draw(self, entry: Entry, fuel: Fuel) -> None:
        """Take one tick."""
        tick, chosen = entry.tick, self._chosen
        self.seen += len(entry.turns)
        if tick >= self._first:
            self._take_inputs(entry)
            self._take_faults(entry)
        self._taken = {turn.agent for turn in entry.turns}
        self._broken = _broken_messages(entry)
        for late in entry.undelivered:
            if late.kind == MessageClass.MESSAGE:
                to = self._cast.index.get(late.to, -1)
                self._lost[late.tick, late.agent, late.effect, to] = (tick, to in self._taken)
        for turn, used in zip(entry.turns, fuel.used, strict=True):
            refused = {refusal.effect: refusal.reason for refusal in turn.refusals}
            if tick >= self._first and turn.agent in chosen:
                self._turns.append((tick, turn.agent, marks_of(turn), used, len(turn.effects)))
            for place, effect in enumerate(turn.effects):
                if isinstance(effect, (Send, Publish)):
                    self._arrow(tick, turn.agent, place, effect, refused.get(place))

    def _take_inputs(self, entry: Entry) -> None:
        for item in entry.arrivals.inputs:
            for agent in self._cast.readers(item.source):
                if agent in self._chosen and len(self._inputs) < _ARROWS_MAX:
                    self._inputs.append((entry.tick, agent, item.source))

    def _take_faults(self, entry: Entry) -> None:
        for applied in entry.faults:
            if applied.agent in self._chosen and len(self._faults) < _ARROWS_MAX:
                kind = self._fault_kinds.setdefault(kind_of(applied.fault), len(self._fault_kinds))
                self._faults.append((entry.tick, applied.agent, kind))

    def _found(self, tick: int, agent: int, place: int, to: int) -> list[int]:
        """Return the ticks in which a message is found: none if a fault lost it, two if one doubled it."""
        faults = self._broken.get((agent, place, to), ())
        if any(isinstance(fault, (Drop, Partition)) for fault in faults):
            return []
        late = [fault.ticks for fault in faults if isinstance(fault, Delay)]
        now = not late and to in self._taken and self._cast.joined(agent, to, tick)
        due = tick if now else self._cast.arrival(to, tick) + sum(late)
        return [due, *(due + fault.ticks for fault in faults if isinstance(fault, Duplicate))]

    def _arrow(self, tick: int, agent: int, place: int, effect: Send | Publish, refused: str | None) -> None:
        for to in self._receivers(effect, tick, refused):
            if agent not in self._chosen and to not in self._chosen:
                continue
            for found in self._found(tick, agent, place, to):
                if found < self._first and tick < self._first:
                    continue
                if len(self._arrows) == _ARROWS_MAX:
                    self._cut = True
                    return
                topic = self._topics.setdefault(effect.topic, len(self._topics))
                self._arrows.append((tick, agent, place, found, to, topic))

    def _receivers(self, effect: Send | Publish, tick: int, refused: str | None) -> Iterator[int]:
        """Yield who gets it; of a publish that did not reach all, if the reason for that names them."""
        if isinstance(effect, Publish):
            if refused is not None and (not refused.startswith(NOT_EVERYBODY) or refused.endswith(" more")):
                return
            for to in self._cast.subscribers(effect.topic, tick):
                if refused is None or quoted(self._cast.members[to].id) not in refused:
                    yield to
        elif refused is None:
            to = self._cast.index.get(effect.to, -1)
            if to >= 0:
                yield to

    def _recoveries(self) -> list[tuple[int, int, int]]:
        """Return the recoveries of the window; those of the whole run are in the order of ticks."""
        known = self._cast.recoveries
        low = bisect_left(known, self._first, key=itemgetter(0))
        high = bisect_right(known, self._last, key=itemgetter(0))
        return [each for each in known[low:high] if each[1] in self._chosen]

    def _arrived(self, arrow: tuple[int, int, int, int, int, int]) -> bool:
        sent, agent, place, found, to, _ = arrow
        lost = self._lost.get((sent, agent, place, to))
        return lost is None or found < lost[0] or (found == lost[0] and lost[1])

    def done(self) -> Detail:
        return Detail(
            turns=self._turns,
            messages=[arrow for arrow in self._arrows if self._arrived(arrow)],
            inputs=self._inputs,
            faults=self._faults,
            topics=list(self._topics),
            sources=self._cast.inputs,
            fault_kinds=list(self._fault_kinds),
            cut=self._cut,
            recoveries=self._recoveries(),
        )


def _broken_messages(entry: Entry) -> dict[_Sent, list[Fault]]:
    """Return what faults did to messages of a tick, by sender, effect and receiver."""
    broken: dict[_Sent, list[Fault]] = {}
    for applied in entry.faults:
        if isinstance(applied.fault, (Drop, Partition, Delay, Duplicate)):
            broken.setdefault((applied.agent, applied.effect, applied.to), []).append(applied.fault)
    return broken


def marks_of(turn: TurnEntry) -> int:
    """Return what is remarkable about a turn, as bits by place in `MARKS`."""
    marks = 0 if turn.kind is OutcomeKind.OK else FAILED
    for refusal in turn.refusals:
        marks |= _VERDICT_MARKS.get(refusal.verdict, 0)
    for effect in turn.effects:
        marks |= _mark(effect)
    return marks


def _mark(effect: Effect) -> int:
    if isinstance(effect, Log):
        return NOTE if effect.level >= 2 else 0
    return _MARK_OF.get(type(effect), 0)
