"""What came of a turn: effects and fuel, or a named failure."""

import enum

import msgspec

from tickwork.core.effects import Effect


class OutcomeKind(enum.StrEnum):
    """Every way in which a turn can end. The values are part of the run file's format."""

    OK = "ok"
    # The guest's own word: `setup` or `step` returned an error.
    GUEST_ERROR = "guest-error"
    # Limits.
    OUT_OF_FUEL = "out-of-fuel"
    OUT_OF_MEMORY = "out-of-memory"
    STACK_OVERFLOW = "stack-overflow"
    TOO_MANY_EFFECTS = "too-many-effects"
    TOO_MANY_BYTES = "too-many-bytes"
    # WASM traps.
    UNREACHABLE = "unreachable"
    MEMORY_OUT_OF_BOUNDS = "memory-out-of-bounds"
    TABLE_OUT_OF_BOUNDS = "table-out-of-bounds"
    BAD_INDIRECT_CALL = "bad-indirect-call"
    INTEGER_OVERFLOW = "integer-overflow"
    INTEGER_DIVIDE_BY_ZERO = "integer-divide-by-zero"
    BAD_CONVERSION = "bad-conversion"
    OTHER_TRAP = "other-trap"
    # Broken promises of the ABI.
    BAD_POINTER = "bad-pointer"
    BAD_UTF8 = "bad-utf8"
    BAD_VARIANT = "bad-variant"
    # Virtual WASI.
    EXIT = "exit"
    UNSUPPORTED_IMPORT = "unsupported-import"


class Outcome(msgspec.Struct, frozen=True, array_like=True):
    """What one turn gave. After a failure `effects` holds at most the captured output, as logs.

    `detail` is empty or text that every platform and engine version would give: the guest's own error, or
    a sentence of ours; never the engine's. A failed turn's `fuel` is its whole budget, because the
    engine's counter is stale after some traps.
    """

    kind: OutcomeKind
    effects: tuple[Effect, ...]
    fuel: int
    detail: str = ""
