"""Finds instructions whose effect a snapshot would not carry: changed tables and dropped data segments.

An exact scan of every function body, one regular expression for all instructions without a counted vector,
so that the work happens at C speed. The module has been validated by the engine before: what this does not
know is of a proposal that the engine has off. Opcodes: WebAssembly Core Specification 2.0, section 5.4.
"""

import re

from tickwork.guest.binary import CORE_HEADER, Reader, sections

_CODE_SECTION = 10
_LEB = rb"[\x80-\xff]*+[\x00-\x7f]"
_BR_TABLE = 0x0E

_PLAIN = rb"[\x00\x01\x05\x0b\x0f\x1a\x1b\x45-\xc4\xd1]"
_ONE_INDEX = rb"[\x02-\x04\x0c\x0d\x10\x12\x20-\x25\x3f-\x42\xd0\xd2]" + _LEB
_TWO_INDEXES = rb"[\x11\x13\x28-\x3e]" + _LEB + _LEB
_TYPED_SELECT = rb"\x1c\x01."
_FLOATS = rb"\x43.{4}|\x44.{8}"
# Saturating conversions; memory.init, memory.copy, memory.fill; elem.drop and table.size.
_BULK = (
    rb"\xfc(?:[\x00-\x07]|\x08" + _LEB + _LEB + rb"|\x0a" + _LEB + _LEB
    + rb"|[\x0b\x0d\x10]" + _LEB + rb")"
)  # fmt: skip
_SIMD = (
    rb"\xfd(?:[\x00-\x0b\x5c\x5d]" + _LEB + _LEB
    + rb"|[\x0c\x0d].{16}|[\x15-\x22].|[\x54-\x5b]" + _LEB + _LEB + rb"."
    + rb"|[\x0e-\x14\x23-\x53\x5e-\x7f]|[\x80-\xff]+[\x00-\x7f])"
)  # fmt: skip
_HARMLESS = re.compile(
    rb"(?:" + rb"|".join((_PLAIN, _ONE_INDEX, _TWO_INDEXES, _FLOATS, _BULK, _SIMD, _TYPED_SELECT)) + rb")*+",
    re.DOTALL,
)
_NAMES = {
    b"\x26": "table.set",
    b"\xfc\x09": "data.drop",
    b"\xfc\x0c": "table.init",
    b"\xfc\x0e": "table.copy",
    b"\xfc\x0f": "table.grow",
    b"\xfc\x11": "table.fill",
}


def hidden_change(code: bytes) -> str | None:
    """Return the first instruction of a core module that changes a table or drops data, or None.

    A `str` is its name, or `opcode 0x..` for one that is not known here. Bodies are scanned whole, dead code
    too, so the answer is exact about what could ever run.
    """
    for section in sections(code, len(CORE_HEADER), len(code)):
        if section.id != _CODE_SECTION:
            continue
        reader = Reader(code, section.start, section.end)
        for _ in range(reader.u32()):
            size = reader.u32()
            body = reader.at
            reader.skip(size)
            found = _in_body(code, body, body + size)
            if found is not None:
                return found
    return None


def _in_body(code: bytes, start: int, end: int) -> str | None:
    reader = Reader(code, start, end)
    for _ in range(reader.u32()):
        reader.u32()
        reader.byte()
    at = reader.at
    while True:
        match = _HARMLESS.match(code, at, end)
        at = at if match is None else match.end()
        if at == end:
            return None
        if code[at] != _BR_TABLE:
            return _NAMES.get(code[at : at + 1]) or _NAMES.get(code[at : at + 2]) or f"opcode {code[at]:#04x}"
        reader = Reader(code, at + 1, end)
        for _ in range(reader.u32() + 1):
            reader.u32()
        at = reader.at
