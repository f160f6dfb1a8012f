"""Opens ONNX Runtime sessions on the first provider that works; the CPU is always the last resort.

The only module that makes sessions, because two things must hold for every one of them:

- ORT_GQA_DISABLE_FLASH_ATTENTION is set first. With flash attention on, GroupQueryAttention splits the keys
  among threads when there are more threads than batch times heads, and the sums then depend on both.
- ONNX Runtime's own fallback is off. It prints to the terminal and leaves the caller to guess what runs; here
  each provider that was passed over comes back with its reason, so that it can be announced and journaled.
"""

import itertools
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, cast

import msgspec
import onnxruntime as ort  # type: ignore[import-untyped]
from blake3 import blake3

from tickwork.inference.errors import ModelError, one_line

CPU = "cpu"
PROVIDERS = {
    CPU: "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "webgpu": "WebGpuExecutionProvider",
    "directml": "DmlExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
}
THREADS_MAX = 256
# What MLAS looks at when it picks its kernels.
_ISA_FLAGS = (
    "avx2",
    "fma",
    "avx_vnni",
    "avx512f",
    "avx512bw",
    "avx512_vnni",
    "avx512_bf16",
    "amx_int8",
    "asimddp",
)
_LOG_FATAL = 4


class PassedOver(NamedTuple):
    """A provider that was preferred but not used, and why."""

    provider: str
    reason: str


class Opened(NamedTuple):
    """A session, the provider it runs on, and those that were preferred to it."""

    session: ort.InferenceSession
    provider: str
    passed_over: tuple[PassedOver, ...]


class Basis(msgspec.Struct, frozen=True):
    """What a model's bits rest on beside its own: equal bases on one provider give equal bits."""

    onnxruntime: str
    isa: str
    provider: str


class Need(NamedTuple):
    """The bytes that a model takes at most: its weights on its device, and an engine of it on the CPU's."""

    weights: int
    engine: int


class SessionSettings(msgspec.Struct, frozen=True):
    """How a session runs; for a model that passes the load-time check nothing here changes a result.

    `threads` 0 means as many as this process may use. Spinning threads answer 10 to 20% sooner on a quiet
    machine and take that time from everybody else on a busy one. `device_bytes` caps a GPU's arena.
    """

    threads: int = 0
    spin: bool = False
    device_bytes: int | None = None


def thread_count(settings: SessionSettings) -> int:
    """Return how many threads the settings mean here, at least 1."""
    if not 0 <= settings.threads <= THREADS_MAX:
        raise ModelError(f"threads is {settings.threads}; it must be between 0 (all) and {THREADS_MAX}")
    if settings.threads:
        return settings.threads
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def basis(provider: str) -> Basis:
    """Return what results on `provider` rest on, on this machine."""
    return Basis(onnxruntime=str(ort.__version__), isa=isa(), provider=provider)


def basis_key(basis: Basis) -> str:
    """Return a short word for a basis, to name files by; equal bases have equal ones."""
    return blake3(msgspec.json.encode(basis)).hexdigest()[:16]


def isa() -> str:
    """Return the machine's architecture and the features that ONNX Runtime picks kernels by, as one word."""
    flags: set[str] = set()
    try:
        with Path("/proc/cpuinfo").open(encoding="ascii", errors="replace") as lines:
            for line in lines:
                name, _, value = line.partition(":")
                if name.strip() in {"flags", "Features"}:
                    flags = set(value.split())
                    break
    except OSError:
        pass  # no such file here: the architecture alone is all that can be said
    return "+".join([platform.machine(), *(flag for flag in _ISA_FLAGS if flag in flags)])


class Chosen(NamedTuple):
    """The provider that a model will run on, and those that were preferred to it."""

    provider: str
    passed_over: tuple[PassedOver, ...]


def choose_provider(model: Path, preferences: Sequence[str], settings: SessionSettings) -> Chosen:
    """Return the first of `preferences` that `model` can be loaded on, else the CPU, without trying that one.

    Raises ModelError if a name is unknown.
    """
    found, passed = _preferred(model, preferences, settings)
    return Chosen(CPU if found is None else found.provider, passed)


def likely_provider(preferences: Sequence[str]) -> str:
    """Return the first of `preferences` that this build of ONNX Runtime has, else the CPU; loads nothing."""
    there = ort.get_available_providers()
    return next((name for name in preferences if PROVIDERS.get(name) in there), CPU)


def open_session(
    model: Path, preferences: Sequence[str] = (CPU,), settings: SessionSettings | None = None
) -> Opened:
    """Return a session of `model` on the first of `preferences` that works, or on the CPU.

    Raises ModelError if a name is unknown, or if the model cannot be loaded even on the CPU.
    """
    settings = settings or SessionSettings()
    found, passed = _preferred(model, preferences, settings)
    if found is not None:
        return found
    try:
        return Opened(_session(model, CPU, settings), CPU, passed)
    except Exception as error:
        raise ModelError(f"{model.name} cannot be loaded: {one_line(error)}") from error


def _preferred(
    model: Path, preferences: Sequence[str], settings: SessionSettings
) -> tuple[Opened | None, tuple[PassedOver, ...]]:
    """Return a session on the first provider before the CPU that works, if one does, and the others."""
    for name in preferences:
        if name not in PROVIDERS:
            raise ModelError(f'unknown provider "{name}"; the known ones are {", ".join(PROVIDERS)}')
    passed: list[PassedOver] = []
    for name in itertools.takewhile(lambda name: name != CPU, dict.fromkeys(preferences)):
        if PROVIDERS[name] not in ort.get_available_providers():
            passed.append(PassedOver(name, "this build of onnxruntime does not have it"))
            continue
        try:
            session = _session(model, name, settings)
        except Exception as error:  # a provider may fail in any way; the CPU is next
            passed.append(PassedOver(name, one_line(error)))
            continue
        if PROVIDERS[name] in session.get_providers():
            return Opened(session, name, tuple(passed)), tuple(passed)
        passed.append(PassedOver(name, "onnxruntime left it out of the session"))
    return None, tuple(passed)


def _session(model: Path, name: str, settings: SessionSettings) -> ort.InferenceSession:
    os.environ["ORT_GQA_DISABLE_FLASH_ATTENTION"] = "1"
    options = ort.SessionOptions()
    options.intra_op_num_threads = thread_count(settings)
    options.inter_op_num_threads = 1
    options.log_severity_level = _LOG_FATAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "1" if settings.spin else "0")
    chosen: list[str | tuple[str, dict[str, str]]] = []
    if name == "cuda":
        details = {"use_tf32": "0"}
        if settings.device_bytes is not None:
            details["gpu_mem_limit"] = str(settings.device_bytes)
        chosen.append((PROVIDERS[name], details))
    elif name != CPU:
        chosen.append(PROVIDERS[name])
    chosen.append(PROVIDERS[CPU])
    return cast(
        "ort.InferenceSession", ort.InferenceSession(str(model), options, providers=chosen, enable_fallback=0)
    )
