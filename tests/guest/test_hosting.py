"""What happens when a guest calls the host: fuel, faults, exceptions; all of it through a real engine."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from agent_files import EXPORTS, LIFTS, TYPES
from wasmtime import wat2wasm

from guests import OK, REALLOC, engine, outcomes, wat
from tickwork.core.errors import ModuleError
from tickwork.core.limits import Limits
from tickwork.core.outcomes import Outcome, OutcomeKind
from tickwork.guest import capi, hosting
from tickwork.guest.hosting import host_callback
from tickwork.guest.instance import Instance
from tickwork.guest.program import MEMORIES_MAX, Program
from tickwork.guest.virtual import GuestFault, HostCall

_YIELD = '(import "wasi_snapshot_preview1" "sched_yield" (func $host (result i32)))'
CALLER = wat(imports=_YIELD, step="(drop (call $host)) (i32.const 16)")


def served_by(function: Callable[[HostCall, Sequence[int]], int | None], code: bytes = CALLER) -> Program:
    """Return a program whose host function is `function`: what WASI does is tested elsewhere."""
    made = Program(engine(), code)
    made.callbacks = tuple(host_callback(host, function) for host in made.plan.hosts)
    return made


def stepped(made: Program, limits: Limits = Limits(), steps: int = 1) -> Outcome:  # noqa: B008
    instance = Instance(made, limits)
    try:
        outcome = instance.setup("a", b"", now_ns=0, start_ns=0, seed=0)
        for tick in range(1, steps + 1):
            assert outcome.kind is OutcomeKind.OK
            outcome = instance.step(tick, 0, 0, ())
        return outcome
    finally:
        instance.close()


class Odd(BaseException):
    """Nobody else's exception."""


@pytest.mark.parametrize("raised", [KeyboardInterrupt, SystemExit, MemoryError, ValueError, Odd])
def test_what_a_host_function_raises_comes_out_of_the_turn(raised: type[BaseException]) -> None:
    def function(_call: HostCall, _arguments: Sequence[int]) -> int:
        raise raised("on purpose")

    with pytest.raises(raised, match="on purpose"):
        stepped(served_by(function))


def test_a_guest_fault_of_a_host_function_is_the_turns_outcome() -> None:
    def function(_call: HostCall, _arguments: Sequence[int]) -> int:
        raise GuestFault(OutcomeKind.BAD_UTF8, "not a name")

    outcome = stepped(served_by(function))
    assert (outcome.kind, outcome.detail) == (OutcomeKind.BAD_UTF8, "not a name")


def test_a_fault_in_the_start_function_is_the_setups_outcome() -> None:
    def function(_call: HostCall, _arguments: Sequence[int]) -> int:
        raise GuestFault(OutcomeKind.EXIT, "at once")

    start = wat(imports=_YIELD, extra="(func $begin (drop (call $host))) (start $begin)")
    instance = Instance(served_by(function, start), Limits())
    outcome = instance.setup("a", b"", now_ns=0, start_ns=0, seed=0)
    instance.close()
    assert (outcome.kind, outcome.detail) == (OutcomeKind.EXIT, "at once")


def test_an_agent_can_go_on_beside_one_whose_host_function_raised() -> None:
    def function(_call: HostCall, _arguments: Sequence[int]) -> int:
        calls.append(1)
        if len(calls) == 1:
            raise GuestFault(OutcomeKind.EXIT)
        return 0

    calls: list[int] = []
    made = served_by(function)
    assert stepped(made).kind is OutcomeKind.EXIT
    assert stepped(made, steps=3).kind is OutcomeKind.OK
    assert len(calls) == 4


def test_arguments_arrive_unsigned_and_results_go_back_whole() -> None:
    seen: list[Sequence[int]] = []

    def function(_call: HostCall, arguments: Sequence[int]) -> int:
        seen.append(list(arguments))
        return -2

    code = wat(
        imports='(import "wasi_snapshot_preview1" "clock_time_get"'
        " (func $host (param i32 i64 i32) (result i32)))",
        step="""(if (i32.ne (i32.const -2) (call $host (i32.const -1) (i64.const -1) (i32.const 7)))
          (then (unreachable))) (i32.const 16)""",
    )
    assert stepped(served_by(function, code)).kind is OutcomeKind.OK
    assert seen == [[(1 << 32) - 1, (1 << 64) - 1, 7]]


def test_every_frame_is_forgotten_with_its_agent() -> None:
    before = dict(hosting._FRAMES)
    stepped(served_by(lambda _call, _arguments: 0), steps=2)
    assert before == hosting._FRAMES


# ---- fuel


def test_a_call_and_all_that_it_moves_is_charged() -> None:
    def used(function: Callable[[HostCall, Sequence[int]], int | None]) -> int:
        return stepped(served_by(function)).fuel

    def reads(call: HostCall, _arguments: Sequence[int]) -> int:
        call.read(0, 1000)
        return 0

    def writes(call: HostCall, _arguments: Sequence[int]) -> int:
        call.write(5000, bytes(1000))
        call.write(5000, b"")
        return 0

    idle = used(lambda _call, _arguments: 0)
    bare = stepped(Program(engine(), wat(step=OK))).fuel
    assert idle - bare > 10_000
    assert used(reads) - idle == 1_000 + 16 * 1_000
    assert used(writes) - idle == 2 * 1_000 + 16 * 1_000


@pytest.mark.parametrize("budget", [100, 9_999, 10_010, 15_000])
def test_a_call_that_costs_more_than_is_left_ends_the_turn(budget: int) -> None:
    def reads(call: HostCall, _arguments: Sequence[int]) -> int:
        call.read(0, 1000)
        return 0

    outcome = stepped(served_by(reads), Limits(fuel_per_turn=budget))
    assert (outcome.kind, outcome.fuel) == (OutcomeKind.OUT_OF_FUEL, budget)


# ---- components: the host may allocate in the guest


_INTERFACE = "wasi:random/random@0.2.0"
_IMPORT = (
    f'(import "{_INTERFACE}" (instance $random'
    ' (export "get-random-bytes" (func (param "len" u64) (result (list u8))))))'
)
_MEMORY = (
    '(core module $memory (memory (export "memory") 4) (global (export "free") (mut i32) (i32.const 65536)))'
)


def drawing(realloc: str, step: str = "(call $draw (i64.const 64) (i32.const 256)) (i32.const 16)") -> bytes:
    """Return a component that draws random bytes, which the host puts where `realloc` says.

    `realloc` is in a module of its own, and may itself draw through a table.
    """
    core = f"""
      (core module $allocator
        (import "m" "memory" (memory 4)) (import "m" "free" (global $free (mut i32)))
        (table (export "t") 1 funcref)
        (type $draw (func (param i64 i32)))
        (func (export "cabi_realloc") (param i32 i32 i32) (param $size i32) (result i32)
          (local $at i32) {realloc}))
      (core instance $m (instantiate $memory))
      (core instance $a (instantiate $allocator (with "m" (instance $m))))
      (alias export $random "get-random-bytes" (func $draw))
      (core func $draw (canon lower (func $draw) (memory (core memory $m "memory"))
        (realloc (core func $a "cabi_realloc"))))
      (core module $fill (import "a" "t" (table 1 funcref)) (import "h" "draw" (func $draw (param i64 i32)))
        (elem (i32.const 0) $draw))
      (core instance $h (export "draw" (func $draw)))
      (core instance (instantiate $fill (with "a" (instance $a)) (with "h" (instance $h))))
      (core module $main
        (import "m" "memory" (memory 4)) (import "h" "draw" (func $draw (param i64 i32)))
        (import "a" "cabi_realloc" (func $realloc (param i32 i32 i32 i32) (result i32)))
        (export "memory" (memory 0)) (export "cabi_realloc" (func $realloc))
        (func (export "setup") (param i32 i32 i32 i32 i32 i32) (result i32) (i32.const 16))
        (func (export "step") (param i64 i64 i64 i64 i32 i32) (result i32) {step}))
      (core instance $i (instantiate $main (with "m" (instance $m)) (with "h" (instance $h))
        (with "a" (instance $a))))
    """
    return bytes(wat2wasm(f"(component {_IMPORT} {_MEMORY} {core} {TYPES} {LIFTS} {EXPORTS})"))


def _once_drawing(does: str) -> str:
    """Return a realloc that allocates as usual, but for the host's 64 random bytes does this."""
    return f"(if (i32.eq (local.get $size) (i32.const 64)) (then {does})) {REALLOC}"


def test_a_host_function_allocates_through_the_guests_realloc() -> None:
    assert outcomes(drawing(REALLOC), steps=3)[-1].kind is OutcomeKind.OK


@pytest.mark.parametrize(
    ("does", "kind"),
    [
        ("(unreachable)", OutcomeKind.UNREACHABLE),
        ("(drop (i32.div_u (i32.const 1) (i32.const 0)))", OutcomeKind.INTEGER_DIVIDE_BY_ZERO),
        ("(loop $l (br $l))", OutcomeKind.OUT_OF_FUEL),
        ("(return (i32.const -8))", OutcomeKind.BAD_POINTER),
        ("(return (i32.const 262144))", OutcomeKind.BAD_POINTER),
    ],
)
def test_what_realloc_does_within_a_host_call_is_the_turns_outcome(does: str, kind: OutcomeKind) -> None:
    limits = Limits(fuel_per_turn=1_000_000)
    assert [o.kind for o in outcomes(drawing(_once_drawing(does)), limits=limits)] == [OutcomeKind.OK, kind]


def test_realloc_may_not_call_the_host_that_called_it() -> None:
    again = "(call_indirect (type $draw) (i64.const 64) (i32.const 512) (i32.const 0))"
    outcome = outcomes(drawing(_once_drawing(again)))[-1]
    assert outcome.kind is OutcomeKind.UNSUPPORTED_IMPORT
    assert outcome.detail == f"cabi_realloc called the host ({_INTERFACE}#get-random-bytes)"


def test_fuel_that_realloc_uses_within_a_host_call_is_charged_once() -> None:
    work = (
        "(loop $l (local.set $at (i32.add (local.get $at) (i32.const 1))) (br_if $l (i32.lt_u (local.get $at)"
        " (i32.const {}))))"
    )
    used = [outcomes(drawing(_once_drawing(work.format(rounds))))[-1].fuel for rounds in (100, 1_100, 2_100)]
    assert used[2] - used[1] == used[1] - used[0]
    assert 1_000 * 4 <= used[1] - used[0] <= 1_000 * 12


def test_an_agent_has_few_memories() -> None:
    many = "".join("(core instance (instantiate $one))" for _ in range(MEMORIES_MAX))
    code = wat2wasm(
        f'(component (core module $one (memory (export "m") 1)) {many}'
        f' (core module $m (memory (export "memory") 1)'
        '   (func (export "setup") (param i32 i32 i32 i32 i32 i32) (result i32) (i32.const 16))'
        '   (func (export "step") (param i64 i64 i64 i64 i32 i32) (result i32) (i32.const 32))'
        '   (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 64)))'
        f" (core instance $i (instantiate $m)) {TYPES} {LIFTS} {EXPORTS})"
    )
    with pytest.raises(ModuleError, match=f"have {MEMORIES_MAX + 1} memories in all; an agent has at most"):
        Program(engine(), bytes(code))


def test_a_callback_serves_nobody_it_does_not_know() -> None:
    """A frame that is gone is a trap, not an exception that escapes into C."""
    (callback,) = served_by(lambda _call, _arguments: 0).callbacks
    function: Any = callback
    trap = function(1 << 40, 0, 0, 0)
    assert trap
    code, _ = capi.take_trap(trap)
    assert code is None
