"""The model cache: folders of models by the hash of their content, and names for them.

    ROOT/names.json           {"format": 1, "models": {NAME: HASH}}
    ROOT/HASH/record.json     what the model is: kind, variant, files with sizes
    ROOT/HASH/model/...       its files, plain copies, nothing else
    ROOT/verdicts/HASH-BASIS.json   what the load-time check found, for one machine and version
    ROOT/new/...              additions under way
    ROOT/lock                 held (flock) while names or folders change

A model appears by one rename and a name by another, so a reader sees all of it or nothing, a full disk
leaves what was there, and any number of processes may add and remove at once. Files of a model never change:
other bytes are another hash. Nothing is believed: a folder is compared with its hash before it is served.
"""

import contextlib
import fcntl
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, TypeVar

import msgspec

from tickwork.inference.contents import content_hash
from tickwork.inference.describe import Described, Kind, describe
from tickwork.inference.errors import ModelError, one_line
from tickwork.inference.invariance import Verdict
from tickwork.inference.providers import Basis, basis_key

_Value = TypeVar("_Value")
_FORMAT = 1
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_HASH = re.compile(r"[0-9a-f]{64}")
_RECORD_BYTES_MAX = 1 << 20
_COPY_BYTES = 8 << 20
# Room that an addition leaves on the disk.
_SPARE_BYTES = 16 << 20


class StoredFile(msgspec.Struct, frozen=True):
    """A file of a model: its path in the model's folder, with `/`, and its bytes."""

    path: str
    bytes: int


class Record(msgspec.Struct, frozen=True):
    """What the cache knows of a model without reading it."""

    format: int
    kind: Kind
    variant: str
    files: tuple[StoredFile, ...]

    @property
    def bytes(self) -> int:
        """The size of all files."""
        return sum(file.bytes for file in self.files)


class Stored(msgspec.Struct, frozen=True):
    """A model in the cache. `folder` holds its files; `names` are those that lead to it, sorted."""

    hash: str
    folder: Path
    record: Record
    names: tuple[str, ...]


class _Names(msgspec.Struct, frozen=True):
    format: int
    models: dict[str, str]


class ModelCache:
    """The cache at `root`, a folder that only its user can write to; it is made when something is added."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def add(self, folder: Path, name: str = "", variant: str = "") -> Stored:
        """Copy the model in `folder` into the cache under `name` (the folder's if empty).

        A model that is here already gets the name in addition. A name that led elsewhere now leads here.
        Raises ModelError if the folder holds no model, or if there is no room.
        """
        name = check_name(name or folder.resolve().name)
        described = describe(folder, variant)
        try:
            with self._fresh() as fresh:
                return self._publish(fresh, _copy(described, fresh / "model"), name)
        except OSError as error:
            raise ModelError(f"{name} could not be added to the cache: {_reason(error)}") from error

    def find(self, name: str) -> Stored:
        """Return the model that `name`, or a whole hash, leads to; raises ModelError if there is none."""
        names = self._names()
        hashed = names.get(name) or (name if _HASH.fullmatch(name) else "")
        if not hashed:
            known = ", ".join(sorted(names)) or "none"
            raise ModelError(
                f'no model "{name}" in the cache (there: {known}); add it with: tickwork models add'
            )
        return self._stored(hashed, names)

    def models(self) -> list[Stored]:
        """Return every model in the cache by its first name, then by hash; damaged ones are left out."""
        names = self._names()
        try:
            folders = sorted(path.name for path in self._root.iterdir() if _HASH.fullmatch(path.name))
        except FileNotFoundError:
            return []
        found = []
        for hashed in folders:
            with contextlib.suppress(ModelError):  # removed meanwhile, or damaged: `verify` tells of those
                found.append(self._stored(hashed, names))
        return sorted(found, key=lambda stored: (stored.names[:1] or ("\uffff",), stored.hash))

    def verify(self, name: str) -> Stored:
        """Return the model with its bytes compared with its hash; raises ModelError if they differ."""
        stored = self.find(name)
        files = [stored.folder / file.path for file in stored.record.files]
        if content_hash(stored.folder, files) != stored.hash:
            raise ModelError(
                f"the files of {name} in {stored.folder} are not those that were added; "
                "remove the model and add it again"
            )
        return stored

    def remove(self, name: str) -> Stored:
        """Take a name away, and the model with its last name; a hash takes the model with all its names."""
        try:
            with self._locked():
                stored = self.find(name)
                whole = name == stored.hash or stored.names == (name,)
                gone = stored.names if whole else (name,)
                self._write_names({key: to for key, to in self._names().items() if key not in gone})
                if whole:
                    self._remove_folder(stored.hash)
        except OSError as error:
            raise ModelError(f"{name} could not be removed: {_reason(error)}") from error
        return stored

    def verdict(self, hashed: str, basis: Basis) -> Verdict | None:
        """Return what the load-time check found on an equal basis, or None if that is not known."""
        try:
            verdict = msgspec.json.decode(self._verdict_path(hashed, basis).read_bytes(), type=Verdict)
        except (OSError, msgspec.MsgspecError):
            return None
        return verdict if verdict.basis == basis else None

    def keep_verdict(self, hashed: str, verdict: Verdict) -> None:
        """Remember what the load-time check found. Where that fails, the check is made again next time."""
        path = self._verdict_path(hashed, verdict.basis)
        with contextlib.suppress(OSError):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write(path, msgspec.json.format(msgspec.json.encode(verdict)))

    def _verdict_path(self, hashed: str, basis: Basis) -> Path:
        if not _HASH.fullmatch(hashed):
            raise ValueError(f"{hashed!r} is no hash")
        return self._root / "verdicts" / f"{hashed}-{basis_key(basis)}.json"

    def _stored(self, hashed: str, names: dict[str, str]) -> Stored:
        record = _read(self._root / hashed / "record.json", Record)
        if record is None:
            raise ModelError(f"the model {hashed[:12]} is not in the cache any more; add it again")
        _check_record(record, self._root / hashed)
        led = tuple(sorted(name for name, to in names.items() if to == hashed))
        return Stored(hashed, self._root / hashed / "model", record, led)

    def _names(self) -> dict[str, str]:
        path = self._root / "names.json"
        found = _read(path, _Names)
        if found is None:
            return {}
        if found.format != _FORMAT:
            raise ModelError(f"{path} has format {found.format}; this version knows {_FORMAT}")
        for name, hashed in found.models.items():
            if not _NAME.fullmatch(name) or not _HASH.fullmatch(hashed):
                raise ModelError(
                    f"{path} is damaged: it has {name!r}; remove the file and add the models again"
                )
        return found.models

    def _write_names(self, models: dict[str, str]) -> None:
        content = msgspec.json.encode(_Names(_FORMAT, dict(sorted(models.items()))))
        _write(self._root / "names.json", msgspec.json.format(content))

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self._root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    @contextlib.contextmanager
    def _fresh(self) -> Iterator[Path]:
        """Yield a new folder for an addition; whatever is left of it in the end is removed."""
        place = self._root / "new"
        with self._locked():
            place.mkdir(mode=0o700, exist_ok=True)
            for left in sorted(place.iterdir()):
                _remove_abandoned(left)
            fresh = Path(tempfile.mkdtemp(dir=place))
            descriptor = os.open(fresh, os.O_RDONLY | os.O_CLOEXEC)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        try:
            yield fresh
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
            os.close(descriptor)

    def _publish(self, fresh: Path, hashed: str, name: str) -> Stored:
        with self._locked():
            target = self._root / hashed
            if not self._is_sound(hashed):
                self._remove_folder(hashed)
                fresh.rename(target)
                _sync_folder(self._root)
            names = self._names() | {name: hashed}
            self._write_names(names)
            return self._stored(hashed, names)

    def _is_sound(self, hashed: str) -> bool:
        try:
            self.verify(hashed)
        except ModelError:
            return False
        return True

    def _remove_folder(self, hashed: str) -> None:
        """Take a model's folder out by a rename, so that nobody finds half of it."""
        target = self._root / hashed
        if not target.exists():
            return
        place = self._root / "new"
        place.mkdir(mode=0o700, exist_ok=True)
        aside = Path(tempfile.mkdtemp(dir=place)) / "gone"
        target.rename(aside)
        shutil.rmtree(aside.parent, ignore_errors=True)


def check_name(name: str) -> str:
    """Return `name` if a model may have it; raises ModelError."""
    if not _NAME.fullmatch(name) or _HASH.fullmatch(name):
        raise ModelError(
            f"{name!r} is no name for a model: use 1 to 128 letters, digits, '.', '_' and '-', beginning "
            "with a letter or digit; give one with --name"
        )
    return name


def _copy(described: Described, target: Path) -> str:
    """Copy a model's files, and describe them in `record.json` beside `target`; return their hash."""
    sizes = {file: file.stat().st_size for file in described.files}
    target.mkdir(mode=0o700)
    free = shutil.disk_usage(target).free
    if sum(sizes.values()) + _SPARE_BYTES > free:
        raise ModelError(
            f"the model has {sum(sizes.values())} bytes, and {free} are free on the cache's disk; make room, "
            "or set XDG_CACHE_HOME to a folder on another one"
        )
    copies = []
    for file in described.files:
        copy = target / file.relative_to(described.folder)
        copy.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _copy_file(file, copy)
        copies.append(copy)
    stored = (StoredFile(copy.relative_to(target).as_posix(), copy.stat().st_size) for copy in copies)
    record = Record(_FORMAT, described.kind, described.variant, tuple(stored))
    _write(target.parent / "record.json", msgspec.json.format(msgspec.json.encode(record)))
    # Of the copies, not of what they were made from: that may be changing.
    return content_hash(target, copies)


def _copy_file(source: Path, target: Path) -> None:
    # A pipe or device in place of a file would be waited for, or never end.
    descriptor = os.open(source, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as reader:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ModelError(f"{source} is not a plain file")
        with target.open("xb") as writer:
            _copy_bytes(reader, writer)
            writer.flush()
            os.fsync(writer.fileno())


def _copy_bytes(reader: BinaryIO, writer: BinaryIO) -> None:
    while block := reader.read(_COPY_BYTES):
        writer.write(block)


def _write(path: Path, content: bytes) -> None:
    """Put a file in place in one step, and for good."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    fresh = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        fresh.replace(path)
        _sync_folder(path.parent)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(path: Path, kind: type[_Value]) -> _Value | None:
    """Return the value in a JSON file, None if there is no file; raises ModelError if it is no such value."""
    try:
        with path.open("rb") as file:
            content = file.read(_RECORD_BYTES_MAX + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}") from error
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.MsgspecError as error:
        raise ModelError(
            f"{path} is damaged ({one_line(error)}); remove it and add its models again"
        ) from error


def _check_record(record: Record, folder: Path) -> None:
    if record.format != _FORMAT:
        raise ModelError(f"{folder} has format {record.format}; this version knows {_FORMAT}")
    for file in record.files:
        parts = file.path.split("/")
        if any(part in {"", ".", ".."} or "\\" in part or "\0" in part for part in parts):
            raise ModelError(
                f"{folder} is damaged: its record names the file {file.path!r}; add the model again"
            )


def _remove_abandoned(folder: Path) -> None:
    """Remove what an addition left that did not come to its end; one under way holds a lock on its folder."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_DIRECTORY)
    except OSError:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    else:
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(descriptor)


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
