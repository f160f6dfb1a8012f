"""The kernel, if it was built here and fits the engine: `kernel_fault` says why not."""

import ctypes
import functools
import importlib
import math
import os
from importlib.metadata import version
from typing import Any

from tickwork.core import effects
from tickwork.core.messages import Message
from tickwork.core.outcomes import Outcome, OutcomeKind
from tickwork.core.step import Turn
from tickwork.guest import capi
from tickwork.pool import arena

# The engine's major version whose C interface `kernel/engine.h` was written to.
_ENGINE = "50"
# About what it costs to put a thread to sleep and wake it again: to spin longer never pays.
_SPIN_NS = 50_000
# Below about this much work in a wave, a further thread costs more than it takes off the others.
_SHARE_NS = 100_000
# A wave with less work than this runs on the caller's thread: to wake one and to wait for it costs as much.
ALONE_NS = 100_000
WORKERS_MAX = 256
_EFFECTS = (
    effects.Send,
    effects.Publish,
    effects.Infer,
    effects.Call,
    effects.Output,
    effects.Timer,
    effects.Log,
    effects.Metric,
    effects.Spawn,
    effects.Stop,
)


@functools.cache
def _module() -> tuple[Any, str | None]:
    try:
        module = importlib.import_module("tickwork.pool._kernel")
    except ImportError as error:
        return (
            None,
            f"it was not built when tickwork was installed, which takes a C compiler ({error})",
        )
    engine = version("wasmtime")
    if engine.split(".")[0] != _ENGINE:
        return None, f"it was written for wasmtime {_ENGINE}, and {engine} is installed"
    if capi.RAW_WORDS * ctypes.sizeof(ctypes.c_uint64) != module.RAW_BYTES:
        return None, "the engine passes values of another size than it expects"
    if module.ARENA_VERSION != arena.VERSION:
        return (
            None,
            "it was built from other sources; install tickwork again",
        )
    return module, None


def kernel_fault() -> str | None:
    """Return why the kernel cannot be used here, or None if it can."""
    return _module()[1]


def cpus() -> int:
    """Return the number of processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return max(len(os.sched_getaffinity(0)), 1)
    return os.cpu_count() or 1


def stuck_error() -> type[Exception]:
    """Return the exception by which the kernel says that a worker is stuck; its argument is the agent."""
    error: type[Exception] = _module()[0].StuckError
    return error


def open_kernel(workers: int, stuck_ns: int, alone_ns: int) -> Any:
    """Return a kernel with its threads; `kernel_fault()` must be None. Raises `OSError` without resources."""
    return _module()[0].Kernel(
        engine=capi.addresses(),
        turn=Turn,
        message=Message,
        outcome=Outcome,
        ok=OutcomeKind.OK,
        effects=_EFFECTS,
        nan=math.nan,
        workers=workers,
        spin_ns=_SPIN_NS if cpus() > 1 else 0,
        stuck_ns=stuck_ns,
        share_ns=_SHARE_NS,
        alone_ns=alone_ns,
    )
