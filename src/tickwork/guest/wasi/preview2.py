"""WASI 0.2, virtual: standard streams, clocks, randomness, environment, exit.

Handles are constants, so drops are no-ops and no handle table needs a place in snapshots. The price: a timer
pollable cannot carry its deadline, so time passes when a guest *makes* one, and every pollable is ready.
Results larger than one core value go to the return pointer, which is the last argument; layouts are the
Canonical ABI's for the WIT of WASI 0.2. Names stand here without their version: all of 0.2 agree.
"""

import struct
from collections.abc import Sequence

from tickwork.core.outcomes import OutcomeKind
from tickwork.guest.virtual import GuestFault, HostCall, HostFunction
from tickwork.guest.wasi import behaviour
from tickwork.guest.wasi.function import Provided, constant, provided, stored
from tickwork.guest.wasi.preview2_denied import DENIED, POLLABLE

# Handles. Zero is not one in the Canonical ABI.
STDIN = 3
STDOUT = behaviour.STDOUT
STDERR = behaviour.STDERR
NETWORK = 5

# What `check-write` permits at once; printing more than it permits is kept or cut off all the same.
WRITE_BYTES = 64 * 1024
POLLABLES_MAX = 1024

_NS_PER_S = 1_000_000_000
_CLOCK_RESOLUTION_NS = 1

_OK = 0
_ERROR = 1
_CLOSED = 1  # stream-error: last-operation-failed, closed


def _nothing(_call: HostCall, _args: Sequence[int]) -> None:
    return None


# `none` of any option type: its discriminant is one byte.
_none = stored(b"\0")


def _empty_list(align: int) -> HostFunction:
    """Return a function that gives an empty list (or string) of elements with this alignment."""

    def answer(call: HostCall, args: Sequence[int]) -> None:
        call.write(args[-1], struct.pack("<II", call.allocate(0, align), 0))

    return answer


def _exit(_call: HostCall, args: Sequence[int]) -> None:
    raise GuestFault(OutcomeKind.EXIT, f"exit status {args[0]}")


# Clocks.


def _write_datetime(call: HostCall, pointer: int, time_ns: int) -> None:
    call.write(pointer, struct.pack("<QI", *divmod(time_ns, _NS_PER_S)))


def _wall_now(call: HostCall, args: Sequence[int]) -> None:
    _write_datetime(call, args[0], call.state.now_ns)


def _wall_resolution(call: HostCall, args: Sequence[int]) -> None:
    _write_datetime(call, args[0], _CLOCK_RESOLUTION_NS)


def _monotonic_now(call: HostCall, _args: Sequence[int]) -> int:
    return behaviour.monotonic_ns(call.state)


def _monotonic_resolution(_call: HostCall, _args: Sequence[int]) -> int:
    return _CLOCK_RESOLUTION_NS


def _subscribe_instant(call: HostCall, args: Sequence[int]) -> int:
    behaviour.sleep_until(call.state, call.state.start_ns + args[0])
    return POLLABLE


def _subscribe_duration(call: HostCall, args: Sequence[int]) -> int:
    behaviour.sleep_until(call.state, call.state.now_ns + args[0])
    return POLLABLE


def _poll(call: HostCall, args: Sequence[int]) -> None:
    pollables, count, result = args
    if not 0 < count <= POLLABLES_MAX:
        raise GuestFault(
            OutcomeKind.OTHER_TRAP,
            f"wasi:io/poll#poll was given {count} pollables; it takes 1 to {POLLABLES_MAX}",
        )
    call.read(pollables, 4 * count)
    ready = call.allocate(4 * count, 4)
    call.write(ready, struct.pack(f"<{count}I", *range(count)))
    call.write(result, struct.pack("<II", ready, count))


# Randomness.


def _random_bytes(call: HostCall, args: Sequence[int]) -> None:
    length, result = args
    drawn = behaviour.draw(call.state, length)
    pointer = call.allocate(length, 1)
    call.write(pointer, drawn)
    call.write(result, struct.pack("<II", pointer, length))


def _random_u64(call: HostCall, _args: Sequence[int]) -> int:
    return int.from_bytes(behaviour.draw(call.state, 8), "little")


def _insecure_seed(call: HostCall, args: Sequence[int]) -> None:
    call.write(args[0], behaviour.draw(call.state, 16))


# Streams. `result<_, stream-error>` and `result<list<u8>, stream-error>` have their payload at 4,
# `result<u64, stream-error>` at 8.


# `err(closed)` is what reading at the end of a stream gives.
_closed_plain = stored(bytes([_ERROR, 0, 0, 0, _CLOSED]))
_closed_count = stored(bytes([_ERROR, 0, 0, 0, 0, 0, 0, 0, _CLOSED]))


def _check_write(call: HostCall, args: Sequence[int]) -> None:
    stream, result = args
    if stream not in (STDOUT, STDERR):
        _closed_count(call, args)
        return
    call.write(result, struct.pack("<B7xQ", _OK, WRITE_BYTES))


def _write(call: HostCall, args: Sequence[int]) -> None:
    stream, pointer, length, result = args
    if stream not in (STDOUT, STDERR):
        _closed_plain(call, args)
        return
    behaviour.capture(call, stream, pointer, length)
    call.write(result, bytes([_OK]))


def _write_zeroes(call: HostCall, args: Sequence[int]) -> None:
    stream, length, result = args
    if stream not in (STDOUT, STDERR):
        _closed_plain(call, args)
        return
    behaviour.capture_zeroes(call.state, stream, length)
    call.write(result, bytes([_OK]))


def _flush(call: HostCall, args: Sequence[int]) -> None:
    stream, result = args
    if stream not in (STDOUT, STDERR):
        _closed_plain(call, args)
        return
    call.write(result, bytes([_OK]))


_INPUT = "wasi:io/streams#[method]input-stream."
_OUTPUT = "wasi:io/streams#[method]output-stream."

FUNCTIONS: dict[str, Provided] = {
    "wasi:cli/environment#get-environment": provided("i:", _empty_list(4)),
    "wasi:cli/environment#get-arguments": provided("i:", _empty_list(4)),
    "wasi:cli/environment#initial-cwd": provided("i:", _none),
    "wasi:cli/exit#exit": provided("i:", _exit),
    "wasi:cli/exit#exit-with-code": provided("i:", _exit),
    "wasi:cli/stdin#get-stdin": provided(":i", constant(STDIN)),
    "wasi:cli/stdout#get-stdout": provided(":i", constant(STDOUT)),
    "wasi:cli/stderr#get-stderr": provided(":i", constant(STDERR)),
    "wasi:cli/terminal-stdin#get-terminal-stdin": provided("i:", _none),
    "wasi:cli/terminal-stdout#get-terminal-stdout": provided("i:", _none),
    "wasi:cli/terminal-stderr#get-terminal-stderr": provided("i:", _none),
    "wasi:clocks/wall-clock#now": provided("i:", _wall_now),
    "wasi:clocks/wall-clock#resolution": provided("i:", _wall_resolution),
    "wasi:clocks/monotonic-clock#now": provided(":I", _monotonic_now),
    "wasi:clocks/monotonic-clock#resolution": provided(":I", _monotonic_resolution),
    "wasi:clocks/monotonic-clock#subscribe-instant": provided("I:i", _subscribe_instant),
    "wasi:clocks/monotonic-clock#subscribe-duration": provided("I:i", _subscribe_duration),
    "wasi:filesystem/preopens#get-directories": provided("i:", _empty_list(4)),
    "wasi:io/error#[method]error.to-debug-string": provided("ii:", _empty_list(1)),
    "wasi:io/poll#poll": provided("iii:", _poll),
    "wasi:io/poll#[method]pollable.block": provided("i:", _nothing),
    "wasi:io/poll#[method]pollable.ready": provided("i:i", constant(1)),
    _INPUT + "read": provided("iIi:", _closed_plain),
    _INPUT + "blocking-read": provided("iIi:", _closed_plain),
    _INPUT + "skip": provided("iIi:", _closed_count),
    _INPUT + "blocking-skip": provided("iIi:", _closed_count),
    _INPUT + "subscribe": provided("i:i", constant(POLLABLE)),
    _OUTPUT + "check-write": provided("ii:", _check_write),
    _OUTPUT + "write": provided("iiii:", _write),
    _OUTPUT + "blocking-write-and-flush": provided("iiii:", _write),
    _OUTPUT + "flush": provided("ii:", _flush),
    _OUTPUT + "blocking-flush": provided("ii:", _flush),
    _OUTPUT + "subscribe": provided("i:i", constant(POLLABLE)),
    _OUTPUT + "write-zeroes": provided("iIi:", _write_zeroes),
    _OUTPUT + "blocking-write-zeroes-and-flush": provided("iIi:", _write_zeroes),
    _OUTPUT + "splice": provided("iiIi:", _closed_count),
    _OUTPUT + "blocking-splice": provided("iiIi:", _closed_count),
    "wasi:random/random#get-random-bytes": provided("Ii:", _random_bytes),
    "wasi:random/random#get-random-u64": provided(":I", _random_u64),
    "wasi:random/insecure#get-insecure-random-bytes": provided("Ii:", _random_bytes),
    "wasi:random/insecure#get-insecure-random-u64": provided(":I", _random_u64),
    "wasi:random/insecure-seed#insecure-seed": provided("i:", _insecure_seed),
    "wasi:sockets/instance-network#instance-network": provided(":i", constant(NETWORK)),
    **DENIED,
}
