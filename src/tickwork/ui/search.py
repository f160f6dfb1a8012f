"""Finds text in messages, logs, outputs and failures: the record read through, a slice of time at once.

A search that takes longer than its slice says where to go on. What does not hold the text as bytes is not
decoded, and neither a search nor its answer grows with the run.
"""

from collections.abc import Iterator

import msgspec

from tickwork.core.effects import Call, Effect, Infer, Log, Output, Publish, Send
from tickwork.core.entry import Entry
from tickwork.core.outcomes import OutcomeKind
from tickwork.core.refusals import target
from tickwork.journal.reader import RunReader
from tickwork.runtime.clock import monotonic_s
from tickwork.ui.cast import Cast

KINDS = ("message", "log", "output", "input", "failure", "request")
_SLICE_S = 0.3
_SNIPPET_CHARS = 160
_KIND_OF = {
    Send: "message",
    Publish: "message",
    Log: "log",
    Output: "output",
    Infer: "request",
    Call: "request",
}


class Hit(msgspec.Struct, frozen=True):
    """Where the text was found: in an effect of an agent's turn, an input's line, or a failure.

    `snippet` is the text around it; the match is at `at` and `length` characters long, or in `topic`, and
    then `length` is 0.
    """

    tick: int
    agent: str
    kind: str
    effect: int | None
    target: str
    topic: str
    snippet: str
    at: int
    length: int


class SearchResult(msgspec.Struct, frozen=True):
    """What was found up to tick `next`, which is None when the search is at the end."""

    hits: list[Hit]
    next: int | None
    end_tick: int


def search(
    reader: RunReader,
    cast: Cast,
    text: str,
    *,
    kinds: frozenset[str],
    agent: str | None,
    first: int,
    limit: int,
) -> SearchResult:
    """Return hits from tick `first` on, letters in either case; whole ticks, so a few more than `limit`."""
    needle = text.lower()
    until = monotonic_s() + _SLICE_S
    hits: list[Hit] = []
    last = reader.last_tick
    end_tick = reader.header.start_tick if last is None else last + 1
    for stored in reader.entries(first):
        if len(hits) >= limit or monotonic_s() > until:
            return SearchResult(hits, stored.tick, end_tick)
        if stored.damage is None and _may_hold(stored.entry, needle):
            entry, _ = stored.decode()
            found = _in_entry(entry, cast, needle)
            hits += [hit for hit in found if hit.kind in kinds and agent in {None, hit.agent}]
    return SearchResult(hits, None, end_tick)


def _may_hold(entry: bytes, needle: str) -> bool:
    # Beyond ASCII one letter may have cases of other lengths, so only the decoded text can tell.
    return not needle.isascii() or needle.encode() in entry.lower()


def _in_entry(entry: Entry, cast: Cast, needle: str) -> Iterator[Hit]:
    for item in entry.arrivals.inputs:
        name = cast.inputs[item.source] if 0 <= item.source < len(cast.inputs) else f"#{item.source}"
        found = _snippet(item.body.decode(errors="replace"), needle)
        if found is not None:
            yield Hit(entry.tick, f"input:{name}", "input", None, "", "", *found)
    for turn in entry.turns:
        agent = cast.name(turn.agent)
        if turn.kind is not OutcomeKind.OK:
            found = _snippet(f"{turn.kind}: {turn.detail}", needle)
            if found is not None:
                yield Hit(entry.tick, agent, "failure", None, "", "", *found)
        for place, effect in enumerate(turn.effects):
            kind = _KIND_OF.get(type(effect))
            if kind is None:
                continue
            topic = getattr(effect, "topic", "")
            found = _snippet(_text(effect), needle)
            if found is None and needle in topic.lower():
                found = _text(effect)[:_SNIPPET_CHARS], 0, 0
            if found is not None:
                yield Hit(entry.tick, agent, kind, place, target(effect), topic, *found)


def _text(effect: Effect) -> str:
    if isinstance(effect, Log):
        return effect.text
    body = getattr(effect, "body", b"")
    return body.decode(errors="replace") if isinstance(body, bytes) else ""


def _snippet(text: str, needle: str) -> tuple[str, int, int] | None:
    lowered = text.lower()
    at = lowered.find(needle)
    if at < 0:
        return None
    begin = max(0, at - _SNIPPET_CHARS // 3)
    return text[begin : begin + _SNIPPET_CHARS], at - begin, len(needle)
