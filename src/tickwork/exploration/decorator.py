"""`@tickwork.explore`: a campaign as a test, for pytest or any other runner of functions."""

import inspect
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from tickwork.core.errors import InputError
from tickwork.exploration.checks import INVARIANT, Check, Judge
from tickwork.exploration.hunt import Hunted, Wishes, hunt
from tickwork.exploration.plans import parse_mix
from tickwork.runtime.assemble import load_project
from tickwork.runtime.places import AnyPath
from tickwork.runtime.project import Project

_MANIFEST = "tickwork.toml"

Checks = AnyPath | Judge | Iterable[Judge] | None


def explore(
    project: AnyPath | Project | None = None,
    *,
    seeds: int = 200,
    check: Checks = None,
    faults: str | None = None,
    ticks: int | None = None,
    jobs: int = 1,
) -> Callable[[Callable[..., object]], Callable[[], None]]:
    """Make a test of a function: it explores `seeds` runs of a project, and fails with a failure's story.

    `project` is a project or its folder; without one it is the nearest `tickwork.toml` above the test's file.
    `check` is a file of checks, a function, or several: functions named `invariant_...` are asked after every
    tick, all others at the end. A decorated function that takes an argument is such a check itself; one that
    takes none is called when nothing failed. `faults` and `ticks` are as on the command line; only checks
    from a file can be explored by more than one of `jobs` processes.
    """

    def decorate(test: Callable[..., object]) -> Callable[[], None]:
        takes_view = bool(inspect.signature(test).parameters)

        def explored() -> None:
            found = project if isinstance(project, Project) else load_project(_place(project, test))
            checks = _checks(check)
            if takes_view:
                if isinstance(checks, Path):
                    raise InputError("give a file of checks, or let the function be the check, not both")
                checks = (*checks, _check(test))
            _explore(found, Wishes(seeds, parse_mix(faults), checks, jobs=jobs, ticks=ticks))
            if not takes_view:
                test()

        # Not functools.wraps: a test runner would look through it, and ask for the view as a fixture.
        explored.__name__ = test.__name__
        explored.__qualname__ = test.__qualname__
        explored.__doc__ = test.__doc__
        explored.__module__ = test.__module__
        return explored

    return decorate


def _place(project: AnyPath | None, test: Callable[..., object]) -> Path:
    if project is not None:
        return Path(project)
    file = Path(inspect.getfile(test)).resolve()
    for folder in file.parents:
        if (folder / _MANIFEST).is_file():
            return folder
    raise InputError(
        f"there is no {_MANIFEST} in the folders above {file.name}; say which project to explore"
    )


def _checks(check: Checks) -> Path | tuple[Check, ...]:
    if check is None:
        return ()
    if callable(check):
        return (_check(check),)
    if isinstance(check, Iterable) and not isinstance(check, str):
        return tuple(_check(one) for one in check)
    return Path(check)


def _check(judge: Judge) -> Check:
    name = getattr(judge, "__name__", type(judge).__name__)
    return Check(name, not name.startswith(INVARIANT), judge)


def _explore(project: Project, wishes: Wishes) -> None:
    folder = Path(tempfile.mkdtemp(prefix="tickwork-explored-"))
    hunted = hunt(project, wishes, folder)
    if not hunted.campaign.findings:
        shutil.rmtree(folder, ignore_errors=True)
        return
    raise AssertionError(_story(hunted))


def _story(hunted: Hunted) -> str:
    told = []
    for one in hunted.reported:
        told.append(str(one.failure))
        if one.story is not None:
            told += ["", one.story.read_text(encoding="utf-8"), f"The run is in {one.file}"]
    return "\n".join(told)
