"""What each endpoint can be asked, with bounds; the API's description is made of it."""

from typing import Annotated

import msgspec
from msgspec import Meta

from tickwork.ui.forks import ForkOrder
from tickwork.ui.history import SPAN_MAX
from tickwork.ui.trace import REACH_MAX

__all__ = ["ForkOrder"]

_TICK_MAX = 2**53 - 1
Run = Annotated[str, Meta(max_length=1_000, description="A run file's name, as `/api/runs` gives it.")]
Tick = Annotated[int, Meta(ge=0, le=_TICK_MAX, description="A tick.")]
First = Annotated[int, Meta(ge=0, le=_TICK_MAX, description="The first tick that is wanted.")]
Last = Annotated[int, Meta(ge=0, le=_TICK_MAX, description="The last tick that is wanted.")]
Agent = Annotated[str, Meta(max_length=300, description="An agent's id.")]
Count = Annotated[int, Meta(ge=1, le=1_000, description="At most so many.")]
Offset = Annotated[int, Meta(ge=0, le=_TICK_MAX, description="So many are left out at the beginning.")]


class NoQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Nothing can be asked."""


class RunQuery(msgspec.Struct, forbid_unknown_fields=True):
    """One run."""

    run: Run


class AgentsQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Agents of a run, of whose ids `query` is a part."""

    run: Run
    query: Annotated[str, Meta(max_length=300, description="A part of an id; empty for all.")] = ""
    offset: Offset = 0
    limit: Count = 200


class TimelineQuery(msgspec.Struct, forbid_unknown_fields=True):
    """A window of the timeline."""

    run: Run
    first: First = 0
    last: Last = _TICK_MAX
    lane: Annotated[int, Meta(ge=0, le=10_000_000, description="The first agent's index.")] = 0
    lanes: Annotated[int, Meta(ge=1, le=10_000_000, description="The number of agents.")] = 100
    columns: Annotated[int, Meta(ge=1, le=4_000, description="At most so many columns of counts.")] = 400
    rows: Annotated[int, Meta(ge=1, le=2_000, description="At most so many rows; agents share them.")] = 200
    detail: Annotated[bool, Meta(description="Turn by turn, if the window is narrow enough.")] = False


class TickQuery(msgspec.Struct, forbid_unknown_fields=True):
    """One tick, with a part of its turns."""

    run: Run
    tick: Tick
    offset: Offset = 0
    limit: Count = 200


class TurnQuery(msgspec.Struct, forbid_unknown_fields=True):
    """One agent in one tick."""

    run: Run
    tick: Tick
    agent: Agent


class BodyQuery(msgspec.Struct, forbid_unknown_fields=True):
    """One body in full."""

    run: Run
    tick: Tick
    agent: Agent
    part: Annotated[str, Meta(pattern="^(inbox|effect)$", description="`inbox` or `effect`.")]
    place: Annotated[int, Meta(ge=0, le=10_000_000, description="Its place there, from 0.")]


class HistoryQuery(msgspec.Struct, forbid_unknown_fields=True):
    """An agent over a window of ticks."""

    run: Run
    agent: Agent
    first: First = 0
    last: Annotated[int, Meta(ge=0, le=_TICK_MAX, description=f"At most {SPAN_MAX} ticks are given.")] = (
        _TICK_MAX
    )


class TraceQuery(msgspec.Struct, forbid_unknown_fields=True):
    """A turn, and how far to look for causes and consequences."""

    run: Run
    tick: Tick
    agent: Agent
    reach: Annotated[int, Meta(ge=1, le=REACH_MAX, description="So many ticks each way.")] = 50


class SearchQuery(msgspec.Struct, forbid_unknown_fields=True):
    """A text to find."""

    run: Run
    text: Annotated[str, Meta(min_length=1, max_length=300, description="The text, letters in either case.")]
    kinds: Annotated[
        str,
        Meta(
            max_length=100,
            description="Of `message`, `log`, `output`, `input`, `failure`, `request`; empty for all.",
        ),
    ] = ""
    agent: Annotated[str | None, Meta(description="Only what this agent sent, said or asked.")] = None
    first: First = 0
    limit: Count = 100


class InferenceQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Requests to models and tools."""

    run: Run
    target: Annotated[str | None, Meta(description="Only those to this model or tool.")] = None
    agent: Annotated[str | None, Meta(description="Only this agent's.")] = None
    first: First = 0
    limit: Count = 100


class CompareQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Two runs."""

    a: Run
    b: Run


class ForkJobQuery(msgspec.Struct, forbid_unknown_fields=True):
    """A fork that was ordered."""

    job: Annotated[int, Meta(ge=1, le=_TICK_MAX, description="The number that ordering it gave.")]
