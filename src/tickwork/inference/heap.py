"""Gives memory that was freed back to the system.

glibc keeps what a model's weights took, for this process's next use; a budget in bytes means little then.
Other C libraries have no such call, and some need none.
"""

import ctypes
from functools import cache
from typing import Any


def trim() -> None:
    """Give freed memory back where the C library can; takes milliseconds."""
    found = _malloc_trim()
    if found is not None:
        found(0)


@cache
def _malloc_trim() -> Any:
    return getattr(ctypes.CDLL(None), "malloc_trim", None)
