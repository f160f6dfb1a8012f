"""How many more agents the process has mappings for.

Linux bounds the mappings of a process (`vm.max_map_count`), and one that has none left fails anywhere: a
thread that cannot start, an allocation in the middle of the engine. So they are counted before each instance
is made, and some are left to everything else.
"""

from collections.abc import Callable
from pathlib import Path

from tickwork.core.errors import HostError

_LIMIT = Path("/proc/sys/vm/max_map_count")
_MAPPINGS = Path("/proc/self/maps")
# For threads, SQLite, the allocator, and what a busy host adds to them.
SPARE_MAPPINGS = 2_000


class Room:
    """The process's mappings: `limit` is how many it may have, None for no bound; `used` counts those it has.

    To count them takes a while, so it is done again only when all those are given out that were free the last
    time. Not exact where threads make agents at once, which `SPARE_MAPPINGS` has room for.
    """

    def __init__(self, limit: int | None, used: Callable[[], int]) -> None:
        self._limit = limit
        self._used = used
        self._left = 0

    def take(self, mappings: int) -> None:
        """Give out so many mappings; `HostError` that says what to do if the process would have too many."""
        if self._limit is None:
            return
        if self._left < mappings:
            self._left = self._limit - SPARE_MAPPINGS - self._used()
            if self._left < mappings:
                raise HostError(
                    "this process has no room for another agent: the system allows it "
                    f"{self._limit} mappings of memory, {SPARE_MAPPINGS} are kept back, and an agent of this "
                    f"module takes up to {mappings}; allow more with: "
                    f"sysctl -w vm.max_map_count={4 * self._limit}"
                )
        self._left -= mappings

    def give_back(self, mappings: int) -> None:
        """Take back what an agent had that is gone."""
        self._left += mappings


def mapping_limit() -> int | None:
    """Return how many mappings a process may have, or None where the system states no bound."""
    try:
        return int(_LIMIT.read_text())
    except (OSError, ValueError):
        return None


def mapping_count() -> int:
    """Return how many mappings this process has, 0 where the system does not tell."""
    try:
        return _MAPPINGS.read_bytes().count(b"\n")
    except OSError:
        return 0


ROOM = Room(mapping_limit(), mapping_count)
