import json
import math
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import canonical
from canonical import EFFECT, MESSAGE, STEP_RESULT, Image, load, size_of
from guests import CASES, effect_value
from tickwork.core.effects import (
    Call,
    Effect,
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
from tickwork.core.limits import Limits
from tickwork.core.messages import Message
from tickwork.core.outcomes import OutcomeKind
from tickwork.guest import abi
from tickwork.guest.virtual import GuestFault

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden"
WIDE = Limits(effects_per_turn=1_000_000, bytes_per_turn=1 << 30)

_text = st.text(max_size=12) | st.sampled_from(["", "\0", "é", "\U0010ffff", "a" * 300])
_bytes = st.binary(max_size=12) | st.just(bytes(1000))
_u64 = st.integers(0, 3) | st.integers(0, (1 << 64) - 1)
effects: st.SearchStrategy[Effect] = st.one_of(
    st.builds(Send, _text, _text, _bytes, st.none() | _u64),
    st.builds(Publish, _text, _bytes),
    st.builds(Infer, _text, _bytes, _u64),
    st.builds(Call, _text, _bytes, _u64),
    st.builds(Output, _text, _bytes),
    st.builds(Timer, _text, _bytes, _u64, _u64),
    st.builds(Log, st.integers(0, 3), _text),
    st.builds(Metric, _text, st.floats(allow_nan=False)),
    st.builds(Spawn, _text, _text, _bytes),
    st.builds(Stop, st.none() | _text, _text),
)
messages = st.builds(
    Message, st.integers(0, 3), _u64, _u64, _u64, sender=_text, topic=_text, body=_bytes,
    reply_to=st.none() | _u64,
)  # fmt: skip


class Ram:
    """A guest's memory as bytes: the `GuestMemory` of these tests, with a bump allocator."""

    def __init__(self, size: int = 1 << 16, content: bytes = b"") -> None:
        self.data = bytearray(content) + bytes(size - len(content))
        self.free = 8
        self.asked: list[tuple[int, int]] = []

    def read(self, pointer: int, length: int) -> bytes:
        self._check(pointer, length)
        return bytes(self.data[pointer : pointer + length])

    def write(self, pointer: int, data: bytes) -> None:
        self._check(pointer, len(data))
        self.data[pointer : pointer + len(data)] = data

    def window(self, *, grown: bool = False) -> tuple[bytes, int]:  # noqa: ARG002 - as in GuestMemory
        return bytes(self.data), len(self.data)

    def allocate(self, size: int, align: int) -> int:
        self.asked.append((size, align))
        self.free = -(-self.free // align) * align + size
        return self.free - size

    def _check(self, pointer: int, length: int) -> None:
        if pointer + length > len(self.data):
            raise GuestFault(OutcomeKind.BAD_POINTER, "beyond")


def inbox_value(inbox: list[Message]) -> list[tuple[object, ...]]:
    return [(m.sender, m.topic, m.body, (0, None) if m.reply_to is None else (1, m.reply_to)) for m in inbox]


def read_inbox(memory: Ram, pointer: int, count: int) -> list[object]:
    stride = size_of(MESSAGE)
    return [load(bytes(memory.data), MESSAGE, pointer + place * stride) for place in range(count)]


@given(st.lists(effects, max_size=8), st.integers(0, 255), st.integers(0, 64))
def test_effects_are_read_as_the_specification_writes_them(
    wanted: list[Effect], filler: int, base: int
) -> None:
    image = Image(base, filler)
    pointer = image.store(STEP_RESULT, (0, [effect_value(effect) for effect in wanted]))
    memory = Ram(content=bytes(base) + bytes(image.data))
    assert abi.load_step_result(memory, pointer, WIDE) == tuple(wanted)


@given(st.lists(messages, max_size=6))
def test_an_inbox_is_written_as_the_specification_reads_it(inbox: list[Message]) -> None:
    memory = Ram()
    pointer, count = abi.store_inbox(memory, memory.allocate, inbox)
    assert read_inbox(memory, pointer, count) == inbox_value(inbox)
    # Empty strings and lists are allocated like any other.
    assert len(memory.asked) == 1 + 3 * len(inbox)
    assert memory.asked[0] == (size_of(MESSAGE) * len(inbox), canonical.align_of(MESSAGE))


@given(st.lists(messages, max_size=6), st.integers(0, 40), st.integers(0, 40))
def test_an_inbox_in_one_block_reads_the_same_wherever_it_was_expected(
    inbox: list[Message], at: int, expected: int
) -> None:
    memory = Ram()
    asked = []

    def block(size: int) -> int:
        asked.append(size)
        return at * 8

    pointer = abi.store_inbox_at_once(memory, block, inbox, expected * 8)
    assert pointer == at * 8
    assert read_inbox(memory, pointer, len(inbox)) == inbox_value(inbox)
    pieces = sum(len(m.sender.encode()) + len(m.topic.encode()) + len(m.body) for m in inbox)
    assert asked == [size_of(MESSAGE) * len(inbox) + pieces]
    # Nothing is written outside the block.
    assert not any(memory.data[: at * 8])
    assert not any(memory.data[at * 8 + asked[0] :])


@given(st.data())
def test_garbage_gives_effects_or_a_guest_fault(data: st.DataObject) -> None:
    memory = Ram(size=4096)
    # Words that are likely to be taken for pointers, counts and cases.
    words = st.sampled_from([0, 1, 2, 8, 9, 16, 48, 64, 4090, 4096, 1 << 31, (1 << 32) - 1])
    content = data.draw(st.lists(words | st.integers(0, (1 << 32) - 1), max_size=200))
    memory.data[: 4 * len(content)] = struct.pack(f"<{len(content)}I", *content)
    limits = data.draw(st.sampled_from([WIDE, Limits(), Limits(effects_per_turn=3, bytes_per_turn=20)]))
    pointer = data.draw(st.integers(0, 800).map(lambda at: at * 4) | st.integers(0, (1 << 32) - 1))
    try:
        found = abi.load_step_result(memory, pointer, limits)
    except GuestFault:
        return
    assert len(found) <= limits.effects_per_turn
    try:
        abi.load_setup_result(memory, pointer)
    except GuestFault:
        pytest.fail("a step's ok is no setup's")


@given(st.lists(effects, min_size=1, max_size=4), st.data())
def test_one_changed_byte_of_effects_gives_effects_or_a_guest_fault(
    wanted: list[Effect], data: st.DataObject
) -> None:
    image = Image(8)
    pointer = image.store(STEP_RESULT, (0, [effect_value(effect) for effect in wanted]))
    content = bytearray(bytes(8) + bytes(image.data))
    content[data.draw(st.integers(8, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = abi.load_step_result(Ram(content=bytes(content)), pointer, WIDE)
    except GuestFault:
        return
    assert all(type(effect).__name__.lower() in CASES for effect in found)


@pytest.mark.parametrize(
    "bits", [0x7FF0000000000001, 0xFFF8000000000000, 0x7FFFFFFFFFFFFFFF, 0x7FF8000000000000]
)
def test_a_metric_is_one_nan_whatever_its_bits(bits: int) -> None:
    image = Image(8)
    value = (CASES.index("metric"), ("m", struct.pack("<Q", bits)))
    pointer = image.store(STEP_RESULT, (0, [value]))
    (metric,) = abi.load_step_result(Ram(content=bytes(8) + bytes(image.data)), pointer, WIDE)
    assert isinstance(metric, Metric)
    assert struct.pack("<d", metric.value) == struct.pack("<d", math.nan)


def test_the_structs_have_the_sizes_of_the_specification() -> None:
    assert (abi.MESSAGE.size, abi.MESSAGE_ALIGN) == (size_of(MESSAGE), canonical.align_of(MESSAGE))
    assert (abi.EFFECT.size, abi.EFFECT_ALIGN) == (size_of(EFFECT), canonical.align_of(EFFECT))
    assert (abi.RESULT.size, abi.RESULT_ALIGN) == (size_of(STEP_RESULT), canonical.align_of(STEP_RESULT))


@pytest.mark.parametrize("expected", [(1 << 32) - 8, (1 << 32) - 64])
def test_an_inbox_may_be_expected_where_it_no_longer_fits(expected: int) -> None:
    memory = Ram()
    inbox = [Message(0, 0, 0, 0, "s", "t", bytes(200))]
    pointer = abi.store_inbox_at_once(memory, lambda _: 8, inbox, expected)
    assert read_inbox(memory, pointer, 1) == inbox_value(inbox)


class Endless(Ram):
    """A memory of 4 GiB, as far as bounds go."""

    def write(self, pointer: int, data: bytes) -> None:
        assert pointer + len(data) <= 1 << 32


def test_an_inbox_that_ends_with_the_address_space_is_a_bad_pointer() -> None:
    # Its last body is empty and would lie at 2^32, which no pointer can say.
    inbox = [Message(0, 0, 0, 0, "s" * 16, "t" * 8, b"")]
    with pytest.raises(GuestFault) as caught:
        abi.store_inbox_at_once(Endless(), lambda _: (1 << 32) - 64, inbox, 0)
    assert caught.value.kind is OutcomeKind.BAD_POINTER


# ---- golden bytes: written once for ABI 1.0.0, never again


def golden() -> dict[str, list[dict[str, object]]]:
    content: dict[str, list[dict[str, object]]] = json.loads((GOLDEN / "abi-1.0.0.json").read_bytes())
    return content


def test_the_golden_inbox_is_still_written_in_the_same_bytes() -> None:
    inbox = [
        Message(0, 0, 0, 0, m["sender"], m["topic"], bytes.fromhex(m["body"]), m["reply_to"])  # type: ignore[arg-type]
        for m in golden()["inbox"]
    ]
    memory = Ram(size=512)
    assert abi.store_inbox_at_once(memory, lambda _: 64, inbox, 64) == 64
    assert bytes(memory.data) == (GOLDEN / "abi-1.0.0-inbox.bin").read_bytes()


def test_the_golden_effects_are_still_read_from_the_same_bytes() -> None:
    content = (GOLDEN / "abi-1.0.0-effects.bin").read_bytes()
    found = abi.load_step_result(Ram(size=len(content), content=content), 64, Limits())
    read = [
        {
            "effect": type(effect).__name__.lower(),
            **{
                name: value.hex() if isinstance(value := getattr(effect, name), bytes) else value
                for name in effect.__struct_fields__
            },
        }
        for effect in found
    ]
    assert read == golden()["effects"]


def test_the_abi_definition_is_the_golden_one() -> None:
    # 1.x only adds: a new version gets a golden file of its own, and this one stays.
    expected = (GOLDEN / "tickwork-agent-1.0.0.wit").read_bytes()
    assert (ROOT / "wit" / "tickwork-agent.wit").read_bytes() == expected
    assert (ROOT / "src" / "tickwork" / "wit" / "tickwork-agent.wit").read_bytes() == expected
