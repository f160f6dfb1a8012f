"""What this machine can do for tickwork, each finding with its fix."""

import importlib
import platform
import shutil
import subprocess
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal, NamedTuple

from tickwork.core.errors import TickworkError
from tickwork.core.limits import MIB
from tickwork.guest.cache import cache_dir
from tickwork.guest.engine import WHOLE_BYTES, Engine
from tickwork.guest.program import MAPPINGS_COPIED
from tickwork.guest.python_guest import located, python_guest
from tickwork.guest.python_pin import GUEST
from tickwork.guest.room import SPARE_MAPPINGS, mapping_limit
from tickwork.pool.native import cpus, kernel_fault
from tickwork.runtime.models import NoInferenceError, providers

Level = Literal["ok", "missing", "failed"]

_DISK_MIB_MIN = 500
_AGENTS_MIN = 10
_PROBE_TIMEOUT_S = 30
_EMPTY_MODULE = b"\0asm\1\0\0\0"


class Finding(NamedTuple):
    """One finding. `missing` things are optional; with anything `failed` tickwork will not work."""

    what: str
    level: Level
    text: str


def diagnose() -> Iterator[Finding]:
    """Yield every finding; nothing is raised."""
    for what, check in _CHECKS:
        try:
            yield Finding(what, *check())
        except (TickworkError, OSError, PackageNotFoundError) as error:
            yield Finding(what, "failed", str(error))


_Result = tuple[Level, str]


def _python() -> _Result:
    return "ok", f"{platform.python_version()} on {platform.system()} {platform.machine()}"


def _engine() -> _Result:
    engine = Engine()
    engine.compile(_EMPTY_MODULE)
    return "ok", f"{engine.version}, configuration {engine.config_hash[:12]}"


def _kernel() -> _Result:
    fault = kernel_fault()
    if fault is not None:
        return "missing", f"agents run without it, several times slower: {fault}"
    return "ok", f"{cpus()} threads by default"


def _cache() -> _Result:
    folder = cache_dir()
    free = shutil.disk_usage(folder).free // MIB
    if free < _DISK_MIB_MIN:
        return "failed", f"{folder} has only {free} MiB free; make room, or set XDG_CACHE_HOME"
    return "ok", f"{folder}, {free} MiB free"


def _python_guest() -> _Result:
    place = located()
    if place is None:
        return "ok", f"{GUEST[:12]}, will be built when the first Python agent runs (about 20 s)"
    python_guest()
    return "ok", f"{GUEST[:12]} in {place}"


def _models() -> _Result:
    try:
        found = providers()
    except NoInferenceError as error:
        return "missing", f"agents cannot ask models: {error}"
    budgets = ", ".join(f"{budget // MIB} MiB on {device}" for device, budget in found.budgets.items())
    return "ok", f"onnxruntime {found.onnxruntime} on {', '.join(found.there)}; room for models: {budgets}"


def _c_compiler() -> _Result:
    return "ok", f"zig {version('ziglang')}"


def _rust() -> _Result:
    candidates = dict.fromkeys((shutil.which("rustc"), "/usr/bin/rustc"))
    for rustc in candidates:
        if rustc is None or not Path(rustc).exists():
            continue
        target = _output([rustc, "--print", "target-libdir", "--target", "wasm32-unknown-unknown"])
        if target and Path(target).is_dir():
            return "ok", f"{_output([rustc, '--version'])} in {rustc}"
    return "missing", (
        "no rustc with the target wasm32-unknown-unknown; only needed to build agents in Rust "
        "(Debian: apt-get install rustc libstd-rust-dev-wasm32 lld)"
    )


def _node() -> _Result:
    node = shutil.which("node")
    if node is None:
        return (
            "missing",
            "no node; only needed to build agents in JavaScript (Debian: apt-get install nodejs npm)",
        )
    return "ok", f"{_output([node, '--version'])} in {node}"


def _agents() -> _Result:
    """Say how many of the smallest agents fit into a process."""
    rooms = []
    mappings = mapping_limit()
    if mappings is not None:
        rooms.append(((mappings - SPARE_MAPPINGS) // MAPPINGS_COPIED, "vm.max_map_count"))
    space = _address_space()
    if space is not None:
        rooms.append((space // WHOLE_BYTES, "ulimit -v"))
    if not rooms:
        return "ok", "no limit that tickwork knows of"
    agents, limit = min(rooms)
    text = f"room for about {max(agents, 0)} agents in one process ({limit})"
    if agents < _AGENTS_MIN:
        return "failed", f"{text}; raise it"
    return "ok", text


def _address_space() -> int | None:
    """Return how many bytes of address space a process may use, or None for all that there are."""
    try:
        resource = importlib.import_module("resource")
    except ImportError:  # Windows has none
        return None
    limit: int = resource.getrlimit(resource.RLIMIT_AS)[0]
    return None if limit == resource.RLIM_INFINITY else limit


def _output(command: list[str]) -> str:
    """Return what a program prints, or nothing if it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PROBE_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


_CHECKS: tuple[tuple[str, Callable[[], _Result]], ...] = (
    ("python", _python),
    ("engine", _engine),
    ("kernel", _kernel),
    ("cache", _cache),
    ("python guest", _python_guest),
    ("models", _models),
    ("c compiler", _c_compiler),
    ("rust compiler", _rust),
    ("node", _node),
    ("agents", _agents),
)
