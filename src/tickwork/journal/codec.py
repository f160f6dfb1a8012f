"""How an entry and a module are packed into their rows.

An entry's body is one zstd frame, with its content size and checksum, of: the length of the portable part as
a little-endian u32, the portable part, the fuel part. Both parts are canonical already and are kept as
they are, because the digests cover these very bytes.
"""

import struct
import threading

import msgspec
import zstandard

from tickwork.core.entry import Entry, Fuel, decode_entry, decode_fuel
from tickwork.core.errors import RunFileError

# What one tick or one module may take uncompressed. A reader meets hostile frames that claim any size.
ENTRY_BYTES_MAX = 256 * 1024 * 1024
MODULE_BYTES_MAX = 256 * 1024 * 1024

_LENGTH = struct.Struct("<I")
# Level 1: higher levels cost more time than they save. So do the faster ones: SQLite then has twice the bytes
# to store, which takes it longer than they gain.
_ENTRY_LEVEL = 1
_MODULE_LEVEL = 3


class Damage(Exception):  # noqa: N818 - becomes data or a RunFileError, in the reader's words
    """Stored bytes that are not what was written; the text says in what way."""


class EntryPacker:
    """Packs the bodies of entries; not to be shared between threads, because a zstd compressor is not."""

    def __init__(self) -> None:
        self._compressor = compressor(_ENTRY_LEVEL)

    def pack(self, entry: bytes, fuel: bytes) -> bytes:
        """Return the body of a tick's row, whose `size_fault` is None."""
        return self._compressor.compress(_LENGTH.pack(len(entry)) + entry + fuel)


def size_fault(entry: bytes, fuel: bytes) -> str | None:
    """Return why a tick cannot be stored, in words that follow its name, or None: it is too large."""
    if _LENGTH.size + len(entry) + len(fuel) > ENTRY_BYTES_MAX:
        return f"takes {len(entry) + len(fuel)} bytes, more than {ENTRY_BYTES_MAX}"
    return None


def unpack_entry(body: object) -> tuple[bytes, bytes]:
    """Return the portable and the fuel part of a tick's row; raise Damage."""
    content = unpack_frame(body, ENTRY_BYTES_MAX)
    if len(content) < _LENGTH.size:
        raise Damage("its body is too short")
    (length,) = _LENGTH.unpack_from(content)
    end = _LENGTH.size + length
    if end > len(content):
        raise Damage("its body is shorter than it claims")
    return content[_LENGTH.size : end], content[end:]


def pack_module(code: bytes) -> bytes:
    """Return the stored form of a module; raise ValueError if it exceeds `MODULE_BYTES_MAX`."""
    if len(code) > MODULE_BYTES_MAX:
        raise ValueError(f"takes {len(code)} bytes, more than {MODULE_BYTES_MAX}")
    return compressor(_MODULE_LEVEL).compress(code)


def unpack_module(stored: object) -> bytes:
    """Return a module's bytes; raise Damage."""
    return unpack_frame(stored, MODULE_BYTES_MAX)


def decode(tick: int, entry: bytes, fuel: bytes) -> tuple[Entry, Fuel]:
    """Return what a tick's bytes mean; raise RunFileError naming the tick if they mean nothing."""
    try:
        decoded, used = decode_entry(entry), decode_fuel(fuel)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RunFileError(f"the entry of tick {tick} is damaged: {error}") from error
    if decoded.tick != tick:
        raise RunFileError(f"the entry of tick {tick} is damaged: it says that it is of tick {decoded.tick}")
    if len(used.used) != len(decoded.turns):
        raise RunFileError(f"the entry of tick {tick} is damaged: its fuel does not match its turns")
    return decoded, used


def compressor(level: int) -> zstandard.ZstdCompressor:
    """Return a compressor whose frames state their content's size and checksum."""
    return zstandard.ZstdCompressor(level=level, write_checksum=True, write_content_size=True)


class _Own(threading.local):
    """What each thread has for itself: making one costs ten times what most frames cost to unpack."""

    def __init__(self) -> None:
        self.decompressor = zstandard.ZstdDecompressor()


_own = _Own()


def unpack_frame(stored: object, bytes_max: int) -> bytes:
    """Return a zstd frame's content of at most `bytes_max` bytes; raise Damage."""
    if not isinstance(stored, bytes):
        raise Damage("it is not a blob")
    try:
        # The size comes first: `decompress` would allocate whatever the frame claims.
        size = zstandard.frame_content_size(stored)
        if not 0 <= size <= bytes_max:
            raise Damage(f"its compressed form claims {size} bytes; at most {bytes_max} are accepted")
        return _own.decompressor.decompress(stored, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise Damage(f"its compressed form is broken ({error})") from error
