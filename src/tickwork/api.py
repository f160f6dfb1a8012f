"""The Python interface: `load`, `record`, `replay`; `open`, `resume`, `fork` and `diff`."""

from pathlib import Path

from tickwork.pool.choose import Workers
from tickwork.runtime.assemble import load_project
from tickwork.runtime.diff import diff as diff_files
from tickwork.runtime.diff_result import Diff
from tickwork.runtime.places import AnyPath
from tickwork.runtime.project import Project
from tickwork.runtime.record import Run
from tickwork.runtime.replay import Replay
from tickwork.runtime.replay import replay as replay_file
from tickwork.runtime.resume import resume as resume_file
from tickwork.runtime.seek import AgentMoment, Moment, Recording

__all__ = [
    "AgentMoment",
    "AnyPath",
    "Diff",
    "Moment",
    "Project",
    "Recording",
    "Replay",
    "Run",
    "diff",
    "fork",
    "load",
    "open",
    "record",
    "replay",
    "resume",
]


def load(path: AnyPath) -> Project:
    """Read a project, its folder or its `tickwork.toml`, and build its modules.

    Raises `ManifestError` for what the manifest says, `ModuleError` for an agent that does not build.
    """
    return load_project(Path(path))


def record(project: Project, path: AnyPath, *, force: bool = False, workers: Workers = "auto") -> Run:
    """Begin a run of `project`, recorded in the run file `path`; use the result in a `with` block.

    Refuses to overwrite the file, or an output's, unless `force`. `workers` are the threads that run agents,
    on which no result depends: "auto" is one for each processor, 0 none. Raises a `TickworkError`.
    """
    return Run(project, Path(path), force=force, workers=workers)


def replay(path: AnyPath, *, workers: Workers = "auto", recompute: bool = False) -> Replay:
    """Run a run file again, from nothing but the file, and compare every tick with its record.

    With `recompute` models answer again also what can come out otherwise, such as on a GPU. Raises
    `RunFileError` if it is no run file; a difference is in the result, not an error.
    """
    return replay_file(Path(path), workers=workers, recompute=recompute)


def open(path: AnyPath) -> Recording:  # noqa: A001 - `tickwork.open`, as `gzip.open`
    """Open a run file to look at it at any tick; use the result in a `with` block.

    Raises `RunFileError` if it is no run file.
    """
    return Recording.open(Path(path))


def resume(path: AnyPath, *, ticks: int | None = None, workers: Workers = "auto") -> Run:
    """Go on with a run file where it ends; use the result in a `with` block.

    `ticks` says after how many more `run_to_end` ends. Raises `RunFileError` for a file that is damaged,
    does not replay, or is being written, and `InputError` for its inputs and outputs.
    """
    return resume_file(Path(path), ticks=ticks, workers=workers)


def fork(path: AnyPath, at: int, out: AnyPath, *, edits: AnyPath | None = None, force: bool = False) -> Path:
    """Make the run file `out`, a run that goes on from before tick `at` of another with the edits of a file.

    Returns its path; `resume` takes it on. Raises a `TickworkError`, and `EditError` for the edits.
    """
    with open(path) as recording:
        return recording.at(at).fork(Path(out), edits=None if edits is None else Path(edits), force=force)


def diff(
    a: AnyPath, b: AnyPath, *, agent: str | None = None, first: int = 0, last: int | None = None
) -> Diff:
    """Compare two run files tick by tick; `agent` and the ticks `first` to `last` narrow it down.

    Raises `RunFileError` for a file that cannot be read.
    """
    return diff_files(Path(a), Path(b), agent=agent, first=first, last=last)
