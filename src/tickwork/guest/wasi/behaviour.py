"""What virtual WASI can do to an agent's state: print, let time pass, draw randomness.

Both previews are thin layouts over these three. Each takes bounded host time and memory, whatever lengths a
guest names: the fuel of a call is a few instructions.
"""

from blake3 import blake3

from tickwork.core.outcomes import OutcomeKind
from tickwork.guest.virtual import GuestFault, HostCall, VirtualState

STDOUT = 1
STDERR = 2

# Bytes that a turn may print. What comes after is dropped, with one marker in its place.
OUTPUT_BYTES_MAX = 64 * 1024
OUTPUT_TRUNCATED = b"[output truncated]"

# 2^63 - 1: the last nanosecond that a guest's signed 64-bit clock can hold (in the year 2262).
TIME_NS_MAX = (1 << 63) - 1

# Bytes of randomness in one call.
RANDOM_BYTES_MAX = 64 * 1024
_RANDOM_CONTEXT = "tickwork 1 wasi random"


def capture(call: HostCall, stream: int, pointer: int, length: int) -> None:
    """Keep what the guest prints, up to `OUTPUT_BYTES_MAX` a turn; the whole range is checked in any case."""
    kept = min(length, max(OUTPUT_BYTES_MAX - call.state.output_bytes, 0))
    if kept < length:
        call.read(pointer + length - 1, 1)
    _append(call.state, stream, call.read(pointer, kept), length)


def capture_zeroes(state: VirtualState, stream: int, length: int) -> None:
    """Keep `length` zero bytes as if they had been printed."""
    kept = min(length, max(OUTPUT_BYTES_MAX - state.output_bytes, 0))
    _append(state, stream, bytes(kept), length)


def _append(state: VirtualState, stream: int, kept: bytes, length: int) -> None:
    if kept:
        state.output.append((stream, kept))
    if len(kept) < length and state.output_bytes <= OUTPUT_BYTES_MAX:
        state.output.append((stream, OUTPUT_TRUNCATED))
        # One more than the cap says that the marker stands.
        state.output_bytes = OUTPUT_BYTES_MAX + 1
        return
    state.output_bytes += len(kept)


def monotonic_ns(state: VirtualState) -> int:
    """Return the nanoseconds since the run's virtual start."""
    return max(state.now_ns - state.start_ns, 0)


def sleep_until(state: VirtualState, deadline_ns: int) -> None:
    """Let virtual wall-clock time pass until `deadline_ns`; never backwards, never past `TIME_NS_MAX`."""
    state.now_ns = max(state.now_ns, min(deadline_ns, TIME_NS_MAX))


def draw(state: VirtualState, count: int) -> bytes:
    """Return the next `count` bytes of the agent's stream; a fault above `RANDOM_BYTES_MAX`."""
    if count > RANDOM_BYTES_MAX:
        raise GuestFault(
            OutcomeKind.TOO_MANY_BYTES,
            f"{count} random bytes were asked for; one call may take {RANDOM_BYTES_MAX}",
        )
    stream = blake3(state.seed, derive_key_context=_RANDOM_CONTEXT)
    drawn = stream.digest(length=count, seek=state.drawn)
    state.drawn += count
    return drawn
