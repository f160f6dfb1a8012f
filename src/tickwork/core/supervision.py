"""What becomes of an agent that fails."""

import enum
from collections.abc import Sequence

import msgspec


class OnFailure(enum.StrEnum):
    """What is done with an agent that fails: it ends, is set up anew, or goes on from before the turn."""

    STOP = "stop"
    RESTART = "restart"
    ROLLBACK = "rollback"


class OnExhausted(enum.StrEnum):
    """What is done once an agent has failed too often: it ends, or the run does too."""

    FAIL = "fail"
    STOP_RUN = "stop-run"


class Supervision(msgspec.Struct, frozen=True):
    """How one agent is supervised.

    A failure that comes after `max_restarts` others, restarted or rolled back within the last
    `restart_window_ticks` ticks, is one too often; with `OnFailure.STOP` the first one is.
    """

    on_failure: OnFailure = OnFailure.STOP
    max_restarts: int = 3
    restart_window_ticks: int = 100
    on_exhausted: OnExhausted = OnExhausted.FAIL

    def recent(self, past: Sequence[int], tick: int) -> tuple[int, ...]:
        """Return those of the ticks of past failures that still count in `tick`."""
        return tuple(at for at in past if at > tick - self.restart_window_ticks)

    def verdict(self, past: Sequence[int], tick: int) -> OnFailure:
        """Return what is done about a failure in `tick`, after those in the ticks `past`."""
        too_many = len(self.recent(past, tick)) >= self.max_restarts
        return OnFailure.STOP if too_many else self.on_failure


NO_SUPERVISION = Supervision()
