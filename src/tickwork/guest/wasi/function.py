"""A virtual WASI function: what it does, and the core signature under which it may be imported."""

from collections.abc import Sequence
from dataclasses import dataclass

from tickwork.guest.plan import ValueTypes
from tickwork.guest.virtual import HostCall, HostFunction

_LETTERS = {"i": "i32", "I": "i64"}


@dataclass(frozen=True, slots=True)
class Provided:
    """A function with its flattened core signature; with another signature its arguments are not its own."""

    params: ValueTypes
    results: ValueTypes
    run: HostFunction


def provided(signature: str, run: HostFunction) -> Provided:
    """Return `run` under `signature`: `PARAMS:RESULTS`, each a row of `i` (i32) and `I` (i64)."""
    params, _, results = signature.partition(":")
    return Provided(
        tuple(_LETTERS[letter] for letter in params),
        tuple(_LETTERS[letter] for letter in results),
        run,
    )


def constant(value: int) -> HostFunction:
    """Return a function whose core result is always `value`."""

    def answer(_call: HostCall, _args: Sequence[int]) -> int:
        return value

    return answer


def stored(result: bytes) -> HostFunction:
    """Return a function that always stores `result` at the return pointer, its last argument."""

    def answer(call: HostCall, args: Sequence[int]) -> None:
        call.write(args[-1], result)

    return answer
