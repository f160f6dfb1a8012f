"""WASI preview 1, virtual: descriptors 0, 1 and 2, no files, no sockets, a tick clock, a seeded stream.

Layouts and error numbers: `wasi_snapshot_preview1.witx`. Every function but `proc_exit` returns an errno.
"""

import struct
from collections.abc import Sequence
from typing import Final

from tickwork.core.outcomes import OutcomeKind
from tickwork.guest.virtual import GuestFault, HostCall, HostFunction
from tickwork.guest.wasi import behaviour
from tickwork.guest.wasi.function import Provided, constant, provided

MODULE = "wasi_snapshot_preview1"

SUCCESS: Final = 0
BADF: Final = 8
INVAL: Final = 28
NOTDIR: Final = 54
NOTSOCK: Final = 57
NOTSUP: Final = 58
SPIPE: Final = 70

# Vectors in one read or write, and subscriptions in one poll; POSIX's IOV_MAX on most systems.
VECTORS_MAX = 1024

_U32_MAX = 0xFFFF_FFFF
_STDIN = 0
_STANDARD = range(3)

# A character device without the rights to seek and tell is what libc calls a terminal. Its standard output
# is then line-buffered, which matters because nothing flushes it at the end of a turn.
_CHARACTER_DEVICE = 2
_RIGHT_READ = 1 << 1
_RIGHT_WRITE = 1 << 6
_RIGHT_POLL = 1 << 27

_CLOCK_REALTIME = 0
_CLOCKS = range(4)
_CLOCK_RESOLUTION_NS = 1

_EVENT_CLOCK = 0
_EVENTS = range(3)
_FLAG_ABSOLUTE_TIME = 1
_SUBSCRIPTION = struct.Struct(
    "<Q B 7x I 4x Q Q H 6x"
)  # userdata, tag, clock or fd, timeout, precision, flags
_EVENT = struct.Struct("<Q H B 5x Q H 6x")  # userdata, errno, type, nbytes, flags


def _on_descriptor(standard: int) -> HostFunction:
    """Return a function of a descriptor that answers `standard` for 0, 1 and 2, which are all there is."""

    def answer(_call: HostCall, args: Sequence[int]) -> int:
        return standard if args[0] in _STANDARD else BADF

    return answer


def _sizes_get(call: HostCall, args: Sequence[int]) -> int:
    call.write(args[0], bytes(4))
    call.write(args[1], bytes(4))
    return SUCCESS


def _clock_res_get(call: HostCall, args: Sequence[int]) -> int:
    clock, result = args
    if clock not in _CLOCKS:
        return INVAL
    call.write(result, struct.pack("<Q", _CLOCK_RESOLUTION_NS))
    return SUCCESS


def _clock_time_get(call: HostCall, args: Sequence[int]) -> int:
    clock, _precision, result = args
    if clock not in _CLOCKS:
        return INVAL
    now = call.state.now_ns if clock == _CLOCK_REALTIME else behaviour.monotonic_ns(call.state)
    call.write(result, struct.pack("<Q", now))
    return SUCCESS


def _fd_fdstat_get(call: HostCall, args: Sequence[int]) -> int:
    descriptor, result = args
    if descriptor not in _STANDARD:
        return BADF
    rights = _RIGHT_POLL | (_RIGHT_READ if descriptor == _STDIN else _RIGHT_WRITE)
    call.write(result, struct.pack("<B x H 4x Q Q", _CHARACTER_DEVICE, 0, rights, 0))
    return SUCCESS


def _fd_filestat_get(call: HostCall, args: Sequence[int]) -> int:
    descriptor, result = args
    if descriptor not in _STANDARD:
        return BADF
    device, inode, links, size, accessed, modified, changed = 0, descriptor, 1, 0, 0, 0, 0
    stat = (device, inode, _CHARACTER_DEVICE, links, size, accessed, modified, changed)
    call.write(result, struct.pack("<Q Q B 7x Q Q Q Q Q", *stat))
    return SUCCESS


def _fd_read(call: HostCall, args: Sequence[int]) -> int:
    descriptor, _vectors, _count, result = args
    if descriptor != _STDIN:
        return BADF
    call.write(result, bytes(4))
    return SUCCESS


def _fd_write(call: HostCall, args: Sequence[int]) -> int:
    descriptor, vectors, count, result = args
    if descriptor not in (behaviour.STDOUT, behaviour.STDERR):
        return BADF
    if count > VECTORS_MAX:
        return INVAL
    pieces = list(struct.iter_unpack("<II", call.read(vectors, 8 * count)))
    total = sum(length for _, length in pieces)
    if total > _U32_MAX:
        return INVAL
    for pointer, length in pieces:
        behaviour.capture(call, descriptor, pointer, length)
    call.write(result, struct.pack("<I", total))
    return SUCCESS


def _poll_oneoff(call: HostCall, args: Sequence[int]) -> int:
    """Answer what is ready; if only clocks are waited for, let time pass until the first of them is."""
    subscriptions, events, count, result = args
    if not 0 < count <= VECTORS_MAX:
        return INVAL
    asked = list(_SUBSCRIPTION.iter_unpack(call.read(subscriptions, _SUBSCRIPTION.size * count)))
    deadlines = {}
    for index, (_, tag, clock, timeout, _, flags) in enumerate(asked):
        if tag not in _EVENTS or (tag == _EVENT_CLOCK and clock not in _CLOCKS):
            return INVAL
        if tag == _EVENT_CLOCK:
            deadlines[index] = _deadline_ns(call, clock, timeout, flags)
    if len(deadlines) == count:
        behaviour.sleep_until(call.state, min(deadlines.values()))
    ready = b""
    for index, (userdata, tag, descriptor, *_) in enumerate(asked):
        if tag != _EVENT_CLOCK:
            ready += _EVENT.pack(userdata, SUCCESS if descriptor in _STANDARD else BADF, tag, 0, 0)
        elif deadlines[index] <= call.state.now_ns:
            ready += _EVENT.pack(userdata, SUCCESS, tag, 0, 0)
    call.write(events, ready)
    call.write(result, struct.pack("<I", len(ready) // _EVENT.size))
    return SUCCESS


def _deadline_ns(call: HostCall, clock: int, timeout: int, flags: int) -> int:
    """Return the deadline in wall-clock time; one beyond the end of time comes when time ends."""
    if not flags & _FLAG_ABSOLUTE_TIME:
        start = call.state.now_ns
    else:
        start = 0 if clock == _CLOCK_REALTIME else call.state.start_ns
    return min(start + timeout, behaviour.TIME_NS_MAX)


def _proc_exit(_call: HostCall, args: Sequence[int]) -> None:
    raise GuestFault(OutcomeKind.EXIT, f"exit status {args[0]}")


def _proc_raise(_call: HostCall, args: Sequence[int]) -> int:
    raise GuestFault(OutcomeKind.EXIT, f"signal {args[0]}")


def _random_get(call: HostCall, args: Sequence[int]) -> int:
    pointer, length = args
    call.write(pointer, behaviour.draw(call.state, length))
    return SUCCESS


_OK = constant(SUCCESS)
# There are no directories: 0, 1 and 2 are none, and nothing else is open.
_NO_DIRECTORY = _on_descriptor(NOTDIR)

FUNCTIONS: dict[str, Provided] = {
    "args_get": provided("ii:i", _OK),
    "args_sizes_get": provided("ii:i", _sizes_get),
    "environ_get": provided("ii:i", _OK),
    "environ_sizes_get": provided("ii:i", _sizes_get),
    "clock_res_get": provided("ii:i", _clock_res_get),
    "clock_time_get": provided("iIi:i", _clock_time_get),
    "fd_advise": provided("iIIi:i", _on_descriptor(SPIPE)),
    "fd_allocate": provided("iII:i", _on_descriptor(INVAL)),
    "fd_close": provided("i:i", _on_descriptor(SUCCESS)),
    "fd_datasync": provided("i:i", _on_descriptor(INVAL)),
    "fd_fdstat_get": provided("ii:i", _fd_fdstat_get),
    "fd_fdstat_set_flags": provided("ii:i", _on_descriptor(SUCCESS)),
    "fd_fdstat_set_rights": provided("iII:i", _on_descriptor(NOTSUP)),
    "fd_filestat_get": provided("ii:i", _fd_filestat_get),
    "fd_filestat_set_size": provided("iI:i", _on_descriptor(INVAL)),
    "fd_filestat_set_times": provided("iIIi:i", _on_descriptor(INVAL)),
    "fd_pread": provided("iiiIi:i", _on_descriptor(SPIPE)),
    "fd_prestat_get": provided("ii:i", constant(BADF)),
    "fd_prestat_dir_name": provided("iii:i", constant(BADF)),
    "fd_pwrite": provided("iiiIi:i", _on_descriptor(SPIPE)),
    "fd_read": provided("iiii:i", _fd_read),
    "fd_readdir": provided("iiiIi:i", _NO_DIRECTORY),
    "fd_renumber": provided("ii:i", _on_descriptor(NOTSUP)),
    "fd_seek": provided("iIii:i", _on_descriptor(SPIPE)),
    "fd_sync": provided("i:i", _on_descriptor(INVAL)),
    "fd_tell": provided("ii:i", _on_descriptor(SPIPE)),
    "fd_write": provided("iiii:i", _fd_write),
    "path_create_directory": provided("iii:i", _NO_DIRECTORY),
    "path_filestat_get": provided("iiiii:i", _NO_DIRECTORY),
    "path_filestat_set_times": provided("iiiiIIi:i", _NO_DIRECTORY),
    "path_link": provided("iiiiiii:i", _NO_DIRECTORY),
    "path_open": provided("iiiiiIIii:i", _NO_DIRECTORY),
    "path_readlink": provided("iiiiii:i", _NO_DIRECTORY),
    "path_remove_directory": provided("iii:i", _NO_DIRECTORY),
    "path_rename": provided("iiiiii:i", _NO_DIRECTORY),
    # The descriptor of a symlink's directory stands third, after the target's pointer and length.
    "path_symlink": provided("iiiii:i", constant(BADF)),
    "path_unlink_file": provided("iii:i", _NO_DIRECTORY),
    "poll_oneoff": provided("iiii:i", _poll_oneoff),
    "proc_exit": provided("i:", _proc_exit),
    "proc_raise": provided("i:i", _proc_raise),
    "random_get": provided("ii:i", _random_get),
    "sched_yield": provided(":i", _OK),
    "sock_accept": provided("iii:i", _on_descriptor(NOTSOCK)),
    "sock_recv": provided("iiiiii:i", _on_descriptor(NOTSOCK)),
    "sock_send": provided("iiiii:i", _on_descriptor(NOTSOCK)),
    "sock_shutdown": provided("ii:i", _on_descriptor(NOTSOCK)),
    # Hooks of the adapter that turns preview 1 modules into components.
    "adapter_close_badfd": provided("i:i", _OK),
    "adapter_open_badfd": provided("i:i", constant(NOTSUP)),
}
