"""Ticks in which agents only talk to each other.

Most ticks of most runs are such: nothing arrives, nothing is due, nobody starts, and what the agents do is
send, publish and put out. `settling` judges them like any other; a pool that has seen to it that they are
*plain* (see `pool/kernel/plain.h`) may hand over the record instead, from which everything else follows.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

import msgspec

from tickwork.core.effects import Publish, Send
from tickwork.core.entry import Entry, decode_entry, decode_fuel
from tickwork.core.grants import Capability, find
from tickwork.core.messages import Arrivals, Message, MessageClass
from tickwork.core.settling import Performed
from tickwork.core.step import Settled
from tickwork.core.world import AgentState, Directory, World


def is_quiet(world: World, arrivals: Arrivals) -> bool:
    """Return whether all that the world's tick brings to agents is what they sent each other.

    A tick in which a fault could hit or a request fails by one, or from which a delayed message is found, is
    never quiet.
    """
    faults = world.run.faults
    return (
        world.waves.count == 1
        and not arrivals.inputs
        and not arrivals.completions
        and not world.directory.starting
        and world.tick not in world.timers.pending
        and (faults is None or not faults.touches(world.tick))
        and (not world.delayed or world.tick + 1 not in world.delayed)
        and not (world.requests.pending and world.requests.failing(world.tick))
    )


def acts_freely(world: World, agent: int, aim: int) -> bool:
    """Return whether a grant without a limit covers what an agent does.

    `aim` numbers what it does it to: first the agents, to which it sends, then the run's outputs, then the
    topics that have subscribers, on which it publishes.
    """
    agents, outputs = world.agents, world.run.outputs
    grants = agents[agent].spec.grants
    if aim < len(agents):
        found = find(grants, Capability.SEND, agents[aim].spec.id)
    elif aim < len(agents) + len(outputs):
        found = find(grants, Capability.OUTPUT, outputs[aim - len(agents)])
    else:
        topic = next(islice(world.directory.subscribers, aim - len(agents) - len(outputs), None))
        found = find(grants, Capability.PUBLISH, topic)
    return found is not None and grants[found].per_tick is None and grants[found].per_run is None


class Plain(msgspec.Struct, frozen=True):
    """A plain tick's record: the canonical bytes of its entry and fuel.

    `agents` are those that took a turn, in order; `messages` is how many messages they found, and `sent` how
    many now wait. `performed` is what the shell must carry out.
    """

    entry: bytes
    fuel: bytes
    agents: Sequence[int]
    messages: int
    sent: int
    performed: tuple[Performed, ...] = ()


class SentMail(Mapping[int, Sequence[Message]]):
    """The mailboxes after a plain tick, read from its record when somebody asks."""

    __slots__ = ("_agents", "_boxes", "_directory", "_record")

    def __init__(self, before: World, record: Plain) -> None:
        # Not the world itself, which would keep all those before it.
        self._agents = before.agents
        self._directory = before.directory
        self._record = record
        self._boxes: dict[int, list[Message]] | None = None

    @property
    def record(self) -> Plain:
        """The tick that the messages were sent in."""
        return self._record

    def _opened(self) -> dict[int, list[Message]]:
        if self._boxes is None:
            self._boxes = _sent(self._agents, self._directory, decode_entry(self._record.entry))
        return self._boxes

    def __getitem__(self, agent: int) -> Sequence[Message]:
        return self._opened()[agent]

    def __iter__(self) -> Iterator[int]:
        return iter(self._opened())

    def __len__(self) -> int:
        return len(self._opened())

    def __bool__(self) -> bool:
        return self._record.sent > 0


def _sent(agents: Sequence[AgentState], directory: Directory, entry: Entry) -> dict[int, list[Message]]:
    boxes: dict[int, list[Message]] = {}
    for turn in entry.turns:
        sender = agents[turn.agent].spec.id
        for place, effect in enumerate(turn.effects):
            receivers: Sequence[int]
            if isinstance(effect, Send):
                receivers, reply_to = (directory.index[effect.to],), effect.reply_to
            elif isinstance(effect, Publish):
                receivers, reply_to = directory.subscribers[effect.topic], None
            else:
                continue
            origin = (MessageClass.MESSAGE, entry.tick, turn.agent, place)
            message = Message(*origin, sender, effect.topic, effect.body, reply_to)
            for receiver in receivers:
                boxes.setdefault(receiver, []).append(message)
    return boxes


def after_plain(world: World, record: Plain) -> World:
    """Return the world after a quiet tick that was plain and has this record."""
    return World(
        run=world.run,
        agents=world.agents,
        directory=world.directory,
        tick=world.tick + 1,
        mailboxes=SentMail(world, record),
        timers=world.timers,
        spent=world.spent,
        tokens_spent=world.tokens_spent,
        requests=world.requests,
        delayed=world.delayed,
        restarts=world.restarts,
        waves=world.waves,
    )


def settled_plain(after: World, record: Plain) -> Settled:
    """Return what `settle` would have, with the world after the tick."""
    entry = decode_entry(record.entry)
    return Settled(after, entry, decode_fuel(record.fuel).used, record.performed, (), ())
