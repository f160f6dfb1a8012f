import pytest
import wasmtime

from tickwork.core.errors import ModuleError
from tickwork.guest.engine import Engine
from tickwork.guest.mutation import hidden_change

# Every group of instructions that the scan steps over, with immediates that look like forbidden opcodes.
HARMLESS = {
    "block types": "(drop (block (result i32) (i32.const 0x26)))",
    "br_table": "(block (block (br_table 0 1 0 1 (i32.const 0x0926))))",
    "constants": "(drop (i64.const 0x26260c0c)) (drop (f32.const 0x1.26p1)) (drop (f64.const 0x1.2626p9))",
    "negative constants": "(drop (i64.const -9223372036854775808)) (drop (i32.const -1))",
    "locals and globals": "(local i32 i64 f64) (local.set 0 (i32.const 1)) (global.set 0 (global.get 0))",
    "memory": "(i32.store offset=38 (i32.const 0) (i32.load8_u offset=0x0c (i32.const 0)))",
    "growth": "(drop (memory.grow (i32.const 0))) (drop (memory.size))",
    "bulk memory": "(memory.copy (i32.const 0) (i32.const 0) (i32.const 1))"
    " (memory.fill (i32.const 0) (i32.const 0) (i32.const 1))"
    " (memory.init 0 (i32.const 0) (i32.const 0) (i32.const 0))",
    "calls": "(call 0) (call_indirect (type 0) (i32.const 0))",
    "table reads": "(drop (table.get 0 (i32.const 0))) (drop (table.size 0))"
    " (drop (ref.is_null (ref.func 0)))",
    "select": "(drop (select (result i32) (i32.const 1) (i32.const 2) (i32.const 3)))",
    "saturating conversions": "(drop (i64.trunc_sat_f64_u (f64.const 1)))",
    "vectors": "(drop (v128.const i8x16 0x26 0xfc 0x0c 0x0e 0x26 0xfc 0x09 0 0 0 0 0 0 0 0 0x26))"
    " (drop (i8x16.shuffle 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15"
    " (v128.load offset=38 (i32.const 0)) (v128.const i64x2 0 0)))"
    " (drop (i8x16.extract_lane_s 12 (v128.const i64x2 0 0)))"
    " (drop (v128.load8_lane offset=12 9 (i32.const 0) (v128.const i64x2 0 0)))"
    " (drop (i32x4.add (v128.load32_zero (i32.const 0)) (v128.const i64x2 0 0)))"
    " (drop (f64x2.relaxed_madd (v128.const i64x2 0 0) (v128.const i64x2 0 0) (v128.const i64x2 0 0)))",
    "tail calls": "(return_call 0)",
}

CHANGES = {
    "table.set": "(table.set 0 (i32.const 0) (ref.null func))",
    "table.grow": "(drop (table.grow 0 (ref.null func) (i32.const 1)))",
    "table.fill": "(table.fill 0 (i32.const 0) (ref.null func) (i32.const 0))",
    "table.copy": "(table.copy (i32.const 0) (i32.const 0) (i32.const 0))",
    "table.init": "(table.init 1 (i32.const 0) (i32.const 0) (i32.const 0))",
    "data.drop": "(data.drop 0)",
}


def module(body: str) -> bytes:
    return bytes(
        wasmtime.wat2wasm(
            '(module (type (func)) (table 2 funcref) (memory 1) (data "x") (global (mut i32) (i32.const 0))'
            " (elem (i32.const 0) func 0) (elem func 0)"
            f" (func {body}) (func (block (loop (br_if 1 (i32.const 0))))))"
        )
    )


@pytest.mark.parametrize("group", HARMLESS)
def test_harmless_instructions_are_stepped_over_whole(group: str) -> None:
    assert hidden_change(module(HARMLESS[group])) is None


@pytest.mark.parametrize("instruction", CHANGES)
@pytest.mark.parametrize("before", ["", *HARMLESS.values()])
def test_a_hidden_change_is_found_behind_anything(instruction: str, before: str) -> None:
    if "return_call" in before:
        before = ""  # what follows a tail call must still be found, and the next test has it
    assert hidden_change(module(before + CHANGES[instruction])) == instruction


def test_dead_code_is_scanned_too() -> None:
    assert hidden_change(module("(return) (table.set 0 (i32.const 0) (ref.null func))")) == "table.set"


def test_the_engine_refuses_a_module_that_changes_a_table() -> None:
    with pytest.raises(ModuleError, match=r"table\.set, whose effect no snapshot could hold"):
        Engine().compile(module(CHANGES["table.set"]))
