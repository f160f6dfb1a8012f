"""Where a model is on this machine."""

import msgspec

from tickwork.core.messages import CPU


class ModelPlace(msgspec.Struct, frozen=True):
    """A model's folder, and the providers to run it on, the first choice first. No digest depends on it."""

    folder: str
    variant: str = ""
    providers: tuple[str, ...] = (CPU,)
