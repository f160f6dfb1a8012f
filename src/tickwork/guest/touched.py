"""Which pages of a mapping this process has made its own, from Linux's page map.

A memory begins as a copy-on-write mapping of the module's image, so a page that was never written is still
the file's (or not there at all), and equal to the image without being looked at. Looking would make it
resident, in every one of many agents.
"""

import contextlib
import functools
import mmap
import os
import re
import sys

# Documentation/admin-guide/mm/pagemap.rst: one 64-bit word a page. Bit 63: present; 62: swapped; 61: the
# page of a file, or shared.
_WORD_BYTES = 8
_TOP_BYTE = 7 if sys.byteorder == "little" else 0
# A word's top byte where the page is the process's own: present and no file's, or swapped out.
_OWN = re.compile(rb"[\x80-\x9f\x40-\x7f\xc0-\xff]")


@functools.cache
def _page_map(_process: int) -> int | None:
    """Return a descriptor of this process's page map, or None where there is none; kept open for ever."""
    with contextlib.suppress(OSError):
        return os.open("/proc/self/pagemap", os.O_RDONLY | os.O_CLOEXEC)
    return None


def touched_pages(address: int, size: int, page_bytes: int) -> list[int] | None:
    """Return the pages of [address, address + size), by number, that may differ from the mapped image.

    None where the system does not tell, or its pages are not `page_bytes`: then every page may.
    """
    if page_bytes != mmap.PAGESIZE or address % page_bytes:
        return None
    page_map = _page_map(os.getpid())  # a forked child has a map of its own
    if page_map is None:
        return None
    count = size // page_bytes
    try:
        data = os.pread(page_map, count * _WORD_BYTES, address // page_bytes * _WORD_BYTES)
    except OSError:
        return None
    if len(data) != count * _WORD_BYTES:
        return None
    return [found.start() for found in _OWN.finditer(data[_TOP_BYTE::_WORD_BYTES])]
