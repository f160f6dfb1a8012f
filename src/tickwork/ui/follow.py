"""Keeps up with one run file, finished or being written: who takes part, and how much happened where.

A thread of its own reads what is new, a few hundred ticks at a time, and never holds the file's log for
longer than such a batch takes. The file may vanish and come back, grow, or be replaced by another run.
"""

import threading
from pathlib import Path

import msgspec
import numpy as np

from tickwork.core.effects import Call, Infer, Log, Publish, Send
from tickwork.core.entry import Entry, TurnEntry
from tickwork.core.errors import RunFileError
from tickwork.core.outcomes import OutcomeKind
from tickwork.core.refusals import DENIED as DENIED_VERDICT
from tickwork.core.refusals import REJECTED as REJECTED_VERDICT
from tickwork.journal.header import Header
from tickwork.journal.reader import RunReader
from tickwork.runtime.fold import begin, check_spec
from tickwork.ui.cast import Cast
from tickwork.ui.lanes import (
    DENIED,
    FAILED,
    FAULTS,
    KINDS,
    MESSAGES,
    NOTES,
    REJECTED,
    REQUESTS,
    TURNS,
    Lanes,
)
from tickwork.ui.library import Signature

# How often a file is asked whether it changed, which is one or two calls of stat.
POLL_S = 0.2
# After so many turns counts are added and everyone who waits gets a chance to run.
_BATCH_TURNS = 4_000
_DAMAGE_MAX = 100
# Log levels from which a line is a mark on the timeline: warn and error.
_NOTED = 2
# What a page can name exactly: its numbers are doubles.
TICK_MAX = 2**53 - 1


class DamagedTick(msgspec.Struct, frozen=True):
    """A tick whose entry cannot be read, and why; it stands for more if the text names more."""

    tick: int
    reason: str


class Standing(msgspec.Struct, frozen=True):
    """How far a run has come, and how far it was read: the ticks before `indexed`.

    `generation` changes when the file is another run than before. `missing` ticks could not be read; the
    first 100 are in `damage`. With `error` the file cannot be read, and the rest is as it last was.
    """

    status: str = "running"
    first_tick: int = 0
    end_tick: int = 0
    indexed: int = 0
    agents: int = 0
    generation: int = 0
    missing: int = 0
    damage: tuple[DamagedTick, ...] = ()
    error: str | None = None
    version: int = 0


class Follower:
    """A run file that is being kept up with. `standing` may be read at any time from any thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.standing = Standing()
        # Held while the cast or the counts change, and by whoever reads them.
        self.lock = threading.Lock()
        self.cast: Cast | None = None
        self.lanes: Lanes | None = None
        self.looked = threading.Event()
        self._identity: tuple[object, ...] | None = None
        self._signature: Signature | None = None
        self._next = 0
        self._damage: list[DamagedTick] = []
        self._missing = 0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._follow, name=f"follow {path.name}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Let go of the file; waits for a batch at most."""
        self._end.set()
        self._thread.join()

    def _follow(self) -> None:
        while not self._end.is_set():
            signature: Signature | None = None
            try:
                signature = Signature.of(self.path)
                if signature != self._signature:
                    self._look(signature)
                    self._signature = signature
            except (RunFileError, OSError) as error:
                self._signature = None
                self._fail(error)
            except Exception as error:  # whoever waits for this thread must hear of it
                self._signature = signature
                self._tell(error=f"it cannot be followed: {type(error).__name__}: {error}")
            self.looked.set()
            self._end.wait(POLL_S)

    def _fail(self, error: RunFileError | OSError) -> None:
        reason = str(error).removeprefix(f"{self.path}: ") if isinstance(error, RunFileError) else ""
        reason = reason or "there is no such file any more"
        if self.standing.error != reason:
            self._tell(error=reason)

    def _tell(self, **changes: object) -> None:
        version = self.standing.version + 1
        self.standing = msgspec.structs.replace(self.standing, version=version, **changes)

    def _look(self, signature: Signature) -> None:
        """Read what is new."""
        with RunReader.open(self.path) as reader:
            check_spec(reader)
            if reader.header.start_tick > TICK_MAX:
                raise RunFileError(
                    f"{self.path}: begins with tick {reader.header.start_tick}, beyond any run"
                )
            self._recognise(reader, signature)
            last = reader.last_tick
            header = reader.header
            end_tick = header.start_tick if last is None else last + 1
            self._tell(status=reader.status, end_tick=end_tick, error=None)
            self.looked.set()  # from here on questions can be answered in part
            self._read(reader)

    def _recognise(self, reader: RunReader, signature: Signature) -> None:
        """Begin anew if this is another run than the one before, or the same one recorded again."""
        header = reader.header
        identity = (header.run, header.start, header.launch, signature.inode)
        last = reader.last_tick
        shrunk = last is not None and last + 1 < self._next and not self._missing
        if identity == self._identity and not shrunk:
            return
        with self.lock:
            self.cast = _first_cast(reader, header)
            self.lanes = Lanes(header.start_tick, len(self.cast.members))
        self._identity = identity
        self._next = header.start_tick
        self._damage, self._missing = [], 0
        self._tell(
            first_tick=header.start_tick,
            indexed=header.start_tick,
            agents=len(self.cast.members),
            generation=self.standing.generation + 1,
            damage=(),
            missing=0,
        )

    def _read(self, reader: RunReader) -> None:
        batch = _Batch()
        for stored in reader.entries(self._next):
            if self._end.is_set():
                return
            if stored.tick > TICK_MAX:
                self._note(self._next, f"an entry claims tick {stored.tick}, beyond any run")
                break
            if stored.damage is not None:
                self._note(stored.tick, stored.damage)
            else:
                try:
                    entry, _ = stored.decode()
                except RunFileError as error:
                    self._note(stored.tick, str(error))
                else:
                    batch.take(entry)
            self._next = stored.tick + 1
            if len(batch.ticks) >= _BATCH_TURNS:
                self._add(batch)
                batch = _Batch()
                self._end.wait(0.001)  # whoever answers a request gets the processor
        self._add(batch)

    def _note(self, tick: int, reason: str) -> None:
        self._missing += 1
        if len(self._damage) < _DAMAGE_MAX:
            self._damage.append(DamagedTick(tick, reason))

    def _add(self, batch: "_Batch") -> None:
        assert self.cast is not None
        assert self.lanes is not None
        with self.lock:
            for entry in batch.casting:
                self.cast.learn(entry)
            for tick, agent in batch.add_to(self.lanes, len(self.cast.members)):
                self._note(tick, f"it tells of agent #{agent}, which does not exist")
        self._tell(
            indexed=self._next,
            end_tick=max(self._next, self.standing.end_tick),
            agents=len(self.cast.members),
            damage=tuple(self._damage),
            missing=self._missing,
        )


def _first_cast(reader: RunReader, header: Header) -> Cast:
    if header.parent is None:
        return Cast(reader.spec, header.start_tick)
    world, _ = begin(reader, header.start_tick)
    return Cast(reader.spec, header.start_tick, world)


class _Batch:
    """The turns of some ticks, and the faults that hit somebody in them, as columns."""

    def __init__(self) -> None:
        self.casting: list[Entry] = []
        self.ticks: list[int] = []
        self._agents: list[int] = []
        self._counts: list[list[int]] = []

    def take(self, entry: Entry) -> None:
        self.casting.append(entry)
        for turn in entry.turns:
            self.ticks.append(entry.tick)
            self._agents.append(turn.agent)
            self._counts.append(count(turn))
        for fault in entry.faults:
            self.ticks.append(entry.tick)
            self._agents.append(fault.agent)
            self._counts.append([int(place == FAULTS) for place in range(len(KINDS))])

    def add_to(self, lanes: Lanes, agents: int) -> list[tuple[int, int]]:
        """Count the turns of agents that exist; return tick and agent of the others."""
        strange = [
            (tick, agent)
            for tick, agent in zip(self.ticks, self._agents, strict=True)
            if not 0 <= agent < agents
        ]
        known = [place for place, agent in enumerate(self._agents) if 0 <= agent < agents]
        if known:
            whole = len(known) == len(self.ticks)
            lanes.add(
                np.array(self.ticks if whole else [self.ticks[place] for place in known], np.int64),
                np.array(self._agents if whole else [self._agents[place] for place in known], np.int64),
                np.array(self._counts if whole else [self._counts[place] for place in known], np.int64),
            )
        return strange


def count(turn: TurnEntry) -> list[int]:
    """Return what a turn counts for, by the places of `KINDS`."""
    counts = [0] * len(KINDS)
    counts[TURNS] = 1
    counts[FAILED] = int(turn.kind is not OutcomeKind.OK)
    for refusal in turn.refusals:
        if refusal.verdict == DENIED_VERDICT:
            counts[DENIED] += 1
        elif refusal.verdict == REJECTED_VERDICT:
            counts[REJECTED] += 1
    for effect in turn.effects:
        if isinstance(effect, (Send, Publish)):
            counts[MESSAGES] += 1
        elif isinstance(effect, (Infer, Call)):
            counts[REQUESTS] += 1
        elif isinstance(effect, Log):
            counts[NOTES] += effect.level >= _NOTED
    return counts
