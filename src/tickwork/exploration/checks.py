"""What a run must not do: checks of the user's own, and those that every run is held to."""

import importlib.util
import inspect
import traceback
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from tickwork.core.entry import Entry
from tickwork.core.errors import InputError
from tickwork.core.faults import CrashAfter, CrashBefore, RefuseMemory, StarveFuel
from tickwork.core.outcomes import OutcomeKind
from tickwork.core.refusals import REJECTED
from tickwork.core.world import World
from tickwork.exploration.view import View

INVARIANT, GOAL = "invariant_", "goal_"
# The checks that need no file.
AGENTS_LIVE = "agents-live"
NOTHING_STARVES = "nothing-starves"
GOES_IDLE = "goes-idle"
DETERMINISTIC = "deterministic"
BUILT_IN = (AGENTS_LIVE, NOTHING_STARVES, GOES_IDLE, DETERMINISTIC)
# How many ticks a message may lie in a mailbox. Pauses of that length are no fault of the agents.
STARVING_TICKS = 100
_MESSAGE_CHARS_MAX = 500
_BREAKS_AGENTS = (CrashBefore, CrashAfter, StarveFuel, RefuseMemory)

Judge = Callable[[View], object]


class Failure(msgspec.Struct, frozen=True, array_like=True):
    """Which check a run failed, in which tick, and why."""

    check: str
    tick: int
    message: str

    def __str__(self) -> str:
        return f"{self.check} failed in tick {self.tick}: {self.message}"


class Check(NamedTuple):
    """A function of the user's that returns False or raises where a run is wrong; `goal` is for its end."""

    name: str
    goal: bool
    judge: Judge

    def failure(self, view: View) -> Failure | None:
        """Return how the run fails it now, or None. Whatever the function raises counts as a failure."""
        try:
            found = self.judge(view)
        except Exception as error:
            return Failure(self.name, view.tick, _told(error))
        if found is False:
            return Failure(self.name, view.tick, first_line(self.judge) or "it does not hold")
        return None


def first_line(judge: Judge) -> str:
    """Return the first line of a function's docstring."""
    return (judge.__doc__ or "").strip().partition("\n")[0]


def _told(error: Exception) -> str:
    text = str(error).strip()
    if isinstance(error, AssertionError):
        told = text.partition("\n")[0] or _asserted(error)
    else:
        told = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return told[:_MESSAGE_CHARS_MAX]


def _asserted(error: AssertionError) -> str:
    """Return the source of an assertion that has no message."""
    frames = traceback.extract_tb(error.__traceback__)
    return (frames[-1].line if frames else None) or "it does not hold"


def load_checks(path: Path) -> tuple[Check, ...]:
    """Return the functions `invariant_...` and `goal_...` of a Python file, which is run as it is.

    Raises `InputError` if it cannot be run, has none, or has one that cannot be called with a view alone.
    """
    found = importlib.util.spec_from_file_location(f"tickwork_checks_{path.stem}", path)
    if found is None or found.loader is None or not path.is_file():
        raise InputError(f"{path}: is no Python file with checks")
    module = importlib.util.module_from_spec(found)
    try:
        found.loader.exec_module(module)
    except Exception as error:
        raise InputError(f"{path}: cannot be run: {type(error).__name__}: {error}") from error
    checks = checks_of(vars(module).values())
    if not checks:
        raise InputError(f"{path}: has no function whose name begins with `{INVARIANT}` or `{GOAL}`")
    for check in checks:
        if not _takes_a_view(check.judge):
            raise InputError(f"{path}: {check.name} must take one argument, the view: def {check.name}(view)")
    return checks


def _takes_a_view(judge: Judge) -> bool:
    try:
        inspect.signature(judge).bind(None)
    except TypeError:
        return False
    except ValueError:  # a built-in that does not tell
        return True
    return True


def checks_of(values: Iterable[object]) -> tuple[Check, ...]:
    """Return those of the values that are functions with the name of a check, in their order."""
    checks = []
    for value in values:
        name = getattr(value, "__name__", "")
        if callable(value) and name.startswith((INVARIANT, GOAL)):
            checks.append(Check(name, name.startswith(GOAL), value))
    return tuple(checks)


def tick_failure(entry: Entry, after: World) -> Failure | None:
    """Return how a tick fails the checks that need no file, or None.

    An agent that a fault of the same tick broke has not failed by itself, and nor has one that refuses
    messages while it is paused: only what was never delivered counts.
    """
    broken = {fault.agent for fault in entry.faults if isinstance(fault.fault, _BREAKS_AGENTS)}
    for turn in entry.turns:
        if turn.kind is not OutcomeKind.OK and turn.agent not in broken:
            name = after.agents[turn.agent].spec.id
            reason = f"{turn.kind}: {turn.detail}" if turn.detail else str(turn.kind)
            return Failure(AGENTS_LIVE, entry.tick, f"agent {name!r} fails: {reason}"[:_MESSAGE_CHARS_MAX])
        for refusal in turn.refusals:
            if refusal.verdict == REJECTED and "full" in refusal.reason:
                name = after.agents[turn.agent].spec.id
                return Failure(
                    NOTHING_STARVES, entry.tick, f"a message of {name!r} is lost: {refusal.reason}"
                )
    return None


def starving(world: World) -> Failure | None:
    """Return which message has waited for too long, or None."""
    for agent, box in sorted(world.mailboxes.items()):
        oldest = min((message.tick for message in box), default=world.tick)
        if world.tick - oldest > STARVING_TICKS:
            name = world.agents[agent].spec.id
            waited = world.tick - oldest
            return Failure(
                NOTHING_STARVES, world.tick - 1, f"a message has waited {waited} ticks for agent {name!r}"
            )
    return None


def user_failure(checks: Sequence[Check], view: View, *, goal: bool) -> Failure | None:
    """Return the first failure among the checks of one kind, or None."""
    for check in checks:
        if check.goal is goal:
            failure = check.failure(view)
            if failure is not None:
                return failure
    return None
