"""The only place where the engine is configured, and every source of nondeterminism in WASM closed.

| source | closed by |
|---|---|
| NaN bits | canonicalised by the compiler (`floats = "portable"`) |
| relaxed SIMD | its deterministic form |
| threads, shared memory | the proposals are off |
| memory growth | the whole address range is reserved, so growth fails at the agent's cap and nowhere else |
| stack depth | one fixed `max_wasm_stack` |
| clocks, randomness, files | virtual WASI; the engine's own is never linked |
| state that a snapshot cannot hold | modules that change tables or drop segments are refused |
"""

from importlib.metadata import version

import msgspec
import wasmtime

from tickwork.core.digest import content_hash
from tickwork.core.errors import ModuleError
from tickwork.guest.mutation import hidden_change

# The engine's default, stated because the depth at which a guest overflows is part of a run's result.
_WASM_STACK_BYTES = 2 << 20
# Never moves, so addresses stay good for an instance's life; growth cannot fail for want of room.
_MEMORY_RESERVATION_BYTES = 4 << 30

_CONFIG: dict[str, bool | int | str] = {
    "consume_fuel": True,
    "cranelift_nan_canonicalization": True,
    "cranelift_opt_level": "speed",
    "epoch_interruption": False,
    "max_wasm_stack": _WASM_STACK_BYTES,
    "memory_init_cow": True,
    "memory_may_move": False,
    "memory_reservation": _MEMORY_RESERVATION_BYTES,
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
    for an engine with the same two.
    """

    def __init__(self) -> None:
        config = wasmtime.Config()
        for name, value in _CONFIG.items():
            setattr(config, name, value)
        self.raw = wasmtime.Engine(config)
        self.version = f"wasmtime {version('wasmtime')}"
        self.config_hash = content_hash(msgspec.msgpack.encode(sorted(_CONFIG.items())))

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
