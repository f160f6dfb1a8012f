"""How an agent's image is packed: its pages each in a row of their own, the rest in one that names them.

A page is a zstd frame, or the 4096 bytes themselves where that would not be shorter. The rest is a zstd frame
of MessagePack; the pages' numbers and row ids are differences, which are small and alike. Whoever reads an
image holds it against the image's digest, so a page's frame needs no checksum of its own.
"""

import sys
from array import array
from collections.abc import Sequence
from itertools import chain
from operator import sub

import msgspec
import numpy as np
import numpy.typing as npt
import zstandard

from tickwork.core.image import PAGE_BYTES, AgentImage, MemoryImage
from tickwork.journal.codec import Damage, compressor, unpack_frame

# The fastest level that still entropy-codes: against level 1 on pages of Python agents 13 us instead of 19
# to pack one, 4 us instead of 8 to unpack it, for 13% more bytes.
_PAGE_LEVEL = -1
_REST_LEVEL = 1
# A memory has at most 2^32 bytes. An agent has one memory, rarely a few, which have no more together.
_MEMORY_BYTES_MAX = 2**32
_IMAGE_PAGES_MAX = _MEMORY_BYTES_MAX // PAGE_BYTES
REST_BYTES_MAX = 64 * 1024 * 1024
_NUMBER_MAX = 2**64 - 1
# Row ids start at 1 and are used again, so this many would take 500 GB of pages.
PAGE_ID_MAX = 2**28

Ids = npt.NDArray[np.int64]


class _Memory(msgspec.Struct, frozen=True, array_like=True):
    """`numbers` are u32 and `ids` i64 differences, little-endian; the first ones are from -1 and from 0."""

    size: int
    numbers: bytes
    ids: bytes


class _Rest(msgspec.Struct, frozen=True, array_like=True):
    memories: tuple[_Memory, ...]
    globals: tuple[tuple[int, int], ...]
    seed: bytes
    start_ns: int
    drawn: int


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Rest).decode


class StoredImage(msgspec.Struct, frozen=True):
    """An image whose pages are still to be fetched: one array of row ids for each memory, page by page."""

    rest: _Rest
    numbers: tuple[tuple[int, ...], ...]
    ids: tuple[Ids, ...]

    @property
    def page_ids(self) -> Ids:
        """Return the row ids of all pages, in the order in which `with_pages` takes their bytes."""
        return np.concatenate(self.ids) if self.ids else np.empty(0, np.int64)

    def with_pages(self, pages: Sequence[bytes]) -> AgentImage:
        """Return the image, given the bytes of the pages in `page_ids`' order."""
        memories = []
        first = 0
        for memory, numbers in zip(self.rest.memories, self.numbers, strict=True):
            memories.append(MemoryImage(memory.size, numbers, tuple(pages[first : first + len(numbers)])))
            first += len(numbers)
        rest = self.rest
        return AgentImage(tuple(memories), rest.globals, rest.seed, rest.start_ns, rest.drawn)


def _differences(kind: str, numbers: Sequence[int], before: int) -> "array[int]":
    """Return each number less the one before it, little-endian; raise ValueError if one does not fit."""
    try:
        steps = array(kind, map(sub, numbers, chain((before,), numbers)))
    except OverflowError:
        raise ValueError("an image's pages are out of order") from None
    if sys.byteorder == "big":
        steps.byteswap()
    return steps


class ImagePacker:
    """Packs pages and images; not to be shared between threads, because a zstd compressor is not."""

    def __init__(self) -> None:
        # The size is stated, so that a reader need not guess how much to make room for.
        self._pages = zstandard.ZstdCompressor(level=_PAGE_LEVEL, write_checksum=False)
        self._rest = compressor(_REST_LEVEL)

    def pack_page(self, page: bytes) -> bytes:
        """Return the stored form of a page."""
        packed = self._pages.compress(page)
        return packed if len(packed) < PAGE_BYTES else page

    def pack_image(self, image: AgentImage, ids: Sequence[Sequence[int]]) -> bytes:
        """Return the stored form of an image, given its pages' row ids memory by memory.

        Raises ValueError for an image that no agent can have.
        """
        memories = []
        for memory, pages in zip(image.memories, ids, strict=True):
            numbers = memory.numbers
            # What is not ascending gives a step below 1, which a u32 array refuses or `min` finds.
            steps = _differences("I", numbers, -1)
            if numbers and (min(steps) < 1 or numbers[-1] >= memory.size // PAGE_BYTES):
                raise ValueError("an image's pages are out of order, or beyond its memory")
            if memory.size > _MEMORY_BYTES_MAX or len(memory.pages) != len(numbers):
                raise ValueError("an image's memory is too large, or lacks pages")
            if any(len(page) != PAGE_BYTES for page in memory.pages):
                raise ValueError(f"an image's page is not {PAGE_BYTES} bytes")
            gaps = _differences("q", pages, 0)
            memories.append(_Memory(memory.size, steps.tobytes(), gaps.tobytes()))
        rest = _Rest(tuple(memories), image.globals, image.seed, image.start_ns, image.drawn)
        return self._rest.compress(_encode(rest))


class ImageUnpacker:
    """Unpacks pages; not to be shared between threads."""

    def __init__(self) -> None:
        self._pages = zstandard.ZstdDecompressor()

    def unpack_page(self, stored: object) -> bytes:
        """Return a page's bytes; raise Damage."""
        if not isinstance(stored, bytes):
            raise Damage("it is not a blob")
        if len(stored) == PAGE_BYTES:
            return stored
        try:
            # The size comes first: `decompress` would allocate whatever the frame claims.
            if zstandard.frame_content_size(stored) != PAGE_BYTES:
                raise Damage("it does not have a page's size")
            return self._pages.decompress(stored, allow_extra_data=False)
        except zstandard.ZstdError as error:
            raise Damage(f"its compressed form is broken ({error})") from error


def unpack_image(stored: object) -> StoredImage:
    """Return what an image's row says; raise Damage."""
    content = unpack_frame(stored, REST_BYTES_MAX)
    try:
        rest = _decode(content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Damage(str(error)) from error
    whole = [rest.start_ns, rest.drawn, *(number for pair in rest.globals for number in pair)]
    if not all(0 <= number <= _NUMBER_MAX for number in whole):
        raise Damage("one of its numbers is out of range")
    numbers: list[tuple[int, ...]] = []
    ids: list[Ids] = []
    for memory in rest.memories:
        places, rows = _places(memory)
        numbers.append(places)
        ids.append(rows)
    if sum(map(len, ids)) > _IMAGE_PAGES_MAX:
        raise Damage("it has more pages than an agent can have")
    return StoredImage(rest, tuple(numbers), tuple(ids))


def _places(memory: _Memory) -> tuple[tuple[int, ...], Ids]:
    count, odd = divmod(len(memory.numbers), 4)
    if odd or len(memory.ids) != 8 * count or not 0 <= memory.size <= _MEMORY_BYTES_MAX:
        raise Damage("its list of pages is not one")
    # At most 2^24 differences below 2^32 fit into a row, so these sums do not overflow.
    steps = np.frombuffer(memory.numbers, "<u4").astype(np.int64)
    numbers = np.cumsum(steps) - 1
    gaps = np.frombuffer(memory.ids, "<i8").astype(np.int64)
    if count and (steps.min() < 1 or numbers[-1] >= memory.size // PAGE_BYTES):
        raise Damage("its pages are out of order, or beyond its memory")
    if count and (gaps.min() < -PAGE_ID_MAX or gaps.max() > PAGE_ID_MAX):
        raise Damage("it names impossible pages")
    ids = np.cumsum(gaps)
    if count and (ids.min() < 1 or ids.max() > PAGE_ID_MAX):
        raise Damage("it names impossible pages")
    return tuple(numbers.tolist()), ids
