"""The Python interface: `load`, `record`, `replay`."""

import os
from pathlib import Path

from tickwork.runtime.assemble import load_project
from tickwork.runtime.project import Project
from tickwork.runtime.record import Run
from tickwork.runtime.replay import Replay
from tickwork.runtime.replay import replay as replay_file

__all__ = ["Project", "Replay", "Run", "load", "record", "replay"]

AnyPath = str | os.PathLike[str]


def load(path: AnyPath) -> Project:
    """Read a project, its folder or its `tickwork.toml`, and build its modules.

    Raises `ManifestError` for what the manifest says, `ModuleError` for an agent that does not build.
    """
    return load_project(Path(path))


def record(project: Project, path: AnyPath, *, force: bool = False) -> Run:
    """Begin a run of `project`, recorded in the run file `path`; use the result in a `with` block.

    Refuses to overwrite the file, or an output's, unless `force`. Raises a `TickworkError`.
    """
    return Run(project, Path(path), force=force)


def replay(path: AnyPath) -> Replay:
    """Run a run file again, from nothing but the file, and compare every tick with its record.

    Raises `RunFileError` if it is no run file; a difference is in the result, not an error.
    """
    return replay_file(Path(path))
