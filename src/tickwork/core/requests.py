"""Requests to models that were made and are not answered yet, and what their answers may look like.

A request is named by the effect that made it: (tick, agent, effect). When its answer is due is fixed then, so
that it never depends on how long the answer takes to compute: `latency_ticks` later, or for a model with
`tokens_per_tick` when as many tokens as the request may get have had their ticks, whichever is later. The
pieces of a streamed answer come in the ticks between.

Faults may let all that come later, garble it, or let the request fail: then no model is asked.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec

from tickwork.core.messages import Arrivals
from tickwork.core.nesting import nests_too_deep
from tickwork.core.spec import LANGUAGE, ModelSpec

RequestKey = tuple[int, int, int]  # (tick, agent index, effect index) of the effect that asked
# What a request that fails on purpose is answered with: OpenAI's error object, as of a model that failed.
FAILED_ANSWER = (
    b'{"error":{"message":"the request failed on purpose","type":"server_error",'
    b'"param":null,"code":"model_failed"}}'
)


class PendingRequest(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One request, to the run's model with index `model`; `request` is the agent's own number for it.

    The answer is due in tick `due`; a piece of it in every tick from `first` on, if `first` comes before.
    By a fault both are `slowed` ticks later than they would be, the request `fails`, or what comes is
    `garbled`.
    """

    tick: int
    agent: int
    effect: int
    request: int
    model: int
    body: bytes
    due: int
    first: int
    slowed: int = 0
    fails: bool = False
    garbled: bool = False

    @property
    def key(self) -> RequestKey:
        """What names the request."""
        return (self.tick, self.agent, self.effect)

    def received(self, body: bytes) -> bytes:
        """Return what the agent gets of a body that the model answers: of a garbled one the first half."""
        return body[: len(body) // 2] if self.garbled else body


# The fields that every request's bytes have.
REQUEST_FIELDS = 8


class Requests(msgspec.Struct, frozen=True):
    """All pending requests, in the order of their keys."""

    pending: Mapping[RequestKey, PendingRequest] = {}

    def due(self, tick: int) -> list[PendingRequest]:
        """Return those whose answer comes in `tick`, in order."""
        return [request for request in self.pending.values() if request.due == tick]

    def failing(self, tick: int) -> list[PendingRequest]:
        """Return those that fail in `tick` on purpose, in order."""
        return [request for request in self.due(tick) if request.fails]


NO_REQUESTS = Requests()


class Asked(NamedTuple):
    """What a request's body says that decides when its answer is due and what it may cost."""

    tokens: int
    stream: bool


class _Body(msgspec.Struct, frozen=True):
    # Of any type: what the field must be is for the model to say, in its answer.
    max_tokens: object = None
    max_completion_tokens: object = None
    stream: object = None


_decode = msgspec.json.Decoder(_Body).decode


def asked(model: ModelSpec, body: bytes) -> Asked:
    """Return what a request asks for; one that cannot be read counts as one that says nothing.

    Only language models count tokens, and stream.
    """
    if model.kind != LANGUAGE:
        return Asked(0, stream=False)
    try:
        found = _Body() if nests_too_deep(body) else _decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        found = _Body()
    tokens = found.max_tokens if found.max_completion_tokens is None else found.max_completion_tokens
    if type(tokens) is not int or tokens < 1:
        tokens = model.tokens_default
    return Asked(tokens, found.stream is True)


def schedule(model: ModelSpec, tick: int, what: Asked) -> tuple[int, int]:
    """Return when the answer to a request of `tick` is due, and when the first piece of it is."""
    first = tick + model.latency_ticks
    if model.tokens_per_tick is None:
        return first, first
    due = max(first, tick - -what.tokens // model.tokens_per_tick)
    return due, first if what.stream else due


def piece_tokens(model: ModelSpec, request: PendingRequest, tick: int) -> int:
    """Return how many tokens of a streamed answer have come by `tick`."""
    return (model.tokens_per_tick or 0) * (tick - request.tick - request.slowed)


def arrivals_fault(requests: Requests, tick: int, arrivals: Arrivals) -> str | None:
    """Return why the completions cannot be those that `tick` brings, or None if they can.

    There is one for each request that is due, and at most one piece of each that is streamed, in order; none
    for those that fail on purpose.
    """
    if not arrivals.completions and not requests.pending:
        return None
    last: RequestKey = (-1, -1, -1)
    answered = 0
    for completion in arrivals.completions:
        key = (completion.tick, completion.agent, completion.effect)
        request = requests.pending.get(key)
        if request is None or request.fails or key <= last:
            return f"a completion answers no request (agent {completion.agent}, tick {completion.tick})"
        if completion.last != (request.due == tick) or not request.first <= tick:
            return f"a completion comes when none is due (agent {completion.agent}, tick {completion.tick})"
        answered += completion.last
        last = key
    if answered != sum(not request.fails for request in requests.due(tick)):
        return "a completion that is due is missing"
    return None


class RequestsEdit:
    """The next tick's requests, made from this tick's; nothing is copied until something changes."""

    def __init__(self, base: Requests) -> None:
        self._base = base
        self._pending: dict[RequestKey, PendingRequest] | None = None
        self._counts: dict[int, int] | None = None
        self._cancelled: list[RequestKey] = []

    def _writable(self) -> dict[RequestKey, PendingRequest]:
        if self._pending is None:
            self._pending = dict(self._base.pending)
        return self._pending

    def count(self, model: int) -> int:
        """Return how many requests to the model with this index are pending."""
        if self._counts is None:
            self._counts = {}
            for request in (self._base.pending if self._pending is None else self._pending).values():
                self._counts[request.model] = self._counts.get(request.model, 0) + 1
        return self._counts.get(model, 0)

    def add(self, request: PendingRequest) -> None:
        """Add a request that was made just now."""
        count = self.count(request.model)
        self._writable()[request.key] = request
        if self._counts is not None:
            self._counts[request.model] = count + 1

    def answer(self, tick: int) -> None:
        """Take those out whose answer comes in `tick`."""
        for request in self._base.due(tick) if self._base.pending else ():
            del self._writable()[request.key]
        self._counts = None

    def cancel_owned(self, agents: Iterable[int]) -> None:
        """Take out every request of each of `agents`: nobody is left to be answered."""
        pending = self._base.pending if self._pending is None else self._pending
        if not pending:
            return
        owners = dict.fromkeys(agents)
        for key in [key for key in pending if key[1] in owners]:
            del self._writable()[key]
            if key in self._base.pending:
                self._cancelled.append(key)
        self._counts = None

    def done(self) -> tuple[Requests, tuple[PendingRequest, ...], tuple[RequestKey, ...]]:
        """Return the edited requests, those among them that are new, and those that were cancelled."""
        if self._pending is None:
            return self._base, (), ()
        # Where a tick has waves, its requests are not made in the order of agents.
        new = sorted(
            (request for key, request in self._pending.items() if key not in self._base.pending),
            key=lambda request: request.key,
        )
        for request in new:
            self._pending[request.key] = self._pending.pop(request.key)
        return Requests(self._pending), tuple(new), tuple(self._cancelled)
