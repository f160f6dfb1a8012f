"""When snapshots are taken: every so many ticks, or as often as a share of the run's time pays for."""

from dataclasses import dataclass, field, replace

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

    def shared(self, part: float) -> "SnapshotSettings":
        """Return the settings with a part of the share."""
        return replace(self, share=self.share * part)


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
        self._ended_s = now_s
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
        # Paid for in advance, by the time since the last one: savings are not spent on two in a row.
        return self._next_cost_s <= self._settings.share * (now_s - self._ended_s)

    def taken(self, tick: int, began_s: float, ended_s: float) -> None:
        """Note a snapshot."""
        self._last_tick = tick
        self._ended_s = ended_s
        self._next_cost_s = ended_s - began_s
