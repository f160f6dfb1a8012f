"""JSON lines: one object for each row of every table, `type` being the table's name in the singular."""

from collections.abc import Iterator

import msgspec

from tickwork.export.tables import agent_rows, tick_rows
from tickwork.journal.reader import RunReader
from tickwork.runtime.fold import FoldedTick
from tickwork.runtime.views import Row, readable

_encode = msgspec.json.Encoder().encode


def lines(reader: RunReader, ticks: Iterator[FoldedTick]) -> Iterator[bytes]:
    """Yield the run's line, its ticks' lines in order, and the agents' as they stand at the end."""
    header = reader.header
    run: Row = {
        "type": "run",
        "run": header.run,
        "name": reader.spec.name,
        "seed": reader.spec.seed,
        "status": reader.status,
        "start_tick": header.start_tick,
        "engine": header.engine,
        "tickwork": header.tickwork,
    }
    yield _encode(run) + b"\n"
    last: FoldedTick | None = None
    for folded in ticks:
        for table, row in tick_rows(folded):
            yield _line(table, row)
        last = folded
    if last is not None:
        for table, row in agent_rows(last.settled.world):
            yield _line(table, row)


def _line(table: str, row: Row) -> bytes:
    told = {name: readable(value) if isinstance(value, bytes) else value for name, value in row.items()}
    return _encode({"type": table.removesuffix("s"), **told}) + b"\n"
