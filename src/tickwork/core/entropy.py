"""Counter-based randomness: a seed per (run, tick, agent) that depends on nothing else."""

import struct
from collections.abc import Iterable, Sequence

from blake3 import blake3

_SEED_BYTES = 8
_SEED_MAX = (1 << 63) - 1
# One stream read for all agents is cheaper than single reads once about this share of them takes a turn.
_DENSE_SHARE = 16


def turn_seeds(run_seed: int, tick: int, agents: Sequence[int], agent_count: int) -> Iterable[int]:
    """Return a 64-bit seed for each index in `agents`.

    Agent i's seed is bytes [8i, 8i+8) of the BLAKE3 stream keyed by the run's seed and the tick, so it does
    not depend on who else takes a turn.
    """
    found = seed_bytes(run_seed, tick, agents, agent_count)
    seeds = struct.unpack(f"<{len(found) // _SEED_BYTES}Q", found)
    return [seeds[agent] for agent in agents] if len(seeds) == agent_count else seeds


def seed_bytes(run_seed: int, tick: int, agents: Sequence[int], agent_count: int) -> bytes:
    """Return the same seeds, 8 little-endian bytes each: those of all agents, or of `agents` alone.

    Which of the two shows in the length; where `agents` are all there are, they are the same.
    """
    stream = blake3(struct.pack("<QQ", run_seed, tick), derive_key_context="tickwork 1 turn seed")
    if len(agents) * _DENSE_SHARE >= agent_count:
        return stream.digest(length=_SEED_BYTES * agent_count)
    return b"".join([stream.digest(length=_SEED_BYTES, seek=_SEED_BYTES * agent) for agent in agents])


def request_seed(run_seed: int, tick: int, agent: int, effect: int) -> int:
    """Return the seed, 0 to 2**63 - 1, of the request that an effect makes of a model."""
    origin = struct.pack("<QQQQ", run_seed, tick, agent, effect)
    drawn = blake3(origin, derive_key_context="tickwork 1 request seed").digest(length=_SEED_BYTES)
    return int.from_bytes(drawn, "little") & _SEED_MAX
