"""A run's requests to its models, and the completions that each tick is due.

When a completion comes was fixed when it was asked for; here is only waited for what is not ready. So how
long computing takes is seen on a clock, and nowhere in a run.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Self

import msgspec

from tickwork.core.entropy import request_seed
from tickwork.core.messages import Completion
from tickwork.core.requests import PendingRequest, RequestKey, piece_tokens
from tickwork.core.spec import RunSpec
from tickwork.core.step import Settled
from tickwork.core.world import World
from tickwork.runtime.model_place import ModelPlace
from tickwork.runtime.models import serve

if TYPE_CHECKING:
    from tickwork.inference.service import Answer, Service, Texts

# How long whoever waits for an answer goes without looking about.
_PATIENCE_S = 0.1


class Answers:
    """The requests of one run. `close` it, or use it in a `with` block."""

    def __init__(self, run: RunSpec, service: "Service") -> None:
        self._run = run
        self._service = service
        self._submitted: dict[RequestKey, None] = {}
        # Of a tick whose completions are not all there yet.
        self._ready: dict[RequestKey, Completion | None] = {}

    @classmethod
    def of(cls, run: RunSpec, places: Mapping[str, ModelPlace], *, memo: bool = True) -> Self:
        """Return the answers of a run's models; raise a `TickworkError` if they cannot be served.

        Without `memo` every request is computed, also one that is equal to another.
        """
        return cls(run, serve(run, places, memo=memo))

    def begin(self, world: World) -> None:
        """Take on what a world waits for, where a run goes on."""
        for request in world.requests.pending.values():
            self.submit(request)

    def follow(self, settled: Settled) -> None:
        """Take on what a tick asked for, and drop what nobody waits for any more."""
        for request in settled.asked:
            self.submit(request)
        self._drop(settled.cancelled)

    def keep_only(self, pending: Collection[RequestKey]) -> None:
        """Drop what is not pending any more."""
        self._drop([key for key in self._submitted if key not in pending])

    def holds(self, key: RequestKey) -> bool:
        """Return whether a request was taken on, and neither answered nor dropped."""
        return key in self._submitted

    def _drop(self, keys: Iterable[RequestKey]) -> None:
        for key in keys:
            if key in self._submitted:
                del self._submitted[key]
                self._service.cancel(_name(key))

    def submit(self, request: PendingRequest) -> None:
        """Take a request on, if it is not, and if it does not fail on purpose: that no model is asked."""
        if request.fails or request.key in self._submitted:
            return
        self._submitted[request.key] = None
        model = self._run.models[request.model]
        seed = request_seed(self._run.seed, *request.key)
        stream = request.first < request.due
        self._service.submit(_name(request.key), model.name, request.body, seed, stream=stream)

    def due(self, world: World, waiting: Callable[[], None]) -> tuple[Completion, ...]:
        """Return the completions that the world's tick brings, in order; `waiting` is called now and then.

        What `waiting` raises goes through; ask again for the same tick then.
        """
        tick = world.tick
        for request in world.requests.pending.values():
            if request.fails or request.first > tick:
                continue
            if request.key not in self._ready:
                self._ready[request.key] = self.completion(request, tick, waiting)
        ready, self._ready = self._ready, {}
        return tuple(completion for completion in ready.values() if completion is not None)

    def completion(
        self, request: PendingRequest, tick: int, waiting: Callable[[], None]
    ) -> Completion | None:
        """Return a request's answer if it is due, else the piece of it that is, or None if that is empty."""
        if request.due == tick:
            answer = self._answer(_name(request.key), waiting)
            self._submitted.pop(request.key, None)
            return Completion(*request.key, answer.body, last=True, provider=answer.provider)
        model = self._run.models[request.model]
        told = 0 if tick == request.first else piece_tokens(model, request, tick - 1)
        texts, provider = self._texts(_name(request.key), piece_tokens(model, request, tick), waiting)
        text = "".join(texts[told:])
        if not text:
            return None
        body = _piece(_name(request.key), model.name, text)
        return Completion(*request.key, body, last=False, provider=provider)

    def _answer(self, key: str, waiting: Callable[[], None]) -> "Answer":
        while (found := self._service.answer(key, _PATIENCE_S)) is None:
            waiting()
        return found

    def _texts(self, key: str, tokens: int, waiting: Callable[[], None]) -> "Texts":
        while (found := self._service.texts(key, tokens, _PATIENCE_S)) is None:
            waiting()
        return found

    def close(self) -> None:
        """Let go of the models."""
        self._service.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _name(key: RequestKey) -> str:
    """Return a request's name in its answer's `id`: tick, agent and effect."""
    return "-".join(map(str, key))


def _piece(name: str, model: str, text: str) -> bytes:
    """Return OpenAI's `chat.completion.chunk` object."""
    choice = {"index": 0, "delta": {"content": text}, "logprobs": None, "finish_reason": None}
    chunk = {
        "id": f"chatcmpl-{name}",
        "object": "chat.completion.chunk",
        "created": 0,
        "model": model,
        "choices": [choice],
    }
    return msgspec.json.encode(chunk)
