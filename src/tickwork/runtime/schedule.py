"""When snapshots are taken: every so many ticks, or as often as a share of the run's time pays for."""

from dataclasses import dataclass, field

from tickwork.core.errors import InputError
from tickwork.journal.retention import KeepAll, KeepLast, Policy, Thin

DEFAULT_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class SnapshotSettings:
    """`every` ticks; or, where that is None, adaptively within `share` of the run's time. 0 is never.

    Neither has any influence on the run's digests.
    """

    every: int | None = None
    share: float = DEFAULT_SHARE
    keep: Policy = field(default_factory=KeepAll)


def policy_of(keep: int | str) -> Policy:
    """Return which snapshots stay: `all`, the last so many, or `thin`; `InputError` for anything else."""
    if keep == "all":
        return KeepAll()
    if keep == "thin":
        return Thin()
    try:
        count = int(keep)
    except ValueError:
        count = 0
    if count < 1:
        raise InputError(f"snapshots can be kept: all, thin, or the last N from 1 on; not {keep!r}")
    return KeepLast(count)


class SnapshotSchedule:
    """Decides tick by tick. Adaptive intervals follow what the last snapshot cost."""

    def __init__(self, settings: SnapshotSettings, now_s: float) -> None:
        self._settings = settings
        self._began_s = now_s
        self._spent_s = 0.0
        self._next_cost_s = 0.0
        self._last_tick: int | None = None

    def expect(self, cost_s: float) -> None:
        """Say what the next snapshot will probably take."""
        self._next_cost_s = cost_s

    def due(self, tick: int, now_s: float) -> bool:
        """Return whether to take a snapshot at the boundary before `tick`."""
        every = self._settings.every
        if tick == self._last_tick:
            return False
        if every is not None:
            return every > 0 and tick % every == 0
        # Including the next one's cost, so that the share holds after it and not only in the long run.
        spent_s = self._spent_s + self._next_cost_s
        return spent_s <= self._settings.share * (now_s - self._began_s + self._next_cost_s)

    def taken(self, tick: int, began_s: float, ended_s: float) -> None:
        """Note a snapshot."""
        self._last_tick = tick
        self._next_cost_s = ended_s - began_s
        self._spent_s += self._next_cost_s
