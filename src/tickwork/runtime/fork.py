"""A new run that goes on from a moment of another, with edits."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import msgspec

from tickwork.core.checkpoint import encode_world
from tickwork.core.editing import apply_edits
from tickwork.core.edits import NO_EDITS, Edits, encode_edits
from tickwork.core.errors import EditError, InputError, ModuleError, RunFileError
from tickwork.core.image import AgentImage
from tickwork.core.messages import Arrivals
from tickwork.core.spec import RunSpec
from tickwork.core.world import World
from tickwork.guest.compatibility import carries_over
from tickwork.guest.program import Program
from tickwork.journal.arrivals import ScheduledArrivals
from tickwork.journal.create import ForkStart
from tickwork.journal.cursor import InputCursor
from tickwork.journal.header import Parent
from tickwork.journal.reader import RunReader
from tickwork.journal.writer import RunWriter
from tickwork.manifest.edits import load_edits
from tickwork.manifest.fault_plan import load_faults
from tickwork.runtime.assemble import build_edits
from tickwork.runtime.fold import running
from tickwork.runtime.launch import launch_of, project_of
from tickwork.runtime.programs import agents_by_module, engine_for
from tickwork.runtime.record import header_for
from tickwork.runtime.rerun import Rerun


def read_edits(
    path: Path, spec: RunSpec, announce: Callable[[str], None] | None = None
) -> tuple[Edits, dict[str, bytes]]:
    """Return a file's edits, every source in it built, and the modules that they need by hash.

    What takes long is told to `announce` before it starts. Raises `EditError` for what the file says,
    `ModuleError` for a source that does not build, and `ManifestError` for a file of faults that it names.
    """
    file = load_edits(path, spec.limits.module_bytes)
    edits, modules = build_edits(file, spec.limits.module_bytes, announce or (lambda _: None))
    if file.faults is not None:
        edits = msgspec.structs.replace(edits, faults=load_faults(file.faults, spec))
    return edits, modules


def fork(  # noqa: PLR0913 - what a fork can be asked for
    path: Path,
    out: Path,
    tick: int,
    *,
    edits: Edits = NO_EDITS,
    modules: Mapping[str, bytes] | None = None,
    force: bool = False,
    warn: Callable[[str], None] | None = None,
    progress: Callable[[int], None] | None = None,
) -> None:
    """Make the run file `out`, a run that stands before `tick` of the run in `path`, with `edits` made.

    `modules` are those that the edits bring, by hash. The fork holds everything it needs; it has no ticks
    yet: `resume` takes it on. What the parent accepted from outside after `tick` arrives again, in the same
    ticks. Its outputs have no files until somebody names some. `warn` is told of the parent's snapshots that
    had to be passed over, `progress` how many of its ticks have been run again. Raises `InputError` for a
    tick that the parent does not have, `EditError`, or `RunFileError` if the parent is damaged or does not
    replay up to there.
    """
    with RunReader.open(path) as reader:
        if out.exists() and path.samefile(out):
            raise InputError(f"the fork and its parent would be one file, {out}; give another with --out")
        end, cursors = _come_to(reader)
        if not reader.header.start_tick <= tick <= end:
            raise InputError(
                f"{path} can be forked at the ticks {reader.header.start_tick} to {end}, not at {tick}"
            )
        rerun = Rerun(reader, from_tick=tick, warn=warn)
        try:
            _run_to(rerun, tick, progress)
            Forking(rerun, dict(modules or {}), edits).write(out, end, cursors, force=force)
        finally:
            rerun.close()


def _come_to(reader: RunReader) -> tuple[int, dict[int, InputCursor]]:
    """Return the tick that is next, and how far inputs were read by then, of a run that may be going on."""
    while True:
        before = reader.last_tick
        cursors = reader.cursors()
        # Cursors and entries are committed together, so between two equal answers they belong together.
        if reader.last_tick == before:
            return reader.header.start_tick if before is None else before + 1, cursors


def _run_to(rerun: Rerun, tick: int, progress: Callable[[int], None] | None) -> None:
    first = rerun.world.tick
    for stored in rerun.reader.entries(first):
        if rerun.world.tick == tick:
            return
        divergence = rerun.tick(stored)
        if progress is not None:
            progress(stored.tick + 1 - first)
        if divergence is not None:
            raise RunFileError(f"{rerun.reader.path}: does not replay up to tick {tick}: {divergence}")


class Forking:
    """A parent that has come to the moment of the fork, and what is to be changed."""

    def __init__(self, rerun: Rerun, modules: dict[str, bytes], edits: Edits) -> None:
        self._rerun = rerun
        self._modules = modules
        self._edits = edits
        self._programs: dict[str, Program] = dict(rerun.programs)

    def write(self, out: Path, end: int, cursors: Mapping[int, InputCursor], *, force: bool) -> None:
        """Write the fork's file; `end` is where the parent's record ends, `cursors` how far it had read."""
        rerun, reader = self._rerun, self._rerun.reader
        before = rerun.world
        after = apply_edits(before, self._edits, self._carries_over, self._memory_bytes)
        digests = rerun.loop.digests
        parent = Parent(
            run=reader.header.run,
            tick=before.tick,
            digest=digests.digest,
            exact=digests.exact,
            edits=encode_edits(self._edits),
        )
        project = project_of(after.run, reader.header.launch).without_outputs()
        header = header_for(after.run, engine_for(after.run), launch=launch_of(project), parent=parent)
        # A parent that is a fork itself may not have come to the end of what it was to be given.
        scheduled = reader.scheduled_arrivals(end)
        start = ForkStart(
            world=encode_world(after),
            images=self._images(after),
            cursors=cursors,
            arrivals=self._arrivals(before.tick, end, scheduled),
            arrivals_end=max(end, scheduled.end),
        )
        RunWriter.create(out, header, self._used_modules(after), force=force, fork=start).close()

    def _images(self, world: World) -> Iterator[tuple[int, AgentImage]]:
        for agent in running(world):
            yield agent, self._rerun.pool.image(self._rerun.world, agent)

    def _arrivals(self, first: int, end: int, scheduled: ScheduledArrivals) -> Iterator[tuple[int, Arrivals]]:
        for stored in self._rerun.reader.entries(first):
            if stored.tick >= end:
                break
            entry, _ = stored.decode()
            yield stored.tick, entry.arrivals
        yield from scheduled.by_tick.items()

    def _used_modules(self, world: World) -> dict[str, bytes]:
        used = dict.fromkeys((*agents_by_module(world.run), *(agent.spec.module for agent in world.agents)))
        return {
            name: self._modules[name] if name in self._modules else self._rerun.reader.module(name)
            for name in used
        }

    def _program(self, module: str) -> Program:
        if module not in self._programs:
            data = self._modules.get(module)
            if data is None:
                raise EditError(f"no source was given for the module {module}")
            self._programs[module] = Program(self._rerun.engine, data)
        return self._programs[module]

    def _carries_over(self, old: str, new: str) -> str | None:
        try:
            return carries_over(self._program(old), self._program(new))
        except ModuleError as error:
            return f"it cannot be loaded: {error}"

    def _memory_bytes(self, agent: int) -> int:
        image = self._rerun.pool.image(self._rerun.world, agent)
        return max((memory.size for memory in image.memories), default=0)
