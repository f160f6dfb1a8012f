"""The tiny agents as Extism plugins.

    python tiny_extism_host.py MODULE AGENTS MESSAGES TICKS WARM

Prints JSON.
"""

import json
import struct
import sys
import time
from importlib.metadata import version
from pathlib import Path

import extism

FNV = 1099511628211
MASK = (1 << 64) - 1


def messages_of(outbox: bytes) -> list[tuple[int, bytes]]:
    """Return the receivers and bodies of an outbox."""
    found = []
    (left,) = struct.unpack_from("<I", outbox)
    at = 4
    for _ in range(left):
        to, size = struct.unpack_from("<II", outbox, at)
        found.append((to, outbox[at + 8 : at + 8 + size]))
        at += 8 + (size + 3) // 4 * 4
    return found


def inbox_of(messages: list[tuple[int, bytes]]) -> bytes:
    """Return an inbox with these senders and bodies."""
    parts = [struct.pack("<I", len(messages))]
    for sender, body in messages:
        parts.append(struct.pack("<II", sender, len(body)) + body + bytes(-len(body) % 4))
    return b"".join(parts)


def main(path: str, count: int, messages: int, ticks: int, warm: int) -> None:
    """Run the crowd and print its speed and the last tick's checksum."""
    code = Path(path).read_bytes()
    plugins = [extism.Plugin(code, wasi=False) for _ in range(count)]
    for index, plugin in enumerate(plugins):
        plugin.call("init", struct.pack("<III", index, count, messages))
    boxes: list[list[tuple[int, bytes]]] = [[] for _ in range(count)]
    sent: list[list[tuple[int, bytes]]] = []
    started = 0.0
    for tick in range(1, warm + ticks + 1):
        if tick == warm + 1:
            started = time.perf_counter()
        sent = [
            messages_of(bytes(plugin.call("step", struct.pack("<I", tick) + inbox_of(box))))
            for plugin, box in zip(plugins, boxes, strict=True)
        ]
        boxes = [[] for _ in range(count)]
        for sender, mine in enumerate(sent):
            for to, body in mine:
                boxes[to].append((sender, body))
    rate = count * ticks / (time.perf_counter() - started)
    h = 14695981039346656037
    for mine in sent:
        for to, body in mine:
            for byte in to.to_bytes(4, "little") + body:
                h = (h ^ byte) * FNV & MASK
    print(json.dumps({"turns_per_s": rate, "checksum": f"{h:016x}", "version": version("extism")}))


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
