import pytest
from wasmtime import TrapCode

from guests import outcomes, wat
from tickwork.core.outcomes import OutcomeKind
from tickwork.guest.traps import outcome_of

_FUNCTION = "(call_indirect (result i32) (i32.const {}))"
# For each code of a proposal that is on, what makes it, and what it is called.
REACHABLE: dict[TrapCode, tuple[OutcomeKind, str, str]] = {
    TrapCode.STACK_OVERFLOW: (
        OutcomeKind.STACK_OVERFLOW, "(call $down)",
        "(func $down (result i32) (i32.add (call $down) (i32.const 1)))"),
    TrapCode.MEMORY_OUT_OF_BOUNDS: (OutcomeKind.MEMORY_OUT_OF_BOUNDS, "(i32.load (i32.const -1))", ""),
    TrapCode.TABLE_OUT_OF_BOUNDS: (
        OutcomeKind.TABLE_OUT_OF_BOUNDS, _FUNCTION.format(1), "(table 1 funcref)"),
    TrapCode.INDIRECT_CALL_TO_NULL: (
        OutcomeKind.BAD_INDIRECT_CALL, _FUNCTION.format(0), "(table 1 funcref)"),
    TrapCode.BAD_SIGNATURE: (
        OutcomeKind.BAD_INDIRECT_CALL, _FUNCTION.format(0), "(table funcref (elem $setup))"),
    TrapCode.INTEGER_OVERFLOW: (
        OutcomeKind.INTEGER_OVERFLOW, "(i32.div_s (i32.const 0x80000000) (i32.const -1))", ""),
    TrapCode.INTEGER_DIVISION_BY_ZERO: (
        OutcomeKind.INTEGER_DIVIDE_BY_ZERO, "(i32.rem_u (i32.const 1) (i32.const 0))", ""),
    TrapCode.BAD_CONVERSION_TO_INTEGER: (
        OutcomeKind.BAD_CONVERSION, "(i32.trunc_f32_u (f32.const nan))", ""),
    TrapCode.UNREACHABLE: (OutcomeKind.UNREACHABLE, "(unreachable)", ""),
    TrapCode.OUT_OF_FUEL: (OutcomeKind.OUT_OF_FUEL, "(loop $l (br $l)) (unreachable)", ""),
}  # fmt: skip


@pytest.mark.parametrize("code", list(TrapCode), ids=lambda code: code.name)
def test_every_code_of_the_engine_is_a_failure_by_name(code: TrapCode) -> None:
    kind = outcome_of(code.value)
    assert kind is (REACHABLE[code][0] if code in REACHABLE else OutcomeKind.OTHER_TRAP)


@pytest.mark.parametrize("code", list(REACHABLE), ids=lambda code: code.name)
def test_a_guest_that_traps_ends_by_that_name(code: TrapCode) -> None:
    kind, step, extra = REACHABLE[code]
    outcome = outcomes(wat(step=step, extra=extra))[-1]
    # No words of the engine: they may change with its version.
    assert (outcome.kind, outcome.detail, outcome.effects) == (kind, "", ())


@pytest.mark.parametrize("code", [None, 99, 255])
def test_a_code_that_nobody_knows_is_some_other_trap(code: int | None) -> None:
    assert outcome_of(code) is OutcomeKind.OTHER_TRAP
