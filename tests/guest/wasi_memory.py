"""A guest's memory as a bytearray: the `HostCall` of the virtual WASI tests."""

from tickwork.core.outcomes import OutcomeKind
from tickwork.guest.virtual import GuestFault, VirtualState

HEAP = 32 * 1024


class MemoryCall:
    def __init__(self, size: int = 128 * 1024, state: VirtualState | None = None) -> None:
        self.memory = bytearray(size)
        self.state = state or VirtualState(seed=b"seed")
        self.heap = HEAP
        self.read_bytes = 0

    def read(self, pointer: int, length: int) -> bytes:
        self._check(pointer, length)
        self.read_bytes += length
        return bytes(self.memory[pointer : pointer + length])

    def write(self, pointer: int, data: bytes) -> None:
        self._check(pointer, len(data))
        self.memory[pointer : pointer + len(data)] = data

    def allocate(self, size: int, align: int) -> int:
        start = -(-self.heap // align) * align
        self._check(start, size)
        self.heap = start + size
        return start

    def _check(self, pointer: int, length: int) -> None:
        if pointer < 0 or length < 0 or pointer + length > len(self.memory):
            raise GuestFault(OutcomeKind.BAD_POINTER, f"{length} bytes at {pointer}")
