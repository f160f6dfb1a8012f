"""Component types: what they are, how they flatten to core values, where two of them differ.

Every type knows its flattened form from the moment it is made, so a file whose types share parts
exponentially costs no more than its own size. Source: the Component Model's Canonical ABI, "Flattening".
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tickwork.core.errors import ModuleError
from tickwork.guest.binary import quoted
from tickwork.guest.core_module import Signature
from tickwork.guest.plan import ValueTypes

FLAT_PARAMS_MAX = 16
FLAT_RESULTS_MAX = 1
_FLAGS_MAX = 32
_SHOWN_DEPTH = 2
_SHOWN_PARTS = 4

_I32: ValueTypes = ("i32",)


@dataclass(frozen=True, slots=True, eq=False)
class ValueType:
    """A value type: `kind`, the names of its parts if they have names, and their types.

    `flat` is the flattened form, or None where that exceeds `FLAT_PARAMS_MAX` (and memory is used).
    """

    kind: str
    names: tuple[str, ...]
    parts: tuple["ValueType | None", ...]
    flat: ValueTypes | None

    def __str__(self) -> str:
        return _shown(self, _SHOWN_DEPTH)


@dataclass(frozen=True, slots=True, eq=False)
class FuncType:
    """A component function's type."""

    params: tuple[tuple[str, ValueType], ...]
    result: ValueType | None

    def lifted(self) -> Signature:
        """Return the core type of a function that is lifted to this type."""
        params = _concatenated(value for _, value in self.params)
        results = () if self.result is None else self.result.flat
        return Signature(_I32 if params is None else params, _in_one(results))

    def lowered(self) -> Signature:
        """Return the core type of an import lowered from this type."""
        params, results = self.lifted()
        flat = () if self.result is None else self.result.flat
        if flat is None or len(flat) > FLAT_RESULTS_MAX:
            return Signature((*params, "i32"), ())
        return Signature(params, results)


@dataclass(frozen=True, slots=True, eq=False)
class ResourceType:
    """An abstract resource, known only by its handles."""


@dataclass(frozen=True, slots=True, eq=False)
class InstanceType:
    """The exports of an instance: name to (sort, type)."""

    exports: dict[str, tuple[str, "Type"]]


@dataclass(frozen=True, slots=True, eq=False)
class ComponentType:
    """A component's type; its parts are never needed, because nested components are read instead."""


Type = ValueType | FuncType | ResourceType | InstanceType | ComponentType


def _in_one(results: ValueTypes | None) -> ValueTypes:
    return _I32 if results is None or len(results) > FLAT_RESULTS_MAX else results


def _concatenated(values: Iterable[ValueType]) -> ValueTypes | None:
    flat: list[str] = []
    for value in values:
        if value.flat is None or len(flat) + len(value.flat) > FLAT_PARAMS_MAX:
            return None
        flat.extend(value.flat)
    return tuple(flat)


def _join(a: str, b: str) -> str:
    if a == b:
        return a
    return "i32" if {a, b} == {"i32", "f32"} else "i64"


def _flat_cases(cases: Sequence[ValueType | None]) -> ValueTypes | None:
    joined: list[str] = []
    for case in cases:
        flat = () if case is None else case.flat
        if flat is None:
            return None
        for place, value in enumerate(flat):
            if place < len(joined):
                joined[place] = _join(joined[place], value)
            else:
                joined.append(value)
    return ("i32", *joined) if len(joined) < FLAT_PARAMS_MAX else None


def primitive(kind: str, *flat: str) -> ValueType:
    """Return a type without parts."""
    return ValueType(kind, (), (), flat)


BOOL, S8, U8, S16, U16, S32, U32, CHAR = (
    primitive(kind, "i32") for kind in ("bool", "s8", "u8", "s16", "u16", "s32", "u32", "char")
)
S64, U64 = primitive("s64", "i64"), primitive("u64", "i64")
F32, F64 = primitive("f32", "f32"), primitive("f64", "f64")
STRING = primitive("string", "i32", "i32")
ERROR_CONTEXT = primitive("error-context", "i32")


def record(fields: Sequence[tuple[str, ValueType]]) -> ValueType:
    """Return a record type with these fields."""
    values = tuple(value for _, value in fields)
    return ValueType("record", tuple(name for name, _ in fields), values, _concatenated(values))


def tuple_of(values: Sequence[ValueType]) -> ValueType:
    """Return a tuple type."""
    return ValueType("tuple", (), tuple(values), _concatenated(values))


def list_of(element: ValueType) -> ValueType:
    """Return a list type."""
    return ValueType("list", (), (element,), ("i32", "i32"))


def variant(cases: Sequence[tuple[str, ValueType | None]]) -> ValueType:
    """Return a variant type; a case without payload has None."""
    values = tuple(value for _, value in cases)
    return ValueType("variant", tuple(name for name, _ in cases), values, _flat_cases(values))


def option(value: ValueType) -> ValueType:
    """Return an option type."""
    return ValueType("option", (), (value,), _flat_cases((None, value)))


def result(ok: ValueType | None, err: ValueType | None) -> ValueType:
    """Return a result type; an absent payload is None."""
    return ValueType("result", (), (ok, err), _flat_cases((ok, err)))


def enum(names: Sequence[str]) -> ValueType:
    """Return an enum type."""
    return ValueType("enum", tuple(names), (), _I32)


def flags(names: Sequence[str]) -> ValueType:
    """Return a flags type; `ModuleError` above 32 flags, the Component Model's own limit."""
    if len(names) > _FLAGS_MAX:
        raise ModuleError(f"a flags type with {len(names)} flags; {_FLAGS_MAX} are allowed")
    return ValueType("flags", tuple(names), (), _I32)


def handle(kind: str) -> ValueType:
    """Return an opaque i32: `own`, `borrow`, `stream` or `future`."""
    return primitive(kind, "i32")


def difference(expected: ValueType | None, found: ValueType | None, where: str) -> str | None:
    """Return where and how `found` differs from `expected`, or None where they have the same structure.

    Costs no more than the size of `expected`, whatever `found` is.
    """
    if expected is None or found is None:
        if expected is found:
            return None
        return f"{where}: expected {expected or 'nothing'}, found {found or 'nothing'}"
    if (
        expected.kind != found.kind
        or expected.names != found.names
        or len(expected.parts) != len(found.parts)
    ):
        return f"{where}: expected {expected}, found {found}"
    labels = expected.names or _PART_LABELS.get(expected.kind, ())
    for place, (inner, other) in enumerate(zip(expected.parts, found.parts, strict=True)):
        label = labels[place] if place < len(labels) else str(place)
        deeper = difference(inner, other, f"{where}.{label}")
        if deeper is not None:
            return deeper
    return None


_PART_LABELS = {"list": ("element",), "option": ("some",), "result": ("ok", "err")}


def _shown(value: ValueType | None, depth: int) -> str:
    if value is None:
        return "_"
    if depth == 0 and (value.parts or value.names):
        return f"{value.kind} ..."
    parts = [_shown(part, depth - 1) for part in value.parts[:_SHOWN_PARTS]]
    names = [quoted(name)[1:-1] for name in value.names[:_SHOWN_PARTS]]
    more = [f"... {len(value.names) - _SHOWN_PARTS} more"] if len(value.names) > _SHOWN_PARTS else []
    if value.kind in ("record", "variant"):
        pairs = [f"{name}: {part}" for name, part in zip(names, parts, strict=True)]
        return f"{value.kind} {{ {', '.join(pairs + more)} }}"
    if value.names:
        return f"{value.kind} {{ {', '.join(names + more)} }}"
    return f"{value.kind}<{', '.join(parts)}>" if parts else value.kind
