"""The WebAssembly binary encoding: a bounds-checked reader, LEB128 numbers, sections.

Whatever the input, reading ends in a value or in `ModuleError` with the byte's offset in the file; no
count or length from the input is believed before it has been held against the bytes that are left.
"""

from collections.abc import Iterator
from typing import NamedTuple

from tickwork.core.errors import ModuleError

MAGIC = b"\0asm"
CORE_HEADER = MAGIC + b"\x01\x00\x00\x00"
COMPONENT_HEADER = MAGIC + b"\x0d\x00\x01\x00"

_NAME_SHOWN_MAX = 80


def encode_u32(number: int) -> bytes:
    """Return `number` (0 to 2**32 - 1) as the shortest unsigned LEB128."""
    encoded = bytearray()
    while number >= 0x80:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def encode_name(name: str) -> bytes:
    """Return `name` as a length-prefixed UTF-8 string."""
    text = name.encode()
    return encode_u32(len(text)) + text


def quoted(name: str) -> str:
    """Return a guest's name fit for an error message: escaped, and shortened where it is very long."""
    if len(name) > _NAME_SHOWN_MAX:
        name = name[:_NAME_SHOWN_MAX] + "..."
    return repr(name)


class Reader:
    """A cursor over `data[at:end]`; offsets are those of the whole file."""

    __slots__ = ("at", "data", "end")

    def __init__(self, data: bytes, at: int = 0, end: int | None = None) -> None:
        self.data = data
        self.at = at
        self.end = len(data) if end is None else end

    def error(self, message: str, at: int | None = None) -> ModuleError:
        """Return (not raise) a `ModuleError` that carries the offset `at`, or the cursor's."""
        return ModuleError(f"{message} (at byte {self.at if at is None else at})")

    def byte(self) -> int:
        """Read one byte."""
        at = self.at
        if at >= self.end:
            raise self.error("truncated: a byte is missing")
        self.at = at + 1
        return self.data[at]

    def u32(self) -> int:
        """Read an unsigned LEB128 number below 2**32."""
        at = self.at
        if at < self.end:
            first = self.data[at]
            if first < 0x80:  # nearly every number in a real file
                self.at = at + 1
                return first
        return self._leb(32)

    def _leb(self, bits: int) -> int:
        start = self.at
        number = shift = 0
        while True:
            byte = self.byte()
            number |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
            if shift >= bits:
                raise self.error(f"a number is longer than {bits} bits", start)
        if number >> bits:
            raise self.error(f"a number is longer than {bits} bits", start)
        return number

    def signed(self, bits: int) -> int:
        """Read a signed LEB128 number of at most `bits` bits."""
        start = self.at
        number = shift = 0
        while True:
            byte = self.byte()
            number |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
            if shift >= bits:
                raise self.error(f"a number is longer than {bits} bits", start)
        if byte & 0x40:
            number -= 1 << shift
        if not -(1 << (bits - 1)) <= number < 1 << (bits - 1):
            raise self.error(f"a number is longer than {bits} bits", start)
        return number

    def skip(self, length: int) -> None:
        """Move `length` bytes on."""
        if length > self.end - self.at:
            raise self.error(f"truncated: {length} bytes announced, {self.end - self.at} left")
        self.at += length

    def count(self) -> int:
        """Read a vector's length; as every item takes a byte or more, the bytes left bound it."""
        start = self.at
        count = self.u32()
        if count > self.end - self.at:
            raise self.error(f"truncated: {count} items announced, {self.end - self.at} bytes left", start)
        return count

    def name(self) -> str:
        """Read a length and that many bytes of UTF-8."""
        length = self.u32()
        start = self.at
        self.skip(length)
        try:
            return self.data[start : self.at].decode()
        except UnicodeDecodeError:
            raise self.error("a name is not UTF-8", start) from None

    def expect_end(self, what: str) -> None:
        """Raise `ModuleError` where bytes are left."""
        if self.at != self.end:
            raise self.error(f"{what} has {self.end - self.at} bytes too many")


class Section(NamedTuple):
    """One section: its identifier byte is at `begin`, its content is `[start, end)` of the file."""

    id: int
    begin: int
    start: int
    end: int


def sections(data: bytes, start: int, end: int) -> Iterator[Section]:
    """Yield the sections between `start` (just after a header) and `end`; contents are not read."""
    reader = Reader(data, start, end)
    while reader.at < end:
        begin = reader.at
        identifier = reader.byte()
        length = reader.u32()
        content = reader.at
        if length > end - content:
            raise reader.error(
                f"truncated: section {identifier} announces {length} bytes, {end - content} left", begin
            )
        reader.at = content + length
        yield Section(identifier, begin, content, reader.at)
