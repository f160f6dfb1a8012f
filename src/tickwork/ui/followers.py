"""The runs that somebody looks at: each is kept up with once, however many pages show it."""

import threading
from collections import OrderedDict
from pathlib import Path

from tickwork.ui.follow import Follower

# Each may take some 100 MiB when its run is long and has many agents. The one not asked for longest goes.
FOLLOWED_MAX = 6


class Followers:
    """The followers by file; use `close` at the end."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_path: OrderedDict[Path, Follower] = OrderedDict()

    def get(self, path: Path) -> Follower:
        """Return the follower of a file, which may only just have begun to read it."""
        with self._lock:
            found = self._by_path.get(path)
            if found is None:
                found = self._by_path[path] = Follower(path)
            self._by_path.move_to_end(path)
            leaving = self._by_path.popitem(last=False)[1] if len(self._by_path) > FOLLOWED_MAX else None
        if leaving is not None:
            leaving.close()
        return found

    def close(self) -> None:
        """Let go of all files."""
        with self._lock:
            followers = list(self._by_path.values())
            self._by_path.clear()
        for follower in followers:
            follower.close()
