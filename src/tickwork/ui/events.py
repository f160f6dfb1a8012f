"""Server-sent events: how pages hear of what changes."""

import asyncio
from collections.abc import AsyncIterator, Callable

import msgspec

from tickwork.ui.follow import Follower

_LOOK_S = 0.1
# A line that means nothing, so that whoever is in between does not take the stream for dead.
_ALIVE = b": alive\n\n"
_ALIVE_EVERY = 150


def event(kind: str, content: object) -> bytes:
    """Return one event; JSON has no line breaks of its own."""
    return b"event: " + kind.encode() + b"\ndata: " + msgspec.json.encode(content) + b"\n\n"


async def standings(find: Callable[[], Follower]) -> AsyncIterator[bytes]:
    """Yield a `standing` event now and whenever a run's standing changes, some times a second at most.

    `find` is asked each time: the follower may have been let go of meanwhile.
    """
    seen: tuple[int, int] | None = None
    quiet = 0
    while True:
        follower = find()
        standing = follower.standing
        if follower.looked.is_set() and seen != (id(follower), standing.version):
            seen = id(follower), standing.version
            quiet = 0
            yield event("standing", standing)
        else:
            quiet += 1
            if quiet % _ALIVE_EVERY == 0:
                yield _ALIVE
        await asyncio.sleep(_LOOK_S)
