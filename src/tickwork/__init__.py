"""tickwork: a deterministic runtime for multi-agent systems.

Record a run, replay it, and look at it at any tick:

    project = tickwork.load("examples/triage")
    with tickwork.record(project, "triage.tick") as run:
        run.advance(100)
    assert tickwork.replay("triage.tick").identical
    with tickwork.open("triage.tick") as recording:
        print(recording.at(50).agent("router").state())
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tickwork.api import (
        AgentMoment,
        Diff,
        Moment,
        Project,
        Recording,
        Replay,
        Run,
        diff,
        fork,
        load,
        open,  # noqa: A004 - see there
        record,
        replay,
        resume,
    )
    from tickwork.core.errors import (
        EditError,
        HostError,
        InputError,
        ManifestError,
        ModuleError,
        RunFileError,
        TickworkError,
    )
    from tickwork.exploration.decorator import explore

__all__ = [
    "AgentMoment",
    "Diff",
    "EditError",
    "HostError",
    "InputError",
    "ManifestError",
    "ModuleError",
    "Moment",
    "Project",
    "Recording",
    "Replay",
    "Run",
    "RunFileError",
    "TickworkError",
    "diff",
    "explore",
    "fork",
    "load",
    "open",
    "record",
    "replay",
    "resume",
]


def __getattr__(name: str) -> object:
    """Import a name when it is first asked for: whoever wants the core alone does not load the engine."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name.endswith("Error"):
        home = "tickwork.core.errors"
    else:
        home = "tickwork.exploration.decorator" if name == "explore" else "tickwork.api"
    value: object = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
