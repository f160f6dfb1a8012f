"""The Python guest: one CPython component for all Python agents, the same bytes on every machine.

It is part of every wheel. From a source checkout it is built once, by componentize-py under a library that
keeps the machine out of the result (python_build/steady.c), and kept in the user's cache. Wherever it comes
from its hash is compared with the pin before it is used, since a run is a function of it.
"""

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

from tickwork.core.digest import content_hash
from tickwork.core.errors import HostError, ModuleError
from tickwork.guest import python_pin
from tickwork.guest.cache import cache_dir, read_verified, write_atomic
from tickwork.guest.python_builder import build, require_pinned_sources

# The environment variable that names a file to use as the Python guest; it must be the pinned one.
GUEST_VARIABLE = "TICKWORK_PYTHON_GUEST"
_SHIPPED = Path(__file__).parent / "python_build" / "python-guest.wasm"
_FILE = "python-guest.wasm"
_REJECTED_FILE = "python-guest-rejected.wasm"
_LOCK_FILE = "python-guest.lock"


def python_guest(announce: Callable[[str], None] = lambda _: None) -> bytes:
    """Return the Python guest, whose hash is `python_pin.GUEST`.

    From the file that `TICKWORK_PYTHON_GUEST` names, the installed package, the user's cache, or a build,
    which takes about 15 s and is told to `announce` in a sentence before it starts. Processes that want to
    build at the same time wait for the first. `ModuleError` for a file that is not the pinned guest;
    `HostError` if it has to be built and cannot be.
    """
    named = os.environ.get(GUEST_VARIABLE)
    if named:
        return _named(named)
    if _SHIPPED.exists():
        return _shipped()
    cached = cache_dir() / _FILE
    return _from_cache(cached) or _built(cached, announce)


def located() -> Path | None:
    """Return the file that the guest would come from, unchecked; None if it has yet to be built."""
    named = os.environ.get(GUEST_VARIABLE)
    if named:
        return Path(named)
    return next((path for path in (_SHIPPED, cache_dir() / _FILE) if path.exists()), None)


def _named(name: str) -> bytes:
    try:
        content = Path(name).read_bytes()
    except OSError as error:
        raise ModuleError(f"{GUEST_VARIABLE}={name}: {error.strerror}; correct or unset it") from None
    found = content_hash(content)
    if found != python_pin.GUEST:
        raise ModuleError(
            f"{GUEST_VARIABLE}={name} is not the Python guest of this version of tickwork: its BLAKE3 is "
            f"{found}, and {python_pin.GUEST} is wanted; unset the variable to use the right one"
        )
    return content


def _shipped() -> bytes:
    content = _SHIPPED.read_bytes()
    if content_hash(content) != python_pin.GUEST:
        raise ModuleError(f"{_SHIPPED} is damaged or of another version; install tickwork again")
    return content


def _from_cache(path: Path) -> bytes | None:
    content = read_verified(path)
    return content if content is not None and content_hash(content) == python_pin.GUEST else None


def _built(path: Path, announce: Callable[[str], None]) -> bytes:
    require_pinned_sources()
    with (path.parent / _LOCK_FILE).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # Another process may have built it while this one waited.
        cached = _from_cache(path)
        if cached is not None:
            return cached
        announce("building the Python guest, once: about 15 seconds")
        content = build(path.parent)
        _require_pinned(content, path.parent / _REJECTED_FILE)
        write_atomic(path, content)
    return content


def _require_pinned(content: bytes, kept: Path) -> None:
    found = content_hash(content)
    if found == python_pin.GUEST:
        return
    kept.write_bytes(content)
    raise HostError(
        f"the Python guest built here differs from the pinned one: its BLAKE3 is {found}, and "
        f"{python_pin.GUEST} is wanted. Its sources are the same, so something of this machine got into it, "
        "and runs with it would not replay elsewhere. Install tickwork from a wheel, which brings the guest, "
        f"or name a copy in {GUEST_VARIABLE}; and please report it with the file {kept}"
    )
