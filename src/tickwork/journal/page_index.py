"""Which page has which row: a bounded memory of hashes, and a count of each row's uses."""

import numpy as np
import numpy.typing as npt

# Hashes in one of the two generations: about 20 MB of dictionary each.
GENERATION_PAGES = 100_000


class KnownPages:
    """The rows of the pages met of late, by hash. The older half is forgotten when the younger is full."""

    def __init__(self, *, complete: bool, generation: int = GENERATION_PAGES) -> None:
        # Whether there is no row that is not remembered.
        self.complete = complete
        self._generation = generation
        self._young: dict[bytes, int] = {}
        self._old: dict[bytes, int] = {}

    def find(self, digest: bytes) -> int | None:
        """Return a page's row, or None if it is not remembered; only if `complete` it then has none."""
        row = self._young.get(digest)
        if row is None:
            row = self._old.get(digest)
            if row is not None:
                self.add(digest, row)
        return row

    def add(self, digest: bytes, row: int) -> None:
        """Remember a page."""
        if len(self._young) >= self._generation:
            self.complete = self.complete and not self._old
            self._old, self._young = self._young, {}
        self._young[digest] = row

    def forget(self, digest: bytes) -> None:
        """Forget a page whose row is gone."""
        self._young.pop(digest, None)
        self._old.pop(digest, None)


class UseCounts:
    """How often each row is used, by id; an array, since there may be millions."""

    def __init__(self) -> None:
        self._counts = np.zeros(1024, np.uint32)

    def add(self, ids: npt.NDArray[np.int64]) -> None:
        """Count one more use for each of `ids`, which may repeat."""
        self._reserve(int(ids.max(initial=0)))
        np.add.at(self._counts, ids, np.uint32(1))

    def remove(self, ids: npt.NDArray[np.int64]) -> list[int]:
        """Count one use less for each of `ids`; return those that have none left, ascending."""
        np.subtract.at(self._counts, ids, np.uint32(1))
        distinct = np.unique(ids)
        return [int(row) for row in distinct[self._counts[distinct] == 0]]

    def unused(self, ids: npt.NDArray[np.int64]) -> list[int]:
        """Return which of `ids` have no use, ascending."""
        self._reserve(int(ids.max(initial=0)))
        return [int(row) for row in np.sort(ids[self._counts[ids] == 0])]

    def _reserve(self, highest: int) -> None:
        if highest >= len(self._counts):
            # Untouched zeros take no memory, so a file with few but high ids costs little.
            grown = np.zeros(2 * highest, np.uint32)
            grown[: len(self._counts)] = self._counts
            self._counts = grown
