"""A run file's snapshots, as rows for tables and programs."""

from tickwork.journal.reader import RunReader
from tickwork.journal.retention import KeepAll, Policy, kept_ticks
from tickwork.runtime.views import Row


def snapshot_rows(reader: RunReader, policy: Policy | None = None) -> list[Row]:
    """Return a row for each snapshot; with `policy`, also whether a run that keeps so many would keep it."""
    infos = reader.snapshots()
    kept = {*kept_ticks([info.tick for info in infos], policy or KeepAll())}
    if reader.header.parent is not None:
        kept.add(reader.header.start_tick)
    rows: list[Row] = []
    for info in infos:
        row: Row = {
            "tick": info.tick,
            "agents": info.agents,
            "own": info.bytes_own,
            "shared": info.bytes_shared,
            "total": info.bytes_own + info.bytes_shared,
            "damage": info.damage,
        }
        rows.append(row if policy is None else {**row, "kept": info.tick in kept})
    return rows
