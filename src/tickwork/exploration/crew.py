"""Explorers at work: one in this process, or several in their own. No result depends on how many."""

import contextlib
import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from tickwork.core.errors import HostError
from tickwork.exploration.case import Lines
from tickwork.exploration.explorer import Assignment, Chunk, Explorer, Result
from tickwork.runtime.project import Project

JOBS_MAX = 32
# A chunk is planned by what was known this many chunks before, however many explorers there are.
LAG_CHUNKS = JOBS_MAX

_explorer: Explorer | None = None


@contextlib.contextmanager
def _deaf() -> Iterator[None]:
    """Keep Ctrl-C from processes that are started meanwhile, before they can ignore it themselves."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin(project: Project, lines: Lines, assignment: Assignment) -> None:
    """Set this process's explorer up. Ctrl-C is for the process that hands the chunks out."""
    global _explorer  # noqa: PLW0603 - one for each process, made by the pool's initializer
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _explorer = Explorer(project, lines, assignment)


def _explore(chunk: Chunk) -> list[Result]:
    if _explorer is None:
        raise RuntimeError("the process has no explorer")
    return _explorer.run_chunk(chunk)


def alone(explorer: Explorer, chunks: Iterator[Chunk], stop: Callable[[], bool]) -> Iterator[list[Result]]:
    """Yield each chunk's results, worked out here; ends when `stop()` is true, before the next case."""
    for chunk in chunks:
        results = explorer.run_chunk(chunk, stop)
        yield results
        if len(results) < chunk.count or stop():
            return


def together(
    project: Project, lines: Lines, assignment: Assignment, jobs: int, chunks: Iterator[Chunk]
) -> Iterator[list[Result]]:
    """Yield each chunk's results in the chunks' order, worked out by `jobs` processes.

    A chunk is asked for only when all but the last `LAG_CHUNKS` before it have been yielded. Raises
    `HostError` if a process dies.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, context, _begin, (project, lines, assignment)) as pool:
        waiting: deque[Future[list[Result]]] = deque()
        try:
            for chunk in chunks:
                with _deaf():
                    waiting.append(pool.submit(_explore, chunk))
                if len(waiting) >= LAG_CHUNKS:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool:
            raise HostError(
                "a process that explores has died; the system may have run out of memory"
            ) from None
        finally:
            for future in waiting:
                future.cancel()
