"""A guest's linear memory, seen through a window that checks every access."""

import ctypes
from typing import Any

from tickwork.core.outcomes import OutcomeKind
from tickwork.guest import capi
from tickwork.guest.virtual import GuestFault


class Memory:
    """One linear memory. Implements `abi.GuestMemory`.

    The engine reserves the whole range of a 32-bit memory, so the base never moves; and memories only grow,
    so a size that was once read stays a safe bound.
    """

    __slots__ = ("_base", "_bytes", "_context", "_handle", "_size", "_view")

    def __init__(self, context: int, handle: int) -> None:
        """Open the memory whose handle lies at the address `handle`, in the store of `context`."""
        self._context = context
        self._handle = handle
        self._base = int(capi.memory_data(context, handle) or 0)
        self._size = -1
        self._bytes: Any = b""  # a ctypes array, whose slices are bytes
        self._refresh()

    def _refresh(self) -> None:
        size = int(capi.memory_data_size(self._context, self._handle))
        if size != self._size:
            self._size = size
            self._bytes = (ctypes.c_char * size).from_address(self._base) if size else b""
            self._view = memoryview(self._bytes).cast("B")

    def _end(self, pointer: int, length: int) -> int:
        end = pointer + length
        if end > self._size:
            self._refresh()
            if end > self._size:
                raise GuestFault(
                    OutcomeKind.BAD_POINTER,
                    f"{length} bytes at {pointer} reach beyond the memory's {self._size}",
                )
        return end

    def read(self, pointer: int, length: int) -> bytes:
        """Return the bytes, or raise `GuestFault(BAD_POINTER)`."""
        end = pointer + length
        if end > self._size:
            self._end(pointer, length)
        data: bytes = self._bytes[pointer:end]
        return data

    def write(self, pointer: int, data: bytes) -> None:
        """Put the bytes, or raise `GuestFault(BAD_POINTER)`."""
        end = self._end(pointer, len(data))  # first, because it may replace the view
        self._view[pointer:end] = data

    def window(self, *, grown: bool = False) -> tuple[Any, int]:
        """Return the whole memory as something whose slices are bytes, and its size, which bounds them.

        The size may be an earlier one, which is safe; with `grown` it is the present one.
        """
        if grown:
            self._refresh()
        return self._bytes, self._size
