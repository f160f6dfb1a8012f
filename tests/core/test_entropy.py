import struct

import pytest
from blake3 import blake3

from tickwork.core.entropy import turn_seeds


def test_seeds_are_the_documented_bytes_of_the_stream():
    stream = blake3(struct.pack("<QQ", 7, 3), derive_key_context="tickwork 1 turn seed").digest(length=80)
    expected = [int.from_bytes(stream[8 * i : 8 * i + 8], "little") for i in range(10)]
    assert list(turn_seeds(7, 3, range(10), 10)) == expected
    assert list(turn_seeds(7, 3, [9], 10_000)) == expected[9:]


def test_seeds_never_change_between_versions():
    assert list(turn_seeds(0, 0, [0, 1], 2)) == [0xF844F231D87635BB, 0x83A6CD113A80168B]


def test_run_seed_tick_and_agent_each_change_the_seed():
    drawn = [
        seed
        for run in (0, 1, 1 << 63)
        for tick in (0, 1, 1 << 40)
        for seed in turn_seeds(run, tick, range(50), 50)
    ]
    assert len(set(drawn)) == len(drawn)


@pytest.mark.parametrize("count", [0, 1, 100_000])
def test_nobody_needs_no_seed(count):
    assert list(turn_seeds(1, 1, [], count)) == []


def test_both_ways_of_reading_the_stream_agree_at_their_border():
    everybody = list(turn_seeds(5, 5, range(1_600), 1_600))
    for size in (99, 100, 101):
        chosen = range(0, 15 * size, 15)
        assert list(turn_seeds(5, 5, [*chosen], 1_600)) == [everybody[i] for i in chosen]


def test_a_seed_beyond_64_bits_is_an_error_rather_than_another_seed():
    for run_seed in (-1, 1 << 64):
        with pytest.raises(struct.error):
            turn_seeds(run_seed, 0, [0], 1)
