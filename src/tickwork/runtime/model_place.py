"""Where a model is on this machine."""

import msgspec

from tickwork.core.messages import CPU


class ModelPlace(msgspec.Struct, frozen=True):
    """A model's folder, and the providers to run it on, the first choice first. No digest depends on it.

    For people: `passed_over` are the providers that were preferred in vain, each with why, and `served` is
    how the load-time check found that the model may be served, in words; empty if it cannot be.
    """

    folder: str
    variant: str = ""
    providers: tuple[str, ...] = (CPU,)
    passed_over: tuple[tuple[str, str], ...] = ()
    served: str = ""
