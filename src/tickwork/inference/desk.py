"""One model's requests, from their bodies to those of their answers. A service has a desk for each model."""

from collections import deque
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import NamedTuple

import msgspec

from tickwork.core.errors import HostError
from tickwork.inference.errors import Code, ModelError, RequestError, lacks_memory, one_line
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

# The provider of an answer that says that this machine had no memory for one: elsewhere there may be one.
NOWHERE = "none"

Settings = LoadSettings | PlainSettings
Parsed = ChatRequest | TensorRequest
# The texts of tokens, one for each, and the provider that computed them.
Texts = tuple[tuple[str, ...], str]


class Served(NamedTuple):
    """A model that is served, where it is and how it is loaded."""

    source: ModelSource
    settings: Settings


class Asked(NamedTuple):
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


class Desk:
    """One model's requests. The model is in memory while there are any.

    What goes wrong with the model's own files is the answer of every request; what goes wrong with the
    machine (no room for the model, files that changed meanwhile) is a HostError.
    """

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

    def submit(self, asked: Asked) -> None:
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
            if lacks_memory(error):
                raise HostError(f"there is too little memory for the model {source.name}: {error}") from error
            if not _is_unchanged(source):
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
        if isinstance(result, Failure) and result.code == Code.OUT_OF_MEMORY:
            provider = NOWHERE
        if self._memo is not None and key is not None and provider == CPU:
            self._memo.keep(key, result)
        pieces = () if isinstance(result, TensorResult) else result.pieces
        return Answer(msgspec.json.encode(result.body()), pieces, provider)


def _is_unchanged(source: ModelSource) -> bool:
    try:
        return source_at(source.folder, source.variant).hash == source.hash
    except ModelError:
        return False


def _telling(settings: Settings) -> Sequence[object]:
    """Return those of a model's settings that its answers depend on."""
    if isinstance(settings, LoadSettings):
        return (settings.context_tokens, settings.engine.tokens_default, settings.providers)
    return (settings.pooling, settings.providers)
