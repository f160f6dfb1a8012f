"""Where verdicts of the load-time check are kept between loads."""

from typing import Protocol

from tickwork.inference.invariance import Verdict
from tickwork.inference.providers import Basis


class Verdicts(Protocol):
    """What remembers verdicts; the model cache does."""

    def verdict(self, hashed: str, basis: Basis) -> Verdict | None:
        """Return what was found for the model on an equal basis, or None."""

    def keep_verdict(self, hashed: str, verdict: Verdict) -> None:
        """Remember what was found."""


class GivenVerdict:
    """One verdict that the caller has, and says is the model's."""

    def __init__(self, verdict: Verdict) -> None:
        self._verdict = verdict

    def verdict(self, hashed: str, basis: Basis) -> Verdict | None:  # noqa: ARG002 - the caller's promise
        """See Verdicts.verdict."""
        return self._verdict if self._verdict.basis == basis else None

    def keep_verdict(self, hashed: str, verdict: Verdict) -> None:
        """See Verdicts.keep_verdict; keeps nothing."""
