"""Capabilities: what an agent holds, and whether an effect falls under it. Deny by default."""

import enum

import msgspec


class Capability(enum.StrEnum):
    """A kind of power that must be granted. `log`, `metric` and stopping oneself need no grant."""

    SEND = "send"
    PUBLISH = "publish"
    INFER = "infer"
    CALL = "call"
    OUTPUT = "output"
    TIMER = "timer"
    SPAWN = "spawn"
    STOP = "stop"


def _unlimited() -> None:
    return None


class Grant(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One grant: `target` is a name, or a prefix followed by `*`; empty for `timer`, which has no target.

    `per_tick` and `per_run` bound its uses; the others, of `infer`, how many tokens the answers may take.
    """

    capability: Capability
    # Always in the encoded form, with which digests begin: a default by factory is not left out.
    target: str = msgspec.field(default_factory=str)
    per_tick: int | None = msgspec.field(default_factory=_unlimited)
    per_run: int | None = msgspec.field(default_factory=_unlimited)
    tokens_per_tick: int | None = None
    tokens_per_run: int | None = None

    def covers(self, capability: str, target: str) -> bool:
        """Return whether an effect of `capability` on `target` falls under this grant."""
        if self.capability != capability:
            return False
        if self.target.endswith("*"):
            return target.startswith(self.target[:-1])
        return target == self.target

    def __str__(self) -> str:
        return f"{self.capability}:{self.target}" if self.target else str(self.capability)


Grants = tuple[Grant, ...]


def find(grants: Grants, capability: str, target: str) -> int | None:
    """Return the index of the first grant that covers the effect, or None: denied."""
    for index, grant in enumerate(grants):
        if grant.covers(capability, target):
            return index
    return None
