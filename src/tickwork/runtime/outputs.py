"""Where granted `output` effects go: JSONL files or standard output, written once their tick is committed."""

import base64
import os
import stat
import sys
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import BinaryIO, Self

import msgspec

from tickwork.core.effects import Output
from tickwork.core.errors import HostError, InputError
from tickwork.core.nesting import nests_too_deep
from tickwork.core.settling import Performed
from tickwork.runtime.places import STREAM
from tickwork.runtime.reconcile import Reconciliation


def json_line(body: bytes) -> bytes:
    """Return one line of JSON for an output's body.

    JSON stays as it is; other UTF-8 text becomes a JSON string, and other bytes `{"base64": "..."}`. What
    nests deeper than `NESTING_MAX` counts as text.
    """
    if not _is_json(body):
        try:
            return msgspec.json.encode(body.decode())
        except UnicodeDecodeError:
            return msgspec.json.encode({"base64": base64.b64encode(body).decode()})
    # A line break in valid JSON is white space between tokens; within strings it must be escaped.
    return body.replace(b"\r", b" ").replace(b"\n", b" ").strip()


def _is_json(body: bytes) -> bool:
    if nests_too_deep(body):
        return False
    try:
        msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return True


def terminal_json(text: str, *, ascii_only: bool = False) -> str:
    """Return JSON `text` with every character that could steer a terminal escaped.

    Such a character is only valid inside a string, where its escape means the same.
    """
    if text.isprintable() and (text.isascii() or not ascii_only):
        return text
    return "".join(
        char if char.isprintable() and (char.isascii() or not ascii_only) else _escape(char) for char in text
    )


def _escape(char: str) -> str:
    units = char.encode("utf-16-be")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


class Outputs:
    """The open outputs of a run. Nothing is opened over an existing file unless `force`."""

    def __init__(self, paths: Mapping[str, str], *, force: bool) -> None:
        """Open every output and write nothing yet.

        Raises `InputError` naming the first that cannot be written; then no file is made or changed.
        """
        self._files: dict[str, BinaryIO] = {}
        self._owned: dict[str, BinaryIO] = {}
        self._broken: set[str] = set()
        self._made: list[Path] = []
        self._overwritten: dict[str, BinaryIO] = {}
        self._waiting: list[tuple[int, Performed]] = []
        self._on_terminal: set[str] = set()
        try:
            for name, path in paths.items():
                self._files[name] = (
                    self._stdout(name) if path == STREAM else self._open(name, Path(path), force=force)
                )
        except BaseException:
            self.abandon()
            raise

    @classmethod
    def continued(cls, paths: Mapping[str, str], recorded: Iterable[Output], *, force: bool = False) -> Self:
        """Open the outputs of a run that goes on; each file is brought in line with what was `recorded`.

        Streams and devices cannot be read back: they get only what comes from now on. Raises `InputError`,
        also for a file with content where nothing was recorded for it, unless `force`.
        """
        outputs = cls({name: path for name, path in paths.items() if not _is_file(path)}, force=False)
        try:
            files: dict[str, Reconciliation] = {}
            for name, path in paths.items():
                if _is_file(path):
                    files[name] = Reconciliation(name, Path(path), force=force)
                    outputs._files[name] = outputs._owned[name] = files[name].file
            if files:
                for effect in recorded:
                    if effect.name in files:
                        files[effect.name].line(json_line(effect.body) + b"\n")
            for file in files.values():
                file.finish()
        except BaseException:
            outputs.close()
            raise
        return outputs

    def _stdout(self, name: str) -> BinaryIO:
        if sys.stdout is None:
            raise InputError(f"output {name!r}: standard output is closed")
        if sys.stdout.isatty():
            self._on_terminal.add(name)
        return sys.stdout.buffer

    def _open(self, name: str, path: Path, *, force: bool) -> BinaryIO:
        try:
            try:
                file = path.open("xb")
            except FileExistsError:
                return self._open_existing(name, path, force=force)
        except OSError as error:
            raise InputError(f"output {name!r}: cannot write {path}: {error.strerror}") from None
        self._owned[name] = file
        self._made.append(path)
        return file

    def _open_existing(self, name: str, path: Path, *, force: bool) -> BinaryIO:
        """Open a file as it is. Pipes and devices lose nothing by being written to, so they need no force."""
        if path.is_dir():
            raise InputError(f"output {name!r}: {path} is a directory; name a file in it")
        is_regular = not path.exists() or stat.S_ISREG(path.stat().st_mode)
        if is_regular and not force:
            raise InputError(
                f"output {name!r}: {path} exists; use --force to overwrite it, or --output {name}=PATH"
            )
        file = self._owned[name] = os.fdopen(os.open(path, os.O_WRONLY), "wb")
        if is_regular:
            self._overwritten[name] = file
        return file

    def begin(self) -> None:
        """Empty the files that are overwritten: everything else that the run needs is there."""
        for name, file in self._overwritten.items():
            try:
                file.truncate(0)
            except OSError as error:
                raise _unwritable(name, error) from None

    def abandon(self) -> None:
        """Close everything and remove the files that were made: the run does not begin."""
        self.close()
        for path in self._made:
            path.unlink(missing_ok=True)

    @property
    def holding(self) -> bool:
        """Whether anything waits for its tick's commit."""
        return bool(self._waiting)

    def hold(self, tick: int, performed: Sequence[Performed]) -> None:
        """Keep effects until their tick is committed; those of an output without a path are only recorded."""
        if performed:
            self._waiting += [(tick, one) for one in performed if one.what.name in self._files]

    def release(self, committed: int) -> None:
        """Write everything that was held of ticks before `committed`, in order."""
        if not self._waiting or self._waiting[0][0] >= committed:
            return
        # Taken first: where one cannot be written, what was written must not be written again.
        ready = bisect_left(self._waiting, committed, key=itemgetter(0))
        waiting, self._waiting = self._waiting[:ready], self._waiting[ready:]
        touched: dict[str, None] = {}
        for _, performed in waiting:
            name = performed.what.name
            touched[name] = None
            line = json_line(performed.what.body)
            if name in self._on_terminal:
                line = terminal_json(line.decode()).encode()
            self._write(name, line + b"\n")
        for name in touched:
            self._write(name, b"")

    def _write(self, name: str, line: bytes) -> None:
        """Write a line; with none, flush."""
        file = self._files[name]
        try:
            if line:
                file.write(line)
            else:
                file.flush()
        except OSError as error:
            # Closing it would try the same again, and fail for the same reason.
            self._broken.add(name)
            raise _unwritable(name, error) from None

    def close(self) -> None:
        """Close every file; what was held and not released is not written."""
        failure: HostError | None = None
        for name, file in self._owned.items():
            try:
                file.close()
            except OSError as error:
                if name not in self._broken:
                    failure = failure or _unwritable(name, error)
        self._owned.clear()
        if failure is not None:
            raise failure


def _is_file(path: str) -> bool:
    """Return whether an output's path is that of a regular file, or of none yet."""
    if path == STREAM:
        return False
    place = Path(path)
    return place.is_file() or not place.exists()


def _unwritable(name: str, error: OSError) -> HostError:
    return HostError(f"output {name!r} cannot be written: {error.strerror}")
