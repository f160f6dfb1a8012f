"""Compiled code kept on disk, so that a module is compiled once per engine version and configuration.

Compiled code is executed as it is read, so the cache lies in a directory that only its user can write, and
every file's hash is checked before the engine maps it. What is damaged or incomplete is compiled again; a
cache that cannot be written costs time, never the run.
"""

import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import wasmtime
from blake3 import blake3

from tickwork.core.digest import content_hash
from tickwork.guest.cache import cache_dir
from tickwork.guest.engine import Engine

_HASHES = "hashes"


def load_or_compile(engine: Engine, codes: Sequence[bytes]) -> tuple[wasmtime.Module, ...]:
    """Return the core modules `codes`, compiled for `engine`, in their order."""
    # Of the code as it is compiled, not of the agent's file: another version may flatten that otherwise.
    hashes = " ".join(content_hash(code) for code in codes)
    data = "images" if engine.images else "copies"
    key = content_hash(f"{engine.version} {engine.config_hash} {data} {hashes}".encode())
    folder = cache_dir() / "compiled" / key
    modules = _load(engine, folder, len(codes))
    if modules is not None:
        return modules
    modules = tuple(engine.compile(code) for code in codes)
    _save(folder, modules)
    # Mapped from the file, instances of many processes share the pages.
    return _load(engine, folder, len(codes)) or modules


def _load(engine: Engine, folder: Path, count: int) -> tuple[wasmtime.Module, ...] | None:
    try:
        hashes = (folder / _HASHES).read_text().split()
        if len(hashes) != count:
            return None
        paths = [folder / f"{index}.cwasm" for index in range(count)]
        for path, expected in zip(paths, hashes, strict=True):
            if blake3(path.read_bytes()).hexdigest() != expected:
                return None
        return tuple(wasmtime.Module.deserialize_file(engine.raw, str(path)) for path in paths)
    except (OSError, UnicodeDecodeError, wasmtime.WasmtimeError):
        return None


def _save(folder: Path, modules: Sequence[wasmtime.Module]) -> None:
    """Write beside the destination and rename, so that a reader sees all of it or nothing."""
    try:
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(dir=folder.parent))
    except OSError:
        return
    try:
        hashes = []
        for index, module in enumerate(modules):
            code = bytes(module.serialize())
            hashes.append(blake3(code).hexdigest())
            (fresh / f"{index}.cwasm").write_bytes(code)
        (fresh / _HASHES).write_text("\n".join(hashes))
        if folder.exists():  # damaged, or it would have been loaded
            shutil.rmtree(folder, ignore_errors=True)
        os.rename(fresh, folder)  # noqa: PTH104 - Path.rename has no advantage and hides the atomicity
    except OSError:
        shutil.rmtree(fresh, ignore_errors=True)
