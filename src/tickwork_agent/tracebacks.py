"""Tracebacks as the author of an agent wants them: only the frames of the agent's own files."""

import linecache
from collections.abc import Collection
from traceback import TracebackException
from types import TracebackType

# A recursion that ran away is thousands of frames deep, and a failed turn must not cost more than a good one.
FRAMES_MAX = 40
TEXT_CHARACTERS_MAX = 16_384
_CUT = "\n[...]\n"


def remember_source(file: str, source: str) -> None:
    """Let tracebacks show the lines of `file`, which exists only as `source`."""
    # A modification time of None keeps linecache from looking for the file.
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)


def describe(error: BaseException, files: Collection[str]) -> str:
    """Return the traceback of `error` with the frames of `files` alone, cut in the middle if very long.

    Changes the tracebacks of `error` and of the exceptions that it is linked to. Never fails: where
    formatting itself raises, the text is the name of the error's class.
    """
    try:
        left_out = _trim_all(error, files)
        text = "".join(TracebackException.from_exception(error).format()).rstrip("\n")
    except Exception:
        # An author's own `__str__`, or memory that ran out.
        return type(error).__name__
    if left_out:
        text += f"\n({left_out} frames in the middle of the traceback are left out)"
    if len(text) > TEXT_CHARACTERS_MAX:
        half = (TEXT_CHARACTERS_MAX - len(_CUT)) // 2
        text = text[:half] + _CUT + text[-half:]
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _trim_all(error: BaseException, files: Collection[str]) -> int:
    """Trim the traceback of each exception linked to `error`; return how many of the author's frames went."""
    left_out = 0
    pending: list[BaseException | None] = [error]
    seen: list[BaseException] = []
    while pending:
        current = pending.pop()
        if current is None or any(current is each for each in seen):
            continue
        seen.append(current)
        current.__traceback__, dropped = _trim(current.__traceback__, files)
        left_out += dropped
        pending += (current.__cause__, current.__context__)
        if isinstance(current, BaseExceptionGroup):
            pending += current.exceptions
    return left_out


def _trim(trace: TracebackType | None, files: Collection[str]) -> tuple[TracebackType | None, int]:
    frames: list[TracebackType] = []
    while trace is not None:
        if trace.tb_frame.f_code.co_filename in files:
            frames.append(trace)
        trace = trace.tb_next
    dropped = max(0, len(frames) - FRAMES_MAX)
    if dropped:
        half = FRAMES_MAX // 2
        frames[half:-half] = []
    after: TracebackType | None = None
    for frame in reversed(frames):
        after = TracebackType(after, frame.tb_frame, frame.tb_lasti, frame.tb_lineno)
    return after, dropped
