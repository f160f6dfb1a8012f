"""Which pool a run gets. The choice shows in nothing but its speed."""

import functools
import logging
from collections.abc import Mapping
from typing import Literal

from tickwork.core.errors import HostError
from tickwork.guest.program import Program
from tickwork.pool.inline import InlinePool
from tickwork.pool.native import kernel_fault
from tickwork.pool.threads import ThreadsPool

# "auto" is one thread for each processor; 0 runs all turns on the caller's own.
Workers = int | Literal["auto"]

_log = logging.getLogger(__name__)


def open_pool(programs: Mapping[str, Program], workers: Workers = "auto") -> InlinePool:
    """Return a pool over the programs, which are looked up by their modules' hash.

    Threads where the kernel can be used, else the inline pool, which is logged once in a process. Raises
    `HostError` if the threads cannot be had, or their number is not between 0 and `native.WORKERS_MAX`.
    """
    if workers != "auto" and workers < 0:
        raise HostError(f"{workers} workers; give 0 or more")
    if workers == 0:
        return InlinePool(programs)
    fault = kernel_fault()
    if fault is not None:
        _say_once(fault)
        return InlinePool(programs)
    return ThreadsPool(programs, workers=None if workers == "auto" else workers)


@functools.cache
def _say_once(fault: str) -> None:
    _log.warning("turns run without the kernel, several times slower: %s", fault)
