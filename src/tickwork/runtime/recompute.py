"""The answers of a recording's models computed again, and held against the record."""

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from tickwork.core.entry import Entry
from tickwork.core.errors import TickworkError
from tickwork.core.messages import CPU, Completion
from tickwork.core.requests import PendingRequest, RequestKey
from tickwork.core.spec import RunSpec
from tickwork.core.world import World
from tickwork.journal.header import Header
from tickwork.runtime.answers import Answers
from tickwork.runtime.comparison import Divergence
from tickwork.runtime.launch import project_of
from tickwork.runtime.models import makers_fault

_LISTED_MAX = 20


class Recomputation:
    """Computes again what the record says can be; with `every`, all of it.

    Where `strict`, an answer of the CPU that comes out otherwise is a divergence; all else is in
    `differences`. `count` answers and pieces were compared so far.
    """

    def __init__(self, run: RunSpec, answers: Answers, *, every: bool, strict: bool) -> None:
        self._run = run
        self._answers = answers
        self._every = every
        self._strict = strict
        self._differing = 0
        self._told: list[str] = []
        self._taken: dict[str, int] = {}
        self.count = 0

    @property
    def differences(self) -> tuple[str, ...]:
        """The differences that are no divergence, the first ones in words."""
        more = self._differing - len(self._told)
        return (*self._told, f"and {more} more") if more else tuple(self._told)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was taken from the record without computing it again."""
        return tuple(
            f"answers of models are used as they were recorded: {count} of provider {provider}"
            for provider, count in sorted(self._taken.items())
        )

    def divergence(self, world: World, recorded: Entry) -> Divergence | None:
        """Compare the completions of the world's tick; return the first that must not differ and does."""
        pending = world.requests.pending
        self._answers.keep_only(pending)
        found = {_key(each): each for each in recorded.arrivals.completions}
        due = []
        for key, each in found.items():
            if self._every or each.recomputable:
                due.append(pending[key])
            else:
                self._taken[each.provider] = self._taken.get(each.provider, 0) + 1
        for request in due:
            self._answers.submit(request)
        for request in self._compared(world, due, found):
            again = self._answers.completion(request, world.tick, lambda: None)
            then = found.get(request.key)
            self.count += again is not None or then is not None
            if _said(again) == _said(then):
                continue
            difference = self._difference(world, request, then, again)
            if self._strict and all(each is None or each.recomputable for each in (then, again)):
                return difference
            self._differing += 1
            if self._differing <= _LISTED_MAX:
                self._told.append(str(difference))
        return None

    def _compared(
        self, world: World, due: list[PendingRequest], found: Mapping[RequestKey, Completion]
    ) -> list[PendingRequest]:
        """Return the requests whose completions are compared, also streams of which no piece is recorded."""
        silent = [
            request
            for request in world.requests.pending.values()
            if request.first <= world.tick and request.key not in found and self._answers.holds(request.key)
        ]
        return [*due, *silent]

    def _difference(
        self, world: World, request: PendingRequest, then: Completion | None, again: Completion | None
    ) -> Divergence:
        model = self._run.models[request.model].name
        what = "answer" if request.due == world.tick else "piece of an answer"
        reason = f"model {model} gives another {what} to the request of tick {request.tick} when asked again"
        providers = [each.provider for each in (then, again) if each is not None]
        if set(providers) != {CPU}:
            reason += f" ({', now '.join(providers)})"
        return Divergence(world.tick, world.agents[request.agent].spec.id, reason)

    def close(self) -> None:
        """Let go of the models."""
        self._answers.close()


class Opened(NamedTuple):
    """A recomputation, or None with the warning that tells why there is none."""

    recomputation: Recomputation | None
    warning: str | None


def open_recomputation(run: RunSpec, header: Header, *, every: bool) -> Opened:
    """Return what computes a recording's answers again on this machine."""
    if not run.models:
        return Opened(None, None)
    places = project_of(run, header.launch).models
    if not every:
        # What the CPU answered is only promised to come out the same there.
        places = {name: msgspec.structs.replace(place, providers=(CPU,)) for name, place in places.items()}
    try:
        fault = makers_fault(header.inference)
        if fault is not None and not every:
            return Opened(None, f"the answers of models are used as they were recorded: {fault}")
        answers = Answers.of(run, places, memo=False)
    except TickworkError as error:
        return Opened(None, f"the answers of models are used as they were recorded: {error}")
    warning = None if fault is None else f"models may answer otherwise here: {fault}"
    return Opened(Recomputation(run, answers, every=every, strict=fault is None), warning)


def _key(completion: Completion) -> RequestKey:
    return (completion.tick, completion.agent, completion.effect)


def _said(completion: Completion | None) -> bytes | None:
    return None if completion is None else completion.body
