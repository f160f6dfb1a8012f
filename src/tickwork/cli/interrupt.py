"""Ctrl-C as a wish that the loop looks at between ticks; a second one stops at once."""

import contextlib
import signal
from collections.abc import Callable, Iterator
from types import FrameType

from tickwork.cli.console import say


@contextlib.contextmanager
def interruptible(what: str = "tick") -> Iterator[Callable[[], bool]]:
    """Yield a function that tells whether to stop, at the end of `what`. SIGTERM counts as Ctrl-C does."""
    wished = told = False

    def on_signal(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the signal module's form
        nonlocal wished
        if wished:
            raise KeyboardInterrupt
        wished = True

    def stop() -> bool:
        nonlocal told
        # Not in the handler, which may have come in the middle of another print.
        if wished and not told:
            told = True
            say(f"stopping at the end of this {what} (again to stop at once)")
        return wished

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
