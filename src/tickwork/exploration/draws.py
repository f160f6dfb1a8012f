"""Random choices that are a function of a key alone, so that a campaign can be repeated case by case."""

import struct
from collections.abc import Sequence
from typing import TypeVar

from blake3 import blake3

T = TypeVar("T")
_BLOCK_BYTES = 256
_DRAW_BYTES = 8
_DRAW_MAX = float(1 << 64)


class Draws:
    """A stream of choices, keyed by numbers of 64 bits."""

    def __init__(self, *key: int) -> None:
        data = struct.pack(f"<{len(key)}Q", *key)
        self._stream = blake3(data, derive_key_context="tickwork 1 exploration draws")
        self._taken = 0
        self._block: tuple[int, ...] = ()

    def bits(self) -> int:
        """Return 64 bits."""
        place = self._taken % (_BLOCK_BYTES // _DRAW_BYTES)
        if place == 0:
            data = self._stream.digest(length=_BLOCK_BYTES, seek=self._taken * _DRAW_BYTES)
            self._block = struct.unpack(f"<{_BLOCK_BYTES // _DRAW_BYTES}Q", data)
        self._taken += 1
        return self._block[place]

    def below(self, end: int) -> int:
        """Return a whole number from 0 to before `end`."""
        return self.bits() * end >> 64

    def chance(self, share: float) -> bool:
        """Return True with this probability."""
        return self.bits() / _DRAW_MAX < share

    def one_of(self, items: Sequence[T]) -> T:
        """Return one of the items, which must not be empty."""
        return items[self.below(len(items))]
