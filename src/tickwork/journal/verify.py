"""Checks a run file against its own digest chain."""

from dataclasses import dataclass

from tickwork.core.digest import Digests, advance
from tickwork.core.errors import RunFileError
from tickwork.journal.reader import RunReader, StoredEntry


@dataclass(frozen=True, slots=True)
class Fault:
    """The first tick at which a file is not what was written, and in what way."""

    tick: int
    reason: str


def verify(run: RunReader) -> Fault | None:
    """Check every entry against the digest chain from the run's start on; None if all hold.

    This finds any change of a byte, but not a forgery that recomputes the chain: only a replay can.
    """
    before = run.header.start
    for stored in run.entries():
        fault = stored.damage or chain_fault(before, stored)
        if fault is not None:
            return Fault(stored.tick, fault)
        before = stored.digests
    if run.end is not None and (run.end.digest, run.end.exact) != before:
        return Fault(run.end.ticks, "the run's final digests are not those of its last entry")
    return None


def chain_fault(before: Digests, stored: StoredEntry) -> str | None:
    """Return why an undamaged entry does not continue the chain from `before`, or None if it does."""
    try:
        stored.decode()
    except RunFileError as error:
        return str(error)
    after = advance(before, stored.entry, stored.fuel)
    if after.digest != stored.digests.digest:
        return "its bytes do not have its digest"
    if after.exact != stored.digests.exact:
        return "its fuel does not have its exact digest"
    return None
