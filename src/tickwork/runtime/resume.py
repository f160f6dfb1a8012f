"""Going on with a run file: one that was cut off, or one that has ended."""

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path

from tickwork.core.errors import InputError, RunFileError
from tickwork.journal.reader import RunReader
from tickwork.pool.choose import Workers
from tickwork.runtime.inputs import BadLine
from tickwork.runtime.launch import project_of
from tickwork.runtime.models import makers_fault, moved
from tickwork.runtime.places import STREAM
from tickwork.runtime.record import Run
from tickwork.runtime.rerun import Rerun


def resume(  # noqa: PLR0913 - everything that a run was started with may change
    path: Path,
    *,
    ticks: int | None = None,
    until: str | None = None,
    inputs: Mapping[str, str] | None = None,
    outputs: Mapping[str, str] | None = None,
    outputs_anywhere: bool = True,
    force: bool = False,
    report: Callable[[BadLine], None] | None = None,
    warn: Callable[[str], None] | None = None,
    progress: Callable[[int], None] | None = None,
    workers: Workers = "auto",
) -> Run:
    """Return a run that goes on where the file ends, as though it had never been interrupted.

    The agents are restored from the last sound snapshot and run again from there, each tick held against its
    record; inputs are read on from where they were, and the outputs' files brought in line with the record.
    `ticks` more ticks, `until`, `inputs` and `outputs` replace what the run was started with; unless
    `outputs_anywhere`, an output whose file is not in the run file's folder or below it has to be named so.
    `force` lets an output's file be emptied to which the run has not written anything yet. `progress` is told
    how many ticks have been run again; `workers` are the threads that run agents. `warn` is told of snapshots
    that had to be passed over, and of models whose provider is not there any more.

    Raises `RunFileError` for a file that is damaged, does not replay, or is being written, and `InputError`;
    the run file is not changed then.
    """
    with contextlib.ExitStack() as undo:
        reader = undo.enter_context(RunReader.open(path))
        project = project_of(reader.spec, reader.header.launch)
        if not outputs_anywhere:
            _refuse_elsewhere(path, project.outputs, named=outputs or {})
        project = project.with_paths(inputs=inputs or {}, outputs=outputs or {})
        last = reader.last_tick
        end = reader.header.start_tick if last is None else last + 1
        if ticks is not None:
            project = project.ending(ticks=end + ticks, until=until)
        elif until is not None:
            project = project.ending(ticks=None, until=until)
        rerun = Rerun(reader, from_tick=end, warn=warn, workers=workers)
        undo.callback(rerun.close)
        _refuse_others(path, reader, rerun)
        if warn is not None:
            for sentence in moved(project.models):
                warn(sentence)
        first = rerun.world.tick
        for stored in reader.entries(first):
            divergence = rerun.tick(stored)
            if progress is not None:
                progress(stored.tick + 1 - first)
            if divergence is not None:
                raise RunFileError(f"{path}: does not replay, so it cannot be gone on with: {divergence}")
        run = Run.going_on(project, reader, rerun, force=force, report=report)
        undo.pop_all()
        reader.close()
        return run


def _refuse_others(path: Path, reader: RunReader, rerun: Rerun) -> None:
    """Raise `RunFileError` if the engine or the models' runtime here are not what the run began with."""
    if not rerun.same_engine:
        raise RunFileError(
            f"{path}: was recorded on {reader.header.engine} in another configuration; only the same "
            "engine can go on with it"
        )
    fault = makers_fault(reader.header.inference) if reader.spec.models else None
    if fault is not None:
        raise RunFileError(
            f"{path}: only what computed its models' answers can go on with it; it was {fault}"
        )


def _refuse_elsewhere(path: Path, outputs: Mapping[str, str], *, named: Mapping[str, str]) -> None:
    """Raise `InputError` for an output that only the run file places, and elsewhere than beside itself.

    It may be a stranger's file: what that says must not decide what on this machine is written.
    """
    folder = path.resolve().parent
    for name, place in outputs.items():
        if name in named or place == STREAM or Path(place).resolve().is_relative_to(folder):
            continue
        raise InputError(
            f"output {name!r}: {path} would write to {place}, which is neither beside it nor below; if that "
            f"is meant, say so with --output {name}={place}"
        )
