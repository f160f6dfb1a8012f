"""Answers that were computed before: a request that is asked again word for word is not computed again.

Only of models whose answers have the same bits every time, so that a memo saves work and changes nothing.
"""

import threading
from collections import OrderedDict

import msgspec
from blake3 import blake3

from tickwork.inference.language.response import Result
from tickwork.inference.plain.engine import PlainResult

BYTES_MAX = 64 << 20

AnyResult = Result | PlainResult


class Memo:
    """Results by what they are a function of; the least recently used go first. Any thread may use it."""

    def __init__(self, bytes_max: int = BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._bytes = 0
        self._held: OrderedDict[bytes, tuple[AnyResult, int]] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, key: bytes) -> AnyResult | None:
        """Return the result that is held under a key of `memo_key`, or None."""
        with self._lock:
            if key not in self._held:
                return None
            self._held.move_to_end(key)
            return self._held[key][0]

    def keep(self, key: bytes, result: AnyResult) -> None:
        """Hold a result, as long as there is room."""
        size = len(msgspec.msgpack.encode(result))
        with self._lock:
            if key in self._held or size > self._bytes_max:
                return
            self._held[key] = (result, size)
            self._bytes += size
            while self._bytes > self._bytes_max:
                _, (_, freed) = self._held.popitem(last=False)
                self._bytes -= freed


def memo_key(model: bytes, body: bytes, seed: int) -> bytes:
    """Return the key of a request; `model` says all of the model and its settings that answers depend on."""
    hasher = blake3(len(model).to_bytes(8, "little") + model, derive_key_context="tickwork 1 memo")
    return hasher.update(seed.to_bytes(8, "little") + body).digest()
