"""Effects that are not performed: why, and how the sender is told."""

import msgspec

from tickwork.core.effects import (
    Call,
    Effect,
    Infer,
    Log,
    Metric,
    Output,
    Publish,
    Send,
    Spawn,
    Stop,
    Timer,
)

DENIED = "denied"
REJECTED = "rejected"
# Of an agent that crashed on purpose before it could do it; nobody is told.
LOST = "lost"
# How the reason of a publish begins that did not reach every subscriber; the others found it.
NOT_EVERYBODY = "not everybody was reached: "
# Longer than any name that can be granted or spawned. A guest's names are bounded by `bytes_per_turn` alone,
# and each would be written several times over: in the reason, in the notice, in the journal.
_NAME_CHARS_MAX = 300


class Notice(msgspec.Struct, frozen=True):
    """The JSON body of `tickwork.denied` and `tickwork.rejected`.

    `tick` and `effect` say which of the sender's effects it was; `target` is cut after 300 characters.
    """

    tick: int
    effect: int
    kind: str
    target: str
    reason: str


class Refused(Exception):  # noqa: N818 - control flow within a settling, never an error of the run
    """Why one effect is not performed; `verdict` is `DENIED` or `REJECTED`."""

    def __init__(self, verdict: str, reason: str) -> None:
        super().__init__(reason)
        self.verdict = verdict
        self.reason = reason


def clipped(name: str) -> str:
    """Return `name`, cut if it is longer than a name of ours can be."""
    return name if len(name) <= _NAME_CHARS_MAX else name[:_NAME_CHARS_MAX] + "..."


def quoted(name: str) -> str:
    """Return `name` in quotes, cut if long, in printable ASCII.

    Not `repr`: what it escapes depends on the Unicode tables of the Python that runs, and this text is
    part of the digest.
    """
    return ascii(clipped(name))


def number(effect: Effect) -> int | None:
    """Return the number by which the sender knows the effect, if it gave one."""
    if isinstance(effect, Send):
        return effect.reply_to
    if isinstance(effect, (Infer, Call, Timer)):
        return effect.request
    return None


def target(effect: Effect) -> str:
    """Return what the effect was aimed at, in the words of its grant."""
    match effect:
        case Send():
            return effect.to
        case Publish() | Timer():
            return effect.topic
        case Infer():
            return effect.model
        case Call():
            return effect.tool
        case Output() | Metric():
            return effect.name
        case Spawn():
            return effect.id
        case Stop():
            return effect.id or ""
        case Log():
            return ""
