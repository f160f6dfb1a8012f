"""External inputs: JSON lines from files or standard input, checked, a stated number a tick."""

import codecs
import os
import select
import stat
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from tickwork.core.errors import HostError, InputError
from tickwork.core.messages import Input
from tickwork.core.nesting import nests_too_deep
from tickwork.journal.cursor import InputCursor
from tickwork.runtime.places import STREAM

# How often a wait for a silent stream is broken off to ask whether to go on waiting.
WAIT_MS = 100
_CHUNK_BYTES = 65_536
# What is not part of a line's content: a byte order mark at the file's start, and the line's end.
_LINE_EXTRA_BYTES = len(codecs.BOM_UTF8) + len(b"\r\n")


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that was not accepted: the input's name, the line's number from 1, and why."""

    input: str
    number: int
    reason: str

    def __str__(self) -> str:
        return f"input {self.input!r}, line {self.number}: {self.reason}"


def line_fault(line: bytes) -> str | None:
    """Return why a line is not one JSON value, or None if it is."""
    if nests_too_deep(line):
        return "is nested too deeply"
    try:
        msgspec.json.decode(line)
    except UnicodeDecodeError:
        return "is not valid UTF-8"
    except msgspec.DecodeError as error:
        return f"is not valid JSON: {error}"
    return None


class _Stream:
    """The lines of a pipe, a socket or a terminal, which may keep their reader waiting at any byte."""

    def __init__(self, descriptor: int, waiting: Callable[[], None]) -> None:
        self._descriptor = descriptor
        self._waiting = waiting
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLIN)
        self._held = bytearray()
        self._ended = False

    def readline(self, size: int) -> bytes:
        """Return the next line, or its first `size` bytes; empty at the end.

        While nothing comes, `waiting` is called again and again; what it raises ends the wait, and what had
        come of the line is still there.
        """
        searched = 0
        while True:
            cut = self._held.find(b"\n", searched, size) + 1
            if cut or self._ended or len(self._held) >= size:
                line = bytes(self._held[: cut or size])
                del self._held[: len(line)]
                return line
            searched = len(self._held)
            self._fill()

    def _fill(self) -> None:
        wait_ms = 0
        while not self._poll.poll(wait_ms):
            self._waiting()
            wait_ms = WAIT_MS
        chunk = os.read(self._descriptor, _CHUNK_BYTES)
        self._ended = not chunk
        self._held += chunk


class LineInput:
    """One open input. Lines are taken in order; empty ones are passed over, bad ones reported."""

    def __init__(
        self,
        name: str,
        source: int,
        path: str,
        *,
        line_bytes_max: int,
        report: Callable[[BadLine], None],
        waiting: Callable[[], None],
        cursor: InputCursor | None = None,
    ) -> None:
        """Open the file; raise `InputError` if that cannot be done.

        With `cursor` a file is read on from there; a stream goes on with what comes, its lines counted on.
        `waiting` is called when the next line has not come yet, and every `WAIT_MS` until it has; it may
        raise to end the wait.
        """
        self.name = name
        self.exhausted = False
        self._source = source
        self._line_bytes_max = line_bytes_max
        self._report = report
        self._number = 0 if cursor is None else cursor.line
        self._offset = 0 if cursor is None else cursor.offset
        self._file = os.fdopen(self._stdin() if path == STREAM else self._opened(Path(path)), "rb")
        # A regular file never keeps its reader waiting.
        is_regular = stat.S_ISREG(os.fstat(self._file.fileno()).st_mode)
        self._readline = self._file.readline if is_regular else _Stream(self._file.fileno(), waiting).readline
        if cursor is not None and is_regular:
            self._read_on(cursor)

    def _read_on(self, cursor: InputCursor) -> None:
        size = os.fstat(self._file.fileno()).st_size
        if size < cursor.offset:
            self._file.close()
            raise InputError(
                f"input {self.name!r}: the run has read {cursor.offset} bytes of the file, which has only "
                f"{size}; give the file that it was with --input {self.name}=PATH"
            )
        self._file.seek(cursor.offset)
        # What met the end keeps it, unless there is more by now.
        self.exhausted = cursor.exhausted and size == cursor.offset

    @property
    def cursor(self) -> InputCursor:
        """How far the input has been read."""
        return InputCursor(self._offset, self._number, self.exhausted)

    def _stdin(self) -> int:
        try:
            # Standard input itself is left to whoever opened it.
            return os.dup(sys.stdin.fileno())
        except (AttributeError, OSError, ValueError):  # None, or an object that is no file
            raise InputError(f"input {self.name!r}: standard input is closed") from None

    def _opened(self, path: Path) -> int:
        if path.is_dir():
            raise InputError(f"input {self.name!r}: {path} is a directory; give a file of JSON lines")
        try:
            # Else a named pipe would keep us here until somebody writes to it.
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        except FileNotFoundError:
            raise InputError(f"input {self.name!r}: there is no file {path}") from None
        except OSError as error:
            raise InputError(f"input {self.name!r}: cannot read {path}: {error.strerror}") from None
        os.set_blocking(descriptor, True)
        return descriptor

    def take(self, count: int) -> list[Input]:
        """Return up to `count` good lines; fewer only at the end. Waits for a slow pipe.

        Waiting keeps a run a function of its input: how lines fall into ticks never depends on when they
        came.
        """
        taken: list[Input] = []
        while len(taken) < count and not self.exhausted:
            line = self._next_line()
            if line is not None:
                taken.append(Input(self._source, line))
        return taken

    def _next_line(self) -> bytes | None:
        """Return the next good line, or None for one to pass over and at the end."""
        line = self._read(self._line_bytes_max + _LINE_EXTRA_BYTES)
        if not line:
            self.exhausted = True
            return None
        self._number += 1
        if self._number == 1:
            line = line.removeprefix(codecs.BOM_UTF8)
        if len(line.rstrip(b"\r\n")) > self._line_bytes_max:
            self._skip_rest(line)
            self._report(BadLine(self.name, self._number, f"is longer than {self._line_bytes_max} bytes"))
            return None
        line = line.strip()
        if not line:
            return None
        fault = line_fault(line)
        if fault is not None:
            self._report(BadLine(self.name, self._number, fault))
            return None
        return line

    def _skip_rest(self, line: bytes) -> None:
        while line and not line.endswith(b"\n"):
            line = self._read(self._line_bytes_max)

    def _read(self, size: int) -> bytes:
        try:
            line = self._readline(size)
        except OSError as error:
            raise HostError(f"input {self.name!r} cannot be read: {error.strerror}") from None
        self._offset += len(line)
        return line

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def take_all(inputs: Mapping[int, LineInput], rates: Sequence[int]) -> tuple[Input, ...]:
    """Return one tick's lines of every open input, in the order in which the run declares them."""
    taken: list[Input] = []
    for source, rate in enumerate(rates):
        if source in inputs:
            taken += inputs[source].take(rate)
    return tuple(taken)
