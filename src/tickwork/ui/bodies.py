"""Bodies as a page shows them: what kind they are, and no more of them than a page can take."""

import base64
import enum

import msgspec

# Enough to read; the whole is asked for by itself.
PREVIEW_BYTES = 2_048


class BodyKind(enum.StrEnum):
    """How a body's `text` is to be read: as JSON, as plain text, or as base64."""

    JSON = "json"
    TEXT = "text"
    BASE64 = "base64"


class Body(msgspec.Struct, frozen=True):
    """A message's body. `bytes` is its whole size; with `clipped` only its beginning is in `text`."""

    kind: BodyKind
    text: str
    bytes: int
    clipped: bool = False


def body_of(content: bytes, limit: int = PREVIEW_BYTES) -> Body:
    """Return a body with at most `limit` of its bytes."""
    size = len(content)
    part = content if size <= limit else content[:limit]
    clipped = size > limit
    try:
        text = part.decode()
    except UnicodeDecodeError as error:
        # A character may have been cut in two; anything else is no text.
        if not (clipped and error.start >= limit - 3):
            return Body(BodyKind.BASE64, base64.b64encode(part).decode(), size, clipped)
        text = part[: error.start].decode()
    if clipped:
        return Body(BodyKind.JSON if text[:1] in {"{", "["} else BodyKind.TEXT, text, size, clipped)
    return Body(BodyKind.JSON if _is_json(content) else BodyKind.TEXT, text, size)


def _is_json(content: bytes) -> bool:
    try:
        msgspec.json.decode(content, type=msgspec.Raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True
