"""The way to `serving`, which runs without models do not take: it needs packages that they do without."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from tickwork.core.errors import TickworkError
from tickwork.core.spec import ModelSpec, RunSpec
from tickwork.manifest.schema import Model
from tickwork.runtime.model_place import ModelPlace

if TYPE_CHECKING:
    from tickwork.inference.makers import Makers
    from tickwork.inference.service import Service
    from tickwork.runtime.serving import Providers


class NoInferenceError(TickworkError):
    """The packages that models need are not installed."""


def resolve_model(model: Model, announce: Callable[[str], None]) -> tuple[ModelSpec, ModelPlace]:
    """Return a declared model with the hash of its files, and its place; raise a `TickworkError`.

    Providers that were preferred and do not work here are told to `announce`.
    """
    found: tuple[ModelSpec, ModelPlace] = _serving().resolve(model, announce)
    return found


def serve(run: RunSpec, places: Mapping[str, ModelPlace], *, memo: bool) -> "Service":
    """Return a service of the run's models; raise a `TickworkError` if it lacks one of them, or packages.

    With `memo` a request that is equal to an earlier one is not computed again.
    """
    service: Service = _serving().serve(run, places, memo=memo)
    return service


def providers() -> "Providers":
    """Return where models can run on this machine; raise a `TickworkError`."""
    found: Providers = _serving().providers()
    return found


def moved(places: Mapping[str, ModelPlace]) -> list[str]:
    """Return a sentence for each model whose provider this build of the runtime does not have."""
    there = providers().there if places else ()
    return [
        f"the model {name} ran on {place.providers[0]}, which this build of onnxruntime does not have; now "
        "it runs on the CPU"
        for name, place in places.items()
        if place.providers and place.providers[0] not in there
    ]


def makers_of_answers() -> str:
    """Return what answers on this machine rest on, as a run file keeps it; raise `NoInferenceError`."""
    found: str = _serving().makers().encode()
    return found


def makers_fault(recorded: str) -> str | None:
    """Return in what this machine differs from that of a recording, where answers rest on it, or None."""
    here: Makers = _serving().makers()
    return None if here.encode() == recorded else here.differences(recorded)


def _serving() -> Any:
    try:
        from tickwork.runtime import serving  # noqa: PLC0415 - see above
    except ImportError as error:
        raise NoInferenceError(
            f"models need more packages; install them with: pip install 'tickwork[inference]' ({error})"
        ) from error
    return serving
