import msgspec
import pytest

from tickwork.core.effects import (
    Call,
    Infer,
    Log,
    Metric,
    Output,
    Publish,
    Send,
    Spawn,
    Stop,
    Timer,
)
from tickwork.core.entry import (
    Entry,
    Fuel,
    Refusal,
    TurnEntry,
    Undelivered,
    decode_entry,
    decode_fuel,
    encode,
    encode_entry,
)
from tickwork.core.messages import Arrivals, Input
from tickwork.core.outcomes import OutcomeKind

EFFECTS = (
    Send("b", "t", b"x", (1 << 64) - 1),
    Publish("t", b""),
    Infer("m", b"", 1),
    Call("c", b"", 2),
    Output("o", b""),
    Timer("t", b"", (1 << 64) - 1, 0),
    Log(3, "\u00e9\0"),
    Metric("m", -0.0),
    Spawn("k/1", "k", b""),
    Stop(None, ""),
)
ENTRY = Entry(
    5,
    Arrivals((Input(0, b"line"),)),
    (
        TurnEntry(0, OutcomeKind.OK, EFFECTS, (Refusal(1, "denied", "why"),)),
        TurnEntry(3, OutcomeKind.EXIT, ()),
    ),
    (Undelivered(0, 5, 0, 0, "a", "why"),),
)


def test_every_kind_of_effect_survives_with_its_tag():
    again = decode_entry(encode_entry(ENTRY))
    assert again == ENTRY
    plain = msgspec.msgpack.decode(encode_entry(ENTRY))
    assert [effect[0] for effect in plain[2][0][2]] == list(range(10))


def test_the_bits_of_a_float_survive():
    for bits in (
        b"\x7f\xf8\0\0\0\0\0\0",
        b"\xff\xf8\0\0\0\0\0\1",
        b"\x80\0\0\0\0\0\0\0",
        b"\0\0\0\0\0\0\0\1",
    ):
        number = msgspec.msgpack.decode(b"\xcb" + bits)
        turn = TurnEntry(0, OutcomeKind.OK, (Metric("m", number),))
        encoded = encode_entry(Entry(0, Arrivals(), (turn,)))
        assert bits in encoded
        assert encode_entry(decode_entry(encoded)) == encoded


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "truncated"),
        (encode_entry(ENTRY)[:-1], "truncated"),
        (encode_entry(ENTRY) + b"\0", "trailing"),
        (b"\x93\x00\x91\x90\x91\x95\x00\xa4oops\x90\x90\xa0", "oops"),
        (b"\x93\x00\x91\x90\x91\x95\x00\xa2\xff\xfe\x90\x90\xa0", "utf-8"),
        (b"\x93\x00\x91\x90\x91\x95\x00\xa2ok\x91\x91\x0a\x90\xa0", "10"),
        (b"\x93\x00\x91\x90\xdd\xff\xff\xff\xff", "truncated"),
        (b"\x96\x00\x91\x90\x90\x90\x90" + b"\x91" * 100_000, "recursion"),
        (b"\x80", "array"),
    ],
)
def test_what_is_no_entry_is_a_decode_error_that_says_why(data, why):
    with pytest.raises(msgspec.DecodeError, match=why):
        decode_entry(data)


def test_what_is_no_fuel_is_a_decode_error():
    assert decode_fuel(encode(Fuel((1, 2)))) == Fuel((1, 2))
    for data in (b"", b"\x91\x91\xc3", b"\x91\x91\xcb\0\0\0\0\0\0\0\0"):
        with pytest.raises(msgspec.DecodeError):
            decode_fuel(data)
