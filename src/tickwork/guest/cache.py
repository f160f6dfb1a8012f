"""The user's cache: compiled code, built agents, the Python guest. Losing it costs time, never a result.

What lies here is executed as it is read, so the directory belongs to its user alone, and every file that is
written with `write_atomic` carries its hash: what was damaged reads as absent.
"""

import os
import stat
import tempfile
from functools import cache
from pathlib import Path

from blake3 import blake3

from tickwork.core.digest import DIGEST_BYTES
from tickwork.core.errors import HostError

_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


def cache_dir() -> Path:
    """Return `$XDG_CACHE_HOME/tickwork` or `~/.cache/tickwork`, made with mode 0700 if it is missing.

    Where it cannot be made (a read-only home), a temporary directory that lasts as long as the process.
    `HostError` if it belongs to another user or if others may write to it.
    """
    return _checked(_root())


def cache_is_temporary() -> bool:
    """Return whether `cache_dir` is gone with this process."""
    root = cache_dir()
    return _temporary_directory.cache_info().currsize > 0 and root == _temporary()


def write_atomic(path: Path, content: bytes) -> None:
    """Store `content` with its hash at `path`, for `read_verified`; readers see all of it or nothing.

    Parent directories are made. `OSError` if the file cannot be written; whatever stood there stays.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    fresh = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(blake3(content).digest() + content)
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise


def read_verified(path: Path) -> bytes | None:
    """Return what `write_atomic` stored at `path`, or None if it is absent, unreadable or damaged."""
    try:
        stored = path.read_bytes()
    except OSError:
        return None
    content = stored[DIGEST_BYTES:]
    return content if blake3(content).digest() == stored[:DIGEST_BYTES] else None


def _root() -> Path:
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG specification: a path that is not absolute is invalid and is ignored.
    if Path(base).is_absolute():
        return Path(base) / "tickwork"
    try:
        return Path.home() / ".cache" / "tickwork"
    except RuntimeError:  # no home directory
        return _temporary()


def _checked(root: Path) -> Path:
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = root.stat()
    except OSError:
        return _temporary()
    if found.st_uid != os.geteuid():
        raise HostError(
            f"the cache directory {root} belongs to another user; remove it or set XDG_CACHE_HOME to a "
            "directory of your own"
        )
    if found.st_mode & _WRITABLE_BY_OTHERS:
        raise HostError(
            f"others may write to the cache directory {root}, and what lies there is executed; "
            f"check its contents, then run: chmod go-w '{root}'"
        )
    return root


@cache
def _temporary_directory() -> "tempfile.TemporaryDirectory[str]":
    return tempfile.TemporaryDirectory(prefix="tickwork-cache-", ignore_cleanup_errors=True)


def _temporary() -> Path:
    return Path(_temporary_directory().name)
