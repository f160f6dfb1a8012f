"""What differs between two records of one tick, agents and inputs going by their names.

Indexes are a matter of one file: the same agent may have another one where an agent was added before it.
"""

import difflib
import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec

from tickwork.core.effects import Effect, Spawn
from tickwork.core.entry import Entry, Fuel, TurnEntry, encode
from tickwork.core.faults import AppliedFault, kind_of
from tickwork.core.messages import MessageClass
from tickwork.core.refusals import target
from tickwork.core.spec import RunSpec

T = TypeVar("T")
# Beyond this many pairs what lies between equal ends is paired by place: a hostile turn of thousands of
# effects would otherwise cost the cube of its length.
_ALIGNED_PAIRS_MAX = 90_000

PERFORMED = "performed"


class Change(enum.StrEnum):
    """What became of one thing between A and B."""

    EQUAL = "equal"
    CHANGED = "changed"
    ONLY_A = "only in A"
    ONLY_B = "only in B"


@dataclass(frozen=True, slots=True)
class Pair(Generic[T]):
    """One thing in both files; None where it is missing."""

    change: Change
    a: T | None
    b: T | None


@dataclass(frozen=True, slots=True)
class Judged:
    """An effect, its place in its turn, and its verdict: `performed`, `denied` or `rejected` for a reason."""

    place: int
    effect: Effect
    verdict: str = PERFORMED
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Arrival:
    """One accepted line of an external input."""

    name: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Late:
    """A message that reached nobody: from which class, origin, tick and effect it was, to whom, and why."""

    kind: str
    origin: str
    tick: int
    effect: int
    to: str
    reason: str


@dataclass(frozen=True, slots=True)
class Hit:
    """A fault that hit something: its kind and fields, the agent, and for messages the effect and receiver.

    `effect` is None and `to` is empty where there is none.
    """

    kind: str
    agent: str
    effect: int | None
    to: str
    fields: dict[str, object]


@dataclass(frozen=True, slots=True)
class TurnSide:
    """One file's record of a turn. A failed turn's `detail` says more."""

    kind: str
    detail: str
    fuel: int


@dataclass(frozen=True, slots=True)
class TurnDiff:
    """One agent's turn, side by side; None where the agent had none."""

    agent: str
    a: TurnSide | None
    b: TurnSide | None
    effects: tuple[Pair[Judged], ...]


@dataclass(frozen=True, slots=True)
class TickDiff:
    """One tick, side by side: only the turns that differ, in the agents' order.

    With nothing in it the same is recorded in another order or encoding, which no tickwork writes.
    """

    tick: int
    turns: tuple[TurnDiff, ...]
    arrivals: tuple[Pair[Arrival], ...]
    undelivered: tuple[Pair[Late], ...]
    faults: tuple[Pair[Hit], ...] = ()


class Names:
    """The ids of one run's agents by index; spawned ones are learnt from the entries in their order."""

    def __init__(self, spec: RunSpec) -> None:
        self.ids = [agent.id for agent in spec.agents]
        self.inputs = [source.name for source in spec.inputs]
        self.receivers = {source.name: source.to for source in spec.inputs}
        self._spawned_prefixes = tuple(f"{kind.id}/".encode() for kind in spec.kinds)

    def may_spawn(self, entry: bytes) -> bool:
        """Return whether an entry with these bytes could start an agent: its id would stand there."""
        return any(prefix in entry for prefix in self._spawned_prefixes)

    def learn(self, entry: Entry) -> bool:
        """Take in the agents that a tick started; return whether there were any."""
        count = len(self.ids)
        for turn in entry.turns:
            refused = {refusal.effect for refusal in turn.refusals}
            self.ids += [
                effect.id
                for place, effect in enumerate(turn.effects)
                if isinstance(effect, Spawn) and place not in refused
            ]
        return len(self.ids) > count

    def agent(self, index: int) -> str:
        """Return an agent's id, or `#INDEX` where the file does not tell."""
        return self.ids[index] if 0 <= index < len(self.ids) else f"#{index}"

    def input(self, index: int) -> str:
        """Return an input's name, or `#INDEX` where there is none."""
        return self.inputs[index] if 0 <= index < len(self.inputs) else f"#{index}"


@dataclass(frozen=True, slots=True)
class NamedTick:
    """One file's record of a tick by names: each agent's turn, its index and its fuel."""

    tick: int
    turns: dict[str, tuple[TurnEntry, int]]
    arrivals: tuple[Arrival, ...]
    undelivered: tuple[Late, ...]
    faults: tuple[Hit, ...] = ()


def named(entry: Entry, fuel: Fuel, names: Names, only: str | None) -> NamedTick:
    """Return an entry by names; with `only`, no more of it than concerns that agent."""
    turns: dict[str, tuple[TurnEntry, int]] = {}
    for place, (turn, used) in enumerate(zip(entry.turns, fuel.used, strict=True)):
        agent = names.agent(turn.agent)
        if only is None or agent == only:
            # Two turns of one agent are a forgery, but must not hide one another.
            turns[agent if agent not in turns else f"{agent} (turn {place})"] = (turn, used)
    arrivals = (Arrival(names.input(item.source), item.body) for item in entry.arrivals.inputs)
    late = (
        Late(
            kind=_class_name(item.kind),
            origin=names.input(item.agent) if item.kind == MessageClass.INPUT else names.agent(item.agent),
            tick=item.tick,
            effect=item.effect,
            to=item.to,
            reason=item.reason,
        )
        for item in entry.undelivered
    )
    hits = (_hit(applied, names) for applied in entry.faults)
    return NamedTick(
        entry.tick,
        turns,
        tuple(item for item in arrivals if only is None or only in names.receivers.get(item.name, ())),
        tuple(item for item in late if only is None or only in (item.to, item.origin)),
        tuple(item for item in hits if only is None or only in (item.to, item.agent)),
    )


def _hit(applied: AppliedFault, names: Names) -> Hit:
    return Hit(
        kind=kind_of(applied.fault),
        agent=names.agent(applied.agent),
        effect=applied.effect if applied.effect >= 0 else None,
        to=names.agent(applied.to) if applied.to >= 0 else "",
        fields=msgspec.structs.asdict(applied.fault),
    )


def _class_name(kind: int) -> str:
    try:
        return MessageClass(kind).name.lower()
    except ValueError:
        return f"#{kind}"


@dataclass(frozen=True, slots=True)
class Parted:
    """Which agents' turns differ in one tick, and whose turns only in their fuel (with both values)."""

    turns: tuple[str, ...]
    fuel: tuple[tuple[str, int, int], ...]
    arrivals: bool
    undelivered: bool
    faults: bool

    @property
    def only_fuel(self) -> bool:
        """Whether nothing but fuel differs."""
        return not (self.turns or self.arrivals or self.undelivered or self.faults)


def parted(a: NamedTick, b: NamedTick) -> Parted:
    """Return where two records of a tick part."""
    turns: list[str] = []
    fuel: list[tuple[str, int, int]] = []
    for agent in _agents(a, b):
        was, now = a.turns.get(agent), b.turns.get(agent)
        if was is None or now is None or _content(was[0]) != _content(now[0]):
            turns.append(agent)
        elif was[1] != now[1]:
            fuel.append((agent, was[1], now[1]))
    return Parted(
        tuple(turns),
        tuple(fuel),
        a.arrivals != b.arrivals,
        a.undelivered != b.undelivered,
        a.faults != b.faults,
    )


def _agents(a: NamedTick, b: NamedTick) -> list[str]:
    """Return the agents of both in the order of A's indexes, those of B alone by B's."""
    places = {agent: (turn.agent, 1) for agent, (turn, _) in b.turns.items()}
    places |= {agent: (turn.agent, 0) for agent, (turn, _) in a.turns.items()}
    return sorted(places, key=lambda agent: places[agent])


def _content(turn: TurnEntry) -> bytes:
    # Bytes, not values: NaN differs from itself, and 0.0 does not differ from -0.0.
    return encode((turn.kind, turn.effects, turn.refusals, turn.detail))


def tick_diff(a: NamedTick, b: NamedTick, found: Parted) -> TickDiff:
    """Return two records of a tick side by side."""
    return TickDiff(
        tick=a.tick,
        turns=tuple(_turn_diff(agent, a.turns.get(agent), b.turns.get(agent)) for agent in found.turns),
        arrivals=_aligned(a.arrivals, b.arrivals, _arrival_key, lambda item: item.name)
        if found.arrivals
        else (),
        undelivered=_aligned(a.undelivered, b.undelivered, _late_key, lambda item: (item.origin, item.to))
        if found.undelivered
        else (),
        faults=_aligned(a.faults, b.faults, encode, lambda item: (item.kind, item.agent, item.to))
        if found.faults
        else (),
    )


def _turn_diff(agent: str, a: tuple[TurnEntry, int] | None, b: tuple[TurnEntry, int] | None) -> TurnDiff:
    return TurnDiff(
        agent,
        None if a is None else TurnSide(str(a[0].kind), a[0].detail, a[1]),
        None if b is None else TurnSide(str(b[0].kind), b[0].detail, b[1]),
        _aligned(
            () if a is None else _judged(a[0]), () if b is None else _judged(b[0]), _effect_key, _effect_aim
        ),
    )


def _judged(turn: TurnEntry) -> tuple[Judged, ...]:
    refused = {refusal.effect: refusal for refusal in turn.refusals}
    return tuple(
        Judged(place, effect, refused[place].verdict, refused[place].reason)
        if place in refused
        else Judged(place, effect)
        for place, effect in enumerate(turn.effects)
    )


def _effect_key(item: Judged) -> object:
    return encode((item.effect, item.verdict, item.reason))


def _effect_aim(item: Judged) -> object:
    return type(item.effect).__name__, target(item.effect)


def _arrival_key(item: Arrival) -> object:
    return item.name, item.body


def _late_key(item: Late) -> object:
    return item


def _aligned(
    a: Sequence[T], b: Sequence[T], key: Callable[[T], object], aim: Callable[[T], object]
) -> tuple[Pair[T], ...]:
    """Return both sequences as pairs: equal by `key`; else changed if of one `aim`; else in one alone."""
    pairs: list[Pair[T]] = []
    for tag, some_a, some_b in _blocks(a, b, key):
        if tag:
            pairs += [Pair(Change.EQUAL, was, now) for was, now in zip(some_a, some_b, strict=True)]
            continue
        for same_aim, left_a, left_b in _blocks(some_a, some_b, aim):
            if same_aim:
                pairs += [Pair(Change.CHANGED, was, now) for was, now in zip(left_a, left_b, strict=True)]
            else:
                pairs += [Pair(Change.ONLY_A, was, None) for was in left_a]
                pairs += [Pair(Change.ONLY_B, None, now) for now in left_b]
    return tuple(pairs)


def _blocks(
    a: Sequence[T], b: Sequence[T], key: Callable[[T], object]
) -> list[tuple[bool, Sequence[T], Sequence[T]]]:
    """Cut both sequences into blocks that are equal by `key` (True) and that are not, in order."""
    keys_a, keys_b = [key(item) for item in a], [key(item) for item in b]
    shorter = min(len(a), len(b))
    head = 0
    while head < shorter and keys_a[head] == keys_b[head]:
        head += 1
    tail = 0
    while tail < shorter - head and keys_a[-1 - tail] == keys_b[-1 - tail]:
        tail += 1
    end_a, end_b = len(a) - tail, len(b) - tail
    blocks = [(True, a[:head], b[:head])]
    if (end_a - head) * (end_b - head) <= _ALIGNED_PAIRS_MAX:
        matcher = difflib.SequenceMatcher(None, keys_a[head:end_a], keys_b[head:end_b], autojunk=False)
        for tag, i, j, m, n in matcher.get_opcodes():
            blocks.append((tag == "equal", a[head + i : head + j], b[head + m : head + n]))
    else:
        for place in range(head, min(end_a, end_b)):
            one = slice(place, place + 1)
            blocks.append((keys_a[place] == keys_b[place], a[one], b[one]))
        rest = min(end_a, end_b)
        blocks.append((False, a[rest:end_a], b[rest:end_b]))
    return [*blocks, (True, a[end_a:], b[end_b:])]
