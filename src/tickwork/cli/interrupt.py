"""Ctrl-C as a wish that the loop looks at between ticks; a second one stops at once."""

import contextlib
import signal
from collections.abc import Callable, Iterator
from types import FrameType

from tickwork.cli.console import errors


@contextlib.contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Yield a function that tells whether to stop. SIGTERM counts as Ctrl-C does."""
    wished = False

    def on_signal(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the signal module's form
        nonlocal wished
        if wished:
            raise KeyboardInterrupt
        wished = True
        errors.print("stopping at the end of this tick (again to stop at once)")

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: wished
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
