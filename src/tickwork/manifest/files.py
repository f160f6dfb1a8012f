"""Reads files that a manifest names, which may be anything that a path can lead to."""

import os
import stat
from pathlib import Path


class FileFault(Exception):  # noqa: N818 - becomes an error in the words of whoever named the file
    """Why a file cannot be used, as the end of a sentence that begins with its name."""


def check_regular(path: Path, bytes_max: int) -> None:
    """Raise FileFault unless `path` is a readable regular file of at most `bytes_max` bytes."""
    os.close(_open_regular(path, bytes_max))


def read_regular(path: Path, bytes_max: int) -> bytes:
    """Return a regular file's bytes; raise FileFault, also if it grows past `bytes_max` while it is read."""
    with open(_open_regular(path, bytes_max), "rb") as file:
        try:
            data = file.read(bytes_max + 1)
        except OSError as error:
            raise FileFault(f"cannot be read ({error.strerror})") from error
    if len(data) > bytes_max:
        raise FileFault(f"is larger than {bytes_max} bytes")
    return data


def _open_regular(path: Path, bytes_max: int) -> int:
    try:
        # Without waiting: opening a named pipe would hang until somebody writes to it.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except FileNotFoundError as error:
        raise FileFault("does not exist") from error
    except (OSError, ValueError) as error:
        raise FileFault(f"cannot be read ({getattr(error, 'strerror', None) or error})") from error
    try:
        _check(os.fstat(descriptor), bytes_max)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _check(found: os.stat_result, bytes_max: int) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise FileFault("is a directory, not a file")
    if not stat.S_ISREG(found.st_mode):
        raise FileFault("is not a regular file")
    if found.st_size > bytes_max:
        raise FileFault(f"has {found.st_size} bytes, more than the {bytes_max} that are allowed")
