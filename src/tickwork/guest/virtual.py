"""What a virtual WASI function may touch: the guest's memory, checked, and the agent's virtual state."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from tickwork.core.outcomes import OutcomeKind


class GuestFault(Exception):  # noqa: N818 - not an error of ours: it becomes the turn's outcome
    """Ends the turn with the named outcome; raised while a guest's call or answer is handled."""

    def __init__(self, kind: OutcomeKind, detail: str = "") -> None:
        super().__init__(kind, detail)
        self.kind = kind
        self.detail = detail


@dataclass(slots=True)
class VirtualState:
    """One agent's host-side state: part of every snapshot, changed only by its own turns.

    `now_ns` is the virtual wall clock; a sleep advances it until the turn ends. `seed` and `drawn` are the
    random stream's key and the bytes already taken from it. `output` holds what the turn printed, as
    (stream, bytes) with stream 1 for stdout and 2 for stderr.
    """

    now_ns: int = 0
    start_ns: int = 0
    seed: bytes = b""
    drawn: int = 0
    output: list[tuple[int, bytes]] = field(default_factory=list)
    output_bytes: int = 0


class HostCall(Protocol):
    """One call from a guest. Every pointer is checked; a bad one raises `GuestFault`."""

    state: VirtualState

    def read(self, pointer: int, length: int) -> bytes:
        """Return `length` bytes of the caller's memory at `pointer`."""

    def write(self, pointer: int, data: bytes) -> None:
        """Put `data` into the caller's memory at `pointer`."""

    def allocate(self, size: int, align: int) -> int:
        """Return a block from the guest's own `cabi_realloc`."""


# Takes the flattened core arguments as unsigned integers, returns the core result if there is one.
HostFunction = Callable[[HostCall, Sequence[int]], int | None]
