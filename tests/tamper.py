"""Changes a finished run file behind tickwork's back: as a bit error would, or as a forger who knows it."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import msgspec
from blake3 import blake3

from tickwork.core.digest import Digests, advance, genesis
from tickwork.core.entry import Entry, Fuel, decode_entry, decode_fuel, encode, encode_entry
from tickwork.core.spec import RunSpec
from tickwork.journal.codec import EntryPacker, pack_module, unpack_entry
from tickwork.journal.header import KEY_CHECK, KEY_END, End, check_value, encode_end, encode_spec

Edit = Callable[[Entry, Fuel], tuple[Entry, Fuel]]


@dataclass
class Tampering:
    """An open run file. Nothing is kept consistent unless it is asked for."""

    database: sqlite3.Connection

    def entry(self, tick: int) -> tuple[Entry, Fuel]:
        (body,) = self.database.execute("SELECT body FROM entry WHERE tick = ?", (tick,)).fetchone()
        entry, fuel = unpack_entry(body)
        return decode_entry(entry), decode_fuel(fuel)

    def put_entry(self, tick: int, entry: Entry, fuel: Fuel) -> None:
        body = EntryPacker().pack(encode_entry(entry), encode(fuel))
        self.database.execute("UPDATE entry SET body = ? WHERE tick = ?", (body, tick))

    def edit(self, tick: int, edit: Edit) -> None:
        self.put_entry(tick, *edit(*self.entry(tick)))

    def drop(self, tick: int) -> None:
        self.database.execute("DELETE FROM entry WHERE tick = ?", (tick,))

    def swap(self, first: int, second: int) -> None:
        """Exchange the ticks under which two entries stand, digests and all."""
        for was, now in ((first, -1), (second, first), (-1, second)):
            self.database.execute("UPDATE entry SET tick = ? WHERE tick = ?", (now, was))

    def put_module(self, name: str, code: bytes) -> None:
        self.database.execute("UPDATE module SET bytes = ? WHERE hash = ?", (pack_module(code), name))

    def put_module_and_name(self, old: str, code: bytes) -> None:
        self.put_module(old, code)
        new = blake3(code).hexdigest()
        self.database.execute("UPDATE module SET hash = ? WHERE hash = ?", (new, old))
        self.put_spec(
            lambda spec: msgspec.msgpack.decode(
                encode_spec(spec).replace(old.encode(), new.encode()), type=RunSpec
            )
        )

    def put_spec(self, change: Callable[[RunSpec], RunSpec]) -> None:
        """Put another specification in, with the run's id and the checksum that belong to it."""
        rows = dict(self.database.execute("SELECT key, value FROM run").fetchall())
        spec = change(msgspec.msgpack.decode(rows["spec"], type=RunSpec))
        rows["spec"] = encode_spec(spec)
        first = genesis(rows["spec"])
        rows["run"] = first.digest.hex()
        rows["start"] = first.digest + first.exact
        self._put_rows(rows)

    def put_makers(self, inference: str) -> None:
        """Say that something else computed the answers of models."""
        rows = dict(self.database.execute("SELECT key, value FROM run").fetchall())
        rows["inference"] = inference
        self._put_rows(rows)

    def put_digests(self, tick: int, digests: Digests) -> None:
        self.database.execute(
            "UPDATE entry SET digest = ?, exact = ? WHERE tick = ?", (digests.digest, digests.exact, tick)
        )

    def rechain(self) -> None:
        """Recompute every digest from the specification on, and the run's end: a perfect forgery."""
        rows = dict(self.database.execute("SELECT key, value FROM run").fetchall())
        digests = genesis(rows["spec"])
        ticks = self.database.execute("SELECT tick, body FROM entry ORDER BY tick").fetchall()
        for tick, body in ticks:
            digests = advance(digests, *unpack_entry(body))
            self.put_digests(tick, digests)
        end = msgspec.msgpack.decode(rows[KEY_END], type=End)
        rows[KEY_END] = encode_end(End(end.status, len(ticks), digests.digest, digests.exact))
        self._put_rows(rows)

    def _put_rows(self, rows: dict[str, str | int | bytes]) -> None:
        rows[KEY_CHECK] = check_value(rows)
        self.database.executemany("INSERT OR REPLACE INTO run VALUES (?, ?)", rows.items())


def tamper(path: Path, change: Callable[[Tampering], None], *, rechain: bool = False) -> None:
    """Change the run file at `path`."""
    with closing(sqlite3.connect(path)) as database:
        tampering = Tampering(database)
        change(tampering)
        if rechain:
            tampering.rechain()
        database.commit()


def flipped(data: bytes, at: int = 0) -> bytes:
    """Return `data` with one bit changed."""
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
