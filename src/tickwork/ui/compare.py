"""Two runs held against each other while the page watches: progress first, then the result."""

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

from tickwork.core.errors import TickworkError
from tickwork.runtime.diff import diff
from tickwork.runtime.diff_rows import result
from tickwork.ui.events import event

# Each reads two files from end to end.
COMPARISONS_MAX = 2
_TELL_S = 0.2


class _Abandoned(Exception):  # noqa: N818 - nobody waits for the result any more
    """Ends a comparison from within."""


class Comparisons:
    """The comparisons that are being made."""

    def __init__(self) -> None:
        self._room = threading.BoundedSemaphore(COMPARISONS_MAX)

    async def watch(self, a: Path, b: Path, names: tuple[str, str]) -> AsyncIterator[bytes]:
        """Yield `progress` events with the tick reached, then one `result`, or one `failure`."""
        if not self._room.acquire(blocking=False):
            yield event("failure", {"error": f"{COMPARISONS_MAX} comparisons are being made; try again"})
            return
        reached = [0]
        abandoned = threading.Event()

        def progress(tick: int) -> None:
            reached[0] = tick
            if abandoned.is_set():
                raise _Abandoned

        def compare() -> dict[str, object]:
            try:
                return result(diff(a, b, progress=progress))
            finally:
                self._room.release()

        work = asyncio.ensure_future(asyncio.to_thread(compare))
        try:
            while not (await asyncio.wait({work}, timeout=_TELL_S))[0]:
                yield event("progress", {"tick": reached[0]})
            yield _outcome(work, (a, b), names)
        finally:
            abandoned.set()


def _outcome(
    work: "asyncio.Future[dict[str, object]]", paths: tuple[Path, Path], names: tuple[str, str]
) -> bytes:
    try:
        found = work.result()
    except (TickworkError, OSError) as error:
        reason = str(error)
        for path, name in zip(paths, names, strict=True):
            reason = reason.replace(str(path), name)
        return event("failure", {"error": reason})
    for side, name in zip(("a", "b"), names, strict=True):
        told = found[side]
        assert isinstance(told, dict)
        told["file"] = name
    return event("result", found)
