"""Packs and stores entries on a thread of its own, so that the ticks need not wait for their journal.

The thread and its owner share one database connection, never at once: the owner uses it only while nothing is
under way (`settle`). Compressing and SQLite's work both leave the interpreter's lock to others.
"""

import queue
import sqlite3
import threading
from collections.abc import Callable, Mapping
from typing import NamedTuple

from tickwork.core.digest import Digests
from tickwork.journal.codec import EntryPacker
from tickwork.journal.cursor import InputCursor, store_cursors

# How much the ticks may be ahead of their journal. Bounds memory, and the work that is left at a commit.
BACKLOG_BYTES_MAX = 8 << 20
# Beyond this the owner packs its entries itself: it would only have to wait for them.
_SHARE_BYTES = BACKLOG_BYTES_MAX // 4
# Entries that come within this time are stored together: to wake a thread for each would cost the tick more.
_GATHER_S = 0.001

_INSERT = "INSERT INTO entry VALUES (?, ?, ?, ?)"


class Item(NamedTuple):
    """One entry on its way; `cursors` is how far inputs had been read when its lines were taken."""

    tick: int
    digests: Digests
    entry: bytes
    fuel: bytes
    cursors: Mapping[int, InputCursor]
    body: bytes = b""

    @property
    def size(self) -> int:
        """The bytes that it holds in memory, about."""
        return len(self.entry) + len(self.fuel)


# What the queue holds besides items.
_COMMIT, _END = object(), object()


class Appender:
    """The entries that were appended and are not stored yet, and the thread that stores them.

    `committed` is the tick after the last whose entry is committed, `stored` the one after the last in the
    open transaction. `fault` is the error that ended the thread's work: it then throws away what comes.
    """

    def __init__(self, database: sqlite3.Connection, next_tick: int, window: int) -> None:
        self._database = database
        self._window = window
        self._packer = EntryPacker()
        self._own_packer = EntryPacker()
        self._queue: queue.SimpleQueue[object] = queue.SimpleQueue()
        self._hurry = threading.Event()
        self._worked = threading.Event()
        self._thread: threading.Thread | None = None
        self._put_bytes = 0
        self._done_bytes = 0
        self._put = 0
        self._done = 0
        self._cursors: dict[int, InputCursor] = {}
        self.committed = self.stored = next_tick
        self.fault: sqlite3.Error | None = None
        # Whether anything was written that is not committed: by the owner too.
        self.dirty = False

    @property
    def backlog_bytes(self) -> int:
        """How much was appended and is not stored yet."""
        return self._put_bytes - self._done_bytes

    def put(self, item: Item) -> None:
        """Hand an entry over; take work off the thread when it is behind, and wait when it is too far."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="tickwork journal", daemon=True)
            self._thread.start()
        if self.backlog_bytes > _SHARE_BYTES:
            item = item._replace(body=self._own_packer.pack(item.entry, item.fuel))
        self._put_bytes += item.size
        self._hand(item)
        if self.backlog_bytes > BACKLOG_BYTES_MAX:
            self._wait(lambda: self.backlog_bytes <= BACKLOG_BYTES_MAX)

    def store(self, item: Item) -> None:
        """Store an entry at once, on the caller's thread, and commit it."""
        self.settle()
        self._insert(item)
        self.commit()

    def request_commit(self) -> None:
        """Have what was put so far committed soon; nothing waits for it."""
        if self._thread is not None and self.fault is None:
            self._hand(_COMMIT)

    def settle(self) -> None:
        """Wait until all that was put is stored: then the connection is the caller's."""
        self._wait(lambda: self._done == self._put)

    def commit(self) -> None:
        """Commit on the caller's thread, which has settled. Raises `sqlite3.Error`."""
        if self._cursors:
            store_cursors(self._database, self._cursors)
        self._database.execute("COMMIT")
        self._cursors = {}
        self.committed = self.stored
        self.dirty = False
        self._database.execute("BEGIN IMMEDIATE")

    def end(self) -> None:
        """End the thread; idempotent."""
        if self._thread is not None:
            self._hand(_END)
            self._hurry.set()
            self._thread.join()
            self._thread = None

    def _hand(self, what: object) -> None:
        self._put += 1
        self._queue.put(what)

    def _wait(self, enough: Callable[[], bool]) -> None:
        while not enough():
            self._hurry.set()
            self._worked.clear()
            if not enough():
                self._worked.wait(_GATHER_S)

    def _run(self) -> None:
        while True:
            taken = [self._queue.get()]
            # More will come before it is worth the while, unless somebody waits.
            self._hurry.wait(_GATHER_S)
            self._hurry.clear()
            try:
                while True:
                    taken.append(self._queue.get_nowait())
            except queue.Empty:
                pass
            self._work(taken)
            if taken[-1] is _END:
                return

    def _work(self, taken: list[object]) -> None:
        for place, what in enumerate(taken):
            try:
                if self.fault is not None:
                    pass
                elif isinstance(what, Item):
                    self._insert(what)
                    if self.stored - self.committed >= self._window:
                        self.commit()
                elif what is _COMMIT and self.dirty:
                    self.commit()
            except sqlite3.Error as error:
                self.fault = error
            if isinstance(what, Item):
                self._done_bytes += what.size
            taken[place] = what if what is _END else None  # lets go of the entry
            self._done += 1
        self._worked.set()

    def _insert(self, item: Item) -> None:
        body = item.body or self._packer.pack(item.entry, item.fuel)
        self._cursors.update(item.cursors)
        self._database.execute(_INSERT, (item.tick, item.digests.digest, item.digests.exact, body))
        self.stored = item.tick + 1
        self.dirty = True
