"""Where a model is taken from, and which one it must be."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from tickwork.inference.cache import ModelCache
from tickwork.inference.contents import content_hash
from tickwork.inference.describe import Kind, describe
from tickwork.inference.language.folder import read_folder
from tickwork.inference.plain.folder import find_graph
from tickwork.inference.providers import Chosen, SessionSettings, choose_provider


class ModelSource(msgspec.Struct, frozen=True):
    """A model in a folder. `hash` is compared with the folder whenever the model is loaded."""

    hash: str
    folder: Path
    kind: Kind
    variant: str
    name: str


def provider_of(source: ModelSource, preferences: Sequence[str]) -> Chosen:
    """Return the provider that the model will run on; raises ModelError.

    Loads the model where a provider before the CPU is there to be tried.
    """
    if source.kind == "language":
        graph = read_folder(source.folder, source.variant).graph
    else:
        graph = find_graph(source.folder, source.variant)
    return choose_provider(graph, preferences, SessionSettings())


def source_at(folder: Path, variant: str = "", name: str = "") -> ModelSource:
    """Return the model in `folder` as it is now; raises ModelError. `name` is the folder's if empty."""
    found = describe(folder, variant)
    hashed = content_hash(folder, found.files)
    return ModelSource(hashed, folder, found.kind, variant, name or folder.resolve().name)


def source_in(cache: ModelCache, name: str) -> ModelSource:
    """Return the model that `name`, or a whole hash, leads to in the cache; raises ModelError."""
    stored = cache.find(name)
    named = name if name != stored.hash else next(iter(stored.names), stored.hash[:12])
    return ModelSource(stored.hash, stored.folder, stored.record.kind, stored.record.variant, named)
