"""What a fork changes in its parent's world, as data; `core.editing` applies it.

Edits are part of the fork's identity: their canonical bytes are hashed into its chain. Nothing here is
checked against a world, which only `apply_edits` has.
"""

import msgspec

from tickwork.core.fault_plan import FaultPlan
from tickwork.core.grants import Grants
from tickwork.core.shortest import shortest

# The sender of an injected message that nobody in the run sent.
FORK_SENDER = "fork"
# The origin's index in an injected message: above every agent's, so it comes after what the tick before sent.
FORK_ORIGIN = (1 << 31) - 1


class Inject(msgspec.Struct, frozen=True, array_like=True):
    """A message that waits for the agent `to`; `sender` is an agent's id, `input:NAME` or `FORK_SENDER`."""

    to: str
    topic: str
    body: bytes = b""
    sender: str = FORK_SENDER
    reply_to: int | None = None


class Drop(msgspec.Struct, frozen=True, array_like=True):
    """Remove what waits for `to`; `place`, from 0, is the message's in the mailbox before any edit.

    All that is given must match, and None matches everything.
    """

    to: str
    sender: str | None = None
    topic: str | None = None
    place: int | None = None


class Replace(msgspec.Struct, frozen=True, array_like=True):
    """Give what waits for `to` and matches, as in `Drop`, another body or topic; it keeps its place."""

    to: str
    sender: str | None = None
    topic: str | None = None
    place: int | None = None
    body: bytes | None = None
    new_topic: str | None = None


class AgentEdit(msgspec.Struct, frozen=True, array_like=True):
    """Changes of one agent, declared or spawned; None, or a limit that is not named, leaves as it is.

    `module` is the hex BLAKE3 of the new module. With `restart` the agent is set up anew in the fork's first
    tick; config and preamble need that, because nothing else reads them.
    """

    id: str
    grants: Grants | None = None
    limits: tuple[tuple[str, int], ...] = ()
    config: bytes | None = None
    preamble: bytes | None = None
    module: str | None = None
    restart: bool = False


class Edits(msgspec.Struct, frozen=True, array_like=True):
    """All changes of one fork. The lists' order names edits in errors, and orders what is injected.

    `faults` is what is broken on purpose from there on, in place of what the parent's plan says; None leaves
    that as it is.
    """

    seed: int | None = None
    inject: tuple[Inject, ...] = ()
    drop: tuple[Drop, ...] = ()
    replace: tuple[Replace, ...] = ()
    agents: tuple[AgentEdit, ...] = ()
    faults: FaultPlan | None = None


# The fields that the bytes of all edits have.
_EDITS_FIELDS = 5
NO_EDITS = Edits()

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Edits).decode


def encode_edits(edits: Edits) -> bytes:
    """Return the canonical bytes; none at all if nothing is edited."""
    return b"" if edits == NO_EDITS else _encode(shortest(edits, _EDITS_FIELDS))


def decode_edits(data: bytes) -> Edits:
    """Return the edits with these canonical bytes; `ValueError` for any other bytes."""
    if not data:
        return NO_EDITS
    try:
        edits = _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"no edits: {error}") from None
    if encode_edits(edits) != data:
        raise ValueError("no edits: their bytes are not canonical")
    return edits
