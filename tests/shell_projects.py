"""Small projects for the tests of the command line and of recording, and the command itself.

Their one agent program, `shell_agents/puppet.c`, plays the part that its config names.
"""

import contextlib
import functools
import io
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import msgspec

from tamper import tamper
from tickwork.cli.main import main
from tickwork.core.entry import Entry, Fuel
from tickwork.guest.c_source import build_c

LINES = tuple(f'{{"n":{number}}}' for number in range(10))
COMMAND = (sys.executable, "-m", "tickwork")


@dataclass(frozen=True)
class Done:
    """A finished command. `out` and `err` are what it wrote."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def rows(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def error(self) -> str:
        """The one line that a refused command says."""
        assert self.out == ""
        assert self.err.startswith("error: ")
        assert self.err.count("\n") == 1
        return self.err.removeprefix("error: ").rstrip("\n")


def tickwork(*arguments: object, stdin: str | bytes = b"", **options: Any) -> Done:
    """Run the command in a process of its own."""
    stdin = stdin.encode() if isinstance(stdin, str) else stdin
    command = [*COMMAND, *map(str, arguments)]
    done = subprocess.run(command, input=stdin, capture_output=True, check=False, timeout=60, **options)
    return Done(done.returncode, done.stdout.decode(), done.stderr.decode())


def tickwork_here(*arguments: object) -> Done:
    """Run the command in this process."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    code: object = None
    with (
        patch.object(sys, "argv", ["tickwork", *map(str, arguments)]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as end:
            code = end.code
    assert isinstance(code, int)
    for stream in (out, err):
        stream.flush()
    return Done(code, out.buffer.getvalue().decode(), err.buffer.getvalue().decode())


@functools.cache
def puppet() -> bytes:
    return build_c(Path(__file__).parent / "shell_agents" / "puppet.c")


def agent(name: str, part: str, *grants: str, **keys: object) -> str:
    """Return an agent's table; `keys` are more of its keys."""
    pairs = {"id": name, "module": "puppet.wasm", "config": part, "grants": list(grants), **keys}
    return "[[agents]]\n" + "".join(f"{key} = {_toml(value)}\n" for key, value in pairs.items())


def _toml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else json.dumps(value)


ECHO = (agent("echo", "echo", "output:out", "send:sink"), agent("sink", "sink"))
TICKER = (agent("ticker", "ticker", "output:out", every_tick=True),)
SLOW = (agent("slow", "slow", "output:out", every_tick=True),)


def project(
    folder: Path,
    *agents: str,
    lines: str | bytes | None = None,
    run: str = "",
    more: str = "",
    to: str | None = None,
) -> Path:
    """Write a project and return its folder; with `lines` the first agent, or `to`, has an input `lines`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "puppet.wasm").write_bytes(puppet())
    text = f'[run]\nname = "small"\n{run}\n[outputs.out]\npath = "out.jsonl"\n{more}\n{"".join(agents)}'
    if lines is not None:
        if to is None:
            to = agents[0].split('"')[1]
        text += f'[inputs.lines]\npath = "lines.jsonl"\nto = "{to}"\ntopic = "line"\n'
        (folder / "lines.jsonl").write_bytes(lines.encode() if isinstance(lines, str) else lines)
    (folder / "tickwork.toml").write_text(text, encoding="utf-8")
    return folder


def echo_project(folder: Path, lines: str | bytes | None = None, **keys: str) -> Path:
    """Write a project whose agent puts out each line of its input."""
    return project(folder, *ECHO, lines="\n".join(LINES) + "\n" if lines is None else lines, **keys)


def plant(file: Path, tick: int) -> None:
    """Change the body of a tick's first effect, well formed, as somebody would who wants another past."""

    def change(entry: Entry, fuel: Fuel) -> tuple[Entry, Fuel]:
        first, *others = entry.turns
        effect, *rest = first.effects
        effect = msgspec.structs.replace(effect, body=b'"planted"')
        first = msgspec.structs.replace(first, effects=(effect, *rest))
        return msgspec.structs.replace(entry, turns=(first, *others)), fuel

    tamper(file, lambda tampering: tampering.edit(tick, change))


def entries_of(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder with its content."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def environment(**variables: str | None) -> dict[str, str]:
    """Return this process's environment with some variables set, or removed."""
    merged = {**os.environ, **variables}
    return {name: value for name, value in merged.items() if value is not None}
