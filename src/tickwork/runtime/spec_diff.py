"""In which parts the specifications of two runs differ, in words for people."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec

from tickwork.core.edits import decode_edits
from tickwork.core.fault_plan import FaultPlan
from tickwork.core.grants import Grant, Grants
from tickwork.core.spec import AgentSpec, InputSpec, RunSpec
from tickwork.journal.header import Header
from tickwork.runtime.views import readable

# What a run's exactness rests on besides its specification.
_HOST_KEYS = ("tickwork", "abi", "engine", "engine_config", "isa", "os")
_NOUNS = {"agents": "agent", "kinds": "kind", "inputs": "input"}

# What an edit leaves as it is.
_NOTHING: tuple[object, ...] = (None, (), False)

_Named = AgentSpec | InputSpec
# The part that differs, and what it is in A and in B.
_Change = tuple[str, str | None, str | None]


@dataclass(frozen=True, slots=True)
class SpecChange:
    """One difference: the `part` of the agents, kinds or inputs (`noun`) called `names`, or of the run.

    `a` and `b` say what stands in each file, None where nothing does. Without a `part` it is the named
    things themselves that are in one file only.
    """

    noun: str
    names: tuple[str, ...]
    part: str
    a: str | None
    b: str | None


def host_changes(a: Header, b: Header) -> tuple[SpecChange, ...]:
    """Return how the makers of two files differ: versions, engine, processor, operating system."""
    return tuple(
        SpecChange("", (), key, str(getattr(a, key)), str(getattr(b, key)))
        for key in _HOST_KEYS
        if getattr(a, key) != getattr(b, key)
    )


def spec_changes(a: RunSpec, b: RunSpec) -> tuple[SpecChange, ...]:
    """Return every difference, in the specification's order; the same one of many agents comes once."""
    found: list[SpecChange] = []
    for name in RunSpec.__struct_fields__:
        was, now = getattr(a, name), getattr(b, name)
        if was == now:
            continue
        noun = _NOUNS.get(name)
        if noun is None:
            found += [SpecChange("", (), *change) for change in _value_changes(name, was, now)]
        else:
            found += _grouped(_named_changes(noun, was, now))
    return tuple(found)


def _grouped(changes: Iterator[SpecChange]) -> Iterator[SpecChange]:
    groups: dict[tuple[str, str, str | None, str | None], list[str]] = {}
    for change in changes:
        groups.setdefault((change.noun, change.part, change.a, change.b), []).extend(change.names)
    for (noun, part, a, b), names in groups.items():
        yield SpecChange(noun, tuple(names), part, a, b)


def _named_changes(noun: str, a: Sequence[_Named], b: Sequence[_Named]) -> Iterator[SpecChange]:
    before = {_name(item): item for item in a}
    after = {_name(item): item for item in b}
    for name, item in before.items():
        other = after.get(name)
        if other is None:
            yield SpecChange(noun, (name,), "", "declared", None)
        elif item != other:
            for change in _item_changes(item, other):
                yield SpecChange(noun, (name,), *change)
    for name in after:
        if name not in before:
            yield SpecChange(noun, (name,), "", None, "declared")
    was = [name for name in before if name in after]
    now = [name for name in after if name in before]
    if was != now:
        # The order gives the indexes, and these every other order of a run.
        yield SpecChange("", (), f"order of the {noun}s", " ".join(was), " ".join(now))


def _name(item: _Named) -> str:
    return item.id if isinstance(item, AgentSpec) else item.name


def _item_changes(a: _Named, b: _Named) -> Iterator[_Change]:
    for field in a.__struct_fields__:
        was, now = getattr(a, field), getattr(b, field)
        if was == now:
            continue
        if field == "grants":
            yield _grants_change(was, now)
        elif field == "preamble":
            yield from _preamble_changes(was, now)
        else:
            yield from _value_changes(field, was, now)


def _value_changes(part: str, a: object, b: object) -> Iterator[_Change]:
    """Yield one change, or for a structure one for each of its fields that differs."""
    if isinstance(a, msgspec.Struct) and isinstance(b, msgspec.Struct):
        for field in a.__struct_fields__:
            was, now = getattr(a, field), getattr(b, field)
            if was != now:
                yield f"{part}.{field}", _text(was), _text(now)
    else:
        yield part, _text(a), _text(b)


def _grants_change(a: Grants, b: Grants) -> _Change:
    was, now = [_grant(grant) for grant in a], [_grant(grant) for grant in b]
    only_a, only_b = [text for text in was if text not in now], [text for text in now if text not in was]
    if not only_a and not only_b:
        return "order of the grants", " ".join(was), " ".join(now)
    return "grants", " ".join(only_a) or None, " ".join(only_b) or None


def _grant(grant: Grant) -> str:
    limits = [
        f"{key}={value}"
        for key, value in (("per_tick", grant.per_tick), ("per_run", grant.per_run))
        if value is not None
    ]
    return f"{grant}({','.join(limits)})" if limits else str(grant)


class _Program(msgspec.Struct, frozen=True):
    """The first line of a Python agent's preamble."""

    file: str
    source: str
    modules: dict[str, str] = {}


def _preamble_changes(a: bytes, b: bytes) -> Iterator[_Change]:
    """Yield the first line that differs in each of a Python agent's sources; else only that it differs."""
    try:
        was, now = (msgspec.json.decode(data, type=_Program) for data in (a, b))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        yield "preamble", _text(a), _text(b)
        return
    if was.file != now.file:
        yield "source file", was.file, now.file
    if was.source != now.source:
        yield _source_change(was.file, was.source, now.source)
    for name in (*was.modules, *(name for name in now.modules if name not in was.modules)):
        before, after = was.modules.get(name), now.modules.get(name)
        if before is None or after is None:
            was_there, is_there = ("bundled" if source is not None else None for source in (before, after))
            yield f"module {name}", was_there, is_there
        elif before != after:
            yield _source_change(f"module {name}", before, after)


def _source_change(name: str, a: str, b: str) -> _Change:
    was, now = a.split("\n"), b.split("\n")
    place = 0
    while place < min(len(was), len(now)) and was[place] == now[place]:
        place += 1
    lines = [side[place] if place < len(side) else None for side in (was, now)]
    return f"source {name}, line {place + 1},", lines[0], lines[1]


def _text(value: object) -> str:
    if isinstance(value, bytes):
        value = readable(value)
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _faults_words(plan: FaultPlan) -> str:
    counts = [(len(plan.explicit), "fault"), (len(plan.rates), "rate")]
    said = [f"{count} {noun}{'' if count == 1 else 's'}" for count, noun in counts if count]
    return f"faults {' and '.join(said) or 'none'}"


def edit_words(edits: bytes) -> tuple[str, ...]:
    """Return what a fork changed, a line for each edit, from the edits' canonical bytes."""
    try:
        decoded = decode_edits(edits)
    except ValueError:
        return ("edits that cannot be read",)
    lines = [] if decoded.seed is None else [f"seed {decoded.seed}"]
    if decoded.faults is not None:
        lines.append(_faults_words(decoded.faults))
    for kind in ("inject", "drop", "replace", "agents"):
        for edit in getattr(decoded, kind):
            given = {
                key: value for key, value in msgspec.structs.asdict(edit).items() if value not in _NOTHING
            }
            words = (f"{key}={_text(value)}" for key, value in given.items())
            lines.append(" ".join(["agent" if kind == "agents" else kind, *words]))
    return tuple(lines)
