"""A run file with agents that fail and go on, or do not, written through the real core; nobody is run."""

from collections.abc import Sequence
from pathlib import Path

from asked_run import Does, written
from core_worlds import failed, powerful, run_of
from tickwork.core.effects import Effect, Publish, Send, Stop
from tickwork.core.fault_plan import FaultPlan
from tickwork.core.faults import CrashAfter, CrashBefore
from tickwork.core.supervision import OnFailure, Supervision

TICKS = 9
_AGAIN = Supervision(OnFailure.RESTART, max_restarts=2, restart_window_ticks=10)
_BACK = Supervision(OnFailure.ROLLBACK)


def _to_all(tick: int) -> Sequence[Effect]:
    return (
        *(Send(to, "word", b"%d" % tick) for to in ("again", "back", "end")),
        Publish("news", b"%d" % tick),
    )


# `again` is set up anew after ticks 2 and 5, and ends in 6; `back` is stopped in the tick in which it fails.
_DOES: dict[int, Does] = {
    1: {"sender": _to_all(1)},
    2: {"sender": _to_all(2), "again": failed(), "back": failed()},
    3: {"sender": _to_all(3)},
    4: {"sender": _to_all(4), "end": failed()},
    5: {"sender": _to_all(5)},
    6: {"sender": _to_all(6), "again": failed()},
    7: {"sender": (*_to_all(7), Stop("back", "enough")), "back": failed()},
}
_FAULTS = FaultPlan((CrashBefore(4, "back"), CrashAfter(5, "again")))


def shaky(file: Path) -> Path:
    """Write the run; its ticks are from 0 to 8."""
    agents = (
        powerful("sender", every_tick=True),
        powerful("again", every_tick=True, subscribe=("news",), supervision=_AGAIN),
        powerful("back", every_tick=True, subscribe=("news",), supervision=_BACK),
        powerful("end", every_tick=True, subscribe=("news",)),
    )
    return written(file, run_of(*agents, faults=_FAULTS), TICKS, _DOES)
