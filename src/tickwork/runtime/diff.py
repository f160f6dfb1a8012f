"""Two run files held against each other, tick by tick.

Both are streamed, and every tick is compared by its canonical bytes, which nothing decodes up to the first
that differ. Not by its digests alone: two runs of different specifications never share one, and a file that
was tampered with may still have the digests of what it was.
"""

import difflib
from collections.abc import Callable, Iterator
from pathlib import Path

from tickwork.core.digest import Digests, advance
from tickwork.core.entry import Entry, Fuel
from tickwork.core.errors import InputError, RunFileError
from tickwork.journal.header import Parent
from tickwork.journal.reader import RunReader, StoredEntry
from tickwork.runtime.diff_result import (
    DAMAGE_MAX,
    AgentDiff,
    Damage,
    Diff,
    FuelDiff,
    Label,
    Side,
    Ticks,
    Verdict,
)
from tickwork.runtime.fold import begin
from tickwork.runtime.spec_diff import host_changes, spec_changes
from tickwork.runtime.tick_diff import Names, Parted, TickDiff, named, parted, tick_diff
from tickwork.runtime.views import Filter

__all__ = ["Diff", "Verdict", "diff"]

_NEAR_MAX = 3


def diff(
    a: Path,
    b: Path,
    *,
    agent: str | None = None,
    first: int = 0,
    last: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> Diff:
    """Compare two run files; `agent` and the ticks `first` to `last` narrow down what is looked at.

    `progress` is told each tick that was looked at. Raises `RunFileError` for a file that cannot be read,
    `InputError` for an agent that is in neither. A damaged entry is in the result, not an error.
    """
    with RunReader.open(a) as reader_a, RunReader.open(b) as reader_b:
        return _Comparison(reader_a, reader_b, Filter(agent, first, last)).run(progress)


class _File:
    """One of the two files as far as it was read."""

    def __init__(self, label: Label, reader: RunReader) -> None:
        self.label = label
        self.reader = reader
        self.names = Names(reader.spec)
        self.only = Ticks()
        # What the entry that was taken last continues; None after a gap.
        self.before: Digests | None = None
        self.digests = reader.header.start
        self._previous: int | None = None
        self._ticks = 0
        self._first: int | None = None
        self._last: int | None = None

    def take(self, stored: StoredEntry, *, wanted: bool) -> None:
        """Read on to an undamaged entry; count it if it is wanted."""
        if stored.tick == self.reader.header.start_tick:
            self.before = self.reader.header.start
        else:
            self.before = self.digests if self._previous == stored.tick - 1 else None
        self._previous = stored.tick
        self.digests = stored.digests
        if wanted:
            self._ticks += 1
            self._last = stored.tick
            if self._first is None:
                self._first = stored.tick

    def chain_fault(self, stored: StoredEntry) -> str | None:
        """Return why the entry that was just taken does not have its digests, as far as it can be told."""
        if self.before is None:
            return None
        after = advance(self.before, stored.entry, stored.fuel)
        if after == stored.digests:
            return None
        what = "its fuel does not have its exact digest"
        if after.digest != stored.digests.digest:
            what = "its bytes do not have its digest"
        return f"{what}: the file was changed after it was written"

    def learn_start(self) -> str | None:
        """Take in the agents that a fork began with; return why they cannot be told."""
        if self.reader.header.start_tick == 0 or not self.reader.spec.kinds:
            return None
        try:
            world, _ = begin(self.reader, self.reader.header.start_tick)
        except RunFileError as error:
            return str(error)
        self.names.ids = [agent.spec.id for agent in world.agents]
        return None

    def learn(self, stored: StoredEntry) -> bool:
        """Take in the agents that an entry starts, without a comparison; return whether there were any."""
        if not self.names.may_spawn(stored.entry):
            return False
        return self.names.learn(stored.decode()[0])

    def side(self) -> Side:
        reader = self.reader
        return Side(
            path=reader.path,
            run=reader.header.run,
            name=reader.spec.name,
            status=reader.status,
            start_tick=reader.header.start_tick,
            parent=reader.header.parent,
            ticks=self._ticks,
            first_tick=self._first,
            last_tick=self._last,
            digest=self.digests.digest.hex(),
            exact=self.digests.exact.hex(),
        )


class _Comparison:
    """One comparison in progress; `run` gives its result."""

    def __init__(self, a: RunReader, b: RunReader, wanted: Filter) -> None:
        self._a = _File("A", a)
        self._b = _File("B", b)
        self._asked = wanted
        start = max(a.header.start_tick, b.header.start_tick)
        self._wanted = Filter(wanted.agent, max(wanted.first, start), wanted.last)
        self._same_spec = a.header.run == b.header.run
        self._unrelated = not self._same_spec and not set(self._a.names.ids) & set(self._b.names.ids)
        self._spawning = bool(a.spec.kinds or b.spec.kinds)
        # Where ids and inputs have the same indexes in both, equal bytes say the same.
        self._same_names = self._names_agree()
        # Whether the digests before the first compared tick differ, and whether the exact ones do.
        self._origin: tuple[bool, bool] | None = None
        self._fork = _forked(self._a, self._b)
        self._common = 0
        self._differing = 0
        self._first: TickDiff | None = None
        self._first_fuel: FuelDiff | None = None
        self._agents: dict[str, AgentDiff] = {}
        self._damage: list[Damage] = []
        self._damage_count = 0

    def _names_agree(self) -> bool:
        a, b = self._a.names, self._b.names
        return a.ids == b.ids and a.inputs == b.inputs

    def run(self, progress: Callable[[int], None] | None) -> Diff:
        """Read both files and return the result."""
        if self._unrelated:
            return self._result()
        for file in (self._a, self._b):
            reason = file.learn_start()
            if reason is not None:
                self._tell(file, file.reader.header.start_tick, reason)
        self._same_names = self._names_agree()
        if not self._spawning:
            self._check_agent()
        for tick, was, now in _by_tick(self._entries(self._a), self._entries(self._b)):
            if self._wanted.last is not None and tick > self._wanted.last:
                break
            self._see(tick, was, now)
            if progress is not None:
                progress(tick)
        self._check_agent()
        seen = self._common + self._a.only.count + self._b.only.count + self._damage_count
        if not seen and (self._asked.first or self._asked.last is not None):
            raise InputError("neither file has a tick in the range that --from and --to name")
        return self._result()

    def _entries(self, file: _File) -> Iterator[StoredEntry]:
        start = file.reader.header.start_tick
        # Who was spawned is known only to those who saw it; else one tick more tells where the chains stood.
        return file.reader.entries(start if self._spawning else max(start, self._wanted.first - 1))

    def _check_agent(self) -> None:
        """Raise `InputError` if the agent that was asked for is in neither file."""
        ids = [*self._a.names.ids, *self._b.names.ids]
        agent = self._wanted.agent
        if agent is None or agent in ids:
            return
        near = difflib.get_close_matches(agent, dict.fromkeys(ids), n=_NEAR_MAX)
        hint = f"did you mean {' or '.join(near)}?" if near else "`tickwork inspect FILE agents` lists them"
        raise InputError(f"there is no agent {agent!r} in either file; {hint}")

    def _see(self, tick: int, was: StoredEntry | None, now: StoredEntry | None) -> None:
        """Take one tick of either or both files."""
        wanted = self._wanted.has_tick(tick)
        sound_a = self._taken(self._a, was, wanted=wanted)
        sound_b = self._taken(self._b, now, wanted=wanted)
        if wanted and sound_a is not None and sound_b is not None:
            self._compare(sound_a, sound_b)
            return
        if wanted and now is None and sound_a is not None:
            self._a.only.add(tick)
        if wanted and was is None and sound_b is not None:
            self._b.only.add(tick)
        self._learn(sound_a, sound_b)

    def _taken(self, file: _File, stored: StoredEntry | None, *, wanted: bool) -> StoredEntry | None:
        """Return the entry if there is one that can be read; tell if it is damaged."""
        if stored is not None and stored.damage is not None:
            if wanted:
                self._tell(file, stored.tick, stored.damage)
            return None
        if stored is not None:
            file.take(stored, wanted=wanted)
        return stored

    def _tell(self, file: _File, tick: int, reason: str) -> None:
        self._damage_count += 1
        if len(self._damage) < DAMAGE_MAX:
            self._damage.append(Damage(file.label, tick, reason))

    def _learn(self, was: StoredEntry | None, now: StoredEntry | None) -> None:
        """Take in who was spawned in entries that are not compared any further."""
        learnt = False
        for file, stored in ((self._a, was), (self._b, now)):
            if stored is None:
                continue
            try:
                learnt = file.learn(stored) or learnt
            except RunFileError as error:
                self._tell(file, stored.tick, str(error))
        if learnt:
            self._same_names = self._names_agree()

    def _compare(self, was: StoredEntry, now: StoredEntry) -> None:
        self._common += 1
        before_a, before_b = self._a.before, self._b.before
        if self._origin is None and before_a is not None and before_b is not None:
            self._origin = (before_a.digest != before_b.digest, before_a.exact != before_b.exact)
        same_bytes = was.entry == now.entry
        if self._same_names and same_bytes and was.fuel == now.fuel:
            if before_a is not None and before_a == before_b and was.digests != now.digests:
                self._check_chains(was, now)
            self._learn(was, now)
            return
        self._check_chains(was, now)
        decoded_a, decoded_b = self._decoded(self._a, was), self._decoded(self._b, now)
        if decoded_a is None or decoded_b is None:
            self._common -= 1
            for file, decoded in ((self._a, decoded_a), (self._b, decoded_b)):
                if decoded is not None:
                    file.names.learn(decoded[0])
            self._same_names = self._names_agree()
            return
        only = self._wanted.agent
        tick_a = named(*decoded_a, self._a.names, only)
        tick_b = named(*decoded_b, self._b.names, only)
        found = parted(tick_a, tick_b)
        # With the same names other bytes say something else, even if only in their order.
        if not found.only_fuel or (only is None and self._same_names and not same_bytes):
            self._differing += 1
            if self._first is None:
                self._first = tick_diff(tick_a, tick_b, found)
        self._count(was.tick, found)
        learnt = [self._a.names.learn(decoded_a[0]), self._b.names.learn(decoded_b[0])]
        if any(learnt):
            self._same_names = self._names_agree()

    def _check_chains(self, was: StoredEntry, now: StoredEntry) -> None:
        """Tell which of two entries that differ does not have its own digests."""
        for file, stored in ((self._a, was), (self._b, now)):
            fault = file.chain_fault(stored)
            if fault is not None:
                self._tell(file, stored.tick, fault)

    def _decoded(self, file: _File, stored: StoredEntry) -> tuple[Entry, Fuel] | None:
        try:
            return stored.decode()
        except RunFileError as error:
            self._tell(file, stored.tick, str(error))
            return None

    def _count(self, tick: int, found: Parted) -> None:
        for agent in found.turns:
            seen = self._agents.setdefault(agent, AgentDiff(agent))
            seen.turns += 1
            if seen.first is None:
                seen.first = tick
        for agent, _, _ in found.fuel:
            seen = self._agents.setdefault(agent, AgentDiff(agent))
            seen.fuel_turns += 1
            if seen.fuel_first is None:
                seen.fuel_first = tick
        if found.fuel and self._first_fuel is None:
            self._first_fuel = FuelDiff(tick, found.fuel)

    def _result(self) -> Diff:
        a, b = self._a, self._b
        places = {agent: place for place, agent in enumerate([*b.names.ids, *a.names.ids])}
        return Diff(
            verdict=self._verdict(),
            a=a.side(),
            b=b.side(),
            same_spec=self._same_spec,
            fork=self._fork,
            spec=spec_changes(a.reader.spec, b.reader.spec),
            hosts=host_changes(a.reader.header, b.reader.header),
            wanted=self._wanted,
            common=self._common,
            differing=self._differing,
            first=self._first,
            first_fuel=self._first_fuel,
            agents=tuple(sorted(self._agents.values(), key=lambda seen: places.get(seen.agent, len(places)))),
            only_a=a.only,
            only_b=b.only,
            damage=tuple(self._damage),
            damage_count=self._damage_count,
        )

    def _verdict(self) -> Verdict:
        a_more, b_more = self._a.only.count > 0, self._b.only.count > 0
        other_origin, other_fuel = self._origin or (not self._same_spec, False)
        if self._unrelated:
            return Verdict.UNRELATED
        if self._first is not None:
            return Verdict.DIFFERENT
        if self._damage_count:
            return Verdict.DAMAGED
        if a_more and b_more:
            return Verdict.DIFFERENT
        if other_origin:
            return Verdict.ORIGIN_DIFFERS
        if other_fuel or self._first_fuel is not None:
            return Verdict.FUEL_DIFFERS
        if b_more:
            return Verdict.A_PREFIX_OF_B
        return Verdict.B_PREFIX_OF_A if a_more else Verdict.IDENTICAL


def _by_tick(
    a: Iterator[StoredEntry], b: Iterator[StoredEntry]
) -> Iterator[tuple[int, StoredEntry | None, StoredEntry | None]]:
    """Yield the entries of both with their ticks, ascending; None where one has nothing of that tick."""
    was, now = next(a, None), next(b, None)
    while was is not None or now is not None:
        tick = min(stored.tick for stored in (was, now) if stored is not None)
        of_a = was if was is not None and was.tick == tick else None
        of_b = now if now is not None and now.tick == tick else None
        yield tick, of_a, of_b
        if of_a is not None:
            was = next(a, None)
        if of_b is not None:
            now = next(b, None)


def _forked(a: _File, b: _File) -> Label | None:
    """Return which of two files began, as a fork, with the digests that the other has there."""
    for file, other in ((b, a), (a, b)):
        parent, header = file.reader.header.parent, other.reader.header
        if parent is None or parent.run != header.run or _siblings(parent, header.parent):
            continue
        found = header.start if parent.tick == header.start_tick else None
        if parent.tick > header.start_tick:
            stored = next(other.reader.entries(parent.tick - 1), None)
            if stored is not None and stored.tick == parent.tick - 1:
                found = stored.digests
        if found == (parent.digest, parent.exact):
            return file.label
    return None


def _siblings(a: Parent, b: Parent | None) -> bool:
    return b is not None and (a.tick, a.digest, a.exact) == (b.tick, b.digest, b.exact)
