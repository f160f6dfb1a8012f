"""How an author's values become the ABI's bytes, names and numbers; each fault is told where it was made."""

import json
import json.encoder
from collections.abc import Callable
from typing import Any

Body = Any  # bytes, str, or a value that the json module can encode
U64_MAX = 2**64 - 1

_json = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _faster_encode() -> Callable[[Any], str]:
    """Return `_json.encode`, which makes its encoder in C anew for every value, with one made once."""
    make = getattr(json.encoder, "c_make_encoder", None)
    if make is None:
        return _json.encode
    containers: dict[int, object] = {}  # those that are being encoded, to know when one contains itself
    flags = (_json.sort_keys, _json.skipkeys, _json.allow_nan)
    separators = (_json.key_separator, _json.item_separator)
    pieces = make(
        containers, _json.default, json.encoder.encode_basestring, _json.indent, *separators, *flags
    )

    def encode(value: Any) -> str:
        try:
            return "".join(pieces(value, 0))
        except BaseException:
            containers.clear()
            raise

    return encode


_encode = _faster_encode()


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
