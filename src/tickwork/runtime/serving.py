"""What serves a run's models. Imported by `models`, and only where there are any: it needs onnxruntime."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

from tickwork.core.errors import ManifestError, RunFileError, TickworkError
from tickwork.core.messages import CPU
from tickwork.core.spec import LANGUAGE, ModelSpec, RunSpec
from tickwork.guest.cache import cache_is_temporary
from tickwork.inference.cache import ModelCache
from tickwork.inference.errors import ModelError
from tickwork.inference.examination import examine_source, in_words
from tickwork.inference.invariance import Serving
from tickwork.inference.language.engine import EngineSettings
from tickwork.inference.language.load import LoadSettings
from tickwork.inference.makers import Makers, makers
from tickwork.inference.memo import Memo
from tickwork.inference.plain.load import PlainSettings
from tickwork.inference.providers import PROVIDERS, SessionSettings, basis, likely_provider
from tickwork.inference.residency import Residency
from tickwork.inference.service import Served, Service
from tickwork.inference.sources import ModelSource, provider_of, source_at, source_in
from tickwork.manifest.schema import Model
from tickwork.runtime.model_cache import model_cache
from tickwork.runtime.model_place import ModelPlace
from tickwork.runtime.model_resources import model_budgets, models_spin

__all__ = ["Makers", "makers", "providers", "resolve", "serve"]


class Providers(NamedTuple):
    """The runtime's version, the providers that this build of it has, and their budgets in bytes if known."""

    onnxruntime: str
    there: tuple[str, ...]
    budgets: Mapping[str, int]


def resolve(model: Model, announce: Callable[[str], None]) -> tuple[ModelSpec, ModelPlace]:
    """Return a declared model with the hash of its files, and its place; raise `ManifestError`.

    Told to `announce`: providers that were preferred and do not work here, each with why; that the model is
    being checked, which takes a while; and how it is served, unless that is freely.
    """
    try:
        if model.path is not None:
            source = source_at(Path(model.path), model.variant, model.name)
        else:
            source = source_in(model_cache(), model.cached or "")
        chosen = provider_of(source, model.providers)
    except ModelError as error:
        raise ManifestError(f"models.{model.name}: {error}") from error
    source = msgspec.structs.replace(source, name=model.name)
    for passed in chosen.passed_over:
        announce(
            f"the model {model.name} runs on {chosen.provider} and not on {passed.provider}: {passed.reason}"
        )
    spec = ModelSpec(
        name=model.name,
        hash=source.hash,
        latency_ticks=model.latency_ticks,
        tokens_default=model.tokens_default,
        tokens_max=model.tokens_max,
        context_tokens=model.context_tokens,
        requests_max=model.requests_max,
        tokens_per_tick=model.tokens_per_tick,
        kind=source.kind,
    )
    place = ModelPlace(
        folder=str(source.folder.absolute()),
        variant=source.variant,
        providers=(chosen.provider,),
        passed_over=tuple((passed.provider, passed.reason) for passed in chosen.passed_over),
        served=_served_how(source, chosen.provider, announce),
    )
    return spec, place


def _served_how(source: ModelSource, provider: str, announce: Callable[[str], None]) -> str:
    """Return how the model is served, in words; nothing if it cannot be, which its requests will tell."""
    try:
        kept = _verdicts()
        verdict = None if kept is None else kept.verdict(source.hash, basis(provider))
        if verdict is None:
            announce(f"checking the model {source.name}, once on this machine")
            verdict = examine_source(source, provider)
            if kept is not None:
                kept.keep_verdict(source.hash, verdict)
    except ModelError as error:
        announce(f"the model {source.name} cannot be served: {error}")
        return ""
    words = in_words(verdict.serving, source.kind)
    if verdict.serving != Serving():
        why = next((finding.detail for finding in verdict.findings if not finding.held), "")
        announce(f"the model {source.name} is served {words}: {why}")
    return words


def serve(run: RunSpec, places: Mapping[str, ModelPlace], *, memo: bool) -> Service:
    """Return a service of the run's models; raise `RunFileError` if one of them cannot be found."""
    residency = Residency(model_budgets(), _verdicts())
    served = {model.name: _served(model, places.get(model.name), residency) for model in run.models}
    return Service(served, residency, Memo() if memo else None)


def providers() -> Providers:
    """Return where models can run on this machine; raise `InputError` or `ModelError` for a wrong budget."""
    there = [name for name in PROVIDERS if likely_provider((name,)) == name]
    residency = Residency(model_budgets())
    budgets = {name: residency.budget(name) for name in there}
    known = {name: budget for name, budget in budgets.items() if budget is not None}
    return Providers(basis(CPU).onnxruntime, tuple(there), known)


def _verdicts() -> ModelCache | None:
    """Return where verdicts are kept; None where nothing can be, and models are checked anew each time."""
    return None if cache_is_temporary() else model_cache()


def _served(model: ModelSpec, place: ModelPlace | None, residency: Residency) -> Served:
    source = _found(model, place)
    if source is None:
        where = "" if place is None else f" at {place.folder}"
        raise RunFileError(
            f"the model {model.name} ({model.hash[:12]}) is not{where} any more, nor in the cache; put it "
            "back, or add it with: tickwork models add FOLDER"
        )
    wanted = (CPU,) if place is None else place.providers
    session = SessionSettings(spin=models_spin())
    if model.kind != LANGUAGE:
        return Served(source, PlainSettings(providers=wanted, session=session))
    engine = EngineSettings(tokens_default=model.tokens_default)
    settings = LoadSettings(
        providers=wanted, context_tokens=model.context_tokens, session=session, engine=engine
    )
    return Served(source, residency.fitted(source, settings))


def _found(model: ModelSpec, place: ModelPlace | None) -> ModelSource | None:
    """Return the model with the specification's hash where it was, or in the cache, or None."""
    if place is not None:
        try:
            source = source_at(Path(place.folder), place.variant, model.name)
        except TickworkError:
            source = None
        if source is not None and source.hash == model.hash:
            return source
    try:
        return source_in(model_cache(), model.hash)
    except TickworkError:
        return None
