"""Which numbers of a module's code could be addresses of its data, and that no instruction is misread."""

from pathlib import Path

import pytest
from agent_files import js_component
from wasmtime import wat2wasm

from tickwork.guest.addresses import static_addresses
from tickwork.guest.engine import Engine
from tickwork.guest.program import Program

DEDUP = Path(__file__).parents[2] / "examples" / "triage" / "dedup" / "dedup.wasm"

# Each has bytes that would be instructions if it were passed wrongly: 0x41 is `i32.const`, 0x28 a load.
HARMLESS = [
    "(drop (i64.const 0x4128))",
    "(drop (f32.const 9.25390625))",
    "(drop (f64.const 0x1.4128412841284p+10))",
    "(drop (v128.const i32x4 0x41414141 0x28282828 0x41414141 0x28282828))",
    "(drop (i8x16.shuffle 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 (local.get $v) (local.get $v)))",
    "(drop (i8x16.extract_lane_s 5 (local.get $v)))",
    "(drop (i32x4.add (local.get $v) (local.get $v)))",
    "(block $a (block $b (br_table $a $b $a $b (local.get $i))))",
    "(block (result i32) (local.get $i)) (drop)",
    "(if (local.get $i) (then (nop)) (else (unreachable)))",
    "(drop (select (result i32) (local.get $i) (local.get $i) (local.get $i)))",
    "(drop (call_indirect (type $t) (local.get $i)))",
    "(drop (memory.grow (memory.size)))",
    "(memory.copy (local.get $i) (local.get $i) (local.get $i))",
    "(memory.fill (local.get $i) (local.get $i) (local.get $i))",
    "(memory.init 1 (local.get $i) (local.get $i) (local.get $i))",
    "(drop (i32.trunc_sat_f64_s (f64.const 1)))",
    "(drop (ref.is_null (ref.func $f)))",
    "(drop (ref.is_null (ref.null func)))",
    "(drop (table.size 0))",
    "(global.set $g (global.get $g))",
    "(drop (i32.const 1023)) (drop (i32.const -1)) (drop (i32.const 65536))",
]
ADDRESSES = {
    "(drop (i32.const 1024))": {1024},
    "(drop (i32.const 65535))": {65535},
    "(drop (i32.load offset=2000 (local.get $i)))": {2000},
    "(i64.store offset=2001 align=1 (local.get $i) (i64.const 1))": {2001},
    "(i32.store8 offset=2002 (i32.const 2003) (i32.const 2004))": {2002, 2003, 2004},
    "(drop (v128.load offset=2005 (local.get $i)))": {2005},
    "(drop (v128.load32_zero offset=2006 (local.get $i)))": {2006},
    "(drop (v128.load8_lane offset=2007 3 (local.get $i) (local.get $v)))": {2007},
    "(v128.store64_lane offset=2008 1 (local.get $i) (local.get $v))": {2008},
}


def module(body: str, *, memory: str = "(memory 1)") -> bytes:
    return bytes(
        wat2wasm(f"""(module {memory} (type $t (func (result i32))) (table 1 funcref)
          (global $g (mut i32) (i32.const 5000)) (elem (i32.const 0) $f)
          (func $f (type $t) (i32.const 3000))
          (func (local $i i32) (local $v v128) {body} (drop (i32.const 4000)))
          (data (i32.const 1024) "some") (data "passive"))""")
    )


@pytest.mark.parametrize("body", HARMLESS)
def test_what_is_no_address_is_passed_whole(body: str) -> None:
    assert static_addresses(module(body)) == {3000, 4000}


@pytest.mark.parametrize("body", ADDRESSES)
def test_constants_and_offsets_within_the_data_are_found(body: str) -> None:
    assert static_addresses(module(body + HARMLESS[3])) == {3000, 4000} | ADDRESSES[body]


def test_all_instructions_at_once_are_passed() -> None:
    body = "".join((*HARMLESS, *ADDRESSES))
    assert static_addresses(module(body)) == {3000, 4000}.union(*ADDRESSES.values())


def test_data_begins_with_the_first_segment_and_ends_with_the_first_memory() -> None:
    body = "(drop (i32.const 70000)) (drop (i32.const 131072))"
    assert static_addresses(module(body, memory="(memory 2)")) == {3000, 4000, 70_000}
    assert 70_000 in static_addresses(module(body, memory='(import "a" "b" (memory 1))'))
    none = bytes(wat2wasm("(module (memory 1) (func (drop (i32.const 1023)) (drop (i32.const 1030))))"))
    assert static_addresses(none) == {1030}


@pytest.mark.parametrize("code", [DEDUP.read_bytes, js_component], ids=["rust", "js"])
def test_real_modules_are_read_to_their_ends(code) -> None:
    for core in Program(Engine(), code()).plan.modules:
        # A misread instruction would end in an error, or beyond a body's end.
        static_addresses(core.code)
