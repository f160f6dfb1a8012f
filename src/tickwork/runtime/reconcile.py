"""Bringing an output's file in line with the record, so that each of its lines is there exactly once.

A run that was killed may have left the file with a torn last line, or short of lines whose ticks are
committed; after a power failure it may even have lines whose ticks are not. The record decides.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from tickwork.core.effects import Output
from tickwork.core.errors import HostError, InputError
from tickwork.journal.reader import RunReader


def recorded_outputs(reader: RunReader) -> Iterator[Output]:
    """Yield every output effect of a run that was performed, in order; `RunFileError` for damaged entries."""
    for stored in reader.entries():
        entry, _ = stored.decode()
        for turn in entry.turns:
            refused = {refusal.effect for refusal in turn.refusals}
            for place, effect in enumerate(turn.effects):
                if isinstance(effect, Output) and place not in refused:
                    yield effect


class Reconciliation:
    """One output's file, compared with its lines from the first on. `file` stays open at its end."""

    def __init__(self, name: str, path: Path, *, force: bool) -> None:
        """Open the file, or make it; raise `InputError` if that cannot be done.

        A file of which the record has no line at all is only overwritten with `force`.
        """
        self._name = name
        self._path = path
        self._force = force
        self._number = 0
        self._appending = False
        try:
            path.touch()
            self.file: BinaryIO = path.open("r+b")
        except OSError as error:
            raise InputError(f"output {name!r}: cannot write {path}: {error.strerror}") from None

    def line(self, line: bytes) -> None:
        """Hold the next line of the record against the file's; write it where the file ends before."""
        self._number += 1
        try:
            if not self._appending:
                at = self.file.tell()
                there = self.file.read(len(line))
                if there == line:
                    return
                if not line.startswith(there):
                    raise InputError(
                        f"output {self._name!r}: line {self._number} of {self._path} is not what the run "
                        f"wrote; give another file with --output {self._name}=PATH"
                    )
                self._appending = True
                self.file.seek(at)
                self.file.truncate()
            self.file.write(line)
        except OSError as error:
            raise HostError(f"output {self._name!r} cannot be written: {error.strerror}") from None

    def finish(self) -> None:
        """Cut off what the record does not have; raise `InputError` where that would be the whole file."""
        try:
            if not self._number and not self._force and self.file.seek(0, os.SEEK_END):
                raise InputError(
                    f"output {self._name!r}: {self._path} has content, and the run has written nothing to it "
                    f"yet; remove it, or give another file with --output {self._name}=PATH"
                )
            if not self._number:
                self.file.seek(0)
            self.file.truncate()
            self.file.flush()
        except OSError as error:
            raise HostError(f"output {self._name!r} cannot be written: {error.strerror}") from None
