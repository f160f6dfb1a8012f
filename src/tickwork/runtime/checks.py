"""Conditions on a moment of a run: the user's own Python, an expression or a script, on their own machine.

They run in this process with all its powers; only what they are given is read-only.
"""

import runpy
import traceback
from collections.abc import Callable
from pathlib import Path
from types import CodeType

from tickwork.core.errors import InputError, TickworkError
from tickwork.runtime.seek import Moment

Check = Callable[[Moment], bool]
_SCRIPT_SUFFIX = ".py"
_EXPRESSION = "<check>"


def load_check(text: str) -> Check:
    """Return the condition that a Python expression, or the path of a script ending in `.py`, states.

    A script defines `check(moment)`. An expression sees `tick`, `agents` (ids), `agent("id")`, `world` and
    `moment`. Raises `InputError` if it is neither; so does the condition if it raises anything itself.
    """
    if text.endswith(_SCRIPT_SUFFIX):
        return _script(Path(text))
    try:
        code = compile(text.strip(), _EXPRESSION, "eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else str(error)
        raise InputError(
            f"--check {text!r} is no Python expression ({reason}); a script's name ends in {_SCRIPT_SUFFIX}"
        ) from None
    return _guarded(lambda moment: bool(eval(code, _names(moment))), _EXPRESSION, code)


def _names(moment: Moment) -> dict[str, object]:
    return {
        "tick": moment.tick,
        "agents": moment.agents,
        "agent": moment.agent,
        "world": moment.world,
        "moment": moment,
    }


def _script(path: Path) -> Check:
    if not path.is_file():
        raise InputError(f"--check: there is no script {path}")
    try:
        found = runpy.run_path(str(path)).get("check")
    except Exception as error:
        raise InputError(f"--check: {path}{_place(error, str(path))}: {_told(error)}") from error
    if not callable(found):
        raise InputError(f"--check: {path} defines no function check(moment)")
    return _guarded(lambda moment: bool(found(moment)), str(path), None)


def _guarded(check: Check, name: str, code: CodeType | None) -> Check:
    def guarded(moment: Moment) -> bool:
        try:
            return check(moment)
        except Exception as error:
            if isinstance(error, TickworkError) and not isinstance(error, InputError):
                raise
            where = name if code is None else "the expression"
            raise InputError(
                f"--check: {where}{_place(error, name)} failed at tick {moment.tick}: {_told(error)}"
            ) from error

    return guarded


def _place(error: Exception, name: str) -> str:
    """Return the last line of the user's own script in an error's traceback."""
    if name == _EXPRESSION:
        return ""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == name]
    if isinstance(error, SyntaxError) and error.filename == name:
        lines = [error.lineno]
    return f", line {lines[-1]}," if lines else ""


def _told(error: Exception) -> str:
    return str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
