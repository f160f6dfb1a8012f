"""Timers that are set and not yet due: found by their owner to replace them, by tick to deliver them."""

from collections.abc import Iterable, Mapping

import msgspec

TimerKey = tuple[int, int]  # (agent index, the agent's request number)


class PendingTimer(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One timer; `tick` and `effect` are those of the effect that set it, and order it among its kind."""

    agent: int
    request: int
    tick: int
    effect: int
    topic: str
    body: bytes


class Timers(msgspec.Struct, frozen=True):
    """All pending timers. `due` and `pending` hold the same keys; no tick in `pending` is empty."""

    due: Mapping[TimerKey, int] = {}
    pending: Mapping[int, Mapping[TimerKey, PendingTimer]] = {}
    counts: Mapping[int, int] = {}


NO_TIMERS = Timers()


class TimersEdit:
    """The next tick's timers, made from this tick's; nothing is copied until something changes."""

    def __init__(self, base: Timers) -> None:
        self._base = base
        self._due: dict[TimerKey, int] | None = None
        self._pending: dict[int, dict[TimerKey, PendingTimer]] = {}
        self._counts: dict[int, int] = {}
        self._own: dict[int, None] = {}

    def _writable(self) -> dict[TimerKey, int]:
        if self._due is None:
            self._due = dict(self._base.due)
            self._pending = dict(self._base.pending)  # type: ignore[arg-type]  # inner maps are copied in _at
            self._counts = dict(self._base.counts)
        return self._due

    def _at(self, tick: int) -> dict[TimerKey, PendingTimer]:
        if tick not in self._own:
            self._own[tick] = None
            self._pending[tick] = dict(self._pending.get(tick, {}))
        return self._pending[tick]

    def count(self, agent: int) -> int:
        """Return how many timers `agent` has pending."""
        return (self._base.counts if self._due is None else self._counts).get(agent, 0)

    def holds(self, agent: int, request: int) -> bool:
        """Return whether `agent` has a pending timer with this request number."""
        return (agent, request) in (self._base.due if self._due is None else self._due)

    def set(self, timer: PendingTimer, due: int) -> None:
        """Add `timer`, or put it in the place of the one with its agent and request."""
        self.cancel(timer.agent, timer.request)
        key = (timer.agent, timer.request)
        self._writable()[key] = due
        self._at(due)[key] = timer
        self._counts[timer.agent] = self._counts.get(timer.agent, 0) + 1

    def cancel(self, agent: int, request: int) -> None:
        """Remove the timer if it is pending."""
        if not self.holds(agent, request):
            return
        tick = self._writable().pop((agent, request))
        at = self._at(tick)
        del at[agent, request]
        if not at:
            del self._pending[tick]
            del self._own[tick]
        self._counts[agent] -= 1
        if not self._counts[agent]:
            del self._counts[agent]

    def cancel_owned(self, agents: Iterable[int]) -> None:
        """Remove every timer of each of `agents`, in one pass however many they are."""
        owners = dict.fromkeys(agent for agent in agents if self.count(agent))
        if owners:
            for agent, request in list(self._writable()):
                if agent in owners:
                    self.cancel(agent, request)

    def done(self) -> Timers:
        """Return the edited timers."""
        if self._due is None:
            return self._base
        return Timers(self._due, self._pending, self._counts)
