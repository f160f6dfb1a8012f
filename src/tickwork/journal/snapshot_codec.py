"""How a snapshot's world and its list of agents are packed into the snapshot's row."""

import msgspec

from tickwork.journal.codec import Damage, compressor, unpack_frame

# What a world may take uncompressed. A reader meets hostile frames that claim any size.
WORLD_BYTES_MAX = 256 * 1024 * 1024
_AGENTS_BYTES_MAX = 16 * 1024 * 1024
_LEVEL = 1

# The agents' indexes, ascending, each with its image's row.
Pairs = tuple[tuple[int, int], ...]

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Pairs).decode


def pack_world(world: bytes) -> bytes:
    """Return the stored form of a world; raise ValueError if it exceeds `WORLD_BYTES_MAX`."""
    if len(world) > WORLD_BYTES_MAX:
        raise ValueError(f"its world takes {len(world)} bytes, more than {WORLD_BYTES_MAX}")
    return compressor(_LEVEL).compress(world)


def unpack_world(stored: object) -> bytes:
    """Return a world's bytes; raise Damage."""
    return unpack_frame(stored, WORLD_BYTES_MAX)


def pack_agents(pairs: Pairs) -> bytes:
    """Return the stored form of the list of agents."""
    return compressor(_LEVEL).compress(_encode(pairs))


def unpack_agents(stored: object) -> Pairs:
    """Return the list of agents; raise Damage."""
    try:
        pairs = _decode(unpack_frame(stored, _AGENTS_BYTES_MAX))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Damage(str(error)) from error
    before = -1
    for agent, row in pairs:
        if agent <= before or not 0 < row < 2**63 or agent >= 2**63:
            raise Damage("its agents are out of order, or have impossible images")
        before = agent
    return pairs
