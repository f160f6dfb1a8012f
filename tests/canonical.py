"""The Canonical ABI from its specification, type by type and slowly: the oracle for `tickwork.guest.abi`.

Types are nested tuples as in the WIT; `store` and `load` follow CanonicalABI.md's functions of those names.
Nothing here is shared with the product, which has each layout as one struct.
"""

import struct
from typing import Any

Type = Any

_INTEGERS = {"u8": 1, "u32": 4, "u64": 8}
BYTES = ("list", "u8")

MESSAGE = ("record", "string", "string", BYTES, ("option", "u64"))
EFFECTS = {
    "send": ("record", "string", "string", BYTES, ("option", "u64")),
    "publish": ("record", "string", BYTES),
    "infer": ("record", "string", BYTES, "u64"),
    "call": ("record", "string", BYTES, "u64"),
    "output": ("record", "string", BYTES),
    "timer": ("record", "string", BYTES, "u64", "u64"),
    "log": ("record", ("enum", 4), "string"),
    "metric": ("record", "string", "f64"),
    "spawn": ("record", "string", "string", BYTES),
    "stop": ("record", ("option", "string"), "string"),
}
EFFECT = ("variant", *EFFECTS.values())
STEP_RESULT = ("variant", ("list", EFFECT), "string")
SETUP_RESULT = ("variant", None, "string")


def _aligned(at: int, alignment: int) -> int:
    return -(-at // alignment) * alignment


def _cases(kind: Type) -> list[Type]:
    """Despecialise: an option is a variant of nothing and something, an enum one of nothings."""
    match kind:
        case ("option", inner):
            return [None, inner]
        case ("enum", count):
            return [None] * count
        case ("variant", *cases):
            return cases
    raise AssertionError(kind)


def align_of(kind: Type) -> int:
    match kind:
        case None:
            return 1
        case "string" | ("list", _):
            return 4
        case "f64":
            return 8
        case str():
            return _INTEGERS[kind]
        case ("record", *fields):
            return max(align_of(field) for field in fields)
    return max(1, *(align_of(case) for case in _cases(kind)))


def size_of(kind: Type) -> int:
    match kind:
        case None:
            return 0
        case "string" | ("list", _) | "f64":
            return 8
        case str():
            return _INTEGERS[kind]
        case ("record", *fields):
            at = 0
            for field in fields:
                at = _aligned(at, align_of(field)) + size_of(field)
            return _aligned(at, align_of(kind))
    cases = _cases(kind)
    return _aligned(payload_offset(kind) + max(size_of(case) for case in cases), align_of(kind))


def payload_offset(kind: Type) -> int:
    """Return where a variant's payload lies, behind a discriminant of one byte."""
    return _aligned(1, max(align_of(case) for case in _cases(kind)))


def field_offset(record: Type, place: int) -> int:
    at = 0
    for field in record[1 : place + 1]:
        at = _aligned(at, align_of(field)) + size_of(field)
    return _aligned(at, align_of(record[place + 1]))


class Image:
    """A piece of a guest's memory in the making, beginning at `base`; padding is filled with `filler`."""

    def __init__(self, base: int = 0, filler: int = 0xCD) -> None:
        self.base = base
        self.filler = filler
        self.data = bytearray()

    def allocate(self, size: int, align: int = 1) -> int:
        at = _aligned(self.base + len(self.data), align)
        self.data += bytes([self.filler]) * (at + size - self.base - len(self.data))
        return at

    def put(self, at: int, data: bytes) -> None:
        self.data[at - self.base : at - self.base + len(data)] = data

    def store(self, kind: Type, value: Any, at: int | None = None) -> int:
        """Store a value and return its address. A variant's value is (case number, payload)."""
        if at is None:
            at = self.allocate(size_of(kind), align_of(kind))
        match kind:
            case "string":
                self._store_bytes(value if isinstance(value, bytes) else value.encode(), at)
            case ("list", "u8"):
                self._store_bytes(value, at)
            case "f64":
                self.put(at, struct.pack("<d", value) if isinstance(value, float) else value)
            case str():
                self.put(at, value.to_bytes(_INTEGERS[kind], "little"))
            case ("list", inner):
                items = self.allocate(size_of(inner) * len(value), align_of(inner))
                for place, item in enumerate(value):
                    self.store(inner, item, items + place * size_of(inner))
                self.put(at, struct.pack("<II", items, len(value)))
            case ("record", *fields):
                for place, (field, item) in enumerate(zip(fields, value, strict=True)):
                    self.store(field, item, at + field_offset(kind, place))
            case _:
                case, payload = value
                self.put(at, bytes([case]))
                if _cases(kind)[case] is not None:
                    self.store(_cases(kind)[case], payload, at + payload_offset(kind))
        return at

    def _store_bytes(self, data: bytes, at: int) -> None:
        self.put(at, struct.pack("<II", self.allocate(len(data)), len(data)))
        self.put(struct.unpack_from("<I", self.data, at - self.base)[0], data)


def load(memory: bytes, kind: Type, at: int) -> Any:
    """Return the value of `kind` at `at`; a variant comes as (case number, payload)."""
    match kind:
        case "string" | ("list", "u8"):
            pointer, length = struct.unpack_from("<II", memory, at)
            assert pointer + length <= len(memory)
            data = memory[pointer : pointer + length]
            return data.decode() if kind == "string" else data
        case "f64":
            return struct.unpack_from("<d", memory, at)[0]
        case str():
            return int.from_bytes(memory[at : at + _INTEGERS[kind]], "little")
        case ("list", inner):
            pointer, length = struct.unpack_from("<II", memory, at)
            return [load(memory, inner, pointer + place * size_of(inner)) for place in range(length)]
        case ("record", *fields):
            return tuple(load(memory, field, at + field_offset(kind, n)) for n, field in enumerate(fields))
    case = memory[at]
    inner = _cases(kind)[case]
    return case, None if inner is None else load(memory, inner, at + payload_offset(kind))
