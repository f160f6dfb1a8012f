"""Which models are in memory: loaded when first used, pinned while in use, out when room is needed.

Each model is there once for each provider, however many engines are made of it: they share its session. What
is not in use stays until something else needs the room, the least recently used out first. Room is counted
before anything is loaded, from the sizes of files and of the rows of keys and values (all of them, though
memory is taken as they fill up), so what is counted stays within the budget at any moment.

What is in memory, and what was put out, decides when a request is answered and never what it says: an engine
holds nothing that outlives its requests but the prefix cache, and a hit there equals a miss.
"""

import contextlib
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, overload

import msgspec

from tickwork.inference.errors import ModelError
from tickwork.inference.heap import trim
from tickwork.inference.language import load as language
from tickwork.inference.language.load import Loaded, LoadSettings, Weights
from tickwork.inference.plain import load as plain
from tickwork.inference.plain.load import PlainLoaded, PlainSettings, PlainWeights
from tickwork.inference.providers import CPU, PROVIDERS, Need, likely_provider
from tickwork.inference.sources import ModelSource
from tickwork.inference.verdicts import Verdicts

Settings = LoadSettings | PlainSettings
_PREFIX_BYTES_MIN = 1 << 20
_WeightsKey = tuple[str, tuple[str, ...]]


class NoRoomError(ModelError):
    """A model does not fit beside those that are in use. Release one, and ask again.

    It tells of the machine and not of a request: whoever serves requests waits, and passes it on to nobody.
    """


class TooLargeError(NoRoomError):
    """A model is larger than its device's whole budget."""


class Resident(NamedTuple):
    """A model in memory: the device of its weights, its bytes with those of its engines, and its users."""

    hash: str
    device: str
    bytes: int
    users: int


class _HeldWeights:
    def __init__(self, weights: Weights | PlainWeights) -> None:
        self.weights = weights
        self.device = weights.opened.provider
        self.engines = 1


class _HeldEngine:
    def __init__(self, key: _WeightsKey, loaded: Loaded | PlainLoaded, size: int) -> None:
        self.key = key
        self.loaded = loaded
        self.bytes = size
        self.users = 0


class Residency:
    """The models in this process's memory. Its own state may be used from any thread.

    An engine may be used by one thread at a time only, and equal sources and settings share one engine: two
    threads that use the same model take turns, or ask with different settings.
    """

    def __init__(self, budgets: Mapping[str, int] | None = None, verdicts: Verdicts | None = None) -> None:
        """`budgets`: bytes by provider name; the CPU's is half of this machine's memory if not given.

        `verdicts` remembers what load-time checks found; the model cache does.
        """
        for device, budget in (budgets or {}).items():
            if device not in PROVIDERS or budget < 1:
                raise ModelError(
                    f"a budget of {budget} bytes for {device!r} cannot be kept; it is at least 1, for one of "
                    + ", ".join(PROVIDERS)
                )
        self._budgets = {CPU: _half_of_memory(), **(budgets or {})}
        self._verdicts = verdicts
        self._weights: dict[_WeightsKey, _HeldWeights] = {}
        self._engines: OrderedDict[tuple[_WeightsKey, str, Settings], _HeldEngine] = OrderedDict()
        self._lock = threading.Lock()

    @overload
    def acquire(self, source: ModelSource, settings: LoadSettings) -> AbstractContextManager[Loaded]: ...
    @overload
    def acquire(
        self, source: ModelSource, settings: PlainSettings
    ) -> AbstractContextManager[PlainLoaded]: ...
    def acquire(self, source: ModelSource, settings: Settings) -> AbstractContextManager[Any]:
        """Return a context in which the model is in memory and stays there; entering it loads the model.

        Entering raises ModelError if the model cannot be served or can never fit, NoRoomError if it does not
        fit now. The source's variant counts, not the settings'. Requests that are still in the engine when
        its last context ends are lost.
        """
        return self._acquired(source, msgspec.structs.replace(settings, variant=source.variant))

    def fitted(self, source: ModelSource, settings: LoadSettings) -> LoadSettings:
        """Return the settings with fewer slots and a smaller prefix cache where that makes the model fit.

        No answer depends on either. Where nothing helps, or the model cannot be read, loading it will say so.
        """
        settings = msgspec.structs.replace(settings, variant=source.variant)
        device = likely_provider(settings.providers)
        while True:
            try:
                need = language.estimate(source.folder, settings)
            except ModelError:
                return settings
            room = self._budgets[CPU] - need.weights * (device == CPU)
            engine = settings.engine
            if need.engine <= room or (engine.slots, engine.prefix_bytes) == (1, 0):
                return settings
            # The prefix cache goes first: slots are what many requests together live on.
            if engine.prefix_bytes:
                smaller = engine.prefix_bytes // 2 if engine.prefix_bytes > _PREFIX_BYTES_MIN else 0
                engine = msgspec.structs.replace(engine, prefix_bytes=smaller)
            else:
                engine = msgspec.structs.replace(engine, slots=engine.slots // 2)
            settings = msgspec.structs.replace(settings, engine=engine)

    def warm(self, source: ModelSource, settings: Settings) -> Resident:
        """Load a model ahead of its first use, run it once, and leave it; raises what `acquire` does."""
        with self._acquired(source, msgspec.structs.replace(settings, variant=source.variant)) as loaded:
            if isinstance(loaded, Loaded):
                loaded.engine.warm_up()
            return next(one for one in self.residents() if one.hash == source.hash)

    def held(self, device: str = CPU) -> int:
        """Return the bytes that are counted on a device."""
        with self._lock:
            return self._held(device)

    def budget(self, device: str = CPU) -> int | None:
        """Return the most bytes that may be counted on a device, or None if nobody said."""
        return self._budgets.get(device)

    def residents(self) -> list[Resident]:
        """Return what is in memory, by hash and device."""
        with self._lock:
            rows = []
            for key, held in self._weights.items():
                mine = [engine for engine in self._engines.values() if engine.key == key]
                size = held.weights.bytes + sum(engine.bytes for engine in mine)
                users = sum(engine.users for engine in mine)
                rows.append(Resident(held.weights.hash, held.device, size, users))
        return sorted(rows)

    def evict(self) -> None:
        """Put out everything that is not in use."""
        with self._lock:
            for device in PROVIDERS:
                self._evict_until(device, 0)

    @contextlib.contextmanager
    def _acquired(self, source: ModelSource, settings: Settings) -> Iterator[Loaded | PlainLoaded]:
        with self._lock:
            engine = self._engine(source, settings)
            engine.users += 1
        try:
            yield engine.loaded
        finally:
            with self._lock:
                engine.users -= 1
                if not engine.users and engine.loaded.engine.busy:
                    self._forget(engine)

    def _engine(self, source: ModelSource, settings: Settings) -> _HeldEngine:
        expected = LoadSettings if source.kind == "language" else PlainSettings
        if not isinstance(settings, expected):
            raise ModelError(f"{source.name} is a {source.kind} model and cannot be used as another kind")
        key = (source.hash, settings.providers)
        engine_key = (key, source.name, settings)
        engine = self._engines.get(engine_key)
        if engine is None:
            engine = self._engines[engine_key] = self._new_engine(source, settings, key)
        self._engines.move_to_end(engine_key)
        return engine

    def _new_engine(self, source: ModelSource, settings: Settings, key: _WeightsKey) -> _HeldEngine:
        held = self._weights.get(key)
        if held is not None:
            held.engines += 1  # so that they stay while room is made
        try:
            need = _estimate(source, settings)
            self._make_room(source, settings, need, loaded=held is not None)
            if held is None:
                held = self._load(source, settings, key)
            return _HeldEngine(key, _make(held.weights, settings, source.name), need.engine)
        except BaseException:
            if held is not None:
                self._release_weights(key)
            raise

    def _make_room(self, source: ModelSource, settings: Settings, need: Need, *, loaded: bool) -> None:
        """Put out what has to go for a new engine, and for its weights if they are not loaded."""
        device = likely_provider(settings.providers)
        for place, budget in self._budgets.items():
            whole = need.weights * (place == device) + need.engine * (place == CPU)
            if whole > budget:
                raise TooLargeError(
                    f"{source.name} needs {whole} bytes on {place}, and the budget there is {budget}; raise "
                    "it with TICKWORK_MODEL_BYTES, or lower the model's context_tokens"
                )
            wanted = need.weights * (place == device and not loaded) + need.engine * (place == CPU)
            self._evict_until(place, budget - wanted)
            if self._held(place) + wanted > budget:
                raise NoRoomError(
                    f"{source.name} needs {wanted} bytes on {place}, where {self._held(place)} of {budget} "
                    "are in use"
                )

    def _load(self, source: ModelSource, settings: Settings, key: _WeightsKey) -> _HeldWeights:
        budget = self._budgets.get(likely_provider(settings.providers))
        if settings.session.device_bytes is None:
            session = msgspec.structs.replace(settings.session, device_bytes=budget)
            settings = msgspec.structs.replace(settings, session=session)
        weights: Weights | PlainWeights
        if isinstance(settings, LoadSettings):
            weights = language.open_weights(source.folder, settings, self._verdicts, source.hash)
        else:
            weights = plain.open_plain_weights(source.folder, settings, self._verdicts, source.hash)
        held = self._weights[key] = _HeldWeights(weights)
        trim()  # what the check and the loading itself took
        return held

    def _forget(self, engine: _HeldEngine) -> None:
        """Put out one engine, and its weights if they are no other's."""
        (engine_key,) = (key for key, one in self._engines.items() if one is engine)
        del self._engines[engine_key]
        self._release_weights(engine.key)

    def _evict_until(self, device: str, bytes_max: int) -> None:
        """Put out engines that nobody uses, the least recently used first, until so little is held."""
        for engine in [engine for engine in self._engines.values() if not engine.users]:
            if self._held(device) <= bytes_max:
                return
            self._forget(engine)

    def _release_weights(self, key: _WeightsKey) -> None:
        held = self._weights[key]
        held.engines -= 1
        if not held.engines:
            del self._weights[key]
            del held
            trim()

    def _held(self, device: str) -> int:
        size = sum(held.weights.bytes for held in self._weights.values() if held.device == device)
        if device == CPU:
            # Keys, values and prefixes lie there whatever computes them.
            size += sum(engine.bytes for engine in self._engines.values())
        return size


def _estimate(source: ModelSource, settings: Settings) -> Need:
    if isinstance(settings, LoadSettings):
        return language.estimate(source.folder, settings)
    return plain.estimate(source.folder, settings)


def _make(weights: Weights | PlainWeights, settings: Settings, name: str) -> Loaded | PlainLoaded:
    if isinstance(settings, LoadSettings) and isinstance(weights, Weights):
        return language.make_engine(weights, settings, name)
    if isinstance(settings, PlainSettings) and isinstance(weights, PlainWeights):
        return plain.make_plain_engine(weights, settings, name)
    raise ModelError(f"{name} was loaded as another kind of model")


def _half_of_memory() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
