"""Which pages of a mapping this process has made its own, from Linux's page map.

A memory begins as a copy-on-write mapping of the module's image, so a page that was never written is still
the file's (or not there at all), and equal to the image without being looked at. Looking would make it
resident, in every one of many agents.
"""

import contextlib
import mmap
import os

import numpy as np
import numpy.typing as npt

# Documentation/admin-guide/mm/pagemap.rst: one 64-bit word a page.
_WORD_BYTES = 8
_PRESENT = np.uint64(1 << 63)
_SWAPPED = np.uint64(1 << 62)
_FILE_OR_SHARED = np.uint64(1 << 61)
_PATH = "/proc/self/pagemap"


def touched_pages(address: int, size: int, page_bytes: int) -> npt.NDArray[np.bool_] | None:
    """Return, for each page of [address, address + size), whether it may differ from the mapped image.

    None where the system does not tell, or its pages are not `page_bytes`: then every page may.
    """
    if page_bytes != mmap.PAGESIZE or address % page_bytes:
        return None
    count = size // page_bytes
    with contextlib.suppress(OSError):
        descriptor = os.open(_PATH, os.O_RDONLY)
        try:
            data = os.pread(descriptor, count * _WORD_BYTES, address // page_bytes * _WORD_BYTES)
        finally:
            os.close(descriptor)
        if len(data) == count * _WORD_BYTES:
            words = np.frombuffer(data, dtype=np.uint64)
            own = (words & _PRESENT != 0) & (words & _FILE_OR_SHARED == 0)
            touched: npt.NDArray[np.bool_] = own | (words & _SWAPPED != 0)
            return touched
    return None
