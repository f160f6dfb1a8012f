"""The Canonical ABI of `tickwork:agent@1.0.0`: guest memory to effects, messages to guest memory.

Pure functions over bytes and a checked memory. The layouts follow the Component Model's CanonicalABI.md
(alignment, despecialised variants, strings as pointer and byte length in UTF-8) and are held by a golden
file. Whatever comes from a guest is hostile: pointers and lengths are checked against the memory, strings
for UTF-8, discriminants for range, before anything is made of them.
"""

import math
import struct
from collections.abc import Callable, Sequence
from typing import NoReturn, Protocol

from tickwork.core.effects import (
    Call,
    Effect,
    Infer,
    Level,
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
from tickwork.guest.virtual import GuestFault

# record message { sender: string, topic: string, body: list<u8>, reply-to: option<u64> }
MESSAGE = struct.Struct("<6IB7xQ")
MESSAGE_ALIGN = 8
# result<list<effect>, string> and result<_, string>: a discriminant, then pointer and length
RESULT = struct.Struct("<B3xII")
RESULT_ALIGN = 4
# variant effect, read as its widest case: send { to, topic, body, reply-to: option<u64> }
EFFECT = struct.Struct("<B7x6IB7xQ")
EFFECT_ALIGN = 8
_TIMER_NUMBERS = struct.Struct("<24xQQ8x")
_REQUEST = struct.Struct("<24xQ16x")
_METRIC_VALUE = struct.Struct("<16xd24x")
_ERROR_BYTES_MAX = 64 * 1024


class Sliceable(Protocol):
    """Slices to bytes. Nothing is checked: the caller keeps within the size."""

    def __getitem__(self, span: slice, /) -> bytes:
        """Return the bytes of a slice."""


class GuestMemory(Protocol):
    """A guest's linear memory, every access checked."""

    def read(self, pointer: int, length: int) -> bytes:
        """Return the bytes, or raise `GuestFault(BAD_POINTER)`."""

    def write(self, pointer: int, data: bytes) -> None:
        """Put the bytes, or raise `GuestFault(BAD_POINTER)`."""

    def window(self, *, grown: bool = False) -> tuple[Sliceable, int]:
        """Return the whole memory as something whose slices are bytes, and its size, which bounds them.

        The size may be an earlier one, which is safe; with `grown` it is the present one.
        """


Allocate = Callable[[int, int], int]  # (bytes, alignment) -> a pointer that the guest chose


def _aligned(pointer: int, align: int, what: str) -> int:
    if pointer % align:
        raise GuestFault(OutcomeKind.BAD_POINTER, f"{what} is not aligned to {align} bytes")
    return pointer


def _beyond(size: int) -> NoReturn:
    raise GuestFault(OutcomeKind.BAD_POINTER, f"a pointer reaches beyond the memory's {size} bytes")


def _text(data: bytes, what: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise GuestFault(OutcomeKind.BAD_UTF8, f"{what} is not valid UTF-8") from None


def check_list(pointer: int) -> int:
    """Return where `cabi_realloc` put the list of messages, or raise `GuestFault`."""
    return _aligned(pointer, MESSAGE_ALIGN, "the inbox given by cabi_realloc")


def check_block(pointer: int) -> int:
    """Return where `tickwork_inbox` put its block, or raise `GuestFault`."""
    return _aligned(pointer, MESSAGE_ALIGN, "the block given by tickwork_inbox")


def space_end() -> GuestFault:
    """Return the fault of a block so close to 4 GiB that not even an empty string can begin behind it."""
    return GuestFault(OutcomeKind.BAD_POINTER, "the inbox ends with the address space")


def store_bytes(memory: GuestMemory, allocate: Allocate, data: bytes) -> tuple[int, int]:
    """Lower a string or `list<u8>`; return pointer and length. Empty ones are allocated too, as specified."""
    pointer = allocate(len(data), 1)
    memory.write(pointer, data)
    return pointer, len(data)


def store_inbox(memory: GuestMemory, allocate: Allocate, inbox: Sequence[Message]) -> tuple[int, int]:
    """Lower `list<message>` piece by piece through the guest's `cabi_realloc`; return pointer and length."""
    size = MESSAGE.size * len(inbox)
    base = check_list(allocate(size, MESSAGE_ALIGN))
    records = []
    for message in inbox:
        sender = store_bytes(memory, allocate, message.sender.encode())
        topic = store_bytes(memory, allocate, message.topic.encode())
        body = store_bytes(memory, allocate, message.body)
        reply_to = message.reply_to
        records.append(MESSAGE.pack(*sender, *topic, *body, reply_to is not None, reply_to or 0))
    memory.write(base, b"".join(records))
    return base, len(inbox)


def store_inbox_at_once(
    memory: GuestMemory, allocate_inbox: Callable[[int], int], inbox: Sequence[Message], expected: int
) -> int:
    """Lower `list<message>` into one block from the guest's `tickwork_inbox`; return its pointer.

    The same layout as `store_inbox`, with everything that the records point to behind them. `expected` is
    where the guest is expected to put the block (it mostly is where the last one was): a wrong guess costs
    a second encoding, nothing else.
    """
    try:
        block = _inbox_block(inbox, expected)
    except struct.error:
        # Larger than the last one, it would reach beyond the address space there.
        expected = 0
        block = _inbox_block(inbox, expected)
    pointer = allocate_inbox(len(block))
    if pointer % MESSAGE_ALIGN:
        check_block(pointer)
    if pointer != expected:
        # Checked before anything is made of it: a guest may answer with any number.
        memory.write(pointer, block)
        try:
            block = _inbox_block(inbox, pointer)
        except struct.error:
            raise space_end() from None
    memory.write(pointer, block)
    return pointer


def _inbox_block(inbox: Sequence[Message], base: int) -> bytes:
    """Return an inbox as it lies in memory at `base`: the records, then what they point to."""
    at = base + MESSAGE.size * len(inbox)
    records: list[bytes] = []
    pieces: list[bytes] = []
    pack = MESSAGE.pack
    for message in inbox:
        sender = message.sender.encode()
        topic = message.topic.encode()
        body = message.body
        topic_at = at + len(sender)
        body_at = topic_at + len(topic)
        reply_to = message.reply_to
        records.append(
            pack(at, len(sender), topic_at, len(topic), body_at, len(body), 0, 0)
            if reply_to is None
            else pack(at, len(sender), topic_at, len(topic), body_at, len(body), 1, reply_to)
        )
        pieces += (sender, topic, body)
        at = body_at + len(body)
    records += pieces
    return b"".join(records)


def _load_result(memory: GuestMemory, pointer: int) -> tuple[int, int]:
    """Lift the `ok` case of either result, as two numbers, or raise the guest's own error."""
    data = memory.read(_aligned(pointer, RESULT_ALIGN, "the returned result"), RESULT.size)
    case, first, second = RESULT.unpack(data)
    if case == 0:
        return first, second
    if case != 1:
        raise GuestFault(OutcomeKind.BAD_VARIANT, f"the returned result has the case {case}")
    if second > _ERROR_BYTES_MAX:
        raise GuestFault(
            OutcomeKind.TOO_MANY_BYTES, f"the returned error is longer than {_ERROR_BYTES_MAX} bytes"
        )
    text = _text(memory.read(first, second), "the returned error")
    raise GuestFault(OutcomeKind.GUEST_ERROR, text)


def load_setup_result(memory: GuestMemory, pointer: int) -> None:
    """Lift `result<_, string>`; raise `GuestFault` unless it is `ok`."""
    _load_result(memory, pointer)


def load_step_result(memory: GuestMemory, pointer: int, limits: Limits) -> tuple[Effect, ...]:
    """Lift `result<list<effect>, string>` within the agent's limits; raise `GuestFault` otherwise."""
    base, count = _load_result(memory, pointer)
    if count == 0:
        return ()
    if count > limits.effects_per_turn:
        raise GuestFault(
            OutcomeKind.TOO_MANY_EFFECTS, f"{count} effects, the limit is {limits.effects_per_turn}"
        )
    data = memory.read(_aligned(base, EFFECT_ALIGN, "the list of effects"), count * EFFECT.size)
    effects: list[Effect] = []
    room = limits.bytes_per_turn
    window, size = memory.window()
    for (
        case,
        to_at,
        to_size,
        topic_at,
        topic_size,
        body_at,
        body_size,
        has_reply,
        reply,
    ) in EFFECT.iter_unpack(data):
        if case == 0:
            room -= to_size + topic_size + body_size
            if room < 0:
                break
            to_end = to_at + to_size
            topic_end = topic_at + topic_size
            body_end = body_at + body_size
            if to_end > size or topic_end > size or body_end > size:
                window, size = memory.window(grown=True)
                if to_end > size or topic_end > size or body_end > size:
                    _beyond(size)
            if has_reply > 1:
                raise GuestFault(OutcomeKind.BAD_VARIANT, f"an option has the case {has_reply}")
            try:
                to = window[to_at:to_end].decode()
                topic = window[topic_at:topic_end].decode()
            except UnicodeDecodeError:
                raise GuestFault(OutcomeKind.BAD_UTF8, "a send's `to` or topic is not valid UTF-8") from None
            effects.append(Send(to, topic, window[body_at:body_end], reply if has_reply else None))
            continue
        record = data[len(effects) * EFFECT.size : (len(effects) + 1) * EFFECT.size]
        effect, used = _load_other(memory, case, record, room)
        room -= used
        if effect is None:
            break
        effects.append(effect)
    if len(effects) < count:
        raise GuestFault(
            OutcomeKind.TOO_MANY_BYTES, f"the effects hold more than {limits.bytes_per_turn} bytes"
        )
    return tuple(effects)


def _load_other(memory: GuestMemory, case: int, record: bytes, room: int) -> tuple[Effect | None, int]:
    """Lift any effect but a send; return it with its size in bytes, or None if that is over `room`."""
    loader = _STOPS.get(record[8]) if case == _STOP_CASE else _LOADERS.get(case)
    if loader is None and case == _STOP_CASE:
        raise GuestFault(OutcomeKind.BAD_VARIANT, f"an option has the case {record[8]}")
    if loader is None:
        raise GuestFault(OutcomeKind.BAD_VARIANT, f"an effect has the case {case}")
    fields, make = loader
    pairs = fields.unpack(record)
    size = sum(pairs[1::2])
    if size > room:
        return None, size
    pieces = [memory.read(at, length) for at, length in zip(pairs[::2], pairs[1::2], strict=True)]
    return make(pieces, record), size


def _publish(pieces: list[bytes], _record: bytes) -> Effect:
    return Publish(_text(pieces[0], "a topic"), pieces[1])


def _infer(pieces: list[bytes], record: bytes) -> Effect:
    return Infer(_text(pieces[0], "a model's name"), pieces[1], _REQUEST.unpack(record)[0])


def _call(pieces: list[bytes], record: bytes) -> Effect:
    return Call(_text(pieces[0], "a tool's name"), pieces[1], _REQUEST.unpack(record)[0])


def _output(pieces: list[bytes], _record: bytes) -> Effect:
    return Output(_text(pieces[0], "an output's name"), pieces[1])


def _timer(pieces: list[bytes], record: bytes) -> Effect:
    after_ticks, request = _TIMER_NUMBERS.unpack(record)
    return Timer(_text(pieces[0], "a topic"), pieces[1], after_ticks, request)


def _log(pieces: list[bytes], record: bytes) -> Effect:
    level = record[8]
    if level > max(Level):
        raise GuestFault(OutcomeKind.BAD_VARIANT, f"a log level has the case {level}")
    return Log(level, _text(pieces[0], "a log line"))


def _metric(pieces: list[bytes], record: bytes) -> Effect:
    value = _METRIC_VALUE.unpack(record)[0]
    # Lifting a float canonicalises NaN, so that its bits cannot carry what the engine closed.
    return Metric(_text(pieces[0], "a metric's name"), math.nan if math.isnan(value) else value)


def _spawn(pieces: list[bytes], _record: bytes) -> Effect:
    return Spawn(_text(pieces[0], "an agent's id"), _text(pieces[1], "a kind"), pieces[2])


def _stop(pieces: list[bytes], _record: bytes) -> Effect:
    return Stop(_text(pieces[0], "an agent's id"), _text(pieces[1], "a reason"))


def _stop_self(pieces: list[bytes], _record: bytes) -> Effect:
    return Stop(None, _text(pieces[0], "a reason"))


_Loader = tuple[struct.Struct, Callable[[list[bytes], bytes], Effect]]
_TWO = struct.Struct("<8x4I24x")
_LOADERS: dict[int, _Loader] = {
    1: (_TWO, _publish),
    2: (_TWO, _infer),
    3: (_TWO, _call),
    4: (_TWO, _output),
    5: (_TWO, _timer),
    6: (struct.Struct("<12x2I28x"), _log),
    7: (struct.Struct("<8x2I32x"), _metric),
    8: (struct.Struct("<8x6I16x"), _spawn),
}
# stop { id: option<string>, reason: string }: the option's case decides whether the id is there to be read.
_STOP_CASE = 9
_STOPS: dict[int, _Loader] = {
    0: (struct.Struct("<20x2I20x"), _stop_self),
    1: (struct.Struct("<12x4I20x"), _stop),
}
