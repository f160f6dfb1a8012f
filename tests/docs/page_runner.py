"""Reads a documentation page as a script: files to write, commands to run, Python to execute.

A page marks what is meant to run with an HTML comment on the line before a fence:

- `<!-- test -->`: a `console` block; each `$` line is run, and what it prints is compared with what follows.
- `<!-- file: PATH -->`: the block is written to PATH, in the folder in which the page is by then.
- `<!-- run -->`: a `python` block, executed in that folder by a fresh interpreter.

In what is compared, times, rates and hashes stand for any, runs of spaces for one, a line `...` for any
number of lines, and `...` within a line for any text. A command that fails is a fault unless `echo $?`
follows.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(
    r"^(?:<!-- (?P<mark>[^\n]*?) -->\n)?^(?P<ticks>```+)(?P<language>\w*)[^\n]*\n(?P<body>.*?)^(?P=ticks)$",
    re.MULTILINE | re.DOTALL,
)
_ANY = "..."
_ASK_STATUS = "echo $?"
_VARYING = (
    (re.compile(r"\b[0-9a-f]{12,64}\b"), "HASH"),
    (re.compile(r"\b\d+\.\d+ s \([\d,]+ turns/s\)"), "TIME"),
    (re.compile(r"\b\d+\.\d+s?\b(?= s\b|s\b|$)"), "TIME"),
    (re.compile(r'"wall_s":[\d.e-]+'), '"wall_s":TIME'),
)
_TIMEOUT_S = 60


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block: its mark (empty if it has none), language, text, and the line on which it begins."""

    mark: str
    language: str
    text: str
    line: int


def blocks(page: Path) -> list[Block]:
    """Return every fenced block of a page in order."""
    text = page.read_text()
    return [
        Block(found["mark"] or "", found["language"], found["body"], text.count("\n", 0, found.start()) + 1)
        for found in _FENCE.finditer(text)
    ]


def commands(text: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each command of a console block with the lines that it is said to print."""
    command = ""
    printed: list[str] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            if command:
                yield command, printed
            command, printed = line[2:], []
        else:
            printed.append(line)
    if command:
        yield command, printed


def steady(line: str) -> str:
    """Return a line with what differs between runs and machines replaced."""
    for pattern, word in _VARYING:
        line = pattern.sub(word, line)
    return " ".join(line.split())


def _pattern(line: str) -> str:
    if line == _ANY:
        return r"(?:[^\n]*\n)*"
    return r"[^\n]*".join(re.escape(part) for part in line.split(_ANY)) + "\n"


def agrees(said: list[str], printed: list[str]) -> bool:
    """Return whether the printed lines are those that the page says, `...` being any number of lines."""
    said = [steady(line) for line in said]
    printed = [steady(line) for line in printed]
    pattern = "".join(_pattern(line) for line in said)
    return re.fullmatch(pattern, "".join(line + "\n" for line in printed)) is not None


class PageRunner:
    """A page's folder, and the state that its blocks share: the current folder and the last exit status."""

    def __init__(self, folder: Path) -> None:
        self._current = folder
        self._status = 0

    def play(self, block: Block) -> list[str]:
        """Do what the block's mark says; return what is wrong with it, nothing if all is as the page says."""
        mark, _, argument = block.mark.partition(": ")
        if mark == "file":
            target = self._current / argument
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(block.text)
            return []
        if mark == "run":
            done = self._run([sys.executable, "-W", "error", "-c", block.text])
            return [done] if self._status else []
        listed = list(commands(block.text))
        following = [command for command, _ in listed[1:]] + [""]
        return [
            fault
            for (command, said), after in zip(listed, following, strict=True)
            for fault in self._console(command, said, may_fail=after == _ASK_STATUS)
        ]

    def _console(self, command: str, said: list[str], *, may_fail: bool) -> Iterator[str]:
        if command.startswith("cd "):
            target = self._current / command[3:]
            if target.is_dir():
                self._current = target
            else:
                yield f"$ {command}\nthere is no such folder"
            return
        if command == _ASK_STATUS:
            printed = [str(self._status)]
        else:
            printed = self._run(["bash", "-c", command]).splitlines()
        if not agrees(said, printed):
            yield f"$ {command}\nsaid:\n" + "\n".join(said) + "\nprinted:\n" + "\n".join(printed)
        # What a page does not say of a command's failure would hide behind a `...`.
        if self._status and not may_fail and command != _ASK_STATUS and not command.startswith("diff "):
            yield f"$ {command}\nexit status {self._status}; the page does not ask for it\n" + "\n".join(
                printed
            )

    def _run(self, command: list[str]) -> str:
        environment = {**os.environ, "COLUMNS": "120"}
        paths = (str(self._current), os.environ.get("PYTHONPATH"))
        environment["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
        environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
        done = subprocess.run(
            command,
            cwd=self._current,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=_TIMEOUT_S,
        )
        self._status = done.returncode
        return done.stdout
