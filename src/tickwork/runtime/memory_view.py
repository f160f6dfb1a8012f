"""Memory for people: hex dumps of a range, and where two states of a memory differ."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tickwork.core.errors import InputError
from tickwork.core.image import PAGE_BYTES

ROW_BYTES = 16
# Equal bytes between two changes that still count as one: less than a row of a dump.
_GAP_BYTES = ROW_BYTES


@dataclass(frozen=True, slots=True)
class Change:
    """The bytes from `start` to before `end`, which begin and end with one that differs."""

    start: int
    before: bytes
    after: bytes

    @property
    def end(self) -> int:
        """The first byte after it."""
        return self.start + len(self.before)


@dataclass(frozen=True, slots=True)
class MemoryDiff:
    """How two states of one memory differ; the bytes that only the larger has were zero before."""

    size_before: int
    size_after: int
    changes: tuple[Change, ...]

    @property
    def pages(self) -> int:
        """The number of 4 KiB pages with a change."""
        touched: dict[int, None] = {}
        for change in self.changes:
            touched.update(
                dict.fromkeys(range(change.start // PAGE_BYTES, (change.end - 1) // PAGE_BYTES + 1))
            )
        return len(touched)

    @property
    def bytes_changed(self) -> int:
        """The number of bytes within the changes, equal ones between two differing ones included."""
        return sum(len(change.before) for change in self.changes)


def memory_diff(before: bytes, after: bytes) -> MemoryDiff:
    """Return where two states of a memory differ."""
    size = max(len(before), len(after))
    old, new = before.ljust(size, b"\0"), after.ljust(size, b"\0")
    places = np.flatnonzero(np.frombuffer(old, np.uint8) != np.frombuffer(new, np.uint8))
    cuts = np.flatnonzero(np.diff(places) > _GAP_BYTES) + 1
    changes = []
    for run in np.split(places, cuts) if len(places) else ():
        start, end = int(run[0]), int(run[-1]) + 1
        changes.append(Change(start, old[start:end], new[start:end]))
    return MemoryDiff(len(before), len(after), tuple(changes))


def parse_range(text: str, size: int) -> tuple[int, int]:
    """Return a range `START:END`, the end excluded, each decimal or 0x...; END may be `+LENGTH`.

    Raises `InputError` for another form or a range that is not within `size` bytes.
    """
    left, colon, right = text.partition(":")
    try:
        start = int(left, 0)
        end = start + int(right[1:], 0) if right.startswith("+") else int(right, 0)
    except ValueError:
        colon, start, end = "", 0, 0
    if not colon:
        raise InputError(f"--hexdump takes START:END or START:+LENGTH, such as 0x400:0x440, not {text!r}")
    if not 0 <= start < end <= size:
        raise InputError(
            f"--hexdump {text}: the memory has the bytes 0 to {size} ({size:#x}), the end excluded"
        )
    return start, end


def hexdump(content: bytes, start: int) -> Iterator[str]:
    """Yield a line for each 16 bytes: the address, which begins with `start`, hex, and printable ASCII."""
    width = max(8, len(f"{start + len(content):x}"))
    for at in range(0, len(content), ROW_BYTES):
        row = content[at : at + ROW_BYTES]
        halves = f"{row[:8].hex(' '):<23}  {row[8:].hex(' '):<23}"
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        yield f"{start + at:0{width}x}  {halves}  |{text}|"
