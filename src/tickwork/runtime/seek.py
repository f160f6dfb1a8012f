"""Looking at a run at any tick: the world, and one agent's state.

The world comes from the nearest snapshot before and the record from there on. An agent is run again alone,
from its own last image, on the inboxes that the record gives it; every turn is held against its record.
"""

from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from tickwork.core.digest import Digests
from tickwork.core.edits import NO_EDITS
from tickwork.core.errors import InputError, RunFileError
from tickwork.core.image import AgentImage
from tickwork.core.messages import Message
from tickwork.core.spec import RunSpec
from tickwork.core.timers import PendingTimer
from tickwork.core.world import AgentState, Status, World
from tickwork.guest.engine import Engine
from tickwork.guest.instance import Instance
from tickwork.guest.program import Program
from tickwork.journal.reader import RunReader
from tickwork.runtime.agent_state import ask_state, require_python, whole_memory
from tickwork.runtime.alone import run_alone
from tickwork.runtime.fold import begin, check_spec, fold
from tickwork.runtime.fork import fork, read_edits
from tickwork.runtime.places import AnyPath
from tickwork.runtime.programs import engine_for


class Recording:
    """A run file, open for looking. Nothing in it changes; use it in a `with` block."""

    def __init__(self, reader: RunReader) -> None:
        self.reader = reader
        self.spec: RunSpec = reader.spec
        self._engine: Engine | None = None
        self._programs: dict[str, Program] = {}

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open a run file; raise `RunFileError` if it is not one that can be read."""
        reader = RunReader.open(path)
        try:
            check_spec(reader)
        except RunFileError:
            reader.close()
            raise
        return cls(reader)

    @property
    def first_tick(self) -> int:
        """The first tick of the file: 0, or where a fork begins."""
        return self.reader.header.start_tick

    @property
    def end_tick(self) -> int:
        """The tick that would come next: one past the last in the file."""
        last = self.reader.last_tick
        return self.first_tick if last is None else last + 1

    def at(self, tick: int) -> "Moment":
        """Return the moment before `tick` is run; `InputError` outside of what the file holds.

        At `first_tick` nothing of the file has happened yet, at `end_tick` everything has.
        """
        if not self.first_tick <= tick <= self.end_tick:
            raise InputError(
                f"{self.reader.path.name} can be looked at from tick {self.first_tick} to {self.end_tick}, "
                f"not at {tick}"
            )
        world, digests = begin(self.reader, tick)
        if world.tick < tick:
            for folded in fold(self.reader, world):
                world, digests = folded.settled.world, folded.stored.digests
                if world.tick == tick:
                    break
        if world.tick != tick:
            raise RunFileError(f"{self.reader.path.name} ends before tick {tick}")
        return Moment(self, world, digests)

    def program(self, module: str) -> Program:
        """Return the program of a module of the run, compiled once."""
        if module not in self._programs:
            if self._engine is None:
                self._engine = engine_for(self.spec)
            self._programs[module] = Program(self._engine, self.reader.module(module))
        return self._programs[module]

    def close(self) -> None:
        """Let go of the file."""
        self.reader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@dataclass(frozen=True, slots=True)
class Moment:
    """A run between two ticks: everything before `tick` has happened. `digests` are the chain there."""

    recording: Recording
    world: World
    digests: Digests

    @property
    def tick(self) -> int:
        """The tick that comes next."""
        return self.world.tick

    @property
    def agents(self) -> tuple[str, ...]:
        """The ids of all agents so far, in index order."""
        return tuple(agent.spec.id for agent in self.world.agents)

    def agent(self, name: str) -> "AgentMoment":
        """Return one agent at this moment; `InputError` if there is none of that id yet."""
        index = self.world.directory.index.get(name)
        if index is None:
            raise InputError(f"there is no agent {name!r} at tick {self.tick}")
        return AgentMoment(self, index)

    def fork(self, out: AnyPath, *, edits: AnyPath | None = None, force: bool = False) -> Path:
        """Make the run file `out`, a run that goes on from here with the edits of a file; return its path.

        See `fork`. `resume` takes it on.
        """
        reader = self.recording.reader
        read, modules = (NO_EDITS, {}) if edits is None else read_edits(Path(edits), reader.spec)
        fork(reader.path, Path(out), self.tick, edits=read, modules=modules, force=force)
        return Path(out)


@dataclass(frozen=True, slots=True)
class AgentMoment:
    """One agent between two ticks."""

    moment: Moment
    index: int

    @property
    def id(self) -> str:
        """The agent's id."""
        return self.standing.spec.id

    @property
    def status(self) -> Status:
        """Where the agent stands: `starting`, `running`, `stopped` or `failed`."""
        return self.standing.status

    @property
    def reason(self) -> str:
        """Why the agent ended; empty if it has not."""
        return self.standing.reason

    @property
    def standing(self) -> AgentState:
        """What the agent is and where it stands."""
        return self.moment.world.agents[self.index]

    @property
    def mailbox(self) -> tuple[Message, ...]:
        """What waits for the agent, in the order in which it will find it."""
        return tuple(self.moment.world.mailboxes.get(self.index, ()))

    @property
    def timers(self) -> tuple[tuple[int, PendingTimer], ...]:
        """The agent's pending timers with the ticks at which they are due, soonest first."""
        pending = sorted(self.moment.world.timers.pending.items())
        return tuple(
            (due, timer)
            for due, at in pending
            for _, timer in sorted(at.items())
            if timer.agent == self.index
        )

    def image(self) -> AgentImage:
        """Return the agent's whole state; `InputError` if it has none: it is not set up, or has ended."""
        if self.standing.status is not Status.RUNNING:
            raise InputError(
                f"agent {self.standing.spec.id!r} has no state at tick {self.moment.tick}: it is "
                f"{self.standing.status}"
            )
        recording = self.moment.recording
        program = recording.program(self.standing.spec.module)
        return run_alone(recording.reader, program, self.moment.world, self.index)

    def memory(self, place: int = 0) -> bytes:
        """Return one of the agent's linear memories whole."""
        image = self.image()
        if not 0 <= place < len(image.memories):
            raise InputError(f"the agent has {len(image.memories)} memories, not a number {place}")
        return self.whole(image, place)

    def whole(self, image: AgentImage, place: int) -> bytes:
        """Return a linear memory of an image of this agent, whole."""
        base = Instance.base(self.moment.recording.program(self.standing.spec.module))
        return whole_memory(image, base, place)

    def state(self) -> object:
        """Return a Python agent's attributes as JSON's values; `InputError` for another language."""
        spec = self.standing.spec
        require_python(spec)
        program = self.moment.recording.program(spec.module)
        return ask_state(program, spec, self.image(), self.moment.world)
