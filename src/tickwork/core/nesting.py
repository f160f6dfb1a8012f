"""How deep JSON that comes from outside may nest: the same for every reader, on every stack."""

import re

# How deep the arrays and objects of a text that is read may lie in each other.
NESTING_MAX = 200
# A JSON text's strings; one that does not end goes on to the end of the text.
_STRINGS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
_NO_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")


def nests_too_deep(body: bytes) -> bool:
    """Return whether a JSON text nests deeper than `NESTING_MAX`.

    How deep a decoder can go depends on how deep its caller's stack is already, and no result may.
    """
    if body.count(b"[") + body.count(b"{") <= NESTING_MAX:
        return False
    depth = 0
    for bracket in _STRINGS.sub(b"", body).translate(None, _NO_BRACKETS):
        depth += 1 if bracket in b"[{" else -1
        if depth > NESTING_MAX:
            return True
    return False
