"""Taking an agent's state, and putting it into a fresh instance (`core.image` says what it is)."""

import ctypes
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tickwork.core.errors import HostError
from tickwork.core.image import PAGE_BYTES, AgentImage, MemoryImage
from tickwork.guest import capi
from tickwork.guest.plan import ExportSource
from tickwork.guest.touched import touched_pages
from tickwork.guest.virtual import VirtualState

WASM_PAGE_BYTES = 65536
# To copy a memory of this size costs about as much as to find out which of its pages were written.
_COPY_BYTES = 256 << 10
_MASK_32, _MASK_64 = (1 << 32) - 1, (1 << 64) - 1
_ZERO_PAGE = bytes(PAGE_BYTES)
# A value of the engine: its kind, then its bits, of which only those of scalars are looked at.
_VALUE = struct.Struct(f"<{capi.VALUE_OFFSET}xQ{capi.VALUE_BYTES - capi.VALUE_OFFSET - 8}x")
Extern = Any  # a ctypes array of one extern; ctypes' own types say less than they should
Window = Any  # a ctypes array over a whole memory: its slices are bytes


@dataclass(frozen=True, slots=True)
class Base:
    """What instances of one program have in common before they run."""

    memories: tuple[bytes, ...]
    globals: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Kept:
    """An instance's state, whole, for putting it back into the same instance."""

    memories: tuple[bytes, ...]
    globals: tuple[int, ...]
    seed: bytes
    start_ns: int
    drawn: int


class Reach:
    """An instance's memories and mutable globals, by address. Valid as long as the instance is open."""

    def __init__(
        self,
        context: int,
        memories: list[Extern],
        global_handles: list[Extern],
        global_types: Sequence[str],
    ) -> None:
        self._context = context
        self._memories = memories
        self._globals = global_handles
        self._global_handles = [_handle(extern) for extern in global_handles]
        # Beyond its type's width a value holds whatever lay there before.
        self._masks = [_MASK_32 if kind in {"i32", "f32"} else _MASK_64 for kind in global_types]

    def size(self, memory: int) -> int:
        """Return a memory's present size in bytes."""
        return int(capi.memory_data_size(self._context, _handle(self._memories[memory])))

    def window(self, memory: int) -> tuple[int, int, Window]:
        """Return a memory's address, its size, and the memory itself, which is not a copy."""
        address = int(capi.memory_data(self._context, _handle(self._memories[memory])) or 0)
        size = self.size(memory)
        return address, size, (ctypes.c_char * size).from_address(address) if size else b""

    def grow(self, memory: int, size: int) -> None:
        """Grow a memory to `size` bytes; raise `HostError` if its limits do not allow that."""
        missing = (size - self.size(memory)) // WASM_PAGE_BYTES
        if missing < 0:
            raise HostError("an agent's memory is larger than its snapshot's: restore into a fresh instance")
        before = ctypes.c_uint64()
        if missing:
            error = capi.memory_grow(
                self._context, _handle(self._memories[memory]), missing, ctypes.addressof(before)
            )
            if error:
                raise HostError(f"a snapshot's memory does not fit: {capi.take_error(error)}")

    @property
    def memory_count(self) -> int:
        """The number of memories."""
        return len(self._memories)

    def read_globals(self) -> tuple[int, ...]:
        """Return the bits of every mutable global, floats as they lie in memory."""
        step = capi.VALUE_BYTES
        values = ctypes.create_string_buffer(max(step * len(self._global_handles), 1))
        at = ctypes.addressof(values)
        context, global_get = self._context, capi.global_get
        for handle in self._global_handles:
            global_get(context, handle, at)
            at += step
        read = _VALUE.iter_unpack(values.raw[: step * len(self._global_handles)])
        return tuple(bits & mask for (bits,), mask in zip(read, self._masks, strict=True))

    def write_global(self, place: int, bits: int) -> None:
        """Set a mutable global; its type stays what it is."""
        handle = _handle(self._globals[place])
        value: Any = ctypes.create_string_buffer(capi.VALUE_BYTES)
        at = ctypes.addressof(value)
        capi.global_get(self._context, handle, at)
        value[capi.VALUE_OFFSET : capi.VALUE_OFFSET + 8] = bits.to_bytes(8, "little")
        error = capi.global_set(self._context, handle, at)
        if error:
            raise HostError(f"a snapshot's global cannot be set: {capi.take_error(error)}")


def _handle(extern: Extern) -> int:
    return int(ctypes.addressof(extern) + capi.HANDLE_OFFSET)


def find_externs(context: int, instances_at: int, sources: Iterable[ExportSource]) -> list[Extern]:
    """Return exports, looked up by name in the instances whose handles lie at an address."""
    externs: list[Extern] = []
    for source in sources:
        extern = ctypes.create_string_buffer(capi.EXTERN_BYTES)
        name = source.export.encode()
        handle = instances_at + source.instance * capi.INSTANCE_BYTES
        if not capi.export_get(context, handle, name, len(name), ctypes.addressof(extern)):
            raise HostError(f"the engine lost the export {source.export!r}")
        externs.append(extern)
    return externs


def take_base(state: Reach) -> Base:
    """Return the base, from an instance that has not run."""
    return Base(
        tuple(bytes(state.window(memory)[2]) for memory in range(state.memory_count)), state.read_globals()
    )


def take_memory(state: Reach, memory: int, base: bytes) -> MemoryImage:
    """Return the pages of one memory that differ from the base."""
    address, size, window = state.window(memory)
    touched = touched_pages(address, size, PAGE_BYTES)
    numbers: list[int] = []
    pages: list[bytes] = []
    base_size = len(base)
    for number in range(size // PAGE_BYTES) if touched is None else touched:
        at = number * PAGE_BYTES
        page = window[at : at + PAGE_BYTES]
        if page != (base[at : at + PAGE_BYTES] if at < base_size else _ZERO_PAGE):
            numbers.append(number)
            pages.append(page)
    return MemoryImage(size, tuple(numbers), tuple(pages))


def take_globals(state: Reach, base: Base) -> tuple[tuple[int, int], ...]:
    """Return the mutable globals that differ from the base."""
    now = state.read_globals()
    return tuple(
        (place, bits) for place, (bits, was) in enumerate(zip(now, base.globals, strict=True)) if bits != was
    )


def put(state: Reach, image: AgentImage) -> None:
    """Give a fresh instance an image's memories and globals."""
    if len(image.memories) != state.memory_count:
        raise HostError("a snapshot's agent has another number of memories than its module")
    for memory, wanted in enumerate(image.memories):
        state.grow(memory, wanted.size)
        address, size, _ = state.window(memory)
        last = wanted.numbers[-1] if wanted.numbers else -1
        if size != wanted.size or last >= size // PAGE_BYTES or min(wanted.numbers, default=0) < 0:
            raise HostError("a snapshot's memory does not have the size that it states")
        for number, page in zip(wanted.numbers, wanted.pages, strict=True):
            if number > last or len(page) != PAGE_BYTES:
                raise HostError("a snapshot's pages are out of order")
            ctypes.memmove(address + number * PAGE_BYTES, page, PAGE_BYTES)
    for place, bits in image.globals:
        state.write_global(place, bits)


def keep(state: Reach, virtual: VirtualState) -> Kept:
    """Return an instance's state for `put_back`."""
    return Kept(
        tuple(bytes(state.window(memory)[2]) for memory in range(state.memory_count)),
        state.read_globals(),
        virtual.seed,
        virtual.start_ns,
        virtual.drawn,
    )


def put_back(state: Reach, virtual: VirtualState, kept: Kept) -> bool:
    """Put a kept state back into the instance that it was taken from; False if a memory has grown since."""
    windows = [state.window(memory) for memory in range(state.memory_count)]
    if any(size != len(was) for (_, size, _), was in zip(windows, kept.memories, strict=True)):
        return False
    for (address, size, _), was in zip(windows, kept.memories, strict=True):
        _copy_touched(address, size, was)
    for place, (bits, old) in enumerate(zip(state.read_globals(), kept.globals, strict=True)):
        if bits != old:
            state.write_global(place, old)
    virtual.seed, virtual.start_ns, virtual.drawn = kept.seed, kept.start_ns, kept.drawn
    virtual.output.clear()
    virtual.output_bytes = 0
    return True


def _copy_touched(address: int, size: int, was: bytes) -> None:
    touched = touched_pages(address, size, PAGE_BYTES) if size > _COPY_BYTES else None
    if touched is None:
        ctypes.memmove(address, was, size)
        return
    start = 0
    while start < len(touched):
        end = start + 1
        while end < len(touched) and touched[end] == touched[end - 1] + 1:
            end += 1
        at, length = touched[start] * PAGE_BYTES, (end - start) * PAGE_BYTES
        ctypes.memmove(address + at, was[at : at + length], length)
        start = end
