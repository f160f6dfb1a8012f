"""Worlds kept between snapshots: cheap, since they hold no agent's memory, and enough to look at a run by.

A mark shortens the way from a snapshot to a tick for whoever only wants to know what waited for whom. It is
held against the chain like a snapshot, and a damaged one is passed over: the snapshot before it will do.
"""

import sqlite3
from pathlib import Path

from tickwork.core.digest import DIGEST_BYTES, Digests
from tickwork.journal.codec import Damage
from tickwork.journal.connect import reading
from tickwork.journal.snapshot_codec import pack_world, unpack_world

_NEAREST = "SELECT tick, digest, exact, world FROM mark WHERE tick <= ? ORDER BY tick DESC LIMIT 1"
_ENTRY = "SELECT digest, exact FROM entry WHERE tick = ?"


def store_mark(database: sqlite3.Connection, tick: int, digests: Digests, world: bytes) -> None:
    """Keep the world at the boundary before `tick`."""
    database.execute(
        "INSERT OR REPLACE INTO mark VALUES (?, ?, ?, ?)",
        (tick, digests.digest, digests.exact, pack_world(world)),
    )


def nearest_mark(path: Path, database: sqlite3.Connection, tick: int) -> tuple[int, Digests, bytes] | None:
    """Return the last mark that is not after `tick`, as its tick, the chain there and the world's bytes.

    None if there is none, or if it is damaged.
    """
    with reading(path):
        row = database.execute(_NEAREST, (tick,)).fetchone()
        if row is None:
            return None
        at, digest, exact, stored = row
        before = database.execute(_ENTRY, (at - 1,)).fetchone()
    if before != (digest, exact) or any(
        not isinstance(part, bytes) or len(part) != DIGEST_BYTES for part in (digest, exact)
    ):
        return None
    try:
        return at, Digests(digest, exact), unpack_world(stored)
    except Damage:
        return None


def mark_ticks(path: Path, database: sqlite3.Connection) -> list[int]:
    """Return the ticks of all marks, ascending."""
    with reading(path):
        return [int(tick) for (tick,) in database.execute("SELECT tick FROM mark ORDER BY tick")]
