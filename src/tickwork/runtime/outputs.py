"""Where granted `output` effects go: JSONL files or standard output, written once their tick is committed."""

import base64
import contextlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec

from tickwork.core.errors import HostError, InputError
from tickwork.core.settling import Performed

STDOUT = "-"


def json_line(body: bytes) -> bytes:
    """Return one line of JSON for an output's body.

    JSON stays as it is; other UTF-8 text becomes a JSON string, and other bytes `{"base64": "..."}`.
    """
    try:
        msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        try:
            return msgspec.json.encode(body.decode())
        except UnicodeDecodeError:
            return msgspec.json.encode({"base64": base64.b64encode(body).decode()})
    # A line break in valid JSON is white space between tokens; within strings it must be escaped.
    return body.replace(b"\r", b" ").replace(b"\n", b" ").strip()


class Outputs:
    """The open outputs of a run. Nothing is opened over an existing file unless `force`."""

    def __init__(self, paths: Mapping[str, str], *, force: bool) -> None:
        """Open every output; raise `InputError` naming the first that cannot be written."""
        self._stack = contextlib.ExitStack()
        self._files: dict[str, BinaryIO] = {}
        self._waiting: list[Performed] = []
        for name, path in paths.items():
            self._files[name] = (
                sys.stdout.buffer if path == STDOUT else self._open(name, Path(path), force=force)
            )

    def _open(self, name: str, path: Path, *, force: bool) -> BinaryIO:
        try:
            return self._stack.enter_context(path.open("wb" if force else "xb"))
        except FileExistsError:
            self._stack.close()
            raise InputError(
                f"output {name!r}: {path} exists; use --force to overwrite it, or --output {name}=PATH"
            ) from None
        except OSError as error:
            self._stack.close()
            raise InputError(f"output {name!r}: cannot write {path}: {error.strerror}") from None

    def hold(self, performed: Sequence[Performed]) -> None:
        """Keep effects until their tick is committed."""
        self._waiting += performed

    def release(self) -> None:
        """Write everything that was held: its ticks are committed now."""
        if not self._waiting:
            return
        touched: dict[str, None] = {}
        for performed in self._waiting:
            name = performed.what.name
            touched[name] = None
            self._write(name, json_line(performed.what.body) + b"\n")
        self._waiting.clear()
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
            raise HostError(f"output {name!r} cannot be written: {error.strerror}") from None

    def close(self) -> None:
        """Close every file; what was held and not released is not written."""
        try:
            self._stack.close()
        except OSError as error:
            raise HostError(f"an output cannot be written: {error.strerror}") from None
