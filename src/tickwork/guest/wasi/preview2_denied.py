"""WASI 0.2's files and sockets: every function answers with an error code, because nothing is open.

No descriptor, socket or stream of these can exist (no preopens, no socket is ever created), so most of these
are reached only with forged handles.
"""

from tickwork.guest.virtual import HostFunction
from tickwork.guest.wasi.function import Provided, constant, provided, stored

# wasi:filesystem/types error-code and wasi:sockets/network error-code.
BAD_DESCRIPTOR = 3
ACCESS_DENIED = 1

# The handle of every pollable.
POLLABLE = 4

_ERROR = 1

_DESCRIPTOR = "wasi:filesystem/types#[method]descriptor."
_TCP = "wasi:sockets/tcp#[method]tcp-socket."
_UDP = "wasi:sockets/udp#[method]udp-socket."
_RECEIVER = "wasi:sockets/udp#[method]incoming-datagram-stream."
_SENDER = "wasi:sockets/udp#[method]outgoing-datagram-stream."

# An ip-socket-address is twelve values when flattened.
_ADDRESS = "i" * 12

# Name, parameters, and where the payload of the returned result lies: its alignment, at least 1.
_FILES = (
    (_DESCRIPTOR + "read-via-stream", "iIi", 4),
    (_DESCRIPTOR + "write-via-stream", "iIi", 4),
    (_DESCRIPTOR + "append-via-stream", "ii", 4),
    (_DESCRIPTOR + "advise", "iIIii", 1),
    (_DESCRIPTOR + "sync-data", "ii", 1),
    (_DESCRIPTOR + "get-flags", "ii", 1),
    (_DESCRIPTOR + "get-type", "ii", 1),
    (_DESCRIPTOR + "set-size", "iIi", 1),
    (_DESCRIPTOR + "set-times", "iiIiiIii", 1),
    (_DESCRIPTOR + "read", "iIIi", 4),
    (_DESCRIPTOR + "write", "iiiIi", 8),
    (_DESCRIPTOR + "read-directory", "ii", 4),
    (_DESCRIPTOR + "sync", "ii", 1),
    (_DESCRIPTOR + "create-directory-at", "iiii", 1),
    (_DESCRIPTOR + "stat", "ii", 8),
    (_DESCRIPTOR + "stat-at", "iiiii", 8),
    (_DESCRIPTOR + "set-times-at", "iiiiiIiiIii", 1),
    (_DESCRIPTOR + "link-at", "iiiiiiii", 1),
    (_DESCRIPTOR + "open-at", "iiiiiii", 4),
    (_DESCRIPTOR + "readlink-at", "iiii", 4),
    (_DESCRIPTOR + "remove-directory-at", "iiii", 1),
    (_DESCRIPTOR + "rename-at", "iiiiiii", 1),
    (_DESCRIPTOR + "symlink-at", "iiiiii", 1),
    (_DESCRIPTOR + "unlink-file-at", "iiii", 1),
    (_DESCRIPTOR + "metadata-hash", "ii", 8),
    (_DESCRIPTOR + "metadata-hash-at", "iiiii", 8),
    ("wasi:filesystem/types#[method]directory-entry-stream.read-directory-entry", "ii", 4),
)
_SOCKETS = (
    ("wasi:sockets/tcp-create-socket#create-tcp-socket", "ii", 4),
    ("wasi:sockets/udp-create-socket#create-udp-socket", "ii", 4),
    ("wasi:sockets/ip-name-lookup#resolve-addresses", "iiii", 4),
    ("wasi:sockets/ip-name-lookup#[method]resolve-address-stream.resolve-next-address", "ii", 2),
    (_TCP + "start-bind", "ii" + _ADDRESS + "i", 1),
    (_TCP + "finish-bind", "ii", 1),
    (_TCP + "start-connect", "ii" + _ADDRESS + "i", 1),
    (_TCP + "finish-connect", "ii", 4),
    (_TCP + "start-listen", "ii", 1),
    (_TCP + "finish-listen", "ii", 1),
    (_TCP + "accept", "ii", 4),
    (_TCP + "local-address", "ii", 4),
    (_TCP + "remote-address", "ii", 4),
    (_TCP + "set-listen-backlog-size", "iIi", 1),
    (_TCP + "keep-alive-enabled", "ii", 1),
    (_TCP + "set-keep-alive-enabled", "iii", 1),
    (_TCP + "keep-alive-idle-time", "ii", 8),
    (_TCP + "set-keep-alive-idle-time", "iIi", 1),
    (_TCP + "keep-alive-interval", "ii", 8),
    (_TCP + "set-keep-alive-interval", "iIi", 1),
    (_TCP + "keep-alive-count", "ii", 4),
    (_TCP + "set-keep-alive-count", "iii", 1),
    (_TCP + "hop-limit", "ii", 1),
    (_TCP + "set-hop-limit", "iii", 1),
    (_TCP + "receive-buffer-size", "ii", 8),
    (_TCP + "set-receive-buffer-size", "iIi", 1),
    (_TCP + "send-buffer-size", "ii", 8),
    (_TCP + "set-send-buffer-size", "iIi", 1),
    (_TCP + "shutdown", "iii", 1),
    (_UDP + "start-bind", "ii" + _ADDRESS + "i", 1),
    (_UDP + "finish-bind", "ii", 1),
    (_UDP + "stream", "ii" + _ADDRESS + "i", 4),
    (_UDP + "local-address", "ii", 4),
    (_UDP + "remote-address", "ii", 4),
    (_UDP + "unicast-hop-limit", "ii", 1),
    (_UDP + "set-unicast-hop-limit", "iii", 1),
    (_UDP + "receive-buffer-size", "ii", 8),
    (_UDP + "set-receive-buffer-size", "iIi", 1),
    (_UDP + "send-buffer-size", "ii", 8),
    (_UDP + "set-send-buffer-size", "iIi", 1),
    (_RECEIVER + "receive", "iIi", 4),
    (_SENDER + "check-send", "ii", 8),
    (_SENDER + "send", "iiii", 8),
)
# Answers that are no result: false, ipv4, or a pollable that is ready.
_SCALARS = (
    (_DESCRIPTOR + "is-same-object", "ii", 0),
    (_TCP + "is-listening", "i", 0),
    (_TCP + "address-family", "i", 0),
    (_UDP + "address-family", "i", 0),
    (_TCP + "subscribe", "i", POLLABLE),
    (_UDP + "subscribe", "i", POLLABLE),
    (_RECEIVER + "subscribe", "i", POLLABLE),
    (_SENDER + "subscribe", "i", POLLABLE),
    ("wasi:sockets/ip-name-lookup#[method]resolve-address-stream.subscribe", "i", POLLABLE),
)
# Whether an error of a stream is one of files or sockets: no stream ever fails.
_NO_ERROR_CODE = (
    ("wasi:filesystem/types#filesystem-error-code", "ii"),
    ("wasi:sockets/network#network-error-code", "ii"),
)


def _failure(payload: int, code: int) -> HostFunction:
    """Return a function that answers `err(code)` in a result whose payload lies at `payload`."""
    return stored(bytes([_ERROR]).ljust(payload, b"\0") + bytes([code]))


DENIED: dict[str, Provided] = {
    **{name: provided(f"{params}:", _failure(at, BAD_DESCRIPTOR)) for name, params, at in _FILES},
    **{name: provided(f"{params}:", _failure(at, ACCESS_DENIED)) for name, params, at in _SOCKETS},
    **{name: provided(f"{params}:i", constant(value)) for name, params, value in _SCALARS},
    **{name: provided(f"{params}:", stored(b"\0")) for name, params in _NO_ERROR_CODE},
}
