"""What `run`, `resume`, `fork` and `demo` share: taking a run to its end and telling what came of it."""

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import typer

from tickwork.cli.console import print_json, print_line, printable, say
from tickwork.cli.interrupt import interruptible
from tickwork.cli.progress import progress
from tickwork.core.errors import InputError
from tickwork.core.world import Status
from tickwork.pool.choose import Workers
from tickwork.runtime.inputs import BadLine
from tickwork.runtime.places import STREAM
from tickwork.runtime.record import STATUS_ESCALATED, STATUS_INTERRUPTED, Run
from tickwork.runtime.resume import resume

_EXIT_FAILED = 1
_EXIT_INTERRUPTED = 130
_FAILURES_SHOWN = 10
_BAD_LINES_SHOWN = 10


class BadLines:
    """Tells of the first bad input lines, one by one, and of the rest by their number."""

    def __init__(self) -> None:
        self._count = 0

    def __call__(self, bad: BadLine) -> None:
        """Tell of one."""
        self._count += 1
        if self._count <= _BAD_LINES_SHOWN:
            say(f"skipped {bad}")

    def close(self) -> None:
        """Tell of those that were not told of."""
        if self._count > _BAD_LINES_SHOWN:
            say(f"... and {self._count - _BAD_LINES_SHOWN} more bad lines")


def named_paths(option: str, items: list[str] | None) -> dict[str, str]:
    """Return the NAME=PATH items of an option; raise `InputError` for another form or a name given twice."""
    paths: dict[str, str] = {}
    for item in items or ():
        name, equals, path = item.partition("=")
        if not (name and equals and path):
            raise InputError(f"{option} takes NAME=PATH, not {item!r}")
        if name in paths:
            raise InputError(f"{option} names {name!r} twice")
        paths[name] = path
    return paths


def check_stdout(outputs: Mapping[str, str], *, json: bool) -> bool:
    """Return whether an output goes to standard output; raise `InputError` if `json` does as well."""
    to_stdout = [name for name, place in outputs.items() if place == STREAM]
    if json and to_stdout:
        raise InputError(
            f"--json and output {to_stdout[0]!r} both want standard output; give --output NAME=PATH"
        )
    return bool(to_stdout)


def record_to_end(recording: Run, stop: Callable[[], bool], *, quiet: bool) -> str:
    """Show progress while the run goes to its end, or to `stop()`; return its status."""
    ticks = recording.project.ticks
    total = None if ticks is None else max(ticks - recording.world.tick, 0)
    with progress("recording", total, quiet=quiet) as advance:

        def between_ticks() -> bool:
            tally = recording.tally
            advance(tally.ticks, f"{tally.messages} messages")
            return stop()

        return recording.run_to_end(stop=between_ticks)


@dataclass(frozen=True, slots=True)
class Going:
    """How a run goes on: what `resume` and `fork` were told on the command line."""

    ticks: int | None
    until: str | None
    inputs: dict[str, str]
    outputs: dict[str, str]
    json: bool
    force: bool = False
    workers: Workers = "auto"

    def to_end(self, file: Path) -> tuple[Run, int]:
        """Take a run file to its run's end; return the run, and the tick at which it went on.

        Ctrl-C stops at once, and nothing has been changed, until the record has been run again.
        """
        with closing(BadLines()) as report:
            recording = self._begin(file, report)
            resumed_at = recording.world.tick
            with interruptible() as stop, recording:
                record_to_end(recording, stop, quiet=self.json)
        return recording, resumed_at

    def _begin(self, file: Path, report: BadLines) -> Run:
        with progress("catching up", None, quiet=self.json) as advance:
            recording = resume(
                file,
                ticks=self.ticks,
                until=self.until,
                inputs=self.inputs,
                outputs=self.outputs,
                outputs_anywhere=False,
                force=self.force,
                report=report,
                warn=lambda text: say(f"warning: {text}"),
                progress=advance,
                workers=self.workers,
            )
        try:
            check_stdout(recording.project.outputs, json=self.json)
            recording.project.check_ends()
        except InputError:
            recording.close()
            raise
        return recording


def exit_code(recording: Run, *, allow_failures: bool) -> int:
    """Return what the command exits with after a run."""
    if recording.status == STATUS_INTERRUPTED:
        return _EXIT_INTERRUPTED
    if recording.status == STATUS_ESCALATED:
        return _EXIT_FAILED
    return _EXIT_FAILED if recording.tally.failed and not allow_failures else 0


def leave(code: int) -> None:
    """End the command, unless all is well."""
    if code:
        raise typer.Exit(code)


def tell_run(recording: Run, *, json: bool, **more: object) -> None:
    """Print a run's result; `more` are fields that only JSON has."""
    if json:
        print_json({**result(recording), **more})
    else:
        show(recording, err=STREAM in recording.project.outputs.values())


def result(recording: Run) -> dict[str, object]:
    """Return a run's result as a JSON object."""
    tally = recording.tally
    return {
        "run": recording.id,
        "file": printable(str(recording.path)),
        "status": recording.status,
        "ticks": tally.ticks,
        "turns": tally.turns,
        "messages": tally.messages,
        "agents": len(recording.world.agents),
        "denied": tally.denied,
        "rejected": tally.rejected,
        "undelivered": tally.undelivered,
        "faults": tally.faults,
        "restarted": tally.restarted,
        "rolled_back": tally.rolled_back,
        "bad_lines": tally.bad_lines,
        "failed": tally.failed,
        "digest": recording.digests.digest.hex(),
        "exact": recording.digests.exact.hex(),
        "wall_s": round(tally.wall_s, 6),
    }


def show(recording: Run, *, err: bool) -> None:
    """Print a run's result for people."""
    tally = recording.tally
    tell = say if err else print_line
    rate = tally.turns / tally.wall_s if tally.wall_s else 0.0
    tell(
        f"{recording.project.spec.name}: {tally.ticks} ticks, {tally.turns} turns of "
        f"{len(recording.world.agents)} agents, {tally.messages} messages in {tally.wall_s:.2f} s "
        f"({rate:,.0f} turns/s); ended: {recording.status}"
    )
    for name, count in (
        ("effects denied", tally.denied),
        ("effects rejected", tally.rejected),
        ("messages undelivered", tally.undelivered),
        ("faults applied", tally.faults),
        ("agents restarted", tally.restarted),
        ("agents rolled back", tally.rolled_back),
        ("bad input lines", tally.bad_lines),
    ):
        if count:
            tell(f"  {name}: {count}")
    tell(f"  digest {recording.digests.digest.hex()}")
    tell(f"  exact  {recording.digests.exact.hex()}")
    tell(f"  file   {recording.path}")
    _show_failures(recording)


def _show_failures(recording: Run) -> None:
    failed = recording.tally.failed
    if not failed:
        return
    say(f"{len(failed)} of {len(recording.world.agents)} agents failed:")
    for name in failed[:_FAILURES_SHOWN]:
        state = recording.world.agents[recording.world.directory.index[name]]
        if state.status is Status.FAILED:
            say(f"{name}: {state.reason}")
    if len(failed) > _FAILURES_SHOWN:
        more = len(failed) - _FAILURES_SHOWN
        say(f"... and {more} more; `tickwork inspect {recording.path} agents` has all")
