"""Recording: a world taken forward tick by tick, each in the run file before its outputs are written."""

import contextlib
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from tickwork.core.digest import Digests
from tickwork.core.errors import InputError, TickworkError
from tickwork.core.messages import Arrivals, Input
from tickwork.core.refusals import DENIED
from tickwork.core.spec import RunSpec
from tickwork.core.step import Settled
from tickwork.core.world import Status, World, genesis_world
from tickwork.guest.engine import Engine
from tickwork.guest.program import Program
from tickwork.journal.header import Header, header_of
from tickwork.journal.writer import RunWriter
from tickwork.pool.inline import InlinePool
from tickwork.runtime.clock import monotonic_s
from tickwork.runtime.inputs import BadLine, LineInput, line_fault, take_all
from tickwork.runtime.loop import Loop
from tickwork.runtime.outputs import Outputs
from tickwork.runtime.places import check_places
from tickwork.runtime.programs import open_programs
from tickwork.runtime.project import Project

# How long a finished tick may wait for its commit. Its outputs wait as long.
COMMIT_WINDOW_S = 0.05

STATUS_IDLE = "idle"
STATUS_TICKS = "ticks"
STATUS_INTERRUPTED = "interrupted"
STATUS_CLOSED = "closed"
STATUS_FAILED = "failed"


@dataclass(slots=True)
class Tally:
    """What a run has come to so far. `messages` counts deliveries: what agents found in their inboxes."""

    ticks: int = 0
    turns: int = 0
    messages: int = 0
    denied: int = 0
    rejected: int = 0
    undelivered: int = 0
    failed: list[str] = field(default_factory=list)
    bad_lines: int = 0
    wall_s: float = 0.0

    def count(self, settled: Settled, messages: int) -> None:
        """Add one tick."""
        self.ticks += 1
        self.turns += len(settled.entry.turns)
        self.messages += messages
        self.undelivered += len(settled.entry.undelivered)
        for turn in settled.entry.turns:
            for refusal in turn.refusals:
                if refusal.verdict == DENIED:
                    self.denied += 1
                else:
                    self.rejected += 1
        for agent in settled.ended:
            state = settled.world.agents[agent]
            if state.status is Status.FAILED:
                self.failed.append(state.spec.id)


def header_for(spec: RunSpec, engine: Engine) -> Header:
    """Return the run file's header: what runs, and what its exactness rests on."""
    return header_of(
        spec,
        tickwork=version("tickwork"),
        engine=engine.version,
        engine_config=engine.config_hash,
        isa=platform.machine(),
        os=platform.system(),
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
    ) -> None:
        """Open everything the run needs; raise a `TickworkError`, with no file made or changed, if it cannot.

        `report` is told of every bad input line. `programs`, by module hash, are used instead of compiling
        the project's modules again, where the caller runs one project many times.
        """
        check_places(project, path)
        engine = Engine() if programs is None else next(iter(programs.values())).engine
        self.project = project
        self.path = path
        self.tally = Tally()
        self.status = STATUS_CLOSED
        self._report = report
        self._stop: Callable[[], bool] = lambda: False
        self._posted: list[Input] = []
        self._finished = False
        if programs is None:
            programs = open_programs(engine, project.spec, project.modules)
        header = header_for(project.spec, engine)
        self.id = header.run
        with contextlib.ExitStack() as undo:
            self._inputs = self._open_inputs(undo)
            self._outputs = Outputs(project.outputs, force=force)
            undo.callback(self._outputs.abandon)
            self._writer = RunWriter.create(path, header, project.modules, force=force)
            undo.callback(self._writer.close)
            self._outputs.begin()
            undo.pop_all()
        self._pool = InlinePool(programs)
        self._loop = Loop(genesis_world(project.spec), self._pool, header.genesis())
        self._started_s = self._committed_s = monotonic_s()

    def _open_inputs(self, undo: contextlib.ExitStack) -> dict[int, LineInput]:
        """Return the inputs that have a path, by their place in the specification."""
        inputs: dict[int, LineInput] = {}
        for source, item in enumerate(self.project.spec.inputs):
            if item.name in self.project.inputs:
                inputs[source] = LineInput(
                    item.name,
                    source,
                    self.project.inputs[item.name],
                    line_bytes_max=self.project.spec.limits.input_line_bytes,
                    report=self._bad_line,
                    waiting=self._while_waiting,
                )
                undo.callback(inputs[source].close)
        return inputs

    def _bad_line(self, bad: BadLine) -> None:
        self.tally.bad_lines += 1
        if self.project.stop_at_bad_input:
            raise InputError(str(bad))
        if self._report is not None:
            self._report(bad)

    @property
    def world(self) -> World:
        """The world before the next tick."""
        return self._loop.world

    @property
    def digests(self) -> Digests:
        """The digests after the last tick."""
        return self._loop.digests

    @property
    def inputs_exhausted(self) -> bool:
        """Whether nothing more will come from outside unless it is posted."""
        return not self._posted and all(source.exhausted for source in self._inputs.values())

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
        settled = self._tick()
        for _ in range(ticks - 1):
            settled = self._tick()
        return settled

    def run_to_end(self, *, stop: Callable[[], bool] = lambda: False) -> str:
        """Advance until the project says, or until `stop()` is true; return the status.

        `stop` is asked at each tick's end, and every now and then while an input keeps the run waiting; the
        lines of the tick that then does not take place are lost. Raises `InputError` for a project that
        would never end.
        """
        project = self.project
        project.check_ends()
        self._stop = stop
        while True:
            if project.ticks is not None and self.tally.ticks >= project.ticks:
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

    def _tick(self) -> Settled:
        ticked = self._loop.tick(self._arrivals())
        tick = ticked.settled.entry.tick
        self._writer.append(tick, ticked.digests, ticked.entry, ticked.fuel)
        self._outputs.hold(ticked.settled.performed)
        self.tally.count(ticked.settled, ticked.messages)
        now_s = monotonic_s()
        self.tally.wall_s = now_s - self._started_s
        if now_s - self._committed_s >= COMMIT_WINDOW_S:
            self._commit(now_s)
        elif self._writer.committed > tick:
            self._outputs.release()
        return ticked.settled

    def _arrivals(self) -> Arrivals:
        # Agents are only set up in tick 0: a line given to them then would find nobody.
        if self.world.tick == 0:
            return Arrivals()
        lines = take_all(self._inputs, [item.rate for item in self.project.spec.inputs])
        posted, self._posted = self._posted, []
        return Arrivals((*lines, *posted))

    def _commit(self, now_s: float) -> None:
        self._writer.commit()
        self._outputs.release()
        self._committed_s = now_s

    def finish(self) -> None:
        """Commit, write the outputs that waited, and end the run file with the run's status; idempotent."""
        if not self._finished:
            self._finished = True
            self._writer.finish(self.status)
            self._outputs.release()

    def close(self) -> None:
        """Free everything; the run file keeps what was committed."""
        with contextlib.ExitStack() as stack:
            stack.callback(self._writer.close)
            stack.callback(self._outputs.close)
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
