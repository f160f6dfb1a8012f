"""Where a model is taken from, and which one it must be."""

from pathlib import Path

import msgspec

from tickwork.inference.cache import ModelCache
from tickwork.inference.contents import content_hash
from tickwork.inference.describe import Kind, describe


class ModelSource(msgspec.Struct, frozen=True):
    """A model in a folder. `hash` is compared with the folder whenever the model is loaded."""

    hash: str
    folder: Path
    kind: Kind
    variant: str
    name: str


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
