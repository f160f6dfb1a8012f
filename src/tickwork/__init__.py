"""tickwork: a deterministic runtime for multi-agent systems.

    project = tickwork.load("examples/triage")
    with tickwork.record(project, "triage.tick") as run:
        run.advance(100)
    assert tickwork.replay("triage.tick").identical
"""

from tickwork.api import Project, Replay, Run, load, record, replay
from tickwork.core.errors import (
    HostError,
    InputError,
    ManifestError,
    ModuleError,
    RunFileError,
    TickworkError,
)

__all__ = [
    "HostError",
    "InputError",
    "ManifestError",
    "ModuleError",
    "Project",
    "Replay",
    "Run",
    "RunFileError",
    "TickworkError",
    "load",
    "record",
    "replay",
]
