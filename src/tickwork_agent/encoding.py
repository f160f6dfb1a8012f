"""How an author's values become the ABI's bytes, names and numbers; each fault is told where it was made."""

import json
from typing import Any

Body = Any  # bytes, str, or a value that the json module can encode
U64_MAX = 2**64 - 1

_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


def encode_body(body: Body) -> bytes:
    """Return a body's bytes.

    bytes (also bytearray and memoryview) as they are, str as UTF-8, anything else as compact JSON: no
    spaces, keys in the order of the dict, UTF-8 and not escapes. Raises TypeError for what JSON lacks and
    ValueError for NaN, infinities and circular references.
    """
    if type(body) is bytes:
        return body
    if isinstance(body, str):
        return body.encode()
    if isinstance(body, (bytes, bytearray, memoryview)):
        return bytes(body)
    return _encode(body).encode()


def check_name(what: str, name: object) -> str:
    """Return `name` if it is text that UTF-8 can carry; the runtime judges the rest of it."""
    if not isinstance(name, str):
        raise TypeError(f"{what} must be a str, not {type(name).__name__}")
    if not name.isascii():
        name.encode()
    return name


def check_number(what: str, number: object) -> int:
    """Return `number` if it is an integer from 0 to 2**64 - 1."""
    if not isinstance(number, int):
        raise TypeError(f"{what} must be an int, not {type(number).__name__}")
    if not 0 <= number <= U64_MAX:
        raise ValueError(f"{what} must lie between 0 and 2**64 - 1, not {number}")
    return int(number)


def printable(value: object) -> str:
    """Return `str(value)` with what UTF-8 cannot carry replaced by `?`."""
    text = str(value)
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
