"""Reads a file of faults, `faults.toml`: what is to be broken in a run. As strict as a manifest.

And writes one: what is written reads back as the same plan.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from tickwork.core.errors import ManifestError
from tickwork.core.fault_plan import (
    FAULTS_MAX,
    LASTING_TICKS_MAX,
    RATE_TICKS_MAX,
    RATES_MAX,
    FaultPlan,
    fault_of_plan,
    matches,
)
from tickwork.core.faults import KINDS, Duplicate, Fault, FaultRate, kind_of
from tickwork.core.spec import RunSpec
from tickwork.manifest.faults import Fault as Mistake
from tickwork.manifest.faults import KeyPath, did_you_mean, listed, quoted
from tickwork.manifest.fields import Section, type_words
from tickwork.manifest.files import FileFault, read_regular
from tickwork.manifest.load import MANIFEST_BYTES_MAX, _decoded, _first, _parsed
from tickwork.manifest.run_section import SEED_MAX, TICKS_MAX

TOP_KEYS = ("seed", "faults", "rates")
RATE_KEYS = FaultRate.__struct_fields__
# Every key that a fault of some kind has; which kind has which is in `keys_of`.
FAULT_KEYS = tuple(
    dict.fromkeys(["kind", *(name for kind in KINDS.values() for name in kind.__struct_fields__)])
)
_EXAMPLES = {
    "tick": "tick = 10",
    "sender": 'sender = "my-agent"',
    "agent": 'agent = "my-agent"',
    "group": 'group = ["my-agent", "other-*"]',
    "kind": 'kind = "drop"',
    "rate": "rate = 0.01",
}
# The keys that name agents.
_NAMING = ("sender", "to", "agent", "group", "agents")


def keys_of(kind: str) -> tuple[str, ...]:
    """Return the keys that a fault of this kind has."""
    return ("kind", *KINDS[kind].__struct_fields__)


def load_faults(path: Path, run: RunSpec) -> FaultPlan:
    """Return the checked plan at `path`, for this run; raise ManifestError.

    The message names the file, the line and the key, what is wrong, and how to put it right.
    """
    try:
        text = _decoded(path, read_regular(path, MANIFEST_BYTES_MAX))
    except FileFault as fault:
        raise ManifestError(f"{path}: {fault}; name a file of faults (TOML)") from fault
    document = _parsed(path, text)
    try:
        return _plan(document, run)
    except Mistake as mistake:
        line, first = _first(text, [mistake])
    raise ManifestError(f"{path}:{line}: {first}" if line else f"{path}: {first}")


def _plan(document: dict[str, object], run: RunSpec) -> FaultPlan:
    top = Section(document, (), TOP_KEYS)
    explicit, rates = top.array("faults"), top.array("rates")
    for key, values, most in (("faults", explicit, FAULTS_MAX), ("rates", rates, RATES_MAX)):
        if len(values) > most:
            raise top.fault(key, f"has {len(values)} tables; it can have {most}")
    plan = FaultPlan(
        tuple(_fault(value, ("faults", place), run) for place, value in enumerate(explicit)),
        tuple(_rate(value, ("rates", place), run) for place, value in enumerate(rates)),
        top.integer("seed", 0, 0, SEED_MAX),
    )
    wrong = fault_of_plan(plan)
    if wrong is not None:
        (where, place), reason = wrong
        raise Mistake(("faults" if where == "explicit" else where, place), reason)
    return plan


def _kind(value: object, at: KeyPath, known: Sequence[str]) -> str:
    # Where the kind is known, what is wrong beside it is told in the words of that kind.
    stated = value.get("kind") if isinstance(value, dict) else None
    if isinstance(stated, str) and stated in KINDS:
        return stated
    section = Section(value, at, known)
    section.require("kind", _EXAMPLES["kind"])
    return section.choice("kind", "", list(KINDS))


def _fault(value: object, at: KeyPath, run: RunSpec) -> Fault:
    kind = _kind(value, at, FAULT_KEYS)
    section = Section(value, at, keys_of(kind), f"a {kind} fault")
    return KINDS[kind](**_fields(section, KINDS[kind], run, _lasts(kind, LASTING_TICKS_MAX)))


def _rate(value: object, at: KeyPath, run: RunSpec) -> FaultRate:
    kind = _kind(value, at, RATE_KEYS)
    section = Section(value, at, RATE_KEYS, f"the rate of {kind}")
    for key in ("ticks", "fuel"):
        if key in section and key not in KINDS[kind].__struct_fields__:
            raise section.fault(key, f"means nothing for {kind}; remove it")
    return FaultRate(**_fields(section, FaultRate, run, _lasts(kind, RATE_TICKS_MAX)))


def _lasts(kind: str, most: int) -> tuple[int, int]:
    """Return the bounds of `ticks` for faults of this kind."""
    return (0 if KINDS[kind] is Duplicate else 1), most


def _fields(
    section: Section, kind: type[Fault | FaultRate], run: RunSpec, lasts: tuple[int, int]
) -> dict[str, Any]:
    """Return the fields of a fault or rate that the table gives; raise Mistake."""
    found: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        name = field.name
        if name not in section:
            if field.required:
                section.require(name, _EXAMPLES[name])
            continue
        if name in {"kind", "sender", "to", "agent"}:
            found[name] = section.text(name, "")
        elif name in {"group", "agents"}:
            found[name] = tuple(section.strings(name))
        elif name == "rate":
            found[name] = section.number(name, 0.0, 0.0, 1.0)
        elif name == "ticks":
            found[name] = section.integer(name, 0, *lasts)
        else:
            found[name] = section.integer(name, 0, 0, TICKS_MAX)
        if name in _NAMING:
            _check_names(section, name, found[name], run)
    return found


def _check_names(section: Section, key: str, given: str | tuple[str, ...], run: RunSpec) -> None:
    """Raise Mistake for a name that no agent of the run can have."""
    ids = [agent.id for agent in run.agents]
    prefixes = [f"{kind.id}/" for kind in run.kinds]
    patterns = key in {"group", "agents"}
    for place, name in enumerate((given,) if isinstance(given, str) else given):
        spawned = any(name.startswith(prefix) and name != prefix for prefix in prefixes)
        if patterns and name.endswith("*"):
            known = any(matches(name, each) for each in (*ids, *prefixes)) or spawned
        else:
            known = name in ids or spawned
        if not known:
            hint = did_you_mean(name, ids)
            reason = f"there is no agent {quoted(name)}{hint} (there are: {listed(ids)})"
            raise section.fault(key, reason, *((place,) if patterns else ()))


def faults_toml(plan: FaultPlan) -> str:
    """Return the plan as a file of faults; keys at their defaults are left out."""
    lines = [f"seed = {plan.seed}"] if plan.seed else []
    for fault in plan.explicit:
        lines += ["", "[[faults]]", f'kind = "{kind_of(fault)}"', *_lines(fault)]
    for rate in plan.rates:
        lines += ["", "[[rates]]", *_lines(rate)]
    return "\n".join(lines).strip() + "\n"


def _lines(record: Fault | FaultRate) -> list[str]:
    lines = []
    for field in msgspec.structs.fields(record):
        value = getattr(record, field.name)
        if field.required or value != field.default:
            lines.append(f"{field.name} = {_toml(value)}")
    return lines


def _toml(value: object) -> str:
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, str):
        # Names are ASCII without quotes; JSON's escapes are TOML's.
        return msgspec.json.encode(value).decode()
    raise TypeError(type_words(value))
