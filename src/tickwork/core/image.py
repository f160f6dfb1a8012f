"""An agent's whole mutable state at a tick's boundary, as data.

It is what differs from a *base*: the memories and globals of an instance of the same module that has not run
yet, which is a function of the module alone. Tables are not part of it: modules that could change one are
refused when they are loaded.
"""

import struct
from collections.abc import Sequence

import msgspec
from blake3 import blake3

PAGE_BYTES = 4096


class MemoryImage(msgspec.Struct, frozen=True, array_like=True):
    """One memory: its size in bytes, and the pages that differ from the base, by number, in order."""

    size: int
    numbers: tuple[int, ...]
    pages: tuple[bytes, ...]


class AgentImage(msgspec.Struct, frozen=True, array_like=True):
    """One agent's state. `globals` are the mutable ones that differ from the base, as (place, bits).

    `seed`, `start_ns` and `drawn` are the virtual WASI's: the random stream's key and position, and the
    virtual clock's beginning. The clock itself is set anew by every turn.
    """

    memories: tuple[MemoryImage, ...]
    globals: tuple[tuple[int, int], ...]
    seed: bytes
    start_ns: int
    drawn: int

    def page_hashes(self) -> list[list[bytes]]:
        """Return the BLAKE3 of every page, memory by memory."""
        return [[page_hash(page) for page in memory.pages] for memory in self.memories]

    def digest(self, page_hashes: Sequence[Sequence[bytes]] | None = None) -> bytes:
        """Return the BLAKE3 of the state; equal states of one module have equal digests.

        `page_hashes` spares them to be computed again.
        """
        hashes = self.page_hashes() if page_hashes is None else page_hashes
        hasher = blake3(derive_key_context="tickwork 1 agent image")
        hasher.update(struct.pack("<QQQQ", len(self.memories), len(self.globals), self.start_ns, self.drawn))
        hasher.update(struct.pack("<Q", len(self.seed)) + self.seed)
        for place, bits in self.globals:
            hasher.update(struct.pack("<QQ", place, bits))
        for memory, of_pages in zip(self.memories, hashes, strict=True):
            hasher.update(struct.pack("<QQ", memory.size, len(memory.numbers)))
            hasher.update(struct.pack(f"<{len(memory.numbers)}Q", *memory.numbers))
            hasher.update(b"".join(of_pages))
        return hasher.digest()


def page_hash(page: bytes) -> bytes:
    """Return the BLAKE3 by which a page is known."""
    return blake3(page).digest()
