"""The only place where the engine is configured, and every source of nondeterminism in WASM closed.

| source | closed by |
|---|---|
| NaN bits | canonicalised by the compiler, unless the run says `floats = "fast"` |
| relaxed SIMD | its deterministic form |
| threads, shared memory | the proposals are off |
| memory growth | what an agent may come to is reserved, so growth fails at the agent's cap and nowhere else |
| stack depth | one fixed `max_wasm_stack` |
| clocks, randomness, files | virtual WASI; the engine's own is never linked |
| state that a snapshot cannot hold | modules that change tables or drop segments are refused |
"""

from functools import cached_property
from importlib.metadata import version

import msgspec
import wasmtime

from tickwork.core.digest import content_hash
from tickwork.core.errors import HostError, ModuleError
from tickwork.core.limits import MIB
from tickwork.core.spec import FLOATS, FLOATS_PORTABLE
from tickwork.guest.mutation import hidden_change

# The engine's default, stated because the depth at which a guest overflows is part of a run's result.
_WASM_STACK_BYTES = 2 << 20
# All that a 32-bit memory can come to: guests then need no bounds checks. Never moves, so addresses stay good
# for an instance's life; growth cannot fail for want of room.
WHOLE_BYTES = 4 << 30
# Of more memories than these, a process's 128 TiB could not hold the whole range with its guards.
WHOLE_AGENTS_MAX = 30_000
# The least that is reserved where it is less: caps below it share one configuration.
_CLOSE_BYTES_MIN = 64 * MIB

_CONFIG: dict[str, bool | int | str] = {
    "consume_fuel": True,
    "cranelift_nan_canonicalization": True,
    "cranelift_opt_level": "speed",
    "epoch_interruption": False,
    "max_wasm_stack": _WASM_STACK_BYTES,
    "memory_init_cow": True,
    "memory_may_move": False,
    "memory_reservation": WHOLE_BYTES,
    "parallel_compilation": True,
    "shared_memory": False,
    "wasm_bulk_memory": True,
    "wasm_custom_page_sizes": False,
    "wasm_exceptions": False,
    "wasm_function_references": False,
    "wasm_gc": False,
    "wasm_memory64": False,
    "wasm_multi_memory": False,
    "wasm_multi_value": True,
    "wasm_reference_types": True,
    "wasm_relaxed_simd": True,
    "wasm_relaxed_simd_deterministic": True,
    "wasm_simd": True,
    "wasm_stack_switching": False,
    "wasm_tail_call": True,
    "wasm_threads": False,
    "wasm_wide_arithmetic": False,
}


class Engine:
    """A wasmtime engine in tickwork's configuration.

    `version` and `config_hash` go into the run file: exactness rests on both. Compiled code is only good
    for an engine with the same two and the same `images`.

    `reserved_bytes` is the address space that each memory is given, no less than its cap. Below the whole
    4 GiB the compiled code checks every access, and many more agents fit into one process. It is part of the
    configuration because it may change how deep a guest's stack reaches.
    """

    def __init__(
        self, *, floats: str = FLOATS_PORTABLE, reserved_bytes: int = WHOLE_BYTES, images: bool = True
    ) -> None:
        """Make an engine; `HostError` for `floats` that nothing computes.

        With `images`, an instance's memory begins as a copy-on-write mapping of the module's data; without,
        the data is copied into it. No guest can tell.
        """
        if floats not in FLOATS:
            raise HostError(f"nothing computes floats {floats!r}; there are {' and '.join(FLOATS)}")
        settings = {**_CONFIG, "cranelift_nan_canonicalization": floats == FLOATS_PORTABLE}
        if reserved_bytes < WHOLE_BYTES:
            settings |= {"memory_reservation": reserved_bytes, "memory_guard_size": 0}
        self.floats = floats
        self.reserved_bytes = reserved_bytes
        self.images = images
        self.version = f"wasmtime {version('wasmtime')}"
        self.config_hash = content_hash(msgspec.msgpack.encode(sorted(settings.items())))
        config = wasmtime.Config()
        for name, value in {**settings, "memory_init_cow": images}.items():
            setattr(config, name, value)
        self.raw = wasmtime.Engine(config)

    @cached_property
    def without_images(self) -> "Engine":
        """The engine for modules of so little data that a mapping of it costs more than a copy."""
        return Engine(floats=self.floats, reserved_bytes=self.reserved_bytes, images=False)

    def compile(self, code: bytes) -> wasmtime.Module:
        """Compile a core module, which validates it; raise `ModuleError` with the reason if it is refused."""
        try:
            module = wasmtime.Module(self.raw, code)
        except wasmtime.WasmtimeError as error:
            raise ModuleError(f"the module is not valid WebAssembly: {error}") from None
        instruction = hidden_change(code)
        if instruction is not None:
            raise ModuleError(
                f"the module uses {instruction}, whose effect no snapshot could hold; compilers do so only "
                "for references in tables, so build it without them"
            )
        return module


def reservation(agents: int, cap_bytes: int) -> int:
    """Return the address space for each memory of a run of at most `agents`, with caps up to `cap_bytes`.

    Only what a run declares decides, so that whoever replays it comes to the same.
    """
    if agents <= WHOLE_AGENTS_MAX:
        return WHOLE_BYTES
    return min(max(1 << max(cap_bytes - 1, 0).bit_length(), _CLOSE_BYTES_MIN), WHOLE_BYTES)
