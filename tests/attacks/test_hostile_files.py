"""Files that are no agent: a clear refusal, or an agent with named outcomes; never a crash."""

import functools
from pathlib import Path
from typing import TYPE_CHECKING

import hostile_code
import pytest
from hostile_code import Attack
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from wasmtime import wat2wasm

from guests import wat
from tickwork.core.limits import Limits
from tickwork.core.outcomes import OutcomeKind
from tickwork.guest.binary import sections
from tickwork.guest.c_source import build_c

if TYPE_CHECKING:
    from conftest import Victim

LOAD_S = 20
SMALL = Limits(fuel_per_turn=200_000, fuel_setup=200_000)


def _imports(text: str) -> bytes:
    return wat(imports=text)


def _component(text: str) -> bytes:
    return bytes(wat2wasm(f"(component {text})"))


REFUSED = {
    "an import that nobody has": (
        _imports('(import "env" "open_socket" (func (param i32) (result i32)))'),
        "imports 'env#open_socket', which does not exist; an agent may import only WASI",
    ),
    "a WASI function that does not exist": (
        _imports('(import "wasi_snapshot_preview1" "fd_magic" (func))'),
        "which does not exist; preview 1 has no such function",
    ),
    "a WASI function of another type": (
        _imports('(import "wasi_snapshot_preview1" "fd_write" (func (param i32)))'),
        "imports 'wasi_snapshot_preview1#fd_write' as (i32) -> ()",
    ),
    "a WASI function without its result": (
        _imports('(import "wasi_snapshot_preview1" "random_get" (func (param i32 i32)))'),
        "imports 'wasi_snapshot_preview1#random_get' as (i32, i32) -> ()",
    ),
    "an imported memory": (_imports('(import "env" "m" (memory 1))'), "imports the memory 'env' 'm'"),
    "an imported table": (_imports('(import "env" "t" (table 1 funcref))'), "imports the table 'env' 't'"),
    "an imported global": (_imports('(import "env" "g" (global i32))'), "imports the global 'env' 'g'"),
    "another ABI version": (
        _imports('(import "tickwork:agent/blobs@2.0.0" "read" (func))'),
        "wrong ABI version: the module was built for 'tickwork:agent/blobs@2.0.0', this host speaks",
    ),
    "a foreign world": (
        _component('(core module $m) (core instance $i (instantiate $m))'),
        "without export 'setup'",
    ),
    "a module without exports": (bytes(wat2wasm("(module)")), "without export 'setup': it exports nothing"),
    "shared memory": (wat(memory='(memory (export "memory") 1 1 shared)'), "a shared memory (threads)"),
    "a 64-bit memory": (wat(memory='(memory (export "memory") i64 1)'), "a 64-bit memory"),
    "a table that changes": (
        wat(extra="(table 1 funcref) (func (drop (table.grow (ref.null func) (i32.const 9))))"),
        "uses table.grow",
    ),
    "passive elements": (
        wat(extra="(table 1 funcref) (elem funcref (ref.null func))"), "a passive element segment",
    ),
    "invalid code": (
        wat().replace(b"\x41\x10\x0b", b"\x41\x10\x1a", 1), "the module is not valid WebAssembly",
    ),
    "a component of nothing": (_component(""), "without export 'setup'"),
    "a component with a start": (
        _component('(import "f" (func $f)) (start $f)'), "not supported",
    ),
    "text": (b"print('hello')", "not a WebAssembly file"),
    "nothing": (b"", "not a WebAssembly file"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_that_cannot_be_an_agent_is_refused_in_words(victim: "Victim", name: str) -> None:
    code, words = REFUSED[name]
    found = victim.ask("attack", Attack(name, code, ()))
    assert words in found["error"]
    assert found["wall_s"] < LOAD_S


@functools.cache
def _originals() -> tuple[tuple[str, bytes], ...]:
    """Return real modules to be damaged, by name."""
    by_name = {attack.name: attack.code for attack in hostile_code.ALL}
    return (
        ("C", build_c(Path(__file__).with_name("clerk.c"))),
        ("WAT", wat(extra='(table funcref (elem $step)) (func (export "cabi_post_step") (param i32))')),
        ("WASI", by_name["both streams by turns"]),
        ("arena", by_name["tickwork_inbox moves about"]),
    )


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Return a real module with a few bytes changed, put in, taken out, or its end cut off."""
    code = bytearray(draw(st.sampled_from(_originals()))[1])
    for _ in range(draw(st.integers(1, 4))):
        # Behind the header, or nearly every module would be refused for not being one.
        at = draw(st.integers(8, len(code) - 1))
        match draw(st.integers(0, 9)):
            case 0:
                del code[at]
            case 1:
                code[at:at] = draw(st.binary(min_size=1, max_size=3))
            case 2 | 3 | 4:
                code[at] = draw(st.integers(0, 255))
            case 5:
                code[at:] = code[at:][: draw(st.integers(0, 40))]
            case _:
                code[at] ^= 1 << draw(st.integers(0, 7))
        if len(code) < 10:
            break
    return bytes(code)


@given(code=damaged())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, *settings().suppress_health_check])
def test_a_damaged_module_is_refused_or_comes_to_named_outcomes(victim: "Victim", code: bytes) -> None:
    found = victim.ask("attack", Attack("damaged", code, (), limits=SMALL))
    if "error" in found:
        assert found["error"]
    else:
        assert {kind for kind, _ in found["outcomes"]} <= set(OutcomeKind)
        assert found["others_unaffected"]
    assert found["wall_s"] < LOAD_S


def test_every_truncation_of_a_module_is_refused(victim: "Victim") -> None:
    whole = wat()
    # The names for debuggers come last, and a module without them is whole as well.
    (names,) = [section.begin for section in sections(whole, 8, len(whole)) if section.id == 0]
    for end in range(names):
        assert "error" in victim.ask("attack", Attack("cut", whole[:end], (), limits=SMALL)), end
