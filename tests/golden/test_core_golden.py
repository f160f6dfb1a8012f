"""A fixed run's entries and digests, as they were when the format was fixed.

`core_entries.txt` has a line per tick: entry, fuel, digest and exact digest in hex. It is never regenerated:
a difference means that recorded runs would no longer replay.
"""

from pathlib import Path

import pytest

import scripted_world
from tickwork.core.digest import advance, genesis
from tickwork.core.entry import decode_entry, decode_fuel, encode, encode_entry

GOLDEN = [
    tuple(line.split()) for line in (Path(__file__).parent / "core_entries.txt").read_text().splitlines()
]


def test_the_scripted_run_still_gives_the_recorded_entries():
    for tick, (recorded, now) in enumerate(zip(GOLDEN, scripted_world.record(), strict=True)):
        told = decode_entry(bytes.fromhex(recorded[0])), decode_entry(bytes.fromhex(now[0]))
        assert told[0] == told[1], f"tick {tick} came to something else"
        assert recorded == now, f"tick {tick} is encoded or hashed in another way"


@pytest.mark.parametrize("tick", range(len(GOLDEN)))
def test_recorded_entries_are_canonical_and_chain_to_the_recorded_digests(tick):
    entry, fuel = (bytes.fromhex(part) for part in GOLDEN[tick][:2])
    assert encode_entry(decode_entry(entry)) == entry
    assert encode(decode_fuel(fuel)) == fuel
    digests = genesis(b"golden")
    for line in GOLDEN[: tick + 1]:
        digests = advance(digests, bytes.fromhex(line[0]), bytes.fromhex(line[1]))
    assert (digests.digest.hex(), digests.exact.hex()) == GOLDEN[tick][2:]
