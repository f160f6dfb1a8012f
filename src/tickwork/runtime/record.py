"""Recording: a world taken forward tick by tick, each in the run file before its outputs are written."""

import contextlib
import platform
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from tickwork.core.digest import Digests
from tickwork.core.errors import InputError, RunFileError, TickworkError
from tickwork.core.messages import Arrivals, Input
from tickwork.core.spec import RunSpec
from tickwork.core.step import Settled
from tickwork.core.world import World, genesis_world
from tickwork.guest.engine import Engine
from tickwork.guest.program import Program
from tickwork.journal.arrivals import ScheduledArrivals
from tickwork.journal.cursor import InputCursor
from tickwork.journal.header import Header, Parent, header_of
from tickwork.journal.reader import RunReader
from tickwork.journal.writer import RunWriter
from tickwork.pool.choose import Workers, open_pool
from tickwork.pool.inline import InlinePool
from tickwork.runtime.answers import Answers
from tickwork.runtime.clock import monotonic_s
from tickwork.runtime.inputs import BadLine, LineInput, line_fault, take_all
from tickwork.runtime.launch import launch_of
from tickwork.runtime.loop import Loop, Ticked
from tickwork.runtime.models import makers_of_answers
from tickwork.runtime.outputs import Outputs
from tickwork.runtime.places import check_places
from tickwork.runtime.programs import engine_for, open_programs
from tickwork.runtime.project import Project
from tickwork.runtime.reconcile import recorded_outputs
from tickwork.runtime.rerun import Rerun
from tickwork.runtime.snapshots import Snapshots
from tickwork.runtime.tally import Tally

# How long a finished tick may wait for its commit. Its outputs wait as long.
COMMIT_WINDOW_S = 0.05
# To wait for a commit with this much before it takes about a millisecond.
_BACKLOG_SMALL_BYTES = 256 << 10

STATUS_IDLE = "idle"
STATUS_TICKS = "ticks"
STATUS_INTERRUPTED = "interrupted"
STATUS_CLOSED = "closed"
STATUS_FAILED = "failed"
# An agent failed that the run is to end with.
STATUS_ESCALATED = "escalated"


def header_for(spec: RunSpec, engine: Engine, *, launch: bytes = b"", parent: Parent | None = None) -> Header:
    """Return the run file's header: what runs, and what its exactness rests on."""
    return header_of(
        spec,
        tickwork=version("tickwork"),
        engine=engine.version,
        engine_config=engine.config_hash,
        isa=platform.machine(),
        os=platform.system(),
        launch=launch,
        parent=parent,
        inference=makers_of_answers() if spec.models else "",
    )


class _StopWished(Exception):  # noqa: N818 - control flow within a run, never an error of it
    """A tick that was not begun, because its input had not come when the run was asked to stop."""


class Run:
    """A run being recorded. Use it in a `with` block: what is not committed at a crash did not happen.

    It belongs to the thread that made it.
    """

    def __init__(
        self,
        project: Project,
        path: Path,
        *,
        force: bool = False,
        report: Callable[[BadLine], None] | None = None,
        programs: Mapping[str, Program] | None = None,
        workers: Workers = "auto",
    ) -> None:
        """Open everything the run needs; raise a `TickworkError`, with no file made or changed, if it cannot.

        `report` is told of every bad input line. `programs`, by module hash, are used instead of compiling
        the project's modules again, where the caller runs one project many times. `workers` are the threads
        that run agents, which no result depends on: 0 runs them on the caller's.
        """
        check_places(project, path)
        engine = engine_for(project.spec) if programs is None else next(iter(programs.values())).engine
        if programs is None:
            programs = open_programs(engine, project.spec, project.modules)
        header = header_for(project.spec, engine, launch=launch_of(project))
        self._prepare(project, path, report)
        with contextlib.ExitStack() as undo:
            self._open_answers(undo)
            self._open_inputs(undo, {})
            outputs = Outputs(project.outputs, force=force)
            undo.callback(outputs.abandon)
            writer = RunWriter.create(
                path, header, project.modules, force=force, durability=project.durability
            )
            undo.callback(writer.close)
            outputs.begin()
            undo.pop_all()
        pool = open_pool(programs, workers)
        self._start(writer, outputs, pool, Loop(genesis_world(project.spec), pool, header.start))

    @classmethod
    def going_on(
        cls,
        project: Project,
        reader: RunReader,
        rerun: Rerun,
        *,
        force: bool = False,
        report: Callable[[BadLine], None] | None = None,
    ) -> Self:
        """Go on with a run file, from the end of its record, to which `rerun` has come. See `resume`."""
        run = cls.__new__(cls)
        run._go_on(project, reader, rerun, report, force=force)  # noqa: SLF001 - the other way to make one
        return run

    def _go_on(
        self,
        project: Project,
        reader: RunReader,
        rerun: Rerun,
        report: Callable[[BadLine], None] | None,
        *,
        force: bool,
    ) -> None:
        path = reader.path
        check_places(project, path)
        self._prepare(project, path, report)
        with contextlib.ExitStack() as undo:
            resumed = RunWriter.resume(path, durability=project.durability)
            undo.callback(resumed.writer.close)
            # Before the writer, which could not tidy up behind an open reader.
            undo.callback(reader.close)
            if (resumed.next_tick, resumed.digests) != (rerun.world.tick, rerun.loop.digests):
                raise RunFileError(f"{path}: was changed by another process just now; try again")
            self._open_answers(undo)
            self._open_inputs(undo, resumed.cursors)
            self._scheduled = reader.scheduled_arrivals(rerun.world.tick)
            outputs = Outputs.continued(project.outputs, recorded_outputs(reader), force=force)
            undo.pop_all()
        self._start(resumed.writer, outputs, rerun.pool, rerun.loop)
        if self._answers is not None:
            self._answers.begin(self.world)

    def _prepare(self, project: Project, path: Path, report: Callable[[BadLine], None] | None) -> None:
        self.project = project
        self.path = path
        self.tally = Tally()
        self.status = STATUS_CLOSED
        self._report = report
        self._stop: Callable[[], bool] = lambda: False
        self._inputs: dict[int, LineInput] = {}
        self._posted: list[Input] = []
        self._scheduled = ScheduledArrivals()
        self._finished = False
        self._answers: Answers | None = None

    def _start(self, writer: RunWriter, outputs: Outputs, pool: InlinePool, loop: Loop) -> None:
        self.id = writer.header.run
        self._writer = writer
        self._outputs = outputs
        self._pool = pool
        self.loop = loop
        self._started_s = self._committed_s = monotonic_s()
        self._snapshots = Snapshots(self.project.snapshots, writer, pool, self._started_s)

    def _open_inputs(self, undo: contextlib.ExitStack, cursors: Mapping[int, InputCursor]) -> None:
        """Open the inputs that have a path, by their place in the specification."""
        for source, item in enumerate(self.project.spec.inputs):
            if item.name in self.project.inputs:
                self._inputs[source] = LineInput(
                    item.name,
                    source,
                    self.project.inputs[item.name],
                    line_bytes_max=self.project.spec.limits.input_line_bytes,
                    report=self._bad_line,
                    waiting=self._while_waiting,
                    cursor=cursors.get(source),
                )
                undo.callback(self._inputs[source].close)

    def _open_answers(self, undo: contextlib.ExitStack) -> None:
        """Let the models be served that the specification has, if it has any."""
        if self.project.spec.models:
            self._answers = Answers.of(self.project.spec, self.project.models)
            undo.callback(self._answers.close)

    def _bad_line(self, bad: BadLine) -> None:
        self.tally.bad_lines += 1
        if self.project.stop_at_bad_input:
            raise InputError(str(bad))
        if self._report is not None:
            self._report(bad)

    @property
    def world(self) -> World:
        """The world before the next tick."""
        return self.loop.world

    @property
    def digests(self) -> Digests:
        """The digests after the last tick."""
        return self.loop.digests

    @property
    def inputs_exhausted(self) -> bool:
        """Whether nothing more will come from outside unless it is posted."""
        return (
            not self._posted
            and self.world.tick >= self._scheduled.end
            and all(source.exhausted for source in self._inputs.values())
        )

    def post(self, name: str, value: object) -> None:
        """Give the input `name` one more line for the next tick: bytes or text of JSON, or a value.

        Posted lines come after those that the tick takes from the input's file. Raises `InputError`.
        """
        names = [item.name for item in self.project.spec.inputs]
        if name not in names:
            raise InputError(f"there is no input {name!r}; declared: {', '.join(names) or 'none'}")
        try:
            if isinstance(value, str):
                value = value.encode()
            line = value.strip() if isinstance(value, bytes) else msgspec.json.encode(value)
        except (TypeError, ValueError, RecursionError, msgspec.MsgspecError) as error:
            raise InputError(f"input {name!r}: the posted value is not JSON: {error}") from None
        fault = line_fault(line)
        if fault is None and len(line) > self.project.spec.limits.input_line_bytes:
            fault = f"is longer than {self.project.spec.limits.input_line_bytes} bytes"
        if fault is not None:
            raise InputError(f"input {name!r}: the posted line {fault}")
        self._posted.append(Input(names.index(name), line))

    def advance(self, ticks: int = 1) -> Settled:
        """Take `ticks` ticks and return the last one's result."""
        if ticks < 1:
            raise ValueError("a run advances by at least one tick")
        ticked = self._tick()
        for _ in range(ticks - 1):
            ticked = self._tick()
        return ticked.settled

    def run_to_end(self, *, stop: Callable[[], bool] = lambda: False) -> str:
        """Advance until the project or an agent's supervision says, or `stop()` is true; return the status.

        `stop` is asked at each tick's end, and every now and then while an input keeps the run waiting; the
        lines of the tick that then does not take place are lost. Raises `InputError` for a project that
        would never end.
        """
        project = self.project
        project.check_ends()
        self._stop = stop
        while True:
            if self.world.fatal is not None:
                self.status = STATUS_ESCALATED
            elif project.ticks is not None and self.world.tick >= project.ticks:
                self.status = STATUS_TICKS
            elif project.until_idle and self.inputs_exhausted and self.world.idle:
                self.status = STATUS_IDLE
            elif stop():
                self.status = STATUS_INTERRUPTED
            else:
                try:
                    self._tick()
                    continue
                except _StopWished:
                    self.status = STATUS_INTERRUPTED
            self._stop = lambda: False
            return self.status

    def _while_waiting(self) -> None:
        # Whoever writes our input may first want to read what the last tick put out.
        self._commit(monotonic_s())
        if self._stop():
            raise _StopWished

    def _tick(self) -> Ticked:
        ticked = self.loop.tick(self._arrivals())
        tick = ticked.world.tick - 1
        if self._answers is not None and isinstance(ticked.result, Settled):
            self._answers.follow(ticked.result)
        if self._inputs:
            self._writer.note_inputs({source: item.cursor for source, item in self._inputs.items()})
        self._writer.append(tick, ticked.digests, ticked.entry, ticked.fuel)
        self._outputs.hold(tick, ticked.result.performed)
        self.tally.count(ticked)
        now_s = monotonic_s()
        self.tally.wall_s = now_s - self._started_s
        self._snapshots.after(ticked, now_s)
        if now_s - self._committed_s >= COMMIT_WINDOW_S:
            # Who waits for an output may wait no longer for a commit than that takes; nor need ticks wait.
            if self._outputs.holding and self._writer.backlog_bytes <= _BACKLOG_SMALL_BYTES:
                self._commit(now_s)
            else:
                self._committed_s = now_s
                self._writer.request_commit()
        self._outputs.release(self._writer.committed)
        return ticked

    def _arrivals(self) -> Arrivals:
        tick = self.world.tick
        # Agents are only set up in tick 0: a line given to them then would find nobody.
        if tick == 0:
            return Arrivals()
        # Before any line is taken, since a wish to stop may end the waiting.
        completions = () if self._answers is None else self._answers.due(self.world, self._while_waiting)
        if tick < self._scheduled.end:
            lines = self._scheduled.at(tick).inputs
        else:
            lines = take_all(self._inputs, [item.rate for item in self.project.spec.inputs])
        posted, self._posted = self._posted, []
        return Arrivals((*lines, *posted), completions)

    def _commit(self, now_s: float) -> None:
        self._writer.commit()
        self._outputs.release(self._writer.committed)
        self._committed_s = now_s

    def finish(self) -> None:
        """Commit, write the outputs that waited, and end the run file with the run's status; idempotent."""
        if not self._finished:
            self._finished = True
            self._writer.finish(self.status)
            self._outputs.release(self._writer.committed)

    def close(self) -> None:
        """Free everything; the run file keeps what was committed."""
        with contextlib.ExitStack() as stack:
            stack.callback(self._writer.close)
            stack.callback(self._outputs.close)
            if self._answers is not None:
                stack.callback(self._answers.close)
            for source in self._inputs.values():
                stack.callback(source.close)
            self._pool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.closing(self):
            if error is None:
                self.finish()
            elif isinstance(error, Exception):
                # Whatever went wrong, the ticks before it are whole. After a Ctrl-C even that is uncertain.
                self.status = STATUS_FAILED
                with contextlib.suppress(TickworkError):
                    self.finish()
