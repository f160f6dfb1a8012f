"""One tick's record, and its canonical bytes.

The portable part holds what every engine must reproduce; fuel stands apart, because another engine version
may meter differently without a different result.
"""

import msgspec

from tickwork.core.effects import Effect
from tickwork.core.faults import AppliedFault
from tickwork.core.messages import Arrivals
from tickwork.core.outcomes import OutcomeKind
from tickwork.core.shortest import shortest


class Refusal(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An effect that was not performed, by its index in the turn; `verdict` is one of `core.refusals`."""

    effect: int
    verdict: str
    reason: str


class TurnEntry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What the agent with index `agent` did in its turn, and which of its effects were refused."""

    agent: int
    kind: OutcomeKind
    effects: tuple[Effect, ...]
    refusals: tuple[Refusal, ...] = ()
    detail: str = ""


class Undelivered(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A message that did not reach the agent `to`, named by the four numbers that order it."""

    kind: int
    tick: int
    agent: int
    effect: int
    to: str
    reason: str


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """The portable record of one tick, turns in settle order. Its bytes are those of `encode_entry`."""

    tick: int
    arrivals: Arrivals
    turns: tuple[TurnEntry, ...]
    undelivered: tuple[Undelivered, ...] = ()
    faults: tuple[AppliedFault, ...] = ()


class Fuel(msgspec.Struct, frozen=True, array_like=True):
    """The fuel of each turn of an entry, in the entry's order."""

    used: tuple[int, ...]


encode = msgspec.msgpack.Encoder().encode
_entries = msgspec.msgpack.Decoder(Entry)
_fuels = msgspec.msgpack.Decoder(Fuel)
# The fields that every entry's bytes have; those after them are left out where they say nothing.
_ENTRY_FIELDS = 4
_ARRIVALS_FIELDS = 1
# What msgspec lets through for hostile bytes besides its own errors.
_NOT_DECODED = (RecursionError, UnicodeDecodeError)


def encode_entry(entry: Entry) -> bytes:
    """Return the entry's canonical bytes."""
    tick, _, *others = shortest(entry, _ENTRY_FIELDS)
    return encode((tick, shortest(entry.arrivals, _ARRIVALS_FIELDS), *others))


def encode_arrivals(arrivals: Arrivals) -> bytes:
    """Return the canonical bytes of what comes to a tick."""
    return encode(shortest(arrivals, _ARRIVALS_FIELDS))


def decode_entry(data: bytes) -> Entry:
    """Return the entry with these bytes; raises msgspec.DecodeError if they are not an entry's."""
    try:
        return _entries.decode(data)
    except _NOT_DECODED as error:
        raise msgspec.DecodeError(str(error)) from None


def decode_fuel(data: bytes) -> Fuel:
    """Return the fuel record with these bytes; raises msgspec.DecodeError if they are not one's."""
    try:
        return _fuels.decode(data)
    except _NOT_DECODED as error:
        raise msgspec.DecodeError(str(error)) from None
