"""Builds the Python guest: compiles its C with zig, and runs componentize-py with steady.c preloaded."""

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tickwork.core.digest import content_hash
from tickwork.core.errors import HostError
from tickwork.guest import python_pin

COMPONENTIZE_PY = "0.25.1"
# Its compiler's output for turn.c is part of the guest.
ZIGLANG = "0.17.0"
WORLD = "agent"
_TURN_LIBRARY = "tickwork_turn.cpython-314-wasm32-wasi.so"
_WARNINGS = ("-Wall", "-Wextra", "-Werror")
# steady.c's word that the kernel refused its filter.
_EXIT_REFUSED = 97
_SECONDS_MAX = 600
_STDERR_CHARACTERS_MAX = 4000
# The oldest glibc that componentize-py's wheels run on.
_GLIBC = "2.28"
_MACHINES = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}

_GUEST = Path(__file__).parent
_PACKAGE = _GUEST.parent
_APPLICATION = _GUEST / "python_build" / "app.py.txt"
_TURN_SOURCES = ("turn.c", "inbox.c", "effects.c", "heap.c")
_C_SOURCES = ("steady.c", *_TURN_SOURCES, "turn.h", "cpython.h", "heap.h")
_WIT = _PACKAGE / "wit" / "tickwork-agent.wit"
_AGENT_PACKAGE = _PACKAGE.parent / "tickwork_agent"

_RUN_COMPONENTIZE_PY = "import sys, componentize_py; sys.exit(componentize_py.script())"


def sources() -> dict[str, bytes]:
    """Return every file that the guest is built from, by its path in the build."""
    files = {"app.py": _APPLICATION, "agent.wit": _WIT}
    files |= {name: _APPLICATION.parent / name for name in _C_SOURCES}
    files |= {f"tickwork_agent/{path.name}": path for path in sorted(_AGENT_PACKAGE.glob("*.py"))}
    try:
        return {name: path.read_bytes() for name, path in files.items()}
    except OSError as error:
        raise HostError(
            f"the Python guest's sources are incomplete: {error}; install tickwork again"
        ) from None


def sources_hash() -> str:
    """Return the hex BLAKE3 that names what the guest is built from."""
    parts = [f"componentize-py {COMPONENTIZE_PY} ziglang {ZIGLANG}\n".encode()]
    for name, content in sorted(sources().items()):
        parts += (f"{name} {len(content)}\n".encode(), content)
    return content_hash(b"".join(parts))


def require_pinned_sources() -> None:
    """Raise `HostError` if a build could only give another guest than the pinned one."""
    if sources_hash() != python_pin.SOURCES:
        raise HostError(
            "the Python guest's sources (tickwork_agent, tickwork/guest/python_build, the WIT) are not those "
            "that tickwork/guest/python_pin.py names: install tickwork again or, if you changed them on "
            "purpose, run sdk/python/pin.py to build and pin the new guest"
        )


def build(scratch: Path) -> bytes:
    """Return a fresh build, a function of `sources()` alone; `scratch` holds its temporary files.

    `HostError` if this machine cannot build it, with the builder's own words where it has any.
    """
    machine = _require_builder()
    with tempfile.TemporaryDirectory(dir=scratch, prefix="python-guest-") as name:
        work = Path(name)
        for path, content in sources().items():
            target = work / ("app" if path.endswith(".py") else "") / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        (work / "tmp").mkdir()
        _compile_steady(work, machine)
        _compile_turn(work)
        _componentize(work)
        return (work / "guest.wasm").read_bytes()


def _require_builder() -> str:
    """Return this machine's architecture in zig's word for it, if the guest can be built here."""
    machine = _MACHINES.get(platform.machine().lower())
    if sys.platform != "linux" or machine is None:
        raise HostError(
            f"the Python guest can be built on Linux (x86-64 or aarch64) only, not on {sys.platform} "
            f"({platform.machine()}): install tickwork from a wheel, which brings the guest, or name a copy "
            "in TICKWORK_PYTHON_GUEST"
        )
    for name, wanted in (("componentize-py", COMPONENTIZE_PY), ("ziglang", ZIGLANG)):
        try:
            found = version(name)
        except PackageNotFoundError:
            found = "missing"
        if found != wanted:
            raise HostError(
                f"the Python guest is built by {name} {wanted}, and here it is {found}: "
                f"pip install {name}=={wanted}"
            )
    return machine


def _compile_steady(work: Path, machine: str) -> None:
    command = ["cc", "-target", f"{machine}-linux-gnu.{_GLIBC}", "-shared", "-fPIC", "-O2", *_WARNINGS]
    _zig([*command, "-o", "steady.so", "steady.c"], work, "compiling steady.c for it")


def _compile_turn(work: Path) -> None:
    """Compile turn.c and its like to a library that CPython in the guest can import."""
    command = ["cc", "-target", "wasm32-wasi", "-mcpu=generic", "-c", "-fPIC", "-O2", "-g0", "-std=c11"]
    command += [*_WARNINGS, "-fvisibility=hidden"]
    for source in _TURN_SOURCES:
        _zig([*command, source], work, f"compiling {source} for it")
    command = ["wasm-ld", "-shared", "--experimental-pic", "--unresolved-symbols=import-dynamic"]
    command += ["--strip-all", "-o", f"app/{_TURN_LIBRARY}"]
    _zig([*command, *(f"{Path(source).stem}.o" for source in _TURN_SOURCES)], work, "linking turn.c for it")


def _zig(command: list[str], work: Path, what: str) -> None:
    # In the work directory: a home that is read-only is no obstacle, and nothing is left behind.
    caches = {"ZIG_GLOBAL_CACHE_DIR": str(work / "zig"), "ZIG_LOCAL_CACHE_DIR": str(work / "zig")}
    _run([sys.executable, "-m", "ziglang", *command], work, caches, what)
    shutil.rmtree(work / "zig", ignore_errors=True)


def _componentize(work: Path) -> None:
    command = [sys.executable, "-c", _RUN_COMPONENTIZE_PY, "--quiet", "--wit-path", "agent.wit"]
    command += ["--world", WORLD, "componentize", "app", "--python-path", "app", "--output", "guest.wasm"]
    environment = {
        # Relative, since the loader would split a path at spaces and colons.
        "LD_PRELOAD": "./steady.so",
        "TMPDIR": str(work / "tmp"),
        # A place without packages: componentize-py adds those it finds to the guest's search path.
        "VIRTUAL_ENV": str(work / "no-packages"),
        "RUST_BACKTRACE": "0",
    }
    _run(command, work, environment, "componentize-py")


def _run(command: list[str], work: Path, environment: dict[str, str], what: str) -> None:
    try:
        done = subprocess.run(
            command,
            cwd=work,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SECONDS_MAX,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise HostError(f"building the Python guest: {what} did not end within {_SECONDS_MAX} s") from None
    if done.returncode == _EXIT_REFUSED:
        raise HostError(
            "the Python guest cannot be built reproducibly here: the kernel or container refuses seccomp "
            "filters. Allow them, install tickwork from a wheel, which brings the guest, or name a copy in "
            "TICKWORK_PYTHON_GUEST"
        )
    if b"cannot be preloaded" in done.stderr:
        raise HostError(
            f"the Python guest cannot be built in {work.parent}: nothing there can be executed (mounted "
            "noexec?); set XDG_CACHE_HOME to a directory on another file system"
        )
    if done.returncode != 0:
        said, _, _ = (done.stderr or done.stdout).decode("utf-8", "replace").partition("Stack backtrace:")
        said = said.strip()[:_STDERR_CHARACTERS_MAX]
        raise HostError(f"building the Python guest failed: {what} ended with {done.returncode}:\n{said}")
