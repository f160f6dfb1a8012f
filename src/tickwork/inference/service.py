"""Answers requests to models in the background, on one thread of its own.

The thread owns every engine. Each round it takes on what was submitted, in that order, and gives every model
with something to do one step; so models share the thread, and agents, which run on other threads, wait for no
model. When an answer is ready depends on all of that, what it says on none of it: see `language.engine`. Who
asks waits for what is due and for nothing else.

What goes wrong with a request, or with a model's own files, is an answer, told to who asked. What goes wrong
with the machine (no memory, files that changed meanwhile) is a HostError, told to who waits.
"""

import threading
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import NamedTuple

import msgspec

from tickwork.core.errors import HostError
from tickwork.inference.errors import Code, ModelError, RequestError, one_line
from tickwork.inference.language.load import Loaded, LoadSettings
from tickwork.inference.language.request import ChatRequest, parse_request
from tickwork.inference.language.response import Failure
from tickwork.inference.memo import AnyResult, Memo, memo_key
from tickwork.inference.plain.encoding import TensorRequest, parse_tensors
from tickwork.inference.plain.engine import TensorResult
from tickwork.inference.plain.load import PlainLoaded, PlainSettings
from tickwork.inference.providers import CPU
from tickwork.inference.residency import NoRoomError, Residency
from tickwork.inference.sources import ModelSource, source_at

Settings = LoadSettings | PlainSettings
Parsed = ChatRequest | TensorRequest


# The texts of tokens, one for each, and the provider that computed them.
Texts = tuple[tuple[str, ...], str]


class Served(NamedTuple):
    """A model that is served, where it is and how it is loaded."""

    source: ModelSource
    settings: Settings


class _Asked(NamedTuple):
    """A request as submitted."""

    key: str
    model: str
    body: bytes
    seed: int


class Answer(NamedTuple):
    """What came of a request: the body for who asked, its texts token by token, and what computed it."""

    body: bytes
    pieces: tuple[str, ...]
    provider: str


class Service:
    """Models at work. Its methods belong to one caller's thread; use it in a `with` block, or `close` it."""

    def __init__(
        self,
        models: Mapping[str, Served],
        residency: Residency | None = None,
        memo: Memo | None = None,
    ) -> None:
        """`memo`, if given, is where equal requests find their answers, of this service or another."""
        self._residency = Residency() if residency is None else residency
        self._desks = {name: _Desk(name, served, self._residency, memo) for name, served in models.items()}
        self._changed = threading.Condition()
        self._incoming: deque[_Asked | str] = deque()
        self._answers: dict[str, Answer] = {}
        self._texts: dict[str, Texts] = {}
        self._streamed: dict[str, str] = {}
        self._failure: BaseException | None = None
        self._closing = False
        self._thread: threading.Thread | None = None

    def submit(self, key: str, model: str, body: bytes, seed: int, *, stream: bool = False) -> None:
        """Take a request on; with `stream` its texts can be had before it is finished.

        `key` names it among all, `model` says of whom; `seed` counts where the body has none.
        """
        with self._changed:
            self._incoming.append(_Asked(key, model, body, seed))
            if stream:
                self._streamed[key] = model
            self._changed.notify_all()
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name="tickwork inference", daemon=True)
            self._thread.start()

    def cancel(self, key: str) -> None:
        """Drop a request, finished or not; nothing happens if there is none."""
        with self._changed:
            self._incoming.append(key)
            self._forget(key)
            self._changed.notify_all()

    def answer(self, key: str, timeout_s: float) -> Answer | None:
        """Return a request's answer, once; None if it is not there in time. Raises HostError."""
        with self._changed:
            self._changed.wait_for(lambda: key in self._answers or self._failure is not None, timeout_s)
            self._raise_failure()
            found = self._answers.get(key)
            if found is not None:
                self._forget(key)
            return found

    def texts(self, key: str, tokens: int, timeout_s: float) -> Texts | None:
        """Return the texts of a streamed request's first `tokens` tokens, fewer if there are no more.

        And what computes them. None if they are not there in time. Raises HostError.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: self._texts_of(key, tokens) is not None or self._failure is not None, timeout_s
            )
            self._raise_failure()
            return self._texts_of(key, tokens)

    def close(self) -> None:
        """End the thread and let go of the models; what is unanswered is lost. Idempotent."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()

    def __enter__(self) -> "Service":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _texts_of(self, key: str, tokens: int) -> Texts | None:
        if key in self._answers:
            answer = self._answers[key]
            return answer.pieces[:tokens], answer.provider
        texts, provider = self._texts.get(key, ((), CPU))
        return (texts[:tokens], provider) if len(texts) >= tokens else None

    def _forget(self, key: str) -> None:
        self._answers.pop(key, None)
        self._texts.pop(key, None)
        self._streamed.pop(key, None)

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise HostError(f"inference failed: {self._failure}") from self._failure

    def _serve(self) -> None:
        try:
            while self._round():
                pass
        except BaseException as error:  # whoever waits for an answer must hear of it
            with self._changed:
                self._failure = error
                self._changed.notify_all()
        finally:
            for desk in self._desks.values():
                desk.close()

    def _round(self) -> bool:
        """Take on what came, and give every busy model a step; return False to end."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._closing or self._incoming or any(desk.busy for desk in self._desks.values())
            )
            if self._closing:
                return False
            incoming = list(self._incoming)
            self._incoming.clear()
            streamed = dict(self._streamed)
        for item in incoming:
            if isinstance(item, str):
                for desk in self._desks.values():
                    desk.cancel(item)
            else:
                self._desks[item.model].submit(item)
        busy = [desk for desk in self._desks.values() if desk.busy]
        answers: list[tuple[str, Answer]] = []
        for desk in busy:
            # Another may hold the memory that this one needs, and gives it back when it is done.
            answers += desk.step(wait_for_room=any(other.open for other in busy if other is not desk))
        texts = {key: self._desks[model].texts(key) for key, model in streamed.items()}
        with self._changed:
            cancelled = {item for item in self._incoming if isinstance(item, str)}
            self._answers.update((key, answer) for key, answer in answers if key not in cancelled)
            self._texts.update((key, found) for key, found in texts.items() if key in self._streamed)
            self._changed.notify_all()
        return True


class _Desk:
    """One model's requests. The model is in memory while there are any."""

    def __init__(self, name: str, served: Served, residency: Residency, memo: Memo | None) -> None:
        self._served = served
        # Answers give the name by which they were asked.
        self._source = msgspec.structs.replace(served.source, name=name)
        self._residency = residency
        self._memo = memo
        self._identity = msgspec.msgpack.encode((name, served.source.hash, _telling(served.settings)))
        self._waiting: deque[tuple[str, Parsed, int]] = deque()
        self._done: list[AnyResult] = []
        self._memo_keys: dict[str, bytes] = {}
        self._context = ExitStack()
        self._loaded: Loaded | PlainLoaded | None = None
        self._broken: str | None = None

    @property
    def busy(self) -> bool:
        """Whether a step would do anything."""
        return bool(self._waiting or self._done or self.open)

    @property
    def open(self) -> bool:
        """Whether the model is in use."""
        return self._loaded is not None

    def submit(self, asked: _Asked) -> None:
        """Take a request on."""
        try:
            request: Parsed
            if isinstance(self._served.settings, LoadSettings):
                request = parse_request(asked.body)
                greedy = request.temperature == 0.0 or request.seed is not None
                seed = 0 if greedy else asked.seed
            else:
                request, seed = parse_tensors(asked.body), 0
        except RequestError as error:
            self._done.append(Failure.of(asked.key, error))
            return
        if self._memo is not None:
            key = memo_key(self._identity, asked.body, seed)
            found = self._memo.find(key)
            if found is not None:
                self._done.append(msgspec.structs.replace(found, key=asked.key))
                return
            self._memo_keys[asked.key] = key
        self._waiting.append((asked.key, request, seed))

    def cancel(self, key: str) -> None:
        """Drop a request if it is here."""
        self._waiting = deque(item for item in self._waiting if item[0] != key)
        self._done = [result for result in self._done if result.key != key]
        self._memo_keys.pop(key, None)
        if self._loaded is not None:
            self._loaded.engine.cancel(key)

    def texts(self, key: str) -> Texts:
        """Return the texts of a request's tokens so far, none if it is not under way."""
        if not isinstance(self._loaded, Loaded):
            return (), CPU
        try:
            return self._loaded.engine.pieces(key), self._loaded.provider
        except KeyError:
            return (), self._loaded.provider

    def step(self, *, wait_for_room: bool) -> list[tuple[str, Answer]]:
        """Take the requests a step further and return the answers that are ready. Raises HostError."""
        # What no model was needed for is the same wherever the model runs.
        ready: list[AnyResult]
        ready, self._done = self._done, []
        if self._waiting and self._loaded is None and self._broken is None:
            self._open(wait_for_room=wait_for_room)
        if self._broken is not None:
            ready += [Failure(key, str(Code.MODEL_FAILED), self._broken) for key, _, _ in self._waiting]
            self._waiting.clear()
        answers = [(result.key, self._answer(result, CPU)) for result in ready]
        if self._loaded is not None:
            provider = self._loaded.provider
            self._hand_over(self._loaded)
            answers += [(result.key, self._answer(result, provider)) for result in self._loaded.engine.step()]
            if not self._loaded.engine.busy:
                self.close()
        return answers

    def close(self) -> None:
        """Let go of the model."""
        self._loaded = None
        self._context.close()

    def _open(self, *, wait_for_room: bool) -> None:
        source = self._source
        try:
            self._loaded = self._context.enter_context(self._acquired())
        except NoRoomError as error:
            if not wait_for_room:
                raise HostError(str(error)) from error
        except ModelError as error:
            try:
                same = source_at(source.folder, source.variant).hash == source.hash
            except ModelError:
                same = False
            if not same:
                raise HostError(
                    f"the files of the model {source.name} have changed since it began"
                ) from error
            # Where the folder is depends on the machine; what an agent is told must not.
            reason = one_line(error).replace(str(source.folder), "its folder")
            self._broken = f"the model cannot be served: {reason}"

    def _acquired(self) -> AbstractContextManager[Loaded | PlainLoaded]:
        settings = self._served.settings
        if isinstance(settings, LoadSettings):
            return self._residency.acquire(self._source, settings)
        return self._residency.acquire(self._source, settings)

    def _hand_over(self, loaded: Loaded | PlainLoaded) -> None:
        while self._waiting:
            key, request, seed = self._waiting.popleft()
            if isinstance(loaded, Loaded) and isinstance(request, ChatRequest):
                loaded.engine.submit(key, request, seed)
            elif isinstance(loaded, PlainLoaded) and isinstance(request, TensorRequest):
                loaded.engine.submit(key, request)

    def _answer(self, result: AnyResult, provider: str) -> Answer:
        key = self._memo_keys.pop(result.key, None)
        if self._memo is not None and key is not None and provider == CPU:
            self._memo.keep(key, result)
        pieces = () if isinstance(result, TensorResult) else result.pieces
        return Answer(msgspec.json.encode(result.body()), pieces, provider)


def _telling(settings: Settings) -> Sequence[object]:
    """Return those of a model's settings that its answers depend on."""
    if isinstance(settings, LoadSettings):
        return (settings.context_tokens, settings.engine.tokens_default, settings.providers)
    return (settings.pooling, settings.providers)
