"""External inputs: JSON lines from files or standard input, checked, a stated number a tick."""

import os
import stat
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import msgspec

from tickwork.core.errors import InputError
from tickwork.core.messages import Input

STDIN = "-"


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
    try:
        msgspec.json.decode(line)
    except UnicodeDecodeError:
        return "is not valid UTF-8"
    except RecursionError:
        return "is nested too deeply"
    except msgspec.DecodeError as error:
        return f"is not valid JSON: {error}"
    return None


class LineInput:
    """One open input. Lines are taken in order; empty ones are passed over, bad ones reported."""

    def __init__(
        self, name: str, source: int, path: str, *, line_bytes_max: int, report: Callable[[BadLine], None]
    ) -> None:
        """Open the file; raise `InputError` if that cannot be done."""
        self.name = name
        self.exhausted = False
        self._source = source
        self._line_bytes_max = line_bytes_max
        self._report = report
        self._number = 0
        self._file = sys.stdin.buffer if path == STDIN else self._open(Path(path))
        self._owned = path != STDIN
        # A pipe or a terminal may keep a reader waiting; a regular file never does.
        self.may_wait = not stat.S_ISREG(os.fstat(self._file.fileno()).st_mode)

    def _open(self, path: Path) -> BinaryIO:
        if path.is_dir():
            raise InputError(f"input {self.name!r}: {path} is a directory; give a file of JSON lines")
        try:
            return path.open("rb")
        except FileNotFoundError:
            raise InputError(f"input {self.name!r}: there is no file {path}") from None
        except OSError as error:
            raise InputError(f"input {self.name!r}: cannot read {path}: {error.strerror}") from None

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
        try:
            line = self._file.readline(self._line_bytes_max + 2)
        except OSError as error:
            raise InputError(f"input {self.name!r} cannot be read: {error.strerror}") from None
        if not line:
            self.exhausted = True
            return None
        self._number += 1
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
            line = self._file.readline(self._line_bytes_max)

    def close(self) -> None:
        """Close the file; standard input is left to whoever opened it."""
        if self._owned:
            self._file.close()


def take_all(inputs: Mapping[int, LineInput], rates: Sequence[int]) -> tuple[Input, ...]:
    """Return one tick's lines of every open input, in the order in which the run declares them."""
    taken: list[Input] = []
    for source, rate in enumerate(rates):
        if source in inputs:
            taken += inputs[source].take(rate)
    return tuple(taken)
