"""The mailboxes of the next world in the making."""

from collections.abc import Callable, Mapping, Sequence

import msgspec

from tickwork.core.edits import FORK_ORIGIN
from tickwork.core.effects import Effect, Send
from tickwork.core.entry import Undelivered
from tickwork.core.limits import Limits
from tickwork.core.messages import Message, MessageClass
from tickwork.core.names import RUNTIME_SENDER, TOPIC_DENIED, TOPIC_REJECTED
from tickwork.core.order import inbox_order
from tickwork.core.refusals import DENIED, REJECTED, Notice, Refused, clipped, number, quoted, target
from tickwork.core.roster import Roster
from tickwork.core.world import Status, World

# Looking a member up on its enum costs as much as the rest of a message's bookkeeping.
_MESSAGE = MessageClass.MESSAGE


class _Mailbox:
    """The messages for one agent's next inbox, and how much more it may take."""

    __slots__ = ("messages", "room", "room_bytes")

    def __init__(self, limits: Limits) -> None:
        self.messages: list[Message] = []
        self.room = limits.mailbox_messages
        self.room_bytes = limits.mailbox_bytes


class Post:
    """Every agent's next inbox, by index, as it stands at this point of the settling.

    And, in ticks of several waves, what arrives in this very tick for turns that are still to come.
    """

    def __init__(self, roster: Roster, world: World) -> None:
        self._roster = roster
        self._world = world
        self._tick = world.tick
        self._in_waves = world.waves.count > 1
        self._arriving: dict[int, _Mailbox] = {}
        self._absent: dict[int, None] = {}
        self._boxes: dict[int, _Mailbox] = {}
        self._unsorted: dict[int, None] = {}
        self._late: list[Undelivered] = []
        self._letters: list[tuple[Message, str, str]] = []

    def carry(self, agent: int, messages: Sequence[Message]) -> None:
        """Keep what waits for an agent that takes no step in this tick."""
        box = self._boxes[agent] = _Mailbox(self._roster[agent].spec.limits)
        box.messages += messages
        box.room -= len(messages)
        box.room_bytes -= sum(len(message.body) for message in messages)

    def carry_unsorted(self, agent: int, messages: Sequence[Message]) -> None:
        """Keep what waits for an agent that may also have had inputs and timers in this tick."""
        self.carry(agent, messages)
        self._unsorted[agent] = None

    def arrive(self, receiver: int, message: Message) -> None:
        """Take in a message that was on its way for longer; give it back where it finds no room."""
        try:
            self.put_next(receiver, message, len(message.body))
        except Refused as refused:
            self.give_back(receiver, (message,), refused.reason, refused.reason)
        else:
            self._unsorted[receiver] = None

    def close(self, agent: int) -> None:
        """Let nothing more into the mailbox of an agent that ends."""
        if agent in self._boxes:
            self._boxes[agent].room = 0

    def putting(self) -> Callable[[int, Message, int], None]:
        """Return `put`, or what does the same in this tick for less."""
        return self.put if self._in_waves else self.put_next

    def put(self, receiver: int, message: Message, size: int) -> None:
        """Append a message with a body of `size` bytes; raise `Refused`: the agent ended, or has no room.

        Along an edge it arrives in this tick, if the receiver has yet to take a turn in it.
        """
        if self.arrives_now(receiver, message):
            self.put_now(receiver, message, size)
        else:
            self.put_next(receiver, message, size)

    def arrives_now(self, receiver: int, message: Message) -> bool:
        """Return whether an edge brings the message to its receiver in this tick."""
        agents = self._world.agents
        return (
            self._in_waves
            and receiver < len(agents)
            and agents[receiver].status is Status.RUNNING
            and receiver not in self._absent
            and self._world.waves.joined(message.sender, agents[receiver].spec.id)
        )

    def miss(self, agent: int) -> None:
        """Note that the agent takes no turn in this tick, so that nothing can arrive for one."""
        self._absent[agent] = None

    def put_now(self, receiver: int, message: Message, size: int) -> None:
        """Do as `put_next`, for this tick."""
        ended = self._roster.ended_fault(receiver)
        if ended is not None:
            raise Refused(REJECTED, ended)
        box = self._arriving.get(receiver)
        if box is None:
            box = self._arriving[receiver] = _Mailbox(self._roster[receiver].spec.limits)
            waiting = self._world.mailboxes.get(receiver, ())
            box.room -= len(waiting)
            box.room_bytes -= sum(len(other.body) for other in waiting)
        if box.room <= 0 or box.room_bytes < size:
            raise self._no_room(receiver, box)
        box.room -= 1
        box.room_bytes -= size
        box.messages.append(message)

    def take_arrived(self, wave: int) -> dict[int, list[Message]]:
        """Return what has arrived in this tick for the agents of a wave, whose turn now comes."""
        waves, agents = self._world.waves, self._world.agents
        due = [agent for agent in self._arriving if waves.of(agents[agent].spec.id) == wave]
        return {agent: self._arriving.pop(agent).messages for agent in due}

    def put_next(self, receiver: int, message: Message, size: int) -> None:
        """Append a message to what the receiver finds in the next tick, or raise `Refused`."""
        box = self._boxes.get(receiver)
        if box is None:
            box = self._open(receiver)
        room_bytes = box.room_bytes - size
        if room_bytes < 0 or box.room <= 0:
            raise self._no_room(receiver, box)
        box.room -= 1
        box.room_bytes = room_bytes
        box.messages.append(message)

    def _open(self, receiver: int) -> _Mailbox:
        """Give the agent an empty mailbox, or refuse: it has ended."""
        ended = self._roster.ended_fault(receiver)
        if ended is not None:
            raise Refused(REJECTED, ended)
        box = self._boxes[receiver] = _Mailbox(self._roster[receiver].spec.limits)
        return box

    def _no_room(self, receiver: int, box: _Mailbox) -> Refused:
        ended = self._roster.ended_fault(receiver)
        if ended is not None:
            return Refused(REJECTED, ended)
        spec = self._roster[receiver].spec
        cap = (
            f"{spec.limits.mailbox_messages} messages"
            if box.room <= 0
            else f"{spec.limits.mailbox_bytes} bytes"
        )
        return Refused(REJECTED, f"mailbox of {quoted(spec.id)} is full ({cap})")

    def notify(self, agent: int, place: int, effect: Effect, refused: Refused) -> None:
        """Tell the agent, unless it has ended, that its effect `place` of this tick was refused."""
        if self._roster.ended_fault(agent) is None:
            topic = TOPIC_DENIED if refused.verdict == DENIED else TOPIC_REJECTED
            self._notice(agent, self._tick, place, effect, topic, refused.reason)

    def _notice(self, agent: int, tick: int, place: int, effect: Effect, topic: str, reason: str) -> None:
        """Tell the agent of its effect `place` in `tick`.

        A notice takes no room in the mailbox: it is never refused, and the agent's own effects bound the
        number.
        """
        notice = Notice(tick, place, type(effect).__name__.lower(), clipped(target(effect)), reason)
        body = msgspec.json.encode(notice)
        message = Message(_MESSAGE, tick, agent, place, RUNTIME_SENDER, topic, body, number(effect))
        box = self._boxes.get(agent)
        if box is None:
            box = self._open(agent)
        box.messages.append(message)

    def give_back(self, to: int, messages: Sequence[Message], reason: str, told: str) -> None:
        """Note that messages do not reach their receiver: `reason` is for the entry, `told` for senders."""
        name = self._roster[to].spec.id
        for message in messages:
            self._late.append(
                Undelivered(message.kind, message.tick, message.agent, message.effect, name, reason)
            )
            # Nobody sent what the runtime told the agent, or what a fork injected.
            if message.kind == _MESSAGE and message.sender != RUNTIME_SENDER and message.agent != FORK_ORIGIN:
                self._letters.append((message, name, told))

    def return_letters(self) -> list[Undelivered]:
        """Hand what waited for agents that ended in this tick, and what else was given back, to its senders.

        Return what it was.
        """
        for agent in sorted(self._roster.ended):
            state = self._roster[agent]
            box = self._boxes.pop(agent, None)
            if box is not None:
                reason = f"agent is {state.status}"
                told = f"agent {quoted(state.spec.id)} is {state.status}"
                self.give_back(agent, box.messages, reason, told)
        for message, to, reason in self._letters:
            sender = message.agent
            if self._roster[sender].live:
                effect = Send(to, message.topic, message.body, message.reply_to)
                self._notice(sender, message.tick, message.effect, effect, TOPIC_REJECTED, reason)
                self._unsorted[sender] = None
        return self._late

    def done(self) -> Mapping[int, Sequence[Message]]:
        """Return the next world's mailboxes, each in inbox order."""
        for agent in self._unsorted:
            if agent in self._boxes:
                self._boxes[agent].messages.sort(key=inbox_order)
        return {agent: box.messages for agent, box in self._boxes.items() if box.messages}
