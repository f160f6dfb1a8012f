"""Which run files there are to be seen, by names that cannot lead anywhere else."""

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import msgspec

from tickwork.core.errors import InputError, RunFileError
from tickwork.journal.reader import RunReader

SUFFIX = ".tick"
# What a folder that is no collection of runs may cost: one visit of so many files, so deep.
_DEPTH_MAX = 4
_FILES_MAX = 1_000


class ParentRow(msgspec.Struct, frozen=True):
    """Where a fork comes from; `file` is the parent if exactly one run of the list can be it."""

    run: str
    tick: int
    file: str | None = None


class RunRow(msgspec.Struct, frozen=True):
    """One run file. With `error` it cannot be read, and only `file`, `bytes` and `modified_ns` mean anything.

    `status` is how the run ended, or `running` if the file has no end. `digest` and `exact` are the chain
    after the last tick that was read. `modified_ns` is the file's, since 1970.
    """

    file: str
    bytes: int
    modified_ns: int
    name: str = ""
    run: str = ""
    status: str = ""
    agents: int = 0
    seed: int = 0
    first_tick: int = 0
    ticks: int = 0
    digest: str = ""
    exact: str = ""
    parent: ParentRow | None = None
    error: str | None = None


class Signature(NamedTuple):
    """What changes whenever a run file does: its identity, and size and time of it and its log."""

    inode: int
    size: int
    modified_ns: int
    log_size: int
    log_modified_ns: int

    @classmethod
    def of(cls, path: Path) -> "Signature":
        """Return the file's; `OSError` if there is none."""
        found = path.stat()
        try:
            log = Path(f"{path}-wal").stat()
        except OSError:
            return cls(found.st_ino, found.st_size, found.st_mtime_ns, 0, 0)
        return cls(found.st_ino, found.st_size, found.st_mtime_ns, log.st_size, log.st_mtime_ns)


class Library:
    """The run files below a folder, or one file. Its names are paths relative to `root`, with slashes."""

    def __init__(self, place: Path) -> None:
        self.only: tuple[str, ...] | None = None
        if place.is_dir():
            self.root = place.resolve()
        elif place.exists():
            self.root = place.resolve().parent
            self.only = (place.resolve().name,)
        else:
            raise InputError(f"{place}: there is no such file or folder")
        self._known: dict[str, tuple[Signature, RunRow]] = {}

    def names(self) -> list[str]:
        """Return the names of all run files, sorted; at most 1,000."""
        if self.only is not None:
            return list(self.only)
        found: list[str] = []
        for name in _walk(self.root):
            found.append(name)
            if len(found) == _FILES_MAX:
                break
        return sorted(found)

    def path(self, name: str) -> Path:
        """Return the file of a name; `InputError` for anything that is not a run file of this library."""
        parts = PurePosixPath(name).parts
        plain = bool(parts) and all(part not in {"/", "..", "."} and "\0" not in part for part in parts)
        listed = name in self.only if self.only is not None else name.endswith(SUFFIX)
        if plain and listed and len(parts) <= _DEPTH_MAX + 1 and "\\" not in name:
            try:
                real = self.root.joinpath(*parts).resolve(strict=True)
            except (OSError, ValueError, RuntimeError):
                real = None
            if real is not None and real.is_relative_to(self.root) and real.is_file():
                return real
        raise InputError(f"there is no run file {name!r} here")

    def admit(self, path: Path) -> str:
        """Let a file that the viewer made itself be seen too; return its name."""
        name = path.resolve().relative_to(self.root).as_posix()
        if self.only is not None and name not in self.only:
            self.only = (*self.only, name)
        return name

    def rows(self) -> list[RunRow]:
        """Return a row for each run file; one that was not changed is not read again."""
        known: dict[str, tuple[Signature, RunRow]] = {}
        for name in self.names():
            try:
                path = self.path(name)
                signature = Signature.of(path)
            except (InputError, OSError):
                continue  # gone since it was listed
            seen = self._known.get(name)
            row = seen[1] if seen is not None and seen[0] == signature else read_row(name, path, signature)
            known[name] = signature, row
        self._known = known
        return _with_parents([row for _, row in known.values()])


def read_row(name: str, path: Path, signature: Signature) -> RunRow:
    """Return what a run file says of itself."""
    size = signature.size + signature.log_size
    changed = max(signature.modified_ns, signature.log_modified_ns)
    try:
        with RunReader.open(path) as reader:
            header, last = reader.header, reader.last_tick
            digests = header.start
            if last is not None:
                digests = next(reader.entries(last)).digests
            parent = header.parent
            return RunRow(
                file=name,
                bytes=size,
                modified_ns=changed,
                name=reader.spec.name,
                run=header.run,
                status=reader.status,
                agents=len(reader.spec.agents),
                seed=reader.spec.seed,
                first_tick=header.start_tick,
                ticks=0 if last is None else last + 1 - header.start_tick,
                digest=digests.digest.hex(),
                exact=digests.exact.hex(),
                parent=None if parent is None else ParentRow(parent.run, parent.tick),
            )
    except RunFileError as error:
        # The message begins with the file's place on this machine, which is nobody's business.
        reason = str(error).removeprefix(f"{path}: ")
        return RunRow(file=name, bytes=size, modified_ns=changed, error=reason)


def _with_parents(rows: list[RunRow]) -> list[RunRow]:
    by_run: dict[str, list[str]] = {}
    for row in rows:
        if row.error is None and row.parent is None:
            by_run.setdefault(row.run, []).append(row.file)
    told = []
    for row in rows:
        candidates = by_run.get(row.parent.run, []) if row.parent is not None else []
        if row.parent is not None and len(candidates) == 1:
            parent = msgspec.structs.replace(row.parent, file=candidates[0])
            told.append(msgspec.structs.replace(row, parent=parent))
        else:
            told.append(row)
    return told


def _walk(root: Path) -> Iterator[str]:
    """Yield the names of run files below a folder; hidden folders and links to folders are passed over."""
    pending: list[tuple[Path, str, int]] = [(root, "", 0)]
    while pending:
        folder, prefix, depth = pending.pop()
        try:
            with os.scandir(folder) as listed:
                entries = sorted(listed, key=lambda entry: entry.name)
        except OSError:
            continue
        for entry in entries:
            name = f"{prefix}{entry.name}"
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                if depth < _DEPTH_MAX and entry.name != "node_modules":
                    pending.append((folder / entry.name, f"{name}/", depth + 1))
            elif entry.name.endswith(SUFFIX) and entry.is_file():
                yield name
