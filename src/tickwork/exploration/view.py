"""What a check sees of a run: read-only, between two ticks, the same of an explored run and of a run file."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from tickwork.core.effects import Log, Metric, Output
from tickwork.core.entry import Entry, Fuel
from tickwork.core.errors import InputError
from tickwork.core.faults import AppliedFault
from tickwork.core.image import AgentImage
from tickwork.core.messages import Message, MessageClass
from tickwork.core.outcomes import OutcomeKind
from tickwork.core.step import take
from tickwork.core.world import AgentState, Status, World
from tickwork.guest.image import Base
from tickwork.guest.instance import Instance
from tickwork.guest.program import Program
from tickwork.runtime.agent_state import ask_state, require_python, whole_memory
from tickwork.runtime.fold import Recorded


class Found(NamedTuple):
    """A message in the inbox in which it was found: its class (`input`, `message`, ...), and who had it."""

    kind: str
    sender: str
    to: str
    topic: str
    body: bytes
    sent: int
    reply_to: int | None

    def json(self) -> object:
        """Return the body as JSON's value; msgspec.DecodeError if it is none."""
        return msgspec.json.decode(self.body)


class Record(NamedTuple):
    """An output that an agent made: the tick, the agent, and the body."""

    tick: int
    agent: str
    body: bytes

    def json(self) -> object:
        """Return the body as JSON's value; msgspec.DecodeError if it is none."""
        return msgspec.json.decode(self.body)


class LogLine(NamedTuple):
    """A line that an agent logged, its `level` from 0 for debug to 3 for error."""

    tick: int
    level: int
    text: str


class Measured(NamedTuple):
    """A number that an agent recorded."""

    tick: int
    value: float


class Failed(NamedTuple):
    """A turn that failed, and how; `fault` is whether a fault of that tick was what broke the agent."""

    tick: int
    agent: str
    kind: str
    detail: str
    fault: bool


class History:
    """What the entries of a run tell, read when somebody asks."""

    def __init__(self) -> None:
        self._unread: list[tuple[Sequence[AgentState], Entry]] = []
        self._outputs: dict[str, list[Record]] = {}
        self._logs: dict[str, list[LogLine]] = {}
        self._metrics: dict[tuple[str, str], list[Measured]] = {}
        self._faults: list[tuple[int, AppliedFault]] = []
        self._failed: list[Failed] = []

    def add(self, agents: Sequence[AgentState], entry: Entry) -> None:
        """Take a tick's entry in, with the agents after it."""
        self._unread.append((agents, entry))

    def _read(self) -> None:
        unread, self._unread = self._unread, []
        for agents, entry in unread:
            broken = {applied.agent for applied in entry.faults if applied.effect < 0 and applied.to < 0}
            self._faults += [(entry.tick, applied) for applied in entry.faults]
            for turn in entry.turns:
                name = agents[turn.agent].spec.id
                if turn.kind is not OutcomeKind.OK:
                    by_fault = turn.agent in broken
                    self._failed.append(Failed(entry.tick, name, turn.kind, turn.detail, by_fault))
                refused = {refusal.effect for refusal in turn.refusals}
                for place, effect in enumerate(turn.effects):
                    if place in refused:
                        continue
                    if isinstance(effect, Output):
                        record = Record(entry.tick, name, effect.body)
                        self._outputs.setdefault(effect.name, []).append(record)
                    elif isinstance(effect, Log):
                        line = LogLine(entry.tick, effect.level, effect.text)
                        self._logs.setdefault(name, []).append(line)
                    elif isinstance(effect, Metric):
                        number = Measured(entry.tick, effect.value)
                        self._metrics.setdefault((name, effect.name), []).append(number)

    def outputs(self, name: str) -> Sequence[Record]:
        """Return what was put out under a name so far."""
        self._read()
        return tuple(self._outputs.get(name, ()))

    def logs(self, agent: str) -> Sequence[LogLine]:
        """Return what an agent logged so far."""
        self._read()
        return tuple(self._logs.get(agent, ()))

    def metrics(self, agent: str, name: str) -> Sequence[Measured]:
        """Return what an agent recorded under a name so far."""
        self._read()
        return tuple(self._metrics.get((agent, name), ()))

    def faults(self) -> Sequence[tuple[int, AppliedFault]]:
        """Return the faults that hit something so far, with their ticks."""
        self._read()
        return tuple(self._faults)

    def failed(self) -> Sequence[Failed]:
        """Return the turns that failed so far."""
        self._read()
        return tuple(self._failed)


class View:
    """A run just after a tick. Agents are asked for by id; nothing here can change the run."""

    def __init__(
        self,
        image: Callable[[World, int], AgentImage],
        programs: Mapping[str, Program],
    ) -> None:
        self.ended = False
        self.history = History()
        self._image = image
        self._programs = programs
        self._bases: dict[str, Base] = {}
        self._before: World | None = None
        self._entry: Entry | None = None
        self._world: World | None = None
        self._messages: tuple[Found, ...] | None = None

    def move(self, before: World, entry: Entry, after: World) -> None:
        """Go on by one tick. For who runs the ticks, not for checks."""
        self._before, self._entry, self._world = before, entry, after
        self._messages = None
        self.history.add(after.agents, entry)

    @property
    def world(self) -> World:
        """The world after the tick."""
        if self._world is None:
            raise InputError("the run has not begun")
        return self._world

    @property
    def tick(self) -> int:
        """The tick that was just taken."""
        return self.world.tick - 1

    @property
    def idle(self) -> bool:
        """Whether no agent has anything left to do."""
        return self.world.idle

    @property
    def agents(self) -> tuple["AgentView", ...]:
        """All agents so far, in the run's order, those that have ended included."""
        return tuple(AgentView(self, index) for index in range(len(self.world.agents)))

    def agent(self, name: str) -> "AgentView":
        """Return the agent with this id; `InputError` if there is none so far."""
        index = self.world.directory.index.get(name)
        if index is None:
            raise InputError(f"there is no agent {name!r} at tick {self.tick}")
        return AgentView(self, index)

    @property
    def messages(self) -> tuple[Found, ...]:
        """What the agents found in their inboxes in this tick, agent by agent, each in its order."""
        if self._messages is None:
            self._messages = tuple(self._found())
        return self._messages

    def _found(self) -> Iterator[Found]:
        if self._before is None or self._entry is None:
            return
        fuel = Fuel((0,) * len(self._entry.turns))
        planned, _ = take(self._before, self._entry.arrivals, Recorded(self._entry, fuel))
        for turn in planned.turns:
            to = self._before.agents[turn.agent].spec.id
            for message in turn.inbox:
                kind = MessageClass(message.kind).name.lower()
                yield Found(
                    kind, message.sender, to, message.topic, message.body, message.tick, message.reply_to
                )

    def outputs(self, name: str) -> Sequence[Record]:
        """Return what the run's agents put out under a name so far, in the order in which they did."""
        return self.history.outputs(name)

    @property
    def faults(self) -> Sequence[tuple[int, AppliedFault]]:
        """The faults that hit something so far, each with its tick."""
        return self.history.faults()

    @property
    def failed(self) -> Sequence[Failed]:
        """The turns that failed so far."""
        return self.history.failed()

    def image(self, agent: int) -> AgentImage:
        """Return the state of the agent with this index."""
        return self._image(self.world, agent)

    def program(self, module: str) -> Program:
        """Return the program of a module."""
        return self._programs[module]

    def base(self, module: str) -> Base:
        """Return what instances of a module have in common."""
        if module not in self._bases:
            self._bases[module] = Instance.base(self.program(module))
        return self._bases[module]


@dataclass(frozen=True, slots=True)
class AgentView:
    """One agent just after a tick."""

    view: View
    index: int

    @property
    def standing(self) -> AgentState:
        """What the agent is and where it stands."""
        return self.view.world.agents[self.index]

    @property
    def id(self) -> str:
        """The agent's id."""
        return self.standing.spec.id

    @property
    def kind(self) -> str:
        """The agent's kind."""
        return self.standing.spec.kind

    @property
    def status(self) -> str:
        """`starting`, `running`, `stopped` or `failed`."""
        return str(self.standing.status)

    @property
    def running(self) -> bool:
        """Whether the agent takes turns."""
        return self.standing.status is Status.RUNNING

    @property
    def waiting(self) -> tuple[Message, ...]:
        """What waits for the agent, in the order in which it will find it."""
        return tuple(self.view.world.mailboxes.get(self.index, ()))

    @property
    def logs(self) -> Sequence[LogLine]:
        """What the agent logged so far."""
        return self.view.history.logs(self.id)

    def metrics(self, name: str) -> Sequence[Measured]:
        """Return what the agent recorded under a name so far."""
        return self.view.history.metrics(self.id, name)

    def metric(self, name: str) -> float | None:
        """Return the number that the agent recorded last under a name, or None."""
        found = self.metrics(name)
        return found[-1].value if found else None

    def memory(self, place: int = 0) -> bytes:
        """Return a linear memory of the agent, whole; `InputError` if it does not run."""
        self._require_running()
        return whole_memory(self.view.image(self.index), self.view.base(self.standing.spec.module), place)

    def state(self) -> object:
        """Return a Python agent's attributes as JSON's values; `InputError` for another, or an ended one.

        A copy of the agent is asked, which takes some milliseconds.
        """
        self._require_running()
        spec = self.standing.spec
        require_python(spec)
        image = self.view.image(self.index)
        return ask_state(self.view.program(spec.module), spec, image, self.view.world)

    def _require_running(self) -> None:
        if not self.running:
            raise InputError(f"agent {self.id!r} has no state at tick {self.view.tick}: it is {self.status}")
