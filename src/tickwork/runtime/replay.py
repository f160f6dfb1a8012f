"""Replaying: the same loop over recorded arrivals, every tick held against the record."""

import contextlib
import platform
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tickwork.core.spec import FLOATS_FAST
from tickwork.guest.engine import Engine
from tickwork.journal.header import Header
from tickwork.journal.reader import RunReader
from tickwork.pool.choose import Workers
from tickwork.runtime.clock import monotonic_s
from tickwork.runtime.comparison import Divergence
from tickwork.runtime.fold import check_spec
from tickwork.runtime.launch import project_of
from tickwork.runtime.recompute import open_recomputation
from tickwork.runtime.rerun import Rerun

__all__ = ["Divergence", "Replay", "replay"]


@dataclass(frozen=True, slots=True)
class Replay:
    """What a replay found. `ticks` were replayed and agreed; `warnings` weaken what that means.

    `recomputed` answers of models were computed again. Those that came out otherwise, of which no more was
    promised, are in `differences`.
    `note` is what the run was recorded for, if that was said.
    """

    identical: bool
    ticks: int
    turns: int
    first_divergence: Divergence | None
    digest: str
    exact: str
    status: str
    warnings: tuple[str, ...]
    wall_s: float
    recomputed: int = 0
    differences: tuple[str, ...] = ()
    note: str = ""


def _warnings(header: Header, engine: Engine) -> list[str]:
    """Return in what ways this host is not the one that recorded."""
    warnings = []
    if (header.engine, header.engine_config) != (engine.version, engine.config_hash):
        warnings.append(
            f"recorded on {header.engine} with configuration {header.engine_config[:12]}, replayed on "
            f"{engine.version} with {engine.config_hash[:12]}: fuel may differ, so only `digest` is compared"
        )
    if header.isa != platform.machine():
        warnings.append(f"recorded on {header.isa}, replayed on {platform.machine()}")
    if engine.floats == FLOATS_FAST and (header.engine, header.isa) != (engine.version, platform.machine()):
        warnings.append(
            'the run has floats = "fast", whose results are only promised on the same processor architecture '
            f"and engine version: where they differ, nothing need be wrong; {header.engine} on {header.isa} "
            "can tell"
        )
    return warnings


def replay(
    path: Path,
    *,
    progress: Callable[[int], None] | None = None,
    workers: Workers = "auto",
    recompute: bool = False,
) -> Replay:
    """Run a run file again and compare every tick with its record; raise `RunFileError` if it is none.

    It ends at the first divergence; `progress` is told each tick that agreed. `workers` are the threads that
    run agents; they need not be as many as when it was recorded. With `recompute` models answer again also
    what can come out otherwise than recorded, such as on a GPU.
    """
    with RunReader.open(path) as reader:
        started_s = monotonic_s()
        check_spec(reader)
        again, warning = open_recomputation(reader.spec, reader.header, every=recompute)
        with contextlib.ExitStack() as undo:
            if again is not None:
                undo.callback(again.close)
            check = None if again is None else again.divergence
            rerun = Rerun(reader, workers=workers, check=check)
            undo.callback(rerun.close)
            warnings = _warnings(reader.header, rerun.engine)
            if warning is not None:
                warnings.append(warning)
            divergence = None
            for stored in reader.entries():
                divergence = rerun.tick(stored)
                if divergence is not None:
                    break
                if progress is not None:
                    progress(stored.tick)
        if again is not None:
            warnings += again.warnings
        if divergence is None:
            divergence = _end_fault(rerun)
            if reader.end is None:
                warnings.append("the run was cut off, or is still being written; what is committed agrees")
        digests = rerun.loop.digests
        return Replay(
            identical=divergence is None,
            ticks=(rerun.world.tick if divergence is None else divergence.tick) - reader.header.start_tick,
            turns=rerun.turns,
            first_divergence=divergence,
            digest=digests.digest.hex(),
            exact=digests.exact.hex(),
            status=reader.status,
            warnings=tuple(warnings),
            wall_s=monotonic_s() - started_s,
            recomputed=0 if again is None else again.count,
            differences=() if again is None else again.differences,
            note=project_of(reader.spec, reader.header.launch).note,
        )


def _end_fault(rerun: Rerun) -> Divergence | None:
    """Hold the run's end, if it has one, against what was replayed."""
    end = rerun.reader.end
    if end is None:
        return None
    digests = rerun.loop.digests
    exact = end.exact if rerun.same_engine else digests.exact
    if (end.digest, exact) != tuple(digests):
        return Divergence(end.ticks, None, "the run's final digests are not those of its last tick")
    return None
