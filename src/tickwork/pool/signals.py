"""Holds Python's signal handlers back while guests run.

A handler may raise, as Ctrl-C does, and Python runs it wherever the main thread happens to be: also before
the first line of a callback from the engine, where nothing can catch it and the engine would take garbage
for an answer. So while agents that call the host take their turns, handlers wait until a turn is over.
"""

import contextlib
import importlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

# What `signal` wraps to make enumerations of numbers and handlers, which takes ten times as long.
_signal: Any = importlib.import_module("_signal")
# Those that a program gives a handler of its own; looking through all 64 would cost more.
_NUMBERS = tuple(
    int(getattr(signal, name))
    for name in (
        "SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGALRM", "SIGVTALRM", "SIGPROF", "SIGUSR1", "SIGUSR2",
        "SIGCHLD", "SIGWINCH",
    )
    if hasattr(signal, name)
)  # fmt: skip


def _nothing() -> None:
    return None


@contextlib.contextmanager
def held_back() -> Iterator[Callable[[], None]]:
    """Yield a function that runs the handlers of the signals that have come by now, which may raise.

    What is left is run at the end. Only the main thread ever runs handlers; elsewhere this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield _nothing
        return
    came: list[tuple[int, FrameType | None]] = []
    before: dict[int, Callable[[int, FrameType | None], object]] = {}

    def on_signal(number: int, frame: FrameType | None) -> None:
        came.append((number, frame))

    def deliver() -> None:
        while came:
            number, frame = came.pop(0)
            before[number](number, frame)

    with contextlib.ExitStack() as stack:
        # Last, and with its handlers in place again: what a handler raises is for the caller.
        stack.callback(deliver)
        for number in _NUMBERS:
            handler = _signal.getsignal(number)
            if callable(handler):
                before[number] = handler
                stack.callback(_signal.signal, number, handler)
                _signal.signal(number, on_signal)
        yield deliver
