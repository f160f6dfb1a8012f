"""What is still to arrive in a fork: the external inputs that its parent had accepted by then.

They are facts of the outside world, so they come again, in the ticks in which they came before; only from
the parent's end on does a fork read its inputs itself.
"""

import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from tickwork.core.entry import encode, encode_arrivals
from tickwork.core.errors import RunFileError
from tickwork.core.messages import NO_ARRIVALS, Arrivals

_decode = msgspec.msgpack.Decoder(Arrivals).decode
# In place of a tick: the row that holds the first tick that nothing is scheduled for.
_END = -1


@dataclass(frozen=True, slots=True)
class ScheduledArrivals:
    """Arrivals by tick, up to but not including `end`; from there on nothing is known beforehand."""

    end: int = 0
    by_tick: Mapping[int, Arrivals] = field(default_factory=dict)

    def at(self, tick: int) -> Arrivals:
        """Return what arrives in a tick before `end`."""
        return self.by_tick.get(tick, NO_ARRIVALS)


def store_arrivals(database: sqlite3.Connection, end: int, arrivals: Iterable[tuple[int, Arrivals]]) -> None:
    """Keep the inputs among the arrivals by tick, and where they end.

    Not the completions: a fork asks its models itself.
    """
    database.execute("INSERT INTO arrival VALUES (?, ?)", (_END, encode(end)))
    database.executemany(
        "INSERT INTO arrival VALUES (?, ?)",
        ((tick, encode_arrivals(Arrivals(each.inputs))) for tick, each in arrivals if each.inputs),
    )


def load_arrivals(path: Path, database: sqlite3.Connection, first: int, inputs: int) -> ScheduledArrivals:
    """Return what is scheduled from tick `first` on; raise RunFileError if it is not for `inputs` inputs."""
    by_tick: dict[int, Arrivals] = {}
    end = 0
    rows = database.execute(
        "SELECT tick, body FROM arrival WHERE tick = ? OR tick >= ? ORDER BY tick", (_END, first)
    )
    try:
        for tick, body in rows:
            if tick == _END:
                end = msgspec.msgpack.decode(body, type=int)
            else:
                by_tick[tick] = _decode(body)
    except (msgspec.MsgspecError, ValueError, TypeError, RecursionError) as error:
        raise _damaged(path) from error
    if any(not 0 <= item.source < inputs for each in by_tick.values() for item in each.inputs):
        raise _damaged(path)
    return ScheduledArrivals(end, by_tick)


def _damaged(path: Path) -> RunFileError:
    return RunFileError(f"{path}: the inputs that are still to arrive are damaged")
