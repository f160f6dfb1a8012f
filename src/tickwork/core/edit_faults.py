"""What is wrong with an edit, in the words of whoever wrote it."""

import re
from collections.abc import Iterable
from itertools import islice

from tickwork.core.errors import EditError
from tickwork.core.world import World

U64_MAX = (1 << 64) - 1
LISTED_MAX = 8
_SHOWN_CHARS_MAX = 60
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]{1,58}")


def shown(text: str) -> str:
    """Return a name for a message: quoted, on one line, printable, and not too long."""
    quoted = ascii(text)
    return quoted if len(quoted) <= _SHOWN_CHARS_MAX else quoted[: _SHOWN_CHARS_MAX - 4] + "...'"


def listed(names: Iterable[str], count: int) -> str:
    """Return the first of `count` names for a message."""
    text = ", ".join(shown(name) for name in islice(names, LISTED_MAX))
    return f"{text} and {count - LISTED_MAX} more" if count > LISTED_MAX else text or "none"


def agent_edit_name(agent_id: str) -> str:
    """Return what an agent's edit is called: its table in a file of edits."""
    return f"agents.{agent_id if _BARE_KEY.fullmatch(agent_id) else shown(agent_id)}"


def index_of(world: World, name: str, agent_id: str) -> int:
    """Return an agent's index; raise EditError if there is no such agent."""
    known = world.directory.index
    index = known.get(agent_id)
    if index is None:
        raise EditError(
            f"{name}: there is no agent {shown(agent_id)} at tick {world.tick}"
            f" (there are: {listed(known, len(known))})"
        )
    return index


def check_u64(name: str, what: str, value: int) -> None:
    """Raise EditError unless the value fits 64 bits; `what` is its name with a blank, or empty."""
    if not 0 <= value <= U64_MAX:
        raise EditError(f"{name}: {what}is {value}; it must be between 0 and {U64_MAX}")
