"""Each source of nondeterminism in WASM is closed, and stays so."""

import json
import os
import platform
import struct
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from wasmtime import wat2wasm

from guests import OK, engine, outcomes, program, wat
from tickwork.core.effects import Log, Send
from tickwork.core.errors import HostError, ModuleError
from tickwork.core.limits import MIB, Limits
from tickwork.core.outcomes import Outcome, OutcomeKind
from tickwork.guest.engine import WHOLE_AGENTS_MAX, WHOLE_BYTES, Engine, reservation
from tickwork.guest.instance import Instance
from tickwork.guest.program import Program

TESTS = Path(__file__).parents[1]
CANONICAL_NAN_64 = 0x7FF8000000000000
CANONICAL_NAN_32 = 0x7FC00000

# One effect at 64: a send whose body is the 64 bytes at 256.
_SEND = """
  (data (i32.const 48) "\\00\\00\\00\\00\\40\\00\\00\\00\\01")
  (data (i32.const 80) "\\00\\00\\00\\00\\00\\00\\00\\00\\00\\01\\00\\00\\40\\00\\00\\00")
"""


def sending(*stores: str, extra: str = "") -> bytes:
    """Return a guest that stores what it is told at 256, in steps of eight, and sends it."""
    told = "".join(f"(i64.store (i32.const {256 + 8 * place}) {what})" for place, what in enumerate(stores))
    return wat(step=f"{told} (i32.const 48)", extra=_SEND + extra)


def sent(code: bytes, limits: Limits = Limits()) -> list[int]:  # noqa: B008
    return _sent(outcomes(code, limits=limits)[1])


def _sent(outcome: Outcome) -> list[int]:
    (effect,) = outcome.effects
    assert isinstance(effect, Send)
    return list(struct.unpack("<8Q", effect.body))


# Each makes a NaN whose bits the WebAssembly specification leaves open.
_NANS_64 = (
    "(f64.div (f64.const 0) (f64.const 0))",
    "(f64.div (f64.const -0) (f64.const 0))",
    "(f64.sub (f64.const inf) (f64.const inf))",
    "(f64.sqrt (f64.const -1))",
    "(f64.mul (f64.const nan:0x4000000000123) (f64.const 2))",
    "(f64.add (f64.const -nan:0xfffffffffffff) (f64.const nan:0x4))",
    "(f64.min (f64.const nan:0x4000000000001) (f64.const 1))",
    "(f64.promote_f32 (f32.const nan:0x200001))",
)
_NANS_32 = (
    "(f32.div (f32.const 0) (f32.const 0))",
    "(f32.sub (f32.const inf) (f32.const inf))",
    "(f32.sqrt (f32.const -1))",
    "(f32.mul (f32.const nan:0x200123) (f32.const 2))",
    "(f32.demote_f64 (f64.const -nan:0x4000000000123))",
    "(f32.ceil (f32.const nan:0x1))",
    "(f32.max (f32.const -nan:0x3fffff) (f32.const 1))",
    "(f32.add (f32.const -nan) (f32.const nan:0x1))",
)


def test_a_nan_has_one_bit_pattern() -> None:
    assert sent(sending(*(f"(i64.reinterpret_f64 {nan})" for nan in _NANS_64))) == [CANONICAL_NAN_64] * 8
    stores = (f"(i64.extend_i32_u (i32.reinterpret_f32 {nan}))" for nan in _NANS_32)
    assert sent(sending(*stores)) == [CANONICAL_NAN_32] * 8


def test_a_nan_from_simd_has_one_bit_pattern() -> None:
    zero, nan = "(v128.const f64x2 0 0)", "(v128.const f64x2 -nan:0x4000000000123 nan:0x1)"
    made = (
        f"(f64x2.div {zero} {zero})",
        f"(f64x2.add {nan} {zero})",
        f"(f64x2.min {nan} {zero})",
        f"(f64x2.sqrt {nan})",
    )
    stores = [f"(i64x2.extract_lane {lane} {vector})" for vector in made for lane in (0, 1)]
    assert sent(sending(*stores)) == [CANONICAL_NAN_64] * 8


def test_bits_that_are_only_carried_are_the_guests_own() -> None:
    payload = 0x7FF4000000000123
    stores = [
        f"(i64.const {payload})",
        f"(i64.reinterpret_f64 (f64.neg (f64.reinterpret_i64 (i64.const {payload}))))",
        f"(i64.reinterpret_f64 (f64.abs (f64.reinterpret_i64 (i64.const {payload | 1 << 63}))))",
    ]
    assert sent(sending(*stores))[:3] == [payload, payload | 1 << 63, payload]


def outcome_on(chosen: Engine, code: bytes, limits: Limits = Limits()) -> Outcome:  # noqa: B008
    """Return the outcome of the first step of an agent on another engine than the tests'."""
    instance = Instance(Program(chosen, code), limits)
    try:
        assert instance.setup("a", b"", now_ns=0, start_ns=0, seed=0).kind is OutcomeKind.OK
        return instance.step(1, 0, 0, ())
    finally:
        instance.close()


def test_fast_floats_give_the_same_results_and_fuel_where_there_is_no_nan() -> None:
    numbers = [
        "(f64.sqrt (f64.const 2))",
        "(f64.div (f64.const 1) (f64.const -3))",
        "(f64.min (f64.const -0) (f64.const 0))",
        "(f64.promote_f32 (f32.mul (f32.const 1.1) (f32.const 3.3)))",
        "(f64.nearest (f64.const 2.5))",
        "(f64.add (f64.const 0x1p-1074) (f64.const 0x1p-1073))",
        "(f64.mul (f64.const 1e200) (f64.const 1e200))",
        "(f64.convert_i64_s (i64.const -9007199254740993))",
    ]
    code = sending(*(f"(i64.reinterpret_f64 {number})" for number in numbers))
    portable, fast = outcome_on(engine(), code), outcome_on(Engine(floats="fast"), code)
    assert len(set(_sent(portable))) == 8
    assert portable == fast


@pytest.mark.skipif(platform.machine() not in {"x86_64", "AMD64"}, reason="other processors, other NaNs")
def test_fast_floats_leave_a_nan_as_the_processor_makes_it() -> None:
    code = sending(*(f"(i64.reinterpret_f64 {nan})" for nan in _NANS_64))
    found = _sent(outcome_on(Engine(floats="fast"), code))
    # x86 sets the sign of a NaN that it makes, and keeps the payload of one that it is given.
    assert found[0] == 0xFFF8000000000000
    assert found[4] == 0x7FFC000000000123


def test_floats_that_nothing_computes_are_refused() -> None:
    with pytest.raises(HostError, match="nothing computes floats 'quick'; there are portable and fast"):
        Engine(floats="quick")


def test_relaxed_simd_is_its_deterministic_form() -> None:
    # The deterministic profile: multiply-add is fused, out-of-range lanes saturate, swizzle gives 0.
    fused = (
        "(f64x2.relaxed_madd (v128.const f64x2 0x1.0000000000001p0 1)"
        " (v128.const f64x2 0x1.0000000000001p0 1) (v128.const f64x2 -0x1.0000000000002p0 0))"
    )
    stores = [
        f"(i64x2.extract_lane 0 {fused})",
        "(i64x2.extract_lane 0 (i32x4.relaxed_trunc_f32x4_s (v128.const f32x4 nan inf 0 0)))",
        "(i64x2.extract_lane 0 (i8x16.relaxed_swizzle (v128.const i8x16 9 9 9 9 9 9 9 9 9 9 9 9 9 9 9 9)"
        " (v128.const i8x16 16 128 255 17 0 0 0 0 0 0 0 0 0 0 0 0)))",
    ]
    fma, truncated, swizzled = sent(sending(*stores))[:3]
    # Two roundings would give 0.
    assert struct.unpack("<d", struct.pack("<Q", fma))[0] == 2.0**-104
    assert truncated == 0x7FFFFFFF << 32
    assert swizzled == 0x0909090900000000


@pytest.mark.parametrize(
    "module",
    [
        '(memory (export "memory") 1 2 shared)',
        '(memory (export "memory") 1) (func (drop (i32.atomic.load (i32.const 0))))',
        '(memory (export "memory") 1) (memory 1)',
        '(memory (export "memory") i64 1)',
        '(memory (export "memory") 1) (tag)',
        '(memory (export "memory") 1) (type (struct))',
        '(memory (export "memory") 1 (pagesize 1))',
    ],
    ids=["shared memory", "atomics", "two memories", "64-bit memory", "exceptions", "GC types", "page size"],
)
def test_proposals_that_are_off_are_refused(module: str) -> None:
    with pytest.raises(ModuleError):
        Program(engine(), wat(memory=module))


@pytest.mark.parametrize("cap_pages", [32, 33, 40])
def test_memory_grows_to_the_cap_and_not_a_page_further(cap_pages: int) -> None:
    # 32 pages at first; a grow by one for each store, whose result is what is sent.
    grow = "(i64.extend_i32_s (memory.grow (i32.const 1)))"
    found = sent(sending(*[grow] * 8), Limits(memory_bytes=cap_pages * 65536))
    refused = (1 << 64) - 1
    assert found == [32 + place if 33 + place <= cap_pages else refused for place in range(8)]


@pytest.mark.parametrize("cap_pages", [32, 35, 1024])
def test_memory_that_reserves_less_grows_to_the_cap_too(cap_pages: int) -> None:
    steps = [1, 1, 1, 1, 980, 5, 3, 1]
    grows = [f"(i64.extend_i32_s (memory.grow (i32.const {step})))" for step in steps]
    # Each page that was gained is written to at its end, which traps where it is not there.
    touch = "(i32.store (i32.sub (i32.mul (memory.size) (i32.const 65536)) (i32.const 4)) (i32.const 1))"
    told = "".join(f"(i64.store (i32.const {256 + 8 * n}) {grow}) {touch}" for n, grow in enumerate(grows))
    code = wat(step=f"{told} (i32.const 48)", extra=_SEND)
    limits = Limits(memory_bytes=cap_pages * 65536)
    close = Engine(reserved_bytes=reservation(WHOLE_AGENTS_MAX + 1, limits.memory_bytes))
    assert close.reserved_bytes < WHOLE_BYTES
    found = outcome_on(close, code, limits)
    size, expected = 32, []
    for step in steps:
        fits = size + step <= cap_pages
        expected.append(size if fits else (1 << 64) - 1)
        size += step if fits else 0
    assert _sent(found) == expected
    assert found == outcome_on(engine(), code, limits)


@pytest.mark.parametrize("address", ["2097152", "2097149", "67108864", "-4"])
def test_a_memory_that_reserves_less_ends_where_it_ends(address: str) -> None:
    """Two MiB are the guest's; behind them lies what is reserved, and behind that another agent's memory."""
    close = Engine(reserved_bytes=64 * MIB)
    for access in (
        f"(drop (i32.load (i32.const {address})))",
        f"(i32.store (i32.const {address}) (i32.const 1))",
    ):
        outcome = outcome_on(close, wat(step=f"{access} {OK}"))
        assert outcome == outcome_on(engine(), wat(step=f"{access} {OK}"))
        assert outcome.kind is OutcomeKind.MEMORY_OUT_OF_BOUNDS


def test_a_cap_beyond_what_is_reserved_is_refused() -> None:
    with pytest.raises(HostError, match=r"limits\.memory_bytes is 67108865, more than the 67108864 bytes"):
        Instance(Program(Engine(reserved_bytes=64 * MIB), wat()), Limits(memory_bytes=64 * MIB + 1))


def test_what_is_reserved_follows_from_what_is_declared() -> None:
    assert reservation(WHOLE_AGENTS_MAX, 65536) == WHOLE_BYTES
    more = WHOLE_AGENTS_MAX + 1
    caps = [0, 1, 64 * MIB, 64 * MIB + 1, 1000 * MIB, WHOLE_BYTES]
    assert [reservation(more, cap) for cap in caps] == [
        64 * MIB,
        64 * MIB,
        64 * MIB,
        128 * MIB,
        1024 * MIB,
        WHOLE_BYTES,
    ]


def test_a_cap_within_a_page_is_the_whole_pages_below_it() -> None:
    grow = "(i64.extend_i32_s (memory.grow (i32.const 1)))"
    assert sent(sending(grow), Limits(memory_bytes=33 * 65536 - 1))[0] == (1 << 64) - 1


# Counts how deep it gets, and remembers the depth where a trap cannot undo it: in memory.
_DIVE = """
  (func $dive (i64.store (i32.const 256) (i64.add (i64.load (i32.const 256)) (i64.const 1)))
    (call $dive) (i64.store (i32.const 264) (i64.const 1)))
"""


def _depth(code: bytes) -> int:
    instance = Instance(program(code), Limits())
    try:
        assert instance.setup("a", b"", now_ns=0, start_ns=0, seed=0).kind is OutcomeKind.OK
        outcome = instance.step(1, 0, 0, ())
        assert outcome.kind is OutcomeKind.STACK_OVERFLOW
        return int.from_bytes(instance._memory.read(256, 8), "little")
    finally:
        instance.close()


def test_the_stack_overflows_at_one_depth_wherever_a_turn_runs() -> None:
    code = wat(step=f"(call $dive) {OK}", extra=_DIVE)
    depths = [_depth(code), _depth(code)]

    def deeper(levels: int) -> int:
        return _depth(code) if levels == 0 else deeper(levels - 1)

    depths.append(deeper(100))
    for _ in range(2):
        thread = threading.Thread(target=lambda: depths.append(_depth(code)))
        thread.start()
        thread.join()
    assert len(depths) == 5
    assert set(depths) == {depths[0]}
    assert depths[0] > 10_000


_WORKER = wat(
    setup="(drop (memory.grow (i32.const 1))) (i32.const 16)",
    step="""(local $i i64)
      (loop $l (local.set $i (i64.add (local.get $i) (i64.const 1)))
        (br_if $l (i64.lt_u (local.get $i) (i64.and (local.get $seed) (i64.const 1023)))))
      (i32.const 16)""",
    extra="(func $begin (memory.fill (i32.const 70000) (i32.const 7) (i32.const 1000))) (start $begin)",
)


def _fuel() -> list[int]:
    return [outcome.fuel for outcome in outcomes(_WORKER, steps=6)]


def test_fuel_is_the_same_in_every_instance() -> None:
    first = _fuel()
    assert len(set(first[1:])) > 1
    assert [_fuel() for _ in range(3)] == [first] * 3


def test_fuel_does_not_depend_on_the_process_or_the_cache(tmp_path: Path) -> None:
    command = "import json; from test_engine import _fuel; print(json.dumps(_fuel()))"
    found = []
    for _ in range(2):  # the first compiles, the second maps what was compiled
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS / "guest"), *sys.path]),
            "XDG_CACHE_HOME": str(tmp_path / "cache"),
        }
        done = subprocess.run(
            [sys.executable, "-c", command], env=environment, capture_output=True, check=True
        )
        found.append(json.loads(done.stdout))
    assert list((tmp_path / "cache" / "tickwork" / "compiled").iterdir())
    assert found == [_fuel()] * 2


def test_what_start_up_costs_is_not_charged() -> None:
    """A start function that works for long leaves setup's fuel as it is."""
    idle, busy = (
        wat(extra=f"(func $begin (local i32) {body}) (start $begin)")
        for body in (
            "",
            "(loop $l (local.set 0 (i32.add (local.get 0) (i32.const 1)))"
            " (br_if $l (i32.lt_u (local.get 0) (i32.const 5000))))",
        )
    )
    assert [o.fuel for o in outcomes(idle)] == [o.fuel for o in outcomes(busy)]


def test_a_failed_turn_is_charged_its_whole_budget() -> None:
    limits = Limits(fuel_per_turn=12_345)
    for step in ("(unreachable)", "(i32.const 3)", "(loop $l (br $l)) (unreachable)"):
        assert outcomes(wat(step=step), limits=limits)[-1].fuel == 12_345


def test_fuel_runs_out_at_one_budget_and_is_never_overdrawn() -> None:
    """The engine looks at its counter where loops and functions begin, so the last stretch may be free."""
    used = outcomes(_WORKER)[-1].fuel
    found = [
        outcomes(_WORKER, limits=Limits(fuel_per_turn=budget))[-1] for budget in range(used - 30, used + 3)
    ]
    kinds = [outcome.kind for outcome in found]
    enough = kinds.index(OutcomeKind.OK)
    assert 0 < enough <= 30
    assert kinds == [OutcomeKind.OUT_OF_FUEL] * enough + [OutcomeKind.OK] * (len(kinds) - enough)
    assert [outcome.fuel for outcome in found] == [min(used - 30 + n, used) for n in range(len(found))]


_P1 = '(import "wasi_snapshot_preview1" "{}" (func {} (result i32)))'


def test_clock_randomness_and_environment_are_virtual(monkeypatch: pytest.MonkeyPatch) -> None:
    code = wat(
        imports=_P1.format("clock_time_get", "$clock (param i32 i64 i32)")
        + _P1.format("random_get", "$random (param i32 i32)")
        + _P1.format("environ_sizes_get", "$environ (param i32 i32)"),
        step="""(drop (call $clock (i32.const 0) (i64.const 0) (i32.const 256)))
          (drop (call $random (i32.const 264) (i32.const 8)))
          (drop (call $environ (i32.const 272) (i32.const 276))) (i32.const 48)""",
        extra=_SEND,
    )
    monkeypatch.setenv("SECRET", "1")
    first, again = sent(code), sent(code)
    assert first == again
    # The outcomes of `guests` put tick 1 at 6 ns.
    assert first[0] == 6
    assert first[2] == 0


def test_the_configuration_is_named_by_one_hash() -> None:
    assert Engine().config_hash == engine().config_hash
    assert Engine().version == engine().version
    # Whether data is mapped or copied shows nowhere; the rest may.
    assert engine().without_images.config_hash == engine().config_hash
    others = [Engine(floats="fast"), Engine(reserved_bytes=64 * MIB), Engine(reserved_bytes=128 * MIB)]
    assert len({engine().config_hash, *(other.config_hash for other in others)}) == 4


def test_a_module_that_the_engine_refuses_is_refused_with_its_reason() -> None:
    with pytest.raises(ModuleError, match=r"(?s)the module is not valid WebAssembly: .*type mismatch"):
        engine().compile(bytes(wat2wasm("(module)")) + bytes.fromhex("010401600000030201000a060104006a1a0b"))


def test_logs_of_a_failed_turn_are_kept() -> None:
    code = wat(
        imports=_P1.format("fd_write", "$write (param i32 i32 i32 i32)"),
        step="(drop (call $write (i32.const 2) (i32.const 512) (i32.const 1) (i32.const 600))) (unreachable)",
        extra='(data (i32.const 512) "\\00\\03\\00\\00\\05\\00\\00\\00") (data (i32.const 768) "oh no")',
    )
    outcome: Outcome = outcomes(code)[-1]
    assert (outcome.kind, outcome.effects) == (OutcomeKind.UNREACHABLE, (Log(2, "oh no"),))
