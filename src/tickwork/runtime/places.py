"""The files of a run: none may be written twice, or be read and written at once."""

import os
import stat
from pathlib import Path

from tickwork.core.errors import InputError
from tickwork.runtime.project import Project

AnyPath = str | os.PathLike[str]
# In place of a path: standard input, or standard output.
STREAM = "-"


def check_places(project: Project, run_file: Path) -> None:
    """Raise `InputError` where two of the run's files are one, or two inputs want standard input."""
    seen: dict[object, str] = {}
    for name, path in project.inputs.items():
        who = f"input {name!r}"
        if path == STREAM and STREAM in seen:
            raise InputError(
                f"{seen[STREAM]} and {who} both want standard input; give one a file: --input {name}=PATH"
            )
        # Two inputs may read one file.
        seen.setdefault(STREAM if path == STREAM else _identity(Path(path)), who)
    written = [(f"output {name!r}", path) for name, path in project.outputs.items() if path != STREAM]
    for who, path in (*written, ("the run file", str(run_file))):
        identity = _identity(Path(path))
        if identity is not None and identity in seen:
            raise InputError(f"{seen[identity]} and {who} are the same file, {path}; give one another path")
        seen[identity] = who


def _identity(path: Path) -> object:
    """Return what two names of one regular file have in common; None for a device, which may be shared."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return os.path.realpath(path)
    return (found.st_dev, found.st_ino) if stat.S_ISREG(found.st_mode) else None
