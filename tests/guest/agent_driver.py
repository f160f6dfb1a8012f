"""Runs an agent's core module through plain wasmtime, by layouts written down here from the WIT alone."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import wasmtime

Inbox = Sequence[tuple[str, str, bytes, int | None]]
MASK = 0xFFFF_FFFF


class AgentError(Exception):
    """`setup` or `step` returned `err`."""


@dataclass
class AgentDriver:
    store: wasmtime.Store
    exports: Any
    memory: Any

    @classmethod
    def load(cls, code: bytes) -> "AgentDriver":
        store = wasmtime.Store()
        instance = wasmtime.Instance(store, wasmtime.Module(store.engine, code), [])
        exports = instance.exports(store)
        driver = cls(store, exports, exports["memory"])
        if "_initialize" in exports:
            driver.call("_initialize")
        return driver

    def call(self, name: str, *args: int) -> int:
        result = self.exports[name](self.store, *args)
        return 0 if result is None else result & MASK

    def read(self, pointer: int, size: int) -> bytes:
        return bytes(self.memory.read(self.store, pointer, pointer + size)) if size else b""

    def put(self, data: bytes, align: int = 1) -> int:
        pointer = self.call("cabi_realloc", 0, 0, align, len(data))
        assert pointer % align == 0
        assert pointer != 0
        self.memory.write(self.store, data, pointer)
        return pointer

    def setup(self, agent_id: str = "me", config: bytes = b"", abi: str = "1.0.0") -> None:
        args: list[int] = []
        for data in (agent_id.encode(), config, abi.encode()):
            args += (self.put(data), len(data))
        self.answer(self.call("setup", *args))
        if "cabi_post_setup" in self.exports:
            raise NotImplementedError

    def step(
        self,
        inbox: Inbox = (),
        *,
        tick: int = 1,
        now_ns: int = 2,
        seed: int = 3,
        fuel: int = 4,
        arena: bool = True,
    ) -> list[tuple[Any, ...]]:
        lower = self.inbox_at_once if arena else self.inbox_by_pieces
        result = self.call("step", tick, now_ns, seed, fuel, lower(inbox), len(inbox))
        base, count = self.answer(result)
        assert not count or base % 8 == 0
        return [self.effect(self.read(base + 48 * index, 48)) for index in range(count)]

    def inbox_at_once(self, inbox: Inbox) -> int:
        size = sum(40 + len(s.encode()) + len(t.encode()) + len(b) for s, t, b, _ in inbox)
        base = self.call("tickwork_inbox", size)
        assert base % 8 == 0
        records, tail, at = b"", b"", base + 40 * len(inbox)
        for sender, topic, body, reply_to in inbox:
            record = b""
            for piece in (sender.encode(), topic.encode(), body):
                record += struct.pack("<II", at, len(piece))
                at += len(piece)
                tail += piece
            records += record + struct.pack("<B7xQ", reply_to is not None, reply_to or 0)
        self.memory.write(self.store, records + tail, base)
        return base

    def inbox_by_pieces(self, inbox: Inbox) -> int:
        base = self.call("cabi_realloc", 0, 0, 8, 40 * len(inbox))
        records = b""
        for sender, topic, body, reply_to in inbox:
            for piece in (sender.encode(), topic.encode(), body):
                records += struct.pack("<II", self.put(piece), len(piece))
            records += struct.pack("<B7xQ", reply_to is not None, reply_to or 0)
        self.memory.write(self.store, records, base)
        return base

    def answer(self, pointer: int) -> tuple[int, int]:
        failed, first, count = struct.unpack("<B3xII", self.read(pointer, 12))
        if failed:
            raise AgentError(self.read(first, count).decode())
        return first, count

    def string(self, record: bytes, at: int) -> str:
        return self.body(record, at).decode()

    def body(self, record: bytes, at: int) -> bytes:
        return self.read(*struct.unpack_from("<II", record, at))

    def effect(self, record: bytes) -> tuple[Any, ...]:
        payload = record[8:]
        number = struct.unpack_from("<5Q", payload)
        match record[0]:
            case 0:
                reply_to = number[4] if payload[24] else None
                return (
                    "send",
                    self.string(payload, 0),
                    self.string(payload, 8),
                    self.body(payload, 16),
                    reply_to,
                )
            case 1:
                return "publish", self.string(payload, 0), self.body(payload, 8)
            case 2 | 3:
                name = "infer" if record[0] == 2 else "call"
                return name, self.string(payload, 0), self.body(payload, 8), number[2]
            case 4:
                return "output", self.string(payload, 0), self.body(payload, 8)
            case 5:
                return "timer", self.string(payload, 0), self.body(payload, 8), number[2], number[3]
            case 6:
                return "log", payload[0], self.string(payload, 4)
            case 7:
                return "metric", self.string(payload, 0), struct.unpack_from("<d", payload, 8)[0]
            case 8:
                return "spawn", self.string(payload, 0), self.string(payload, 8), self.body(payload, 16)
            case 9:
                stopped = self.string(payload, 4) if payload[0] else None
                return "stop", stopped, self.string(payload, 12)
            case case:
                raise AssertionError(f"effect {case}")
