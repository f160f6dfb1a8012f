"""What is wrong with a manifest, and where: the key as its author wrote it, and its line."""

import difflib
import re
import tomllib
from collections.abc import Iterable, Sequence
from typing import Any

KeyPath = tuple[str | int, ...]

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_QUOTE_CHARS_MAX = 80
# Locating is a courtesy: a manifest that would take more parses than this gets its message without a line.
_PARSES_MAX = 200


class Fault(Exception):  # noqa: N818 - becomes a ManifestError once the file and the line are known
    """One thing wrong at `at`; `whose` names the agent or kind around it, where there is one."""

    def __init__(self, at: KeyPath, reason: str, whose: str = "") -> None:
        super().__init__(at, reason, whose)
        self.at = at
        self.reason = reason
        self.whose = whose

    def __str__(self) -> str:
        where = key_path(self.at)
        if self.whose:
            where += f" ({self.whose})"
        return f"{where}: {self.reason}" if where else self.reason


def key_path(at: KeyPath) -> str:
    """Return a path as a TOML author would say it, such as `agents[2].grants[0]`."""
    text = ""
    for part in at:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            name = part if _BARE_KEY.fullmatch(part) else quoted(part)
            text += f".{name}" if text else name
    return text


def quoted(value: object) -> str:
    """Return a value for a message: on one line, printable, and not too long."""
    text = ascii(value)
    return text if len(text) <= _QUOTE_CHARS_MAX else text[: _QUOTE_CHARS_MAX - 3] + "..."


def listed(names: Iterable[str]) -> str:
    """Return names for a message, at most ten of them."""
    every = list(names)
    shown = ", ".join(every[:10])
    return f"{shown} and {len(every) - 10} more" if len(every) > 10 else shown or "none"


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """Return a hint to the nearest of the known names, or nothing."""
    # Distance is quadratic in length, and no name is this long.
    near = difflib.get_close_matches(name, known, 1) if len(name) <= 200 else []
    near = near or [other for other in known if name and other.startswith(name)]
    return f"; did you mean {quoted(near[0])}?" if near else ""


def line_of(text: str, at: KeyPath) -> int | None:
    """Return the line, from 1, of the statement or table header that gives `at`, or its nearest parent.

    Only whole statements parse, so the first prefix of the file that parses and has the key ends with the
    statement that brings it. Asking the TOML parser itself gets every spelling of a key right.
    """
    document = _parse(text)
    while at and not _has(document, at):
        at = at[:-1]
    if not at:
        return None
    # Not splitlines: in TOML only a line feed ends a line.
    lines = [line + "\n" for line in text.split("\n")]
    before, after, parses = 0, len(lines), 0
    top = after
    while top - before > 1:
        middle = (before + top) // 2
        probe, parsed = middle, None
        while probe < top and parsed is None:
            parses += 1
            if parses > _PARSES_MAX:
                return None
            parsed = _parse("".join(lines[:probe]))
            probe += 1
        if parsed is None:
            top = middle
        elif _has(parsed, at):
            top = after = probe - 1
        else:
            before = probe - 1
    for number in range(before, after):
        stripped = lines[number].strip()
        if stripped and not stripped.startswith("#"):
            return number + 1
    return None


def _parse(text: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError):
        return None


def _has(document: object, at: KeyPath) -> bool:
    for part in at:
        if isinstance(part, int):
            if not isinstance(document, list) or part >= len(document):
                return False
            document = document[part]
        else:
            if not isinstance(document, dict) or part not in document:
                return False
            document = document[part]
    return True
