"""What each endpoint answers, from a run file that is opened for the question and closed after it."""

from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

import msgspec

from tickwork.core.errors import InputError, RunFileError
from tickwork.journal.reader import RunReader
from tickwork.runtime.seek import Recording
from tickwork.ui import queries
from tickwork.ui.bodies import Body, body_of
from tickwork.ui.cast import Cast, Member
from tickwork.ui.compare import Comparisons
from tickwork.ui.follow import Follower, Standing
from tickwork.ui.followers import Followers
from tickwork.ui.forks import ForkJob, ForkOrder, Forks
from tickwork.ui.history import History, history
from tickwork.ui.inference import Requests, requests
from tickwork.ui.lanes import REQUESTS
from tickwork.ui.library import Library, RunRow
from tickwork.ui.moments import TickView, TurnView, folded_at, tick_view, turn_view
from tickwork.ui.search import KINDS, SearchResult, search
from tickwork.ui.timeline import Timeline, Window, timeline
from tickwork.ui.trace import Trace, trace

# How long a first question waits for the run file to be looked at.
_LOOK_S = 5.0


class ServerInfo(msgspec.Struct, frozen=True):
    """What this server is. `folder` is the folder's name; `only` the file that it was started with."""

    tickwork: str
    api: int
    folder: str
    only: str | None
    allow_fork: bool


class RunList(msgspec.Struct, frozen=True):
    """All run files."""

    runs: list[RunRow]


class SourceRow(msgspec.Struct, frozen=True):
    """An external input of a run."""

    name: str
    topic: str
    to: tuple[str, ...]
    rate: int


class RunDetails(msgspec.Struct, frozen=True):
    """One run: what it is, what its exactness rests on, and how far it was read.

    `place` is its path for a command, from where the viewer was started if it is below there.
    """

    file: str
    place: str
    name: str
    run: str
    seed: int
    tick_ns: int
    start_ns: int
    floats: str
    format: int
    tickwork: str
    abi: str
    engine: str
    isa: str
    os: str
    inputs: list[SourceRow]
    outputs: tuple[str, ...]
    kinds: list[str]
    modules: list[str]
    snapshots: int
    parent_run: str | None
    parent_tick: int | None
    standing: Standing


def _from_here(path: Path) -> str:
    """Return a path as a command would name it where the viewer was started."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


class AgentList(msgspec.Struct, frozen=True):
    """Agents by index; `total` is the number of all that match."""

    total: int
    agents: list[Member]


class StateView(msgspec.Struct, frozen=True):
    """A Python agent's attributes before a tick, as JSON."""

    tick: int
    agent: str
    state: Any


@dataclass
class Viewer:
    """What all endpoints share."""

    library: Library
    version: str
    forks: Forks | None = None
    followers: Followers = field(default_factory=Followers)
    comparisons: Comparisons = field(default_factory=Comparisons)
    # Agents are run to tell their state: one at a time, so that no page has all that answers others.
    _running: Lock = field(default_factory=Lock)

    def close(self) -> None:
        """Let go of all files and processes."""
        self.followers.close()
        if self.forks is not None:
            self.forks.close()

    def follower(self, run: str) -> Follower:
        """Return what is known of a run; `InputError` if there is no such file."""
        return self.followers.get(self.library.path(run))

    def _known(self, run: str) -> tuple[Follower, Cast]:
        follower = self.follower(run)
        follower.looked.wait(_LOOK_S)
        if follower.cast is None:
            raise RunFileError(follower.standing.error or "the file could not be read in time; ask again")
        return follower, follower.cast

    def _path(self, run: str) -> Path:
        return self.library.path(run)

    def server(self, _: queries.NoQuery) -> ServerInfo:
        """Tell what this server is and may do."""
        only = self.library.only
        return ServerInfo(
            self.version, 1, self.library.root.name, only[0] if only else None, self.forks is not None
        )

    def runs(self, _: queries.NoQuery) -> RunList:
        """List the run files."""
        return RunList(self.library.rows())

    def run(self, query: queries.RunQuery) -> RunDetails:
        """Tell what a run is."""
        follower, _ = self._known(query.run)
        with RunReader.open(follower.path) as reader:
            header, spec = reader.header, reader.spec
            return RunDetails(
                file=query.run,
                place=_from_here(follower.path),
                name=spec.name,
                run=header.run,
                seed=spec.seed,
                tick_ns=spec.tick_ns,
                start_ns=spec.start_ns,
                floats=spec.floats,
                format=header.format,
                tickwork=header.tickwork,
                abi=header.abi,
                engine=header.engine,
                isa=header.isa,
                os=header.os,
                inputs=[SourceRow(item.name, item.topic, item.to, item.rate) for item in spec.inputs],
                outputs=spec.outputs,
                kinds=[kind.id for kind in spec.kinds],
                modules=list(reader.modules),
                snapshots=len(reader.snapshot_ticks()),
                parent_run=None if header.parent is None else header.parent.run,
                parent_tick=None if header.parent is None else header.parent.tick,
                standing=follower.standing,
            )

    def agents(self, query: queries.AgentsQuery) -> AgentList:
        """List a run's agents as far as it was read."""
        follower, cast = self._known(query.run)
        with follower.lock:
            found = [member for member in cast.members if query.query.lower() in member.id.lower()]
            part = [msgspec.structs.replace(member) for member in found[query.offset :][: query.limit]]
        return AgentList(len(found), part)

    def timeline(self, query: queries.TimelineQuery) -> Timeline:
        """Show a window of the timeline."""
        follower, _ = self._known(query.run)
        window = Window(
            query.first, query.last, query.lane, query.lanes, query.columns, query.rows, query.detail
        )
        return timeline(follower, window)

    def tick(self, query: queries.TickQuery) -> TickView:
        """Show one tick."""
        with Recording.open(self._path(query.run)) as recording:
            return tick_view(recording, query.tick, query.offset, query.limit)

    def turn(self, query: queries.TurnQuery) -> TurnView:
        """Show one agent in one tick."""
        with Recording.open(self._path(query.run)) as recording:
            return turn_view(recording, query.tick, query.agent)

    def body(self, query: queries.BodyQuery) -> Body:
        """Give a body in full."""
        with Recording.open(self._path(query.run)) as recording:
            _, folded = folded_at(recording, query.tick)
            index = folded.before.directory.index.get(query.agent, -1)
            for planned, turn in zip(folded.planned.turns, folded.settled.entry.turns, strict=True):
                if turn.agent != index:
                    continue
                things = planned.inbox if query.part == "inbox" else turn.effects
                if query.place < len(things):
                    body = getattr(things[query.place], "body", None)
                    if isinstance(body, bytes):
                        return body_of(body, len(body))
        raise InputError(f"there is no such body in the turn of {query.agent!r} in tick {query.tick}")

    def history(self, query: queries.HistoryQuery) -> History:
        """Show an agent over time."""
        follower, cast = self._known(query.run)
        index = cast.index.get(query.agent)
        if index is None:
            raise InputError(f"there is no agent {query.agent!r}")
        with RunReader.open(follower.path) as reader:
            return history(reader, query.agent, index, query.first, query.last)

    def state(self, query: queries.TurnQuery) -> StateView:
        """Tell a Python agent's attributes before a tick; the agent is run again for it, in its sandbox."""
        path = self._path(query.run)
        if not self._running.acquire(blocking=False):
            raise RunFileError("another agent is being run for its state; ask again when it is shown")
        try:
            with Recording.open(path) as recording:
                state = recording.at(query.tick).agent(query.agent).state()
        finally:
            self._running.release()
        return StateView(query.tick, query.agent, state)

    def trace(self, query: queries.TraceQuery) -> Trace:
        """Follow a turn's causes and consequences."""
        with Recording.open(self._path(query.run)) as recording:
            return trace(recording, query.tick, query.agent, query.reach)

    def search(self, query: queries.SearchQuery) -> SearchResult:
        """Find text in messages, logs, outputs, inputs, failures and requests."""
        follower, cast = self._known(query.run)
        kinds = frozenset(query.kinds.split(",")) if query.kinds else frozenset(KINDS)
        if not kinds <= set(KINDS):
            raise InputError(
                f"there is no kind {sorted(kinds - set(KINDS))[0]!r}; choose of {', '.join(KINDS)}"
            )
        with RunReader.open(follower.path) as reader:
            return search(
                reader,
                cast,
                query.text,
                kinds=kinds,
                agent=query.agent,
                first=query.first,
                limit=query.limit,
            )

    def inference(self, query: queries.InferenceQuery) -> Requests:
        """List requests to models and tools."""
        follower, _ = self._known(query.run)
        standing, lanes = follower.standing, follower.lanes
        if lanes is not None and standing.indexed >= standing.end_tick > query.first:
            everyone = range(standing.agents)
            with follower.lock:
                counts = lanes.window(query.first, standing.end_tick - 1, everyone, columns=1, rows=1)
            if not counts.cells[:, :, REQUESTS].any():
                return Requests([], None, standing.end_tick, {}, 0)
        with Recording.open(follower.path) as recording:
            return requests(
                recording, target=query.target, agent=query.agent, first=query.first, limit=query.limit
            )

    def fork(self, order: ForkOrder) -> ForkJob:
        """Fork a run from here; only where the viewer was started with --allow-fork."""
        return self._forks().start(order)

    def fork_job(self, query: queries.ForkJobQuery) -> ForkJob:
        """Tell how a fork that was ordered stands."""
        return self._forks().job(query.job)

    def _forks(self) -> Forks:
        if self.forks is None:
            raise InputError("this viewer writes nothing; start it with --allow-fork to make forks from here")
        return self.forks
