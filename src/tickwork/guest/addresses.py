"""The static addresses that a core module's code uses, which no other section of it tells.

Data that begins as zeros is in no data segment: where it lies is known only to the instructions that use it,
as the constant or the offset of an access. Opcodes: WebAssembly Core Specification 2.0, section 5.4.
"""

from collections.abc import Iterator

from tickwork.guest.binary import CORE_HEADER, Reader, sections

_MEMORY, _CODE, _DATA = 5, 10, 11
_WASM_PAGE_BYTES = 65536
# In what follows the opcode, by opcode: how many LEB128 numbers, or how many bytes.
_NUMBERS = {0x02: 1, 0x03: 1, 0x04: 1, 0x0C: 1, 0x0D: 1, 0x10: 1, 0x11: 2, 0x12: 1, 0x13: 2, 0x1C: 2}
_NUMBERS |= dict.fromkeys((*range(0x20, 0x27), 0x3F, 0x40, 0x42, 0xD0, 0xD2), 1)
_BULK_NUMBERS = {8: 2, 9: 1, 10: 2, 11: 1, 12: 2, 13: 1, 14: 2, 15: 1, 16: 1, 17: 1}
_BYTES = {0x43: 4, 0x44: 8}
_CONST_I32, _BR_TABLE, _BULK, _SIMD = 0x41, 0x0E, 0xFC, 0xFD
_LOADS_AND_STORES = range(0x28, 0x3F)
_EXPLICIT_MEMORY = 0x40  # a flag in an access's alignment: the memory's index follows
# Of SIMD: accesses, those with a lane besides, and the bytes of the other instructions.
_SIMD_ACCESSES = frozenset({*range(12), *range(84, 94)})
_SIMD_LANES = range(84, 92)
_SIMD_BYTES = {12: 16, 13: 16} | dict.fromkeys(range(21, 35), 1)


def static_addresses(code: bytes) -> frozenset[int]:
    """Return every number in a valid module's code that could be an address of its static data.

    Those are the constants and offsets from its first data segment, or from 1024, to the end of the memory
    that it begins with. Numbers that only happen to lie there are among them.
    """
    low, high = _static_range(code)
    return frozenset(number for number in _numbers(code) if low <= number < high)


def _static_range(code: bytes) -> tuple[int, int]:
    pages = 0
    starts: list[int] = []
    for section in sections(code, len(CORE_HEADER), len(code)):
        reader = Reader(code, section.start, section.end)
        if section.id == _MEMORY and reader.u32():
            reader.byte()
            pages = reader.u32()
        elif section.id == _DATA:
            for _ in range(reader.u32()):
                starts += _segment_start(reader)
    # An imported memory may have any size: then every address counts.
    return min(starts, default=1024), pages * _WASM_PAGE_BYTES or 1 << 32


def _segment_start(reader: Reader) -> list[int]:
    """Pass one data segment; return its place if it is active and at a constant."""
    kind = reader.u32()
    start: list[int] = []
    if kind != 1:
        if kind == 2:
            reader.u32()
        while (opcode := reader.byte()) != 0x0B:
            if opcode == _CONST_I32:
                start = [reader.signed(32) & 0xFFFFFFFF]
            else:
                reader.u32()
    reader.skip(reader.u32())
    return start


def _numbers(code: bytes) -> Iterator[int]:
    """Yield every i32 constant, as an unsigned number, and every access's offset."""
    for section in sections(code, len(CORE_HEADER), len(code)):
        if section.id != _CODE:
            continue
        reader = Reader(code, section.start, section.end)
        for _ in range(reader.u32()):
            size = reader.u32()
            body = Reader(code, reader.at, reader.at + size)
            reader.skip(size)
            for _ in range(body.u32()):
                body.u32()
                body.byte()
            while body.at < body.end:
                yield from _instruction(body)


def _instruction(body: Reader) -> Iterator[int]:
    """Pass one instruction; yield the number in it that could be an address."""
    opcode = body.byte()
    if opcode == _CONST_I32:
        yield body.signed(32) & 0xFFFFFFFF
    elif opcode in _LOADS_AND_STORES:
        yield _offset(body)
    elif opcode in _NUMBERS:
        _pass_numbers(body, _NUMBERS[opcode])
    elif opcode in _BYTES:
        body.skip(_BYTES[opcode])
    elif opcode == _BR_TABLE:
        _pass_numbers(body, body.u32() + 1)
    elif opcode == _BULK:
        _pass_numbers(body, _BULK_NUMBERS.get(body.u32(), 0))
    elif opcode == _SIMD:
        kind = body.u32()
        if kind in _SIMD_ACCESSES:
            yield _offset(body)
        body.skip(1 if kind in _SIMD_LANES else _SIMD_BYTES.get(kind, 0))


def _offset(body: Reader) -> int:
    if body.u32() & _EXPLICIT_MEMORY:
        body.u32()
    return body.u32()


def _pass_numbers(body: Reader, count: int) -> None:
    for _ in range(count):
        while body.byte() >= 0x80:
            pass
