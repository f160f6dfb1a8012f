"""Hostile answers: well-behaved code that lies about its memory, in every field that holds a pointer."""

import struct
from collections.abc import Iterator

from hostile_code import LIMITS, Attack

from canonical import EFFECT, EFFECTS, field_offset, payload_offset
from guests import CASES, Answers, effect_value, image_guest
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
from tickwork.core.outcomes import OutcomeKind as Kind

EVIL = "evil"
MEMORY_BYTES = 64 * 65536
_U32_MAX = 0xFFFFFFFF

EXAMPLES: tuple[Effect, ...] = (
    Send("g0", "topic", b"body", 1),
    Publish("topic", b"body"),
    Infer("model", b"body", 2),
    Call("tool", b"body", 3),
    Output("name", b"body"),
    Timer("topic", b"body", 4, 5),
    Log(2, "text"),
    Metric("name", 0.5),
    Spawn("k/a", "k", b"config"),
    Stop("g0", "reason"),
)
assert [type(effect).__name__.lower() for effect in EXAMPLES] == list(CASES)

_PAYLOAD = payload_offset(EFFECT)
_BAD_UTF8 = (b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"ok\xe2\x82")


def _attack(name: str, answers: Answers, *turns: Kind, detail: str = "", limits: Limits = LIMITS) -> Attack:
    return Attack(name, image_guest(), (Kind.OK, *turns), detail, limits, answers.config())


def _to(name: str, answers: Answers, kind: Kind, detail: str = "", limits: Limits = LIMITS) -> Attack:
    return _attack(name, answers, kind, detail=detail, limits=limits)


def _pairs(effect: Effect) -> Iterator[tuple[str, int, bool]]:
    """Yield name, offset in the record and whether it is text of each string and list of an effect."""
    kind = EFFECTS[CASES[effect_value(effect)[0]]]
    for place, (name, field) in enumerate(zip(effect.__struct_fields__, kind[1:], strict=True)):
        at = _PAYLOAD + field_offset(kind, place)
        if field == ("option", "string"):
            yield name, at + 4, True
        elif field in ("string", ("list", "u8")):
            yield name, at, field == "string"


def of_fields() -> Iterator[Attack]:
    """Yield attacks by every pointer and length of every effect."""
    for effect in EXAMPLES:
        for name, at, is_text in _pairs(effect):
            label = f"{CASES[effect_value(effect)[0]]}.{name}"
            for what, pointer, length in (
                ("beyond the memory", MEMORY_BYTES, 1),
                ("across the end", MEMORY_BYTES - 3, 4),
                ("at -1", _U32_MAX, 1),
                ("empty beyond the end", MEMORY_BYTES + 1, 0),
            ):
                lie = (at, struct.pack("<II", pointer, length))
                detail = f"the memory's {MEMORY_BYTES}"
                yield _to(f"{label} {what}", Answers(EVIL).record(effect, lie), Kind.BAD_POINTER, detail)
            for what, pointer, length in (("of 4 GiB", 0, _U32_MAX), ("wraps around", _U32_MAX, _U32_MAX)):
                lie = (at, struct.pack("<II", pointer, length))
                yield _to(f"{label} {what}", Answers(EVIL).record(effect, lie), Kind.TOO_MANY_BYTES)
            if is_text:
                for place, bad in enumerate(_BAD_UTF8):
                    answers = Answers(EVIL)
                    text = answers.image.allocate(len(bad))
                    answers.image.put(text, bad)
                    answers.record(effect, (at, struct.pack("<II", text, len(bad))))
                    yield _to(f"{label} with bad UTF-8 {place}", answers, Kind.BAD_UTF8)


def _tags() -> Iterator[Attack]:
    for tag in (10, 11, 128, 255):
        answers = Answers(EVIL).record(EXAMPLES[0], (0, bytes([tag])))
        yield _to(f"effect tag {tag}", answers, Kind.BAD_VARIANT, f"an effect has the case {tag}")
    for tag in (4, 255):
        answers = Answers(EVIL).record(EXAMPLES[6], (_PAYLOAD, bytes([tag])))
        yield _to(f"log level {tag}", answers, Kind.BAD_VARIANT, f"a log level has the case {tag}")
    for tag in (2, 255):
        option = _PAYLOAD + field_offset(EFFECTS["send"], 3)
        answers = Answers(EVIL).record(EXAMPLES[0], (option, bytes([tag])))
        yield _to(f"reply-to tag {tag}", answers, Kind.BAD_VARIANT, f"an option has the case {tag}")
        answers = Answers(EVIL).record(EXAMPLES[9], (_PAYLOAD, bytes([tag])))
        yield _to(f"stop's id tag {tag}", answers, Kind.BAD_VARIANT, f"an option has the case {tag}")
        for name, turns in (("step", (Kind.OK, Kind.BAD_VARIANT)), ("setup", (Kind.BAD_VARIANT,))):
            answers = Answers(EVIL)
            pointer = answers.image.allocate(12, 4)
            answers.image.put(pointer, bytes([tag]) + bytes(11))
            answers.add(pointer)
            if name == "setup":
                answers.pointers[0] = pointer
            yield Attack(
                f"{name} result tag {tag}", image_guest(), turns, f"has the case {tag}", LIMITS,
                answers.config(),
            )  # fmt: skip


def _results() -> Iterator[Attack]:
    for pointer in (1, 17, MEMORY_BYTES - 1):
        yield _to(
            f"result at odd {pointer}", Answers(EVIL).add(pointer), Kind.BAD_POINTER, "not aligned to 4"
        )
    for pointer in (MEMORY_BYTES, MEMORY_BYTES - 8, 1 << 31, _U32_MAX - 3):
        yield _to(f"result at {pointer}", Answers(EVIL).add(pointer), Kind.BAD_POINTER, "reach beyond")
    for pointer in (MEMORY_BYTES, MEMORY_BYTES - 40, (1 << 32) - 8):
        yield _to(f"list at {pointer}", Answers(EVIL).list_at(pointer, 1), Kind.BAD_POINTER, "reach beyond")
    yield _to("list at an odd address", Answers(EVIL).list_at(1028, 1), Kind.BAD_POINTER, "not aligned to 8")
    for count in (1001, 1 << 31, _U32_MAX):
        answers = Answers(EVIL).list_at(1024, count)
        yield _to(f"{count} effects claimed", answers, Kind.TOO_MANY_EFFECTS, "the limit is 1000")
    wide = Limits(fuel_per_turn=10**6, fuel_setup=10**6, effects_per_turn=_U32_MAX)
    yield _to(
        "2^32 - 1 effects claimed and allowed", Answers(EVIL).list_at(1024, _U32_MAX), Kind.BAD_POINTER,
        "reach beyond", wide,
    )  # fmt: skip
    yield _to(
        "three effects claimed where one is", _one_and_noise(), Kind.BAD_VARIANT, "an effect has the case"
    )
    # An empty list is empty wherever it is said to be.
    yield _attack("no effects at an impossible address", Answers(EVIL).list_at(_U32_MAX, 0), Kind.OK)


def _one_and_noise() -> Answers:
    answers = Answers(EVIL)
    answers.image.filler = 0x77
    at = answers.image.store(EFFECT, effect_value(Log(0, "one")))
    answers.image.allocate(96, 8)
    return answers.list_at(at, 3)


def _errors() -> Iterator[Attack]:
    for name, data, lie, kind, detail in (
        (
            "an error in its own words",
            "no such thing: é".encode(),
            None,
            Kind.GUEST_ERROR,
            "no such thing: é",
        ),
        ("an empty error", b"", None, Kind.GUEST_ERROR, ""),
        ("an error in bad UTF-8", b"\xff\xfe", None, Kind.BAD_UTF8, "the returned error"),
        ("an error of 1 MiB", bytes(1 << 20), None, Kind.TOO_MANY_BYTES, "longer than"),
        ("an error of 4 GiB", b"", (0, _U32_MAX), Kind.TOO_MANY_BYTES, "longer than"),
        ("an error beyond the memory", b"", (MEMORY_BYTES - 1, 2), Kind.BAD_POINTER, "reach beyond"),
        ("an error at -1", b"", (_U32_MAX, 1), Kind.BAD_POINTER, "reach beyond"),
    ):
        for in_setup in (True, False):
            answers = Answers(EVIL)
            text = answers.image.allocate(len(data))
            answers.image.put(text, data)
            at = answers.image.allocate(12, 4)
            answers.image.put(at, struct.pack("<III", 1, *(lie or (text, len(data)))))
            answers.add(at)
            if in_setup:
                answers.pointers[0] = at
            turns = (kind,) if in_setup else (Kind.OK, kind)
            where = "setup" if in_setup else "step"
            yield Attack(f"{name} from {where}", image_guest(), turns, detail, LIMITS, answers.config())


def _sizes() -> Iterator[Attack]:
    tight = Limits(fuel_per_turn=10**6, fuel_setup=10**7, bytes_per_turn=100, effects_per_turn=3)
    big = Publish("t", bytes(99))
    yield _attack("bytes just within the limit", Answers(EVIL).effects(big), Kind.OK, limits=tight)
    yield _to(
        "one byte over the limit", Answers(EVIL).effects(big, Log(0, "x")), Kind.TOO_MANY_BYTES,
        "more than 100 bytes", tight,
    )  # fmt: skip
    yield _to(
        "one send over the limit", Answers(EVIL).effects(Send("", "t", bytes(100))), Kind.TOO_MANY_BYTES,
        "more than 100 bytes", tight,
    )  # fmt: skip
    three = [Log(0, "x")] * 3
    yield _attack("effects just within the limit", Answers(EVIL).effects(*three), Kind.OK, limits=tight)
    yield _to(
        "one effect over the limit", Answers(EVIL).effects(*three, three[0]), Kind.TOO_MANY_EFFECTS,
        "4 effects, the limit is 3", tight,
    )  # fmt: skip
    # One megabyte, named a thousand times: what counts is what the host would have to copy.
    answers = Answers(EVIL)
    value = effect_value(Publish("t", bytes(2000)))
    at = answers.image.allocate(48 * 1000, 8)
    one = answers.image.store(EFFECT, value)
    record = bytes(answers.image.data[one - answers.image.base :])[:48]
    answers.image.put(at, record * 1000)
    yield _to("two kilobytes, a thousand times over", answers.list_at(at, 1000), Kind.TOO_MANY_BYTES)


def _overlaps() -> Iterator[Attack]:
    """Yield what is legal: pointers may overlap as they like, and the result may lie in its own list."""
    answers = Answers(EVIL)
    at = answers.image.store(EFFECT, effect_value(EXAMPLES[0]))
    everything = struct.pack("<II", at, 48)
    fields = [(offset, everything) for _, offset, is_text in _pairs(EXAMPLES[0]) if not is_text]
    answers.record(EXAMPLES[0], *fields)
    yield _attack("a body that is its own record", answers, Kind.OK)
    answers = Answers(EVIL)
    pairs = [(offset, struct.pack("<II", answers.image.base, 0)) for _, offset, _ in _pairs(EXAMPLES[0])]
    yield _attack("all strings empty at one place", answers.record(EXAMPLES[0], *pairs), Kind.OK)
    answers = Answers(EVIL)
    # The result's own twelve bytes are also the first of its record: case 0, then a pointer to itself.
    at = answers.image.allocate(48, 8)
    answers.image.put(at, struct.pack("<IIIIIIIIIIII", 0, at, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0))
    yield _attack("a result that is its own effect", answers.add(at), Kind.OK)


OTHERS = (*_tags(), *_results(), *_errors(), *_sizes(), *_overlaps())
FIELDS = tuple(of_fields())
