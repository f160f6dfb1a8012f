"""Which faults to try: drawn from what a run really did, so that most of them hit something."""

from collections.abc import Callable, Iterable, Sequence

import msgspec

from tickwork.core.errors import InputError
from tickwork.core.faults import (
    CrashAfter,
    CrashBefore,
    Delay,
    Drop,
    Duplicate,
    Fault,
    LoseTimer,
    Partition,
    Pause,
    RefuseMemory,
    Reorder,
    StarveFuel,
)
from tickwork.exploration.draws import Draws
from tickwork.exploration.events import Due, Events, Sent, Took

# How many faults a drawn plan has at most.
FAULTS_MAX = 6
# How long what lasts, lasts: short ones find races, long ones outlast retries.
_TICKS = (1, 1, 2, 3, 5, 10)
# The default: kinds that a system is expected to survive, by how often each is tried. Crashes come only to
# agents that are supervised: nothing can be expected of one whose failure is to end it.
_WEIGHTS = {
    "drop": 5,
    "delay": 4,
    "duplicate": 4,
    "reorder": 3,
    "partition": 2,
    "pause": 2,
    "crash-before": 2,
    "crash-after": 3,
}
_CRASHES = ("crash-before", "crash-after")


class FaultMix(msgspec.Struct, frozen=True, array_like=True):
    """Which kinds of faults are drawn: by weight, a few a run, or with `rates` each event by its chance.

    With `everyone`, crashes also come to agents that are not supervised.
    """

    weights: tuple[tuple[str, int], ...] = tuple(_WEIGHTS.items())
    rates: tuple[tuple[str, float], ...] = ()
    everyone: bool = False

    @property
    def none(self) -> bool:
        """Whether there are to be no faults at all."""
        return not self.weights and not self.rates


def parse_mix(text: str | None) -> FaultMix:
    """Return the mix that `--faults` asks for: `none`, kinds, or `KIND=RATE`, separated by commas.

    Raises `InputError` for another form, or for kinds that only hit requests to models and tools.
    """
    if text is None:
        return FaultMix()
    if text == "none":
        return FaultMix(weights=())
    weights: list[tuple[str, int]] = []
    rates: list[tuple[str, float]] = []
    for item in text.split(","):
        kind, equals, rate = item.strip().partition("=")
        if kind not in _DRAWN:
            raise InputError(f"--faults: there is no fault {kind!r} to draw; there are: {', '.join(_DRAWN)}")
        if not equals:
            weights.append((kind, 1))
            continue
        try:
            share = float(rate)
        except ValueError:
            share = -1.0
        if not 0.0 <= share <= 1.0:
            raise InputError(f"--faults {item.strip()}: the rate must be a number from 0 to 1")
        rates.append((kind, share))
    if weights and rates:
        raise InputError("--faults: give all kinds a rate, or none")
    return FaultMix(tuple(weights), tuple(rates), everyone=True)


def vary(faults: Sequence[Fault], events: Events, mix: FaultMix, draws: Draws) -> tuple[Fault, ...]:
    """Return another plan: new, or the given one with a fault more, one less, or one exchanged."""
    if mix.none:
        return ()
    if mix.rates:
        return _ordered(_by_rates(events, mix, draws))
    kept = list(faults)
    if not kept or draws.chance(0.5):
        count = 1
        while count < FAULTS_MAX and draws.chance(0.5):
            count += 1
        return _ordered(filter(None, [_drawn(events, mix, draws) for _ in range(count)]))
    if (len(kept) > 1 and draws.chance(0.3)) or draws.chance(0.4):
        kept.pop(draws.below(len(kept)))
    if len(kept) < FAULTS_MAX and (draws.chance(0.8) or not kept):
        added = _drawn(events, mix, draws)
        if added is not None:
            kept.append(added)
    return _ordered(kept)


def _ordered(faults: Iterable[Fault]) -> tuple[Fault, ...]:
    """Return the faults without repetitions, in the order of their ticks."""
    return tuple(sorted(dict.fromkeys(faults), key=lambda fault: fault.tick))


def _drawn(events: Events, mix: FaultMix, draws: Draws) -> Fault | None:
    """Return one fault of a kind by its weight, or None where the run had nothing for that kind."""
    place = draws.below(sum(weight for _, weight in mix.weights))
    for kind, weight in mix.weights:
        place -= weight
        if place < 0:
            possible = _possible(kind, events, everyone=mix.everyone)
            return _DRAWN[kind](draws.one_of(possible), events, draws) if possible else None
    return None


def _by_rates(events: Events, mix: FaultMix, draws: Draws) -> list[Fault]:
    return [
        _DRAWN[kind](event, events, draws)
        for kind, rate in mix.rates
        for event in _possible(kind, events, everyone=True)
        if draws.chance(rate)
    ]


def _possible(kind: str, events: Events, *, everyone: bool) -> Sequence[Sent | Took | Due]:
    """Return the events that a kind of fault can hit, none of them in tick 0, which is setup."""
    if kind in {"drop", "delay", "duplicate"}:
        return events.later_sent
    if kind == "lose-timer":
        return events.timers
    if kind == "reorder":
        return events.crowded
    if kind in _CRASHES and not everyone:
        return events.supervised_turns
    return events.later_turns


def _took(event: Sent | Took | Due) -> Took:
    assert isinstance(event, Took)
    return event


def _sent(event: Sent | Took | Due) -> Sent:
    assert isinstance(event, Sent)
    return event


def _drop(event: Sent | Took | Due, events: Events, draws: Draws) -> Fault:
    del events, draws
    sent = _sent(event)
    return Drop(sent.tick, sent.sender, sent.nth, sent.to)


def _delay(event: Sent | Took | Due, events: Events, draws: Draws) -> Fault:
    del events
    sent = _sent(event)
    return Delay(sent.tick, sent.sender, sent.nth, sent.to, draws.one_of(_TICKS))


def _duplicate(event: Sent | Took | Due, events: Events, draws: Draws) -> Fault:
    del events
    sent = _sent(event)
    later = 0 if draws.chance(0.3) else draws.one_of(_TICKS)
    return Duplicate(sent.tick, sent.sender, sent.nth, sent.to, later)


def _reorder(event: Sent | Took | Due, events: Events, draws: Draws) -> Fault:
    del events
    took = _took(event)
    return Reorder(took.tick, took.agent, draws.below(took.messages - 1))


def _partition(event: Sent | Took | Due, events: Events, draws: Draws) -> Fault:
    took = _took(event)
    group = [took.agent]
    if len(events.agents) > 2 and draws.chance(0.3):
        others = [agent for agent in events.agents if agent != took.agent]
        group += [agent for agent in others[: len(others) - 1] if draws.chance(0.5)]
    return Partition(took.tick, tuple(group), draws.one_of(_TICKS))


def _pause(event: Sent | Took | Due, events: Events, draws: Draws) -> Fault:
    del events
    took = _took(event)
    return Pause(took.tick, took.agent, draws.one_of(_TICKS))


def _crash_before(event: Sent | Took | Due, events: Events, draws: Draws) -> Fault:
    del events, draws
    took = _took(event)
    return CrashBefore(took.tick, took.agent)


def _crash_after(event: Sent | Took | Due, events: Events, draws: Draws) -> Fault:
    del events
    took = _took(event)
    return CrashAfter(took.tick, took.agent, draws.below(took.effects + 1))


def _starve(event: Sent | Took | Due, events: Events, draws: Draws) -> Fault:
    del events, draws
    took = _took(event)
    return StarveFuel(took.tick, took.agent)


def _refuse(event: Sent | Took | Due, events: Events, draws: Draws) -> Fault:
    del events, draws
    took = _took(event)
    return RefuseMemory(took.tick, took.agent)


def _lose(event: Sent | Took | Due, events: Events, draws: Draws) -> Fault:
    del events, draws
    assert isinstance(event, Due)
    return LoseTimer(event.tick, event.agent, event.request)


_DRAWN: dict[str, Callable[[Sent | Took | Due, Events, Draws], Fault]] = {
    "drop": _drop,
    "delay": _delay,
    "duplicate": _duplicate,
    "reorder": _reorder,
    "partition": _partition,
    "crash-before": _crash_before,
    "crash-after": _crash_after,
    "starve-fuel": _starve,
    "refuse-memory": _refuse,
    "lose-timer": _lose,
    "pause": _pause,
}
DRAWN_KINDS = tuple(_DRAWN)
