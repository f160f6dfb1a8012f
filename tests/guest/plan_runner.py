"""Carries out a link plan through wasmtime's ordinary API: slow, simple, and no part of the product."""

import struct
from collections.abc import Callable, Sequence

import wasmtime

from tickwork.guest.plan import ExportSource, HostImport, HostSource, LinkPlan, Source

_KINDS = {
    "i32": wasmtime.ValType.i32,
    "i64": wasmtime.ValType.i64,
    "f32": wasmtime.ValType.f32,
    "f64": wasmtime.ValType.f64,
}

Host = Callable[..., object]


def trap(*_: object) -> object:
    raise RuntimeError("no host function was expected to be called")


class Runner:
    """An instance of every core module of a plan, linked as the plan says."""

    def __init__(
        self,
        plan: LinkPlan,
        hosts: Callable[[HostImport], Host] = lambda _: trap,
        compiled: Sequence[wasmtime.Module] | None = None,
    ) -> None:
        self.plan = plan
        self.store = wasmtime.Store(compiled[0].engine if compiled else wasmtime.Engine())
        self.modules = compiled or [
            wasmtime.Module(self.store.engine, module.code) for module in plan.modules
        ]
        self.hosts = [self._host(host, hosts(host)) for host in plan.hosts]
        self.instances: list[wasmtime.Instance] = []
        for instance in plan.instances:
            imports = [self.item(source) for source in instance.imports]
            self.instances.append(wasmtime.Instance(self.store, self.modules[instance.module], imports))
        for source in plan.initialize:
            self.item(source)(self.store)

    def _host(self, host: HostImport, function: Host) -> wasmtime.Func:
        params = [_KINDS[kind]() for kind in host.params]
        results = [_KINDS[kind]() for kind in host.results]
        return wasmtime.Func(self.store, wasmtime.FuncType(params, results), function)

    def item(self, source: Source):
        if isinstance(source, HostSource):
            return self.hosts[source.host]
        assert isinstance(source, ExportSource)
        return self.instances[source.instance].exports(self.store)[source.export]

    # ---- the Canonical ABI, for what the tests pass

    def put(self, name: str, data: bytes, align: int = 1) -> tuple[int, int]:
        lifted = self.plan.lifted[name]
        pointer = self.item(lifted.realloc)(self.store, 0, 0, align, len(data))
        self.item(lifted.memory).write(self.store, data, pointer)
        return pointer, len(data)

    def peek(self, name: str, pointer: int, length: int) -> bytes:
        return bytes(self.item(self.plan.lifted[name].memory).read(self.store, pointer, pointer + length))

    def peek_list(self, name: str, pointer: int) -> bytes:
        return self.peek(name, *struct.unpack("<II", self.peek(name, pointer, 8)))

    def call(self, name: str, *arguments: int) -> int:
        return self.item(self.plan.lifted[name].func)(self.store, *arguments)

    def finish(self, name: str, pointer: int) -> None:
        post = self.plan.lifted[name].post
        if post is not None:
            self.item(post)(self.store, pointer)

    def setup(self, agent_id: str = "a", config: bytes = b"") -> str | None:
        words: list[int] = []
        for text in (agent_id.encode(), config, b"1.0.0"):
            words += self.put("setup", text)
        pointer = self.call("setup", *words)
        failed = self.peek("setup", pointer, 1) != b"\0"
        reason = self.peek_list("setup", pointer + 4).decode() if failed else None
        self.finish("setup", pointer)
        return reason

    def step(self, tick: int, inbox: Sequence[tuple[str, str, bytes, int | None]]) -> tuple[int, int]:
        """Return the result's address, and the number of effects; the caller calls `finish`."""
        records = b""
        for sender, topic, body, reply_to in inbox:
            for text in (sender.encode(), topic.encode(), body):
                records += struct.pack("<II", *self.put("step", text))
            records += struct.pack("<Q Q", reply_to is not None, reply_to or 0)
        pointer, _ = self.put("step", records, 8)
        result = self.call("step", tick, 1_000, 7, 10**9, pointer, len(inbox))
        assert self.peek("step", result, 1) == b"\0", self.peek_list("step", result + 4)
        return result, struct.unpack("<I", self.peek("step", result + 8, 4))[0]
