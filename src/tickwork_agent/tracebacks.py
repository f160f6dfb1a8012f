"""Tracebacks as the author of an agent wants them: only the frames of the agent's own files."""

import linecache
from collections.abc import Collection
from traceback import StackSummary, TracebackException

TEXT_CHARACTERS_MAX = 16_384
_CUT = "\n[...]\n"


def remember_source(file: str, source: str) -> None:
    """Let tracebacks show the lines of `file`, which exists only as `source`."""
    # A modification time of None keeps linecache from looking for the file.
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)


def describe(error: BaseException, files: Collection[str]) -> str:
    """Return the traceback of `error` with the frames of `files` alone, cut in the middle if very long.

    Never fails: where formatting itself raises, the text is the name of the error's class.
    """
    try:
        trace = TracebackException.from_exception(error, lookup_lines=False)
        _trim(trace, files)
        text = "".join(trace.format()).rstrip("\n")
    except Exception:
        return type(error).__name__
    if len(text) > TEXT_CHARACTERS_MAX:
        half = (TEXT_CHARACTERS_MAX - len(_CUT)) // 2
        text = text[:half] + _CUT + text[-half:]
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _trim(trace: TracebackException, files: Collection[str]) -> None:
    pending = [trace]
    while pending:
        current = pending.pop()
        current.stack = StackSummary.from_list([frame for frame in current.stack if frame.filename in files])
        linked = (current.__cause__, current.__context__, *(current.exceptions or ()))
        pending.extend(each for each in linked if each is not None)
