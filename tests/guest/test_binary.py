import agent_files
import pytest
from hypothesis import given
from hypothesis import strategies as st
from wasmtime import wat2wasm

from tickwork.core.errors import ModuleError
from tickwork.guest.binary import Reader, encode_name, encode_u32, sections
from tickwork.guest.core_module import Export, GlobalType, ParsedModule, Signature


def parsed(wat: str) -> ParsedModule:
    code = bytes(wat2wasm(wat))
    return ParsedModule(code, 0, len(code))


def sleb(number: int) -> bytes:
    """Signed LEB128 by the specification's recursive definition."""
    low, rest = number & 0x7F, number >> 7
    if (rest == 0 and not low & 0x40) or (rest == -1 and low & 0x40):
        return bytes([low])
    return bytes([low | 0x80]) + sleb(rest)


@given(st.integers(0, 2**32 - 1))
def test_unsigned_numbers_round_trip(number: int) -> None:
    reader = Reader(encode_u32(number) + b"\xff")
    assert reader.u32() == number
    assert reader.at == len(encode_u32(number))


@given(st.integers(-(2**63), 2**63 - 1))
def test_signed_numbers_are_read_as_the_specification_writes_them(number: int) -> None:
    reader = Reader(sleb(number))
    assert reader.signed(64) == number
    reader.expect_end("the number")


@given(st.integers(0, 2**32 - 1), st.integers(0, 4))
def test_padded_numbers_are_read_while_they_fit_five_bytes(number: int, padding: int) -> None:
    short = encode_u32(number)
    padded = short[:-1]
    last = short[-1]
    for _ in range(min(padding, 5 - len(short))):
        padded += bytes([last | 0x80])
        last = 0
    assert Reader(padded + bytes([last])).u32() == number


@pytest.mark.parametrize(
    "data", [b"\x80\x80\x80\x80\x10", b"\xff\xff\xff\xff\x7f", b"\x80\x80\x80\x80\x80\x00", b"\x80" * 1000]
)
def test_numbers_beyond_32_bits_are_refused_at_their_first_byte(data: bytes) -> None:
    with pytest.raises(ModuleError, match=r"longer than 32 bits \(at byte 1\)"):
        Reader(b"\0" + data, 1).u32()


@pytest.mark.parametrize("number", [2**31, -(2**31) - 1, 2**40])
def test_signed_numbers_beyond_their_width_are_refused(number: int) -> None:
    with pytest.raises(ModuleError, match="longer than 32 bits"):
        Reader(sleb(number)).signed(32)


def test_a_reader_stops_at_its_end_even_where_the_file_goes_on() -> None:
    with pytest.raises(ModuleError, match=r"truncated.*at byte 2"):
        Reader(b"\x80\x80\x01", 0, 2).u32()
    with pytest.raises(ModuleError, match=r"2 bytes announced, 1 left"):
        Reader(b"\x02ab", 0, 2).name()


def test_a_vector_longer_than_the_file_is_refused_before_it_is_read() -> None:
    with pytest.raises(ModuleError, match="4294967295 items announced, 3 bytes left"):
        Reader(encode_u32(2**32 - 1) + b"abc").count()


def test_a_name_that_is_not_utf8_is_refused_at_its_first_byte() -> None:
    with pytest.raises(ModuleError, match=r"not UTF-8 \(at byte 1\)"):
        Reader(b"\x02\xc3\x28").name()
    assert Reader(encode_name("größe")).name() == "größe"


def test_a_section_that_outgrows_the_file_is_refused() -> None:
    with pytest.raises(ModuleError, match=r"section 1 announces 9 bytes, 1 left \(at byte 0\)"):
        list(sections(b"\x01\x09x", 0, 3))


def test_a_core_module_is_known_by_its_types_imports_exports_and_state() -> None:
    module = parsed("""(module
      (import "a" "f" (func (param i32 f64) (result i64)))
      (import "a" "g" (global (mut i64)))
      (import "a" "m" (memory 1))
      (import "a" "t" (table 1 funcref))
      (global $late (mut f32) (f32.const 1))
      (global (export "vector") v128 (v128.const i64x2 1 2))
      (global funcref (ref.func $own))
      (table 1 4 externref)
      (func $own (export "own") (param i64))
      (elem (i32.const 0) func $own) (elem (i32.const 0) $own) (elem declare func $own)
      (export "passed on" (func 0)) (export "late" (global $late)))""")
    assert [(i.module, i.name, i.kind, i.type) for i in module.imports] == [
        ("a", "f", "func", Signature(("i32", "f64"), ("i64",))),
        ("a", "g", "global", GlobalType("i64", True)),
        ("a", "m", "memory", None),
        ("a", "t", "table", None),
    ]
    assert module.exports["late"] == Export("global", 1)
    assert module.export_type("late") == GlobalType("f32", True)
    assert module.export_type("vector") == GlobalType("v128", False)
    assert module.export_signature("own") == Signature(("i64",), ())
    assert module.export_signature("passed on") == Signature(("i32", "f64"), ("i64",))
    assert module.export_signature("late") is None
    assert (module.memory_count, module.table_count, len(module.globals)) == (1, 2, 4)


@pytest.mark.parametrize(
    ("wat", "part"),
    [
        ("(module (memory 1 1 shared))", "a shared memory"),
        ("(module (memory i64 1))", "a 64-bit memory"),
        ('(module (import "a" "m" (memory i64 1)))', "a 64-bit memory"),
        ("(module (table i64 1 funcref))", "a 64-bit table"),
        ('(module (import "a" "t" (tag)))', "exceptions"),
        ("(module (tag))", "exceptions"),
        ("(module (func) (elem func 0))", "a passive element segment"),
        ("(module (func) (elem funcref (ref.func 0)) (table 1 funcref) (elem (i32.const 0) 0))", "passive"),
        ("(module (type (struct (field i32))))", "GC types"),
        ("(module (rec (type (func)) (type (func))))", "GC types"),
        ("(module (func (param (ref null 0))) (type (func)))", "typed references"),
        ("(module (global (mut i31ref) (ref.null i31)))", "value type 0x6c"),
    ],
)
def test_what_a_run_could_not_repeat_or_restore_is_refused_by_name(wat: str, part: str) -> None:
    with pytest.raises(ModuleError, match=rf"{part}.*\(at byte \d+\)"):
        parsed(wat)


def test_sections_out_of_order_or_repeated_are_refused() -> None:
    header, section = b"\0asm\x01\0\0\0", b"\x01\x01\x00"
    for code in (header + section + section, header + b"\x05\x01\x00" + section):
        with pytest.raises(ModuleError, match="section 1 is repeated or out of order"):
            ParsedModule(code, 0, len(code))


def test_two_exports_of_one_name_are_refused() -> None:
    code = b"\0asm\x01\0\0\0" + b"\x07\x09\x02" + b"\x01a\x00\x00" * 2
    with pytest.raises(ModuleError, match=r"'a' is exported twice \(at byte 15\)"):
        ParsedModule(code, 0, len(code))


@given(st.data())
def test_a_truncated_core_module_is_refused_or_still_whole(data: st.DataObject) -> None:
    code = agent_files.bare()
    end = data.draw(st.integers(0, len(code)))
    whole = {section.begin for section in sections(code, 8, len(code))} | {len(code)}
    try:
        ParsedModule(code[:end], 0, end)
        refused = False
    except ModuleError:
        refused = True
    assert refused == (end not in whole)
