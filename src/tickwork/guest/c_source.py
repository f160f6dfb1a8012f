"""An agent from one C or C++ source file: compiled with Zig's clang, to the same bytes in any directory.

Freestanding only: no C library, so no imports, no start-up code and a module of a few kilobytes. An agent
that needs libc is built by its author, with the same header, and given to tickwork as a module:
`zig cc -target wasm32-wasi -mexec-model=reactor`.
"""

import importlib.metadata
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tickwork.core.digest import content_hash
from tickwork.core.errors import ModuleError
from tickwork.guest.cache import cache_dir, read_verified, write_atomic

SUFFIXES = (".c", ".cc", ".cpp", ".cxx")

# The stack lies below the data, so that an overflow leaves the memory and traps instead of corrupting it.
STACK_BYTES = 64 * 1024

_COMMON_FLAGS = (
    "-target",
    "wasm32-freestanding",
    "-O2",
    "-g0",
    "-s",
    "-Wall",
    "-ffreestanding",
    "-nostdlib",
    "-fno-sanitize=undefined",
    "-Wl,--no-entry",
    f"-Wl,-z,stack-size={STACK_BYTES}",
)
_C_FLAGS = ("cc", "-std=c11", *_COMMON_FLAGS)
_CPP_FLAGS = (
    "c++",
    "-std=c++17",
    *_COMMON_FLAGS,
    "-fno-exceptions",
    "-fno-rtti",
    "-fno-threadsafe-statics",
    "-fno-c++-static-destructors",
)
_LOCAL_FILE = re.compile(rb'^[ \t]*#[ \t]*(?:include|embed)[ \t]*"([^"\n\0]+)"', re.MULTILINE)
# Directories that clang would search besides, so that the environment could change what is built.
_SEARCH_VARIABLES = ("CPATH", "C_INCLUDE_PATH", "CPLUS_INCLUDE_PATH")
_HEADERS = Path(__file__).parents[1] / "sdk" / "c"
_STDERR_CHARS_MAX = 16_000


def build_c(path: Path) -> bytes:
    """Return the core module built from the source at `path`, from the cache if nothing changed.

    The file includes `tickwork.h` and may include others by `#include "NAME"`. `ModuleError` with the
    compiler's words if it does not compile.
    """
    flags = _CPP_FLAGS if path.suffix != ".c" else _C_FLAGS
    if path.suffix not in SUFFIXES:
        raise ModuleError(f"{path}: a C agent's file ends in one of {', '.join(SUFFIXES)}")
    sources = _sources(path)
    headers = _headers()
    version = _zig_version()
    key = content_hash(repr((version, flags, sources, headers)).encode())
    stored = cache_dir() / "c" / f"{key}.wasm"
    built = read_verified(stored)
    if built is None:
        built = _compile(path, flags)
        try:
            write_atomic(stored, built)
        except OSError:
            return built
    return built


def _headers() -> list[tuple[str, str]]:
    return [(header.name, content_hash(header.read_bytes())) for header in sorted(_HEADERS.glob("*.h"))]


def _sources(path: Path) -> list[tuple[str, str]]:
    """Return the names, as they are included, and hashes of the file and of those it includes."""
    hashes: dict[str, str] = {}
    waiting = [(path.name, path)]
    while waiting:
        name, file = waiting.pop()
        if name in hashes:
            continue
        try:
            content = file.read_bytes()
        except OSError as error:
            if file == path:
                raise ModuleError(f"{path} cannot be read: {error.strerror}") from None
            continue  # one of ours, or the compiler says what is missing
        hashes[name] = content_hash(content)
        for included in _LOCAL_FILE.findall(content):
            target = os.fsdecode(included)
            waiting.append((os.path.normpath(Path(name).parent / target), file.parent / target))
    return sorted(hashes.items())


def _zig_version() -> str:
    try:
        return importlib.metadata.version("ziglang")
    except importlib.metadata.PackageNotFoundError:
        raise ModuleError("a C agent needs the Zig compiler; run: pip install ziglang") from None


def _compile(path: Path, flags: tuple[str, ...]) -> bytes:
    directory = path.parent.absolute()
    zig_cache = cache_dir() / "zig"
    environment = {
        **{name: value for name, value in os.environ.items() if name not in _SEARCH_VARIABLES},
        "ZIG_GLOBAL_CACHE_DIR": str(zig_cache),
        "ZIG_LOCAL_CACHE_DIR": str(zig_cache),
    }
    with tempfile.TemporaryDirectory(prefix="tickwork-c-") as scratch:
        output = Path(scratch) / "agent.wasm"
        # From the source's own directory, so that `__FILE__` holds no path of this machine.
        command = [sys.executable, "-m", "ziglang", *flags]
        command += [f"-I{_HEADERS}", "-o", str(output), f"./{path.name}"]
        done = subprocess.run(
            command,
            cwd=directory,
            env=environment,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        if done.returncode or not output.exists():
            raise ModuleError(f"{path} does not compile:\n{done.stderr.strip()[:_STDERR_CHARS_MAX]}")
        return output.read_bytes()
