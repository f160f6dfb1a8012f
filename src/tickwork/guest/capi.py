"""The engine's C functions, typed for direct calls.

wasmtime-py's own wrappers cost 5 to 20 us a call; these cost about 0.4. They go through `PyDLL`, which keeps
the interpreter lock: giving it up and taking it back would cost as much again, and a turn is short.

Every pointer is passed as a plain integer. Nothing here checks anything: callers must (see `instance`).
"""

import ctypes
from typing import Any

import wasmtime
from wasmtime import _bindings, _ffi

_dll = ctypes.PyDLL(_ffi.dll._name)  # noqa: SLF001 - the path of the engine's library is kept nowhere else

Pointer = ctypes.c_void_p
Size = ctypes.c_size_t

EXTERN_BYTES = ctypes.sizeof(_bindings.wasmtime_extern)
# Where the handle lies within an extern: a func, memory or global is passed by the address of its handle.
HANDLE_OFFSET = _bindings.wasmtime_extern.of.offset
INSTANCE_BYTES = ctypes.sizeof(_bindings.wasmtime_instance)
VALUE_BYTES = ctypes.sizeof(_bindings.wasmtime_val)
VALUE_OFFSET = _bindings.wasmtime_val.of.offset
# Each raw argument or result takes this many 64-bit words, of which the first holds any scalar.
RAW_WORDS = ctypes.sizeof(_bindings.wasmtime_val_raw) // 8


def _bind(name: str, result: Any, *arguments: Any) -> Any:
    function = getattr(_dll, name)
    function.restype = result
    function.argtypes = arguments
    return function


func_call = _bind("wasmtime_func_call_unchecked", Pointer, Pointer, Pointer, Pointer, Size, Pointer)
func_new = _bind("wasmtime_func_new_unchecked", None, Pointer, Pointer, Pointer, Pointer, Pointer, Pointer)
set_fuel = _bind("wasmtime_context_set_fuel", Pointer, Pointer, ctypes.c_uint64)
get_fuel = _bind("wasmtime_context_get_fuel", Pointer, Pointer, Pointer)
instance_new = _bind("wasmtime_instance_new", Pointer, Pointer, Pointer, Pointer, Size, Pointer, Pointer)
export_get = _bind(
    "wasmtime_instance_export_get", ctypes.c_bool, Pointer, Pointer, ctypes.c_char_p, Size, Pointer
)
memory_data = _bind("wasmtime_memory_data", Pointer, Pointer, Pointer)
memory_data_size = _bind("wasmtime_memory_data_size", Size, Pointer, Pointer)
memory_grow = _bind("wasmtime_memory_grow", Pointer, Pointer, Pointer, ctypes.c_uint64, Pointer)
global_get = _bind("wasmtime_global_get", None, Pointer, Pointer, Pointer)
global_set = _bind("wasmtime_global_set", Pointer, Pointer, Pointer, Pointer)
trap_code = _bind("wasmtime_trap_code", ctypes.c_bool, Pointer, Pointer)
trap_new = _bind("wasmtime_trap_new", Pointer, ctypes.c_char_p, Size)
trap_delete = _bind("wasm_trap_delete", None, Pointer)
_trap_message = _bind("wasm_trap_message", None, Pointer, Pointer)
_error_message = _bind("wasmtime_error_message", None, Pointer, Pointer)
_error_delete = _bind("wasmtime_error_delete", None, Pointer)
_bytes_delete = _bind("wasm_byte_vec_delete", None, Pointer)

HostCallback = ctypes.CFUNCTYPE(Size, Size, Size, Size, Size)


def _taken(message: Any, pointer: int) -> str:
    vector = _bindings.wasm_byte_vec_t()
    message(pointer, ctypes.addressof(vector))
    text = ctypes.string_at(vector.data, vector.size).decode("utf-8", "replace")
    _bytes_delete(ctypes.addressof(vector))
    return text


def take_error(pointer: int) -> str:
    """Return the message of an error and free it."""
    text = _taken(_error_message, pointer)
    _error_delete(pointer)
    return text


def take_trap(pointer: int) -> tuple[int | None, str]:
    """Return a trap's code (None for one made by a host function) and message, and free it."""
    code = ctypes.c_uint8()
    known = trap_code(pointer, ctypes.addressof(code))
    text = _taken(_trap_message, pointer)
    trap_delete(pointer)
    return (code.value if known else None), text


def address_of(owned: Any) -> int:
    """Return the C pointer inside one of wasmtime-py's wrappers, which must outlive its use."""
    return int(ctypes.cast(owned.ptr(), Pointer).value or 0)


def context_of(store: wasmtime.Store) -> int:
    """Return the context pointer of a store, valid while the store is referenced."""
    return int(ctypes.cast(store._context(), Pointer).value or 0)  # noqa: SLF001 - no public way to it


def func_type(params: tuple[str, ...], results: tuple[str, ...]) -> wasmtime.FuncType:
    """Return the engine's function type for value types by name."""
    makers = {
        "i32": wasmtime.ValType.i32,
        "i64": wasmtime.ValType.i64,
        "f32": wasmtime.ValType.f32,
        "f64": wasmtime.ValType.f64,
    }
    return wasmtime.FuncType([makers[name]() for name in params], [makers[name]() for name in results])


def addresses() -> tuple[int, ...]:
    """Return the addresses of the functions that the kernel calls, in the order of `kernel/engine.h`."""
    functions = (func_call, set_fuel, get_fuel, memory_data, memory_data_size, trap_code, trap_delete)
    return tuple(int(ctypes.cast(function, Pointer).value or 0) for function in functions)
