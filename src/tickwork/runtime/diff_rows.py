"""What a comparison found, as JSON for programs and the viewer: everything, nothing shortened."""

import msgspec

from tickwork.core.effects import Effect
from tickwork.runtime.diff_result import Diff, Side, Ticks
from tickwork.runtime.spec_diff import edit_words
from tickwork.runtime.tick_diff import Arrival, Hit, Judged, Late, Pair, TickDiff, TurnDiff, TurnSide
from tickwork.runtime.views import readable

Row = dict[str, object]


def result(found: Diff) -> Row:
    """Return a comparison as one JSON object."""
    fuel = found.first_fuel
    return {
        "verdict": str(found.verdict),
        "identical": found.identical,
        "a": _side(found.a),
        "b": _side(found.b),
        "same_spec": found.same_spec,
        "fork": found.fork,
        "spec": [_plain(change) for change in found.spec],
        "recorded_by": [{"part": change.part, "a": change.a, "b": change.b} for change in found.hosts],
        "common_ticks": found.common,
        "differing_ticks": found.differing,
        "first": None if found.first is None else _tick(found.first),
        "first_fuel": None
        if fuel is None
        else {
            "tick": fuel.tick,
            "turns": [{"agent": who, "a": was, "b": now} for who, was, now in fuel.turns],
        },
        "agents": [_plain(agent) for agent in found.agents],
        "only_a": _ticks(found.only_a),
        "only_b": _ticks(found.only_b),
        "damage": [_plain(damage) for damage in found.damage],
        "damage_count": found.damage_count,
    }


def _plain(value: object) -> object:
    return msgspec.to_builtins(value)


def _side(side: Side) -> Row:
    parent = side.parent
    return {
        "file": str(side.path),
        "run": side.run,
        "name": side.name,
        "status": side.status,
        "parent": None
        if parent is None
        else {"run": parent.run, "tick": parent.tick, "edits": list(edit_words(parent.edits))},
        "start_tick": side.start_tick,
        "ticks": side.ticks,
        "first_tick": side.first_tick,
        "last_tick": side.last_tick,
        "digest": side.digest,
        "exact": side.exact,
    }


def _ticks(ticks: Ticks) -> Row:
    return {"count": ticks.count, "ranges": [list(ends) for ends in ticks.ranges]}


def _tick(tick: TickDiff) -> Row:
    return {
        "tick": tick.tick,
        "agents": [turn.agent for turn in tick.turns],
        "turns": [_turn(turn) for turn in tick.turns],
        "arrivals": [_pair(pair) for pair in tick.arrivals],
        "undelivered": [_pair(pair) for pair in tick.undelivered],
        "faults": [_pair(pair) for pair in tick.faults],
    }


def _turn(turn: TurnDiff) -> Row:
    return {
        "agent": turn.agent,
        "a": _item(turn.a),
        "b": _item(turn.b),
        "effects": [_pair(pair) for pair in turn.effects],
    }


def _pair(pair: Pair[Judged] | Pair[Arrival] | Pair[Late] | Pair[Hit]) -> Row:
    return {"change": str(pair.change), "a": _item(pair.a), "b": _item(pair.b)}


def _item(item: Judged | Arrival | Late | Hit | TurnSide | None) -> object:
    match item:
        case Judged():
            return {
                "effect": item.place,
                "kind": type(item.effect).__name__.lower(),
                "fields": _fields(item.effect),
                "verdict": item.verdict,
                "reason": item.reason,
            }
        case Arrival():
            return {"input": item.name, "body": readable(item.body)}
        case _:
            return _plain(item)


def _fields(effect: Effect) -> Row:
    fields = msgspec.structs.asdict(effect)
    return {name: readable(value) if isinstance(value, bytes) else value for name, value in fields.items()}
