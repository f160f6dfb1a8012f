"""The small working project that `tickwork new` makes.

Its files are kept in `template/` with `.txt` behind their names, so that no tool takes them for our own code.
"""

from importlib.resources import files
from pathlib import Path

from tickwork.core.errors import ManifestError
from tickwork.core.names import name_fault
from tickwork.manifest.faults import quoted

_NAME_PLACEHOLDER = "PROJECT-NAME"
_SUFFIX = ".txt"
# Listed, because a package in an archive has no directory to walk.
_FILES = (
    "tickwork.toml",
    "agents/till.py",
    "agents/ledger.py",
    "orders.jsonl",
    "test_agents.py",
    "README.md",
    ".gitignore",
)


def scaffold(directory: Path) -> list[Path]:
    """Write the project into `directory`, which is made if need be, and return the files in order.

    The run is named after the directory. Raises ManifestError, with nothing written, if the directory holds
    anything already or its name cannot be a run's; or if the disk refuses.
    """
    try:
        name = directory.resolve().name
        fault = name_fault(name)
        if fault:
            raise ManifestError(f"{directory}: the name {quoted(name)} {fault}; choose another")
        if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
            raise ManifestError(f"{directory}: is not an empty directory; nothing was written")
        return [_write(directory, file, name) for file in _FILES]
    except (OSError, ValueError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ManifestError(f"{directory}: the project cannot be written ({reason})") from error


def _write(directory: Path, file: str, name: str) -> Path:
    text = (files("tickwork.manifest") / "template" / f"{file.removeprefix('.')}{_SUFFIX}").read_text("utf-8")
    path = directory / file
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("x", encoding="utf-8") as target:
        target.write(text.replace(_NAME_PLACEHOLDER, name))
    return path
