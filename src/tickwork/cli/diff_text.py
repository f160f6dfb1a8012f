"""What `tickwork diff` found, for people: shortened, and nothing in it can steer a terminal."""

import difflib
import json
from collections.abc import Sequence

import msgspec
from rich.cells import cell_len

from tickwork.cli.console import print_line, print_rows, shortened
from tickwork.core.effects import Effect
from tickwork.runtime.diff_result import Diff, FuelDiff, Side, Ticks, Verdict
from tickwork.runtime.spec_diff import SpecChange, edit_words
from tickwork.runtime.tick_diff import (
    PERFORMED,
    Arrival,
    Change,
    Hit,
    Judged,
    Late,
    Pair,
    TickDiff,
    TurnDiff,
    TurnSide,
)

# How much is shown of what --json has in full.
_AGENTS_MAX = 10
_ROWS_MAX = 30
_NAMES_MAX = 5
_SUMMARY_MAX = 50
_VALUE_CHARS = 60
_WINDOW_CHARS = 90
# How much of what is equal is left before the first difference in a long text.
_LEAD_CHARS = 30
# Below this ratio of difflib's, texts have their common letters by chance.
_ALIKE_MIN = 0.4
_HASH_CHARS = 16
_MARKS = {Change.EQUAL: "=", Change.CHANGED: "~", Change.ONLY_A: "-", Change.ONLY_B: "+"}
_STEP = "  "
_Item = Judged | Arrival | Late | Hit
_Pairs = Sequence[Pair[Judged]] | Sequence[Pair[Arrival]] | Sequence[Pair[Late]] | Sequence[Pair[Hit]]


def show(found: Diff) -> None:
    """Print a comparison's result."""
    print_line(_headline(found))
    for label, side in (("A", found.a), ("B", found.b)):
        print_line(f"{_STEP}{label}  {_side(side, compared=found.verdict is not Verdict.UNRELATED)}")
    if found.verdict is Verdict.UNRELATED:
        return
    if found.fork is not None:
        parent = "B" if found.fork == "A" else "A"
        print_line(f"{_STEP}{found.fork} is a fork of {parent}; compared from tick {found.wanted.first} on")
    _print_changes("recorded by different versions or machines:", found.hosts)
    _print_changes("the specifications differ:", found.spec)
    if found.first is not None:
        _print_tick(found.first)
    if found.first_fuel is not None:
        _print_fuel(found.first_fuel)
    _print_summary(found)
    _print_damage(found)


def _headline(found: Diff) -> str:
    who = "" if found.wanted.agent is None else f"agent {shortened(found.wanted.agent)}: "
    return who + _verdict(found)


def _verdict(found: Diff) -> str:
    ticks = _count(found.common, "common tick")
    match found.verdict:
        case Verdict.IDENTICAL:
            return f"identical: {ticks}"
        case Verdict.A_PREFIX_OF_B:
            return f"A is a prefix of B: {ticks} identical, {found.only_b.count} more in B"
        case Verdict.B_PREFIX_OF_A:
            return f"B is a prefix of A: {ticks} identical, {found.only_a.count} more in A"
        case Verdict.FUEL_DIFFERS:
            return f"only fuel differs: {ticks} with equal effects; `digest` agrees, `exact` does not"
        case Verdict.ORIGIN_DIFFERS:
            return f"no difference in {ticks}, although {_origin(found)}"
        case Verdict.DAMAGED:
            return f"no difference in {ticks}, but {_count(found.damage_count, 'entry', 'entries')} damaged"
        case Verdict.UNRELATED:
            return "unrelated: the two runs have no agent in common, so there is nothing to compare"
        case Verdict.DIFFERENT:
            return _first_words(found)


def _origin(found: Diff) -> str:
    if not found.same_spec:
        return "the specifications differ"
    if found.a.parent is not None or found.b.parent is not None:
        return "they began from different states: a fork's edits, or the ticks before"
    return f"they differ before tick {found.wanted.first}"


def _first_words(found: Diff) -> str:
    first = found.first
    if first is None:
        return f"different: {_count(found.common, 'common tick')} equal, and each file has ticks of its own"
    agents = [turn.agent for turn in first.turns]
    if agents:
        what = f"agent{'s' if len(agents) > 1 else ''} {_names(agents)}"
    elif first.arrivals:
        what = "what arrived from outside"
    elif first.undelivered:
        what = "what could not be delivered"
    elif first.faults:
        what = "what was broken on purpose"
    else:
        what = "the same in another order; `tickwork replay` finds which is right"
    return f"different from tick {first.tick} on: {what}"


def _side(side: Side, *, compared: bool) -> str:
    text = f"{side.path}: {shortened(side.name)}, run {side.run[:_HASH_CHARS]}"
    if side.parent is not None:
        edits = "; ".join(edit_words(side.parent.edits))
        text += f", forked at tick {side.parent.tick}"
        text += f" ({shortened(edits, 2 * _WINDOW_CHARS)})" if edits else " without edits"
    if not compared:
        return text
    if side.first_tick is None:
        return f"{text}, no ticks"
    ticks = f"ticks {side.first_tick} to {side.last_tick} ({shortened(side.status)})"
    return f"{text}, {ticks}, digest {side.digest[:_HASH_CHARS]}, exact {side.exact[:_HASH_CHARS]}"


def _print_changes(title: str, changes: Sequence[SpecChange]) -> None:
    if not changes:
        return
    print_line(title)
    for change in changes[:_ROWS_MAX]:
        names = _names(change.names)
        nouns = f"{change.noun}s" if len(change.names) > 1 else change.noun
        if not change.part:
            side = "only in A" if change.b is None else "only in B"
            print_line(f"{_STEP}{nouns} {names}: {side}")
            continue
        of = f" of {nouns} {names}" if names else ""
        print_line(f"{_STEP}{shortened(change.part)}{of}")
        _print_texts(_STEP * 2, change.a, change.b)
    _print_rest(len(changes) - _ROWS_MAX, "difference")


def _print_tick(tick: TickDiff) -> None:
    print_line(f"tick {tick.tick}  (= equal, ~ changed, - only in A, + only in B)")
    if tick.arrivals:
        print_line(f"{_STEP}arrivals")
        _print_pairs(tick.arrivals)
    for turn in tick.turns[:_AGENTS_MAX]:
        _print_turn(turn)
    _print_rest(len(tick.turns) - _AGENTS_MAX, "agent")
    if tick.undelivered:
        print_line(f"{_STEP}undelivered")
        _print_pairs(tick.undelivered)
    if tick.faults:
        print_line(f"{_STEP}faults")
        _print_pairs(tick.faults)


def _print_turn(turn: TurnDiff) -> None:
    print_line(f"{_STEP}agent {shortened(turn.agent)}")
    was, now = _outcome(turn.a), _outcome(turn.b)
    if was != now:
        print_line(f"{_STEP * 2}outcome")
        _print_texts(_STEP * 3, was, now)
    _print_pairs(turn.effects)


def _outcome(turn: TurnSide | None) -> str:
    if turn is None:
        return "no turn"
    return f"{turn.kind}: {turn.detail}" if turn.detail else turn.kind


def _print_pairs(pairs: _Pairs) -> None:
    """Print each pair on a line, what changed within it on lines below; equal ones only if they are few."""
    indent = _STEP * 2
    equal = [pair for pair in pairs if pair.change is Change.EQUAL]
    shown = [pair for pair in pairs if pair.change is not Change.EQUAL or len(equal) <= _NAMES_MAX]
    for pair in shown[:_ROWS_MAX]:
        item = pair.a if pair.a is not None else pair.b
        if item is None:
            continue
        print_line(f"{indent}{_MARKS[pair.change]} {_item(item, brief=pair.change is Change.CHANGED)}")
        if pair.change is Change.CHANGED and pair.a is not None and pair.b is not None:
            was, now = _fields(pair.a), _fields(pair.b)
            for name in was:
                if was[name] != now.get(name):
                    print_line(f"{indent}{_STEP}{name}")
                    _print_texts(indent + _STEP * 2, was[name], now.get(name))
    _print_rest(len(shown) - _ROWS_MAX, "row")
    if len(equal) > _NAMES_MAX:
        print_line(f"{indent}= {len(equal)} equal")


def _item(item: _Item, *, brief: bool) -> str:
    head = _head(item)
    if brief:
        return f"{head} {shortened(_target(item.effect))}".rstrip() if isinstance(item, Judged) else head
    fields = {name: text for name, text in _fields(item).items() if text is not None}
    return " ".join([head, *(f"{name}={shortened(text, _VALUE_CHARS)}" for name, text in fields.items())])


def _head(item: _Item) -> str:
    match item:
        case Judged():
            return f"effect {item.place} {type(item.effect).__name__.lower()}"
        case Arrival():
            return f"input {shortened(item.name)}"
        case Late():
            return f"{shortened(item.kind)} of {shortened(item.origin)} to {shortened(item.to)}"
        case Hit():
            to = f" to {shortened(item.to)}" if item.to else ""
            return f"{item.kind} of {shortened(item.agent)}{to}"


def _target(effect: Effect) -> str:
    """Return the first name in an effect, which says whom or what it is about."""
    return str(getattr(effect, effect.__struct_fields__[0]) or "")


def _fields(item: _Item) -> dict[str, str | None]:
    """Return what is compared within one item, as text; None for what is not there."""
    match item:
        case Judged():
            values = msgspec.structs.asdict(item.effect)
            fields = {name: _value(value) for name, value in values.items()}
            if item.verdict != PERFORMED or item.reason:
                fields["verdict"] = f"{item.verdict}: {item.reason}"
            else:
                fields["verdict"] = None
            return fields
        case Arrival():
            return {"body": _value(item.body)}
        case Late():
            return {"tick": str(item.tick), "effect": str(item.effect), "reason": item.reason}
        case Hit():
            return {name: _value(value) for name, value in {"effect": item.effect, **item.fields}.items()}


def _value(value: object) -> str | None:
    match value:
        case None:
            return None
        case bytes():
            return value.decode(errors="backslashreplace")
        case str():
            return json.dumps(value, ensure_ascii=False)
        case _:
            return repr(value)


def _print_texts(indent: str, a: str | None, b: str | None) -> None:
    """Print two texts below each other from shortly before where they part, the differences marked."""
    if a is None or b is None:
        for label, text in (("A", a), ("B", b)):
            shown = "(nothing)" if text is None else shortened(text, _WINDOW_CHARS)
            print_line(f"{indent}{label}  {shown}")
        return
    shorter = min(len(a), len(b))
    same = next((place for place in range(shorter) if a[place] != b[place]), shorter)
    start = max(0, same - _LEAD_CHARS) if max(len(a), len(b)) > _WINDOW_CHARS else 0
    lead = "…" if start else ""
    was, now = (lead + shortened(text[start : start + _WINDOW_CHARS * 2], _WINDOW_CHARS) for text in (a, b))
    marks_a, marks_b = _marks(was, now)
    for label, text, marks in (("A", was, marks_a), ("B", now, marks_b)):
        print_line(f"{indent}{label}  {text}")
        if marks:
            print_line(f"{indent}   {marks}")


def _marks(a: str, b: str) -> tuple[str, str]:
    """Return a line of carets for each text under what the other has not; none if too little is common."""
    marks: tuple[list[str], list[str]] = ([], [])
    matcher = difflib.SequenceMatcher(None, a, b, autojunk=False)
    if matcher.ratio() < _ALIKE_MIN:
        return "", ""
    for tag, i, j, m, n in matcher.get_opcodes():
        for line, part in zip(marks, (a[i:j], b[m:n]), strict=True):
            line.append((" " if tag == "equal" else "^") * cell_len(part))
    return "".join(marks[0]).rstrip(), "".join(marks[1]).rstrip()


def _print_fuel(fuel: FuelDiff) -> None:
    print_line(f"fuel: the first equal turns that used other fuel are in tick {fuel.tick}")
    for agent, was, now in fuel.turns[:_AGENTS_MAX]:
        print_line(f"{_STEP}agent {shortened(agent)}: A {was}, B {now}")
    _print_rest(len(fuel.turns) - _AGENTS_MAX, "agent")


def _print_summary(found: Diff) -> None:
    if found.agents:
        print_line(f"in {_count(found.common, 'common tick')}, by agent:")
        rows = [
            {
                "agent": seen.agent,
                "first": seen.first,
                "turns that differ": seen.turns,
                "first fuel": seen.fuel_first,
                "only fuel": seen.fuel_turns,
            }
            for seen in found.agents[:_SUMMARY_MAX]
        ]
        print_rows(rows, json=False, right=("first", "turns that differ", "first fuel", "only fuel"))
        _print_rest(len(found.agents) - _SUMMARY_MAX, "agent")
    for label, ticks in (("A", found.only_a), ("B", found.only_b)):
        if ticks.count:
            print_line(f"only in {label}: {_ranges(ticks)}")


def _print_damage(found: Diff) -> None:
    if found.damage:
        print_line("damage:")
    for damage in found.damage[:_ROWS_MAX]:
        print_line(f"{_STEP}{damage.file}, tick {damage.tick}: {shortened(damage.reason, 2 * _WINDOW_CHARS)}")
    _print_rest(found.damage_count - _ROWS_MAX, "entry", "entries")


def _print_rest(count: int, noun: str, nouns: str | None = None) -> None:
    if count > 0:
        print_line(
            f"{_STEP}... and {_count(count, f'more {noun}', nouns and f'more {nouns}')}; --json has all"
        )


def _ranges(ticks: Ticks) -> str:
    parts = [
        str(first) if first == last else f"{first} to {last}" for first, last in ticks.ranges[:_NAMES_MAX]
    ]
    more = ", ..." if len(ticks.ranges) > _NAMES_MAX else ""
    return f"{_count(ticks.count, 'tick')} ({', '.join(parts)}{more})"


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(shortened(name) for name in names[:_NAMES_MAX])
    return shown if len(names) <= _NAMES_MAX else f"{shown} and {len(names) - _NAMES_MAX} more"


def _count(count: int, noun: str, nouns: str | None = None) -> str:
    return f"{count} {noun if count == 1 else nouns or f'{noun}s'}"
