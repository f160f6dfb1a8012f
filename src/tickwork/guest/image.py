"""Taking an agent's state, and putting it into a fresh instance (`core.image` says what it is)."""

import ctypes
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tickwork.core.errors import HostError
from tickwork.core.image import PAGE_BYTES, AgentImage, MemoryImage
from tickwork.guest import capi
from tickwork.guest.plan import ExportSource
from tickwork.guest.touched import touched_pages

WASM_PAGE_BYTES = 65536
_PAGE_WORDS = PAGE_BYTES // 8
Extern = Any  # a ctypes array of one extern; ctypes' own types say less than they should
Pages = npt.NDArray[np.uint64]  # of shape (pages, 512)


@dataclass(frozen=True, slots=True)
class Base:
    """What instances of one program have in common before they run."""

    memories: tuple[Pages, ...]
    globals: tuple[int, ...]


class Reach:
    """An instance's memories and mutable globals, by address. Valid as long as the instance is open."""

    def __init__(
        self,
        context: int,
        memories: list[Extern],
        global_handles: list[Extern],
    ) -> None:
        self._context = context
        self._memories = memories
        self._globals = global_handles

    def size(self, memory: int) -> int:
        """Return a memory's present size in bytes."""
        return int(capi.memory_data_size(self._context, _handle(self._memories[memory])))

    def window(self, memory: int) -> tuple[int, Pages]:
        """Return a memory's address and its pages, which are not a copy."""
        address = int(capi.memory_data(self._context, _handle(self._memories[memory])) or 0)
        size = self.size(memory)
        raw: Any = (ctypes.c_char * size).from_address(address) if size else b""
        return address, np.frombuffer(raw, dtype=np.uint64).reshape(-1, _PAGE_WORDS)

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
        value: Any = ctypes.create_string_buffer(capi.VALUE_BYTES)
        at = ctypes.addressof(value)
        bits = []
        for handle in self._globals:
            # What the engine does not write of a value is whatever was there before.
            ctypes.memset(at, 0, capi.VALUE_BYTES)
            capi.global_get(self._context, _handle(handle), at)
            bits.append(int.from_bytes(value.raw[capi.VALUE_OFFSET : capi.VALUE_OFFSET + 8], "little"))
        return tuple(bits)

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
    memories = tuple(state.window(memory)[1].copy() for memory in range(state.memory_count))
    return Base(memories, state.read_globals())


def take_memory(state: Reach, memory: int, base: Pages) -> MemoryImage:
    """Return the pages of one memory that differ from the base."""
    address, pages = state.window(memory)
    touched = touched_pages(address, pages.nbytes, PAGE_BYTES)
    candidates = np.arange(len(pages)) if touched is None else np.flatnonzero(touched)
    within = candidates[candidates < len(base)]
    beyond = candidates[candidates >= len(base)]
    changed = within[(pages[within] != base[within]).any(axis=1)]
    grown = beyond[pages[beyond].any(axis=1)]
    numbers = np.concatenate((changed, grown))
    copied = pages[numbers].tobytes()
    return MemoryImage(
        size=pages.nbytes,
        numbers=tuple(numbers.tolist()),
        pages=tuple(copied[at : at + PAGE_BYTES] for at in range(0, len(copied), PAGE_BYTES)),
    )


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
        _, pages = state.window(memory)
        if pages.nbytes != wanted.size or any(number >= len(pages) for number in wanted.numbers):
            raise HostError("a snapshot's memory does not have the size that it states")
        if wanted.numbers:
            content = np.frombuffer(b"".join(wanted.pages), dtype=np.uint64).reshape(-1, _PAGE_WORDS)
            pages[np.array(wanted.numbers)] = content
    for place, bits in image.globals:
        state.write_global(place, bits)
