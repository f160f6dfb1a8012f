import pytest
import wasmtime
from wasmtime import wat2wasm

from tickwork.core.errors import ModuleError
from tickwork.guest.core_module import ParsedModule
from tickwork.guest.exports import State, expose_state


def exposed(wat: str) -> tuple[bytes, bytes, State]:
    code = bytes(wat2wasm(wat))
    return code, *expose_state(ParsedModule(code, 0, len(code)))


def instance(code: bytes) -> tuple[wasmtime.Store, wasmtime.Instance]:
    store = wasmtime.Store()
    return store, wasmtime.Instance(store, wasmtime.Module(store.engine, code), [])


HIDDEN = """
  (memory 1) (global $n (mut i32) (i32.const 7)) (global i32 (i32.const 8)) (table 3 funcref)
  (func $add (global.set $n (i32.add (global.get $n) (i32.const 1))) (i32.store8 (i32.const 5) (i32.const 9)))
"""


def test_hidden_state_is_exported_and_is_the_state_the_code_uses() -> None:
    _, code, state = exposed(f'(module {HIDDEN} (export "add" (func $add)))')
    assert state == State(
        ("tickwork.state.memory.0",), (("tickwork.state.global.0", "i32"),), ("tickwork.state.table.0",)
    )
    store, made = instance(code)
    exports = made.exports(store)
    exports["add"](store)
    assert exports["tickwork.state.global.0"].value(store) == 8
    assert exports["tickwork.state.memory.0"].read(store, 5, 6) == b"\x09"
    assert exports["tickwork.state.table.0"].size(store) == 3


@pytest.mark.parametrize(
    "rest", ["(start $add)", "(elem (i32.const 0) $add)", '(data (i32.const 0) "x")', ""], ids=str
)
def test_a_module_without_exports_gets_the_section_in_its_place(rest: str) -> None:
    original, code, state = exposed(f"(module {HIDDEN} {rest})")
    store, made = instance(code)
    expected = 8 if "start" in rest else 7
    assert made.exports(store)[state.globals[0][0]].value(store) == expected
    assert len(original) < len(code)


def test_a_module_without_state_of_its_own_is_left_as_it_is() -> None:
    original, code, state = exposed(
        '(module (import "a" "m" (memory 1)) (import "a" "g" (global (mut i32)))'
        '(import "a" "t" (table 1 funcref))'
        "(global i64 (i64.const 1)) (func))"
    )
    assert code == original
    assert state == State((), (), ())


def test_state_that_is_exported_keeps_its_first_name() -> None:
    original, code, state = exposed(
        '(module (memory (export "b") (export "a") 1) (global (export "g") (mut f64) (f64.const 0)))'
    )
    assert code == original
    assert state == State(("b",), (("g", "f64"),), ())


def test_a_new_name_avoids_those_that_the_module_uses() -> None:
    _, code, state = exposed(
        """(module (memory 1) (func (export "tickwork.state.memory.0"))
          (func (export "tickwork.state.memory.0'")))"""
    )
    assert state.memories == ("tickwork.state.memory.0''",)
    wasmtime.Module(wasmtime.Engine(), code)


def test_indices_count_imports_first() -> None:
    _, code, state = exposed(
        """(module (import "a" "g" (global (mut i32)))
          (global (mut i64) (i64.const 2)) (global (mut i32) (i32.const 3)))"""
    )
    assert state.globals == (("tickwork.state.global.1", "i64"), ("tickwork.state.global.2", "i32"))
    store = wasmtime.Store()
    given = wasmtime.Global(store, wasmtime.GlobalType(wasmtime.ValType.i32(), True), wasmtime.Val.i32(1))
    made = wasmtime.Instance(store, wasmtime.Module(store.engine, code), [given])
    values = [made.exports(store)[name].value(store) for name, _ in state.globals]
    assert values == [2, 3]


def test_a_mutable_reference_is_refused_because_it_cannot_be_saved() -> None:
    with pytest.raises(ModuleError, match="holds a funcref"):
        exposed("(module (global (mut funcref) (ref.null func)))")
