"""Every trap code of the engine and the outcome that it is."""

from wasmtime import TrapCode

from tickwork.core.outcomes import OutcomeKind

_BY_CODE: dict[int, OutcomeKind] = {
    TrapCode.STACK_OVERFLOW.value: OutcomeKind.STACK_OVERFLOW,
    TrapCode.MEMORY_OUT_OF_BOUNDS.value: OutcomeKind.MEMORY_OUT_OF_BOUNDS,
    TrapCode.TABLE_OUT_OF_BOUNDS.value: OutcomeKind.TABLE_OUT_OF_BOUNDS,
    TrapCode.INDIRECT_CALL_TO_NULL.value: OutcomeKind.BAD_INDIRECT_CALL,
    TrapCode.BAD_SIGNATURE.value: OutcomeKind.BAD_INDIRECT_CALL,
    TrapCode.INTEGER_OVERFLOW.value: OutcomeKind.INTEGER_OVERFLOW,
    TrapCode.INTEGER_DIVISION_BY_ZERO.value: OutcomeKind.INTEGER_DIVIDE_BY_ZERO,
    TrapCode.BAD_CONVERSION_TO_INTEGER.value: OutcomeKind.BAD_CONVERSION,
    TrapCode.UNREACHABLE.value: OutcomeKind.UNREACHABLE,
    TrapCode.OUT_OF_FUEL.value: OutcomeKind.OUT_OF_FUEL,
}


def outcome_of(code: int | None) -> OutcomeKind:
    """Return the outcome of a trap. Codes of proposals that the engine has off are `OTHER_TRAP`."""
    return _BY_CODE.get(-1 if code is None else code, OutcomeKind.OTHER_TRAP)
