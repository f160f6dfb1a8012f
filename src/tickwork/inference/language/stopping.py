"""Ends an answer at a stop text, which may begin in one token's text and end in another's."""

from collections.abc import Sequence


class StopTexts:
    """Passes an answer's text on until one of the stop texts appears in it.

    Text that may be the beginning of a stop text is held back until that is decided, so that what was once
    passed on never has to be taken back.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._held = ""
        self.met = False

    def push(self, text: str) -> str:
        """Return what of the text so far is now certain; after a stop text was met, nothing."""
        if self.met:
            return ""
        if not self._stops:
            return text
        self._held += text
        # The earliest stop counts, as if the text had been read character by character.
        ends = [(at + len(stop), at) for stop in self._stops if (at := self._held.find(stop)) >= 0]
        if ends:
            self.met = True
            certain, self._held = self._held[: min(ends)[1]], ""
            return certain
        kept = max((_overlap(self._held, stop) for stop in self._stops), default=0)
        certain, self._held = self._held[: len(self._held) - kept], self._held[len(self._held) - kept :]
        return certain

    def finish(self) -> str:
        """Return what was held back, now that no more text comes."""
        held, self._held = self._held, ""
        return held


def _overlap(text: str, stop: str) -> int:
    """Return the length of the longest end of `text` with which `stop` begins."""
    longest = min(len(text), len(stop) - 1)
    return next((length for length in range(longest, 0, -1) if text.endswith(stop[:length])), 0)
