"""Edits of what waits in mailboxes. Used by `editing.apply_edits` and by nothing else."""

from collections.abc import Mapping, Sequence

import msgspec

from tickwork.core.edit_faults import LISTED_MAX, agent_edit_name, check_u64, index_of, listed, shown
from tickwork.core.edits import FORK_ORIGIN, FORK_SENDER, Drop, Inject, Replace
from tickwork.core.errors import EditError
from tickwork.core.messages import Message, MessageClass
from tickwork.core.names import INPUT_SENDER_PREFIX, RUNTIME_SENDER
from tickwork.core.world import World


class _Mailbox:
    """One mailbox in the making: what is left of what waited, by its place there, and what is injected.

    As when an effect sends, the runtime's notices take no room.
    """

    def __init__(self, waiting: Sequence[Message]) -> None:
        self.left = dict(enumerate(waiting))
        self.injected: list[Message] = []

    def messages(self) -> list[Message]:
        """Return all, in order."""
        return [*self.left.values(), *self.injected]

    def counted(self) -> tuple[int, int]:
        """Return how many messages take room, and how many bytes."""
        sizes = [len(message.body) for message in self.messages() if message.sender != RUNTIME_SENDER]
        return len(sizes), sum(sizes)


class MailEditing:
    """The mailboxes of a world whose agents are edited already. Drops come first, injected messages last."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._boxes: dict[int, _Mailbox] = {}
        # By receiver, from the first message that is injected for it.
        self._room: dict[int, tuple[int, int]] = {}
        self._next_effect: int | None = None

    def drop(self, name: str, edit: Drop) -> None:
        """Remove every message that matches; raise EditError."""
        receiver, places = self._select(name, edit)
        left = self._open(receiver).left
        for place in places:
            left.pop(place, None)

    def replace(self, name: str, edit: Replace) -> None:
        """Change every message that matches and is not dropped; raise EditError."""
        if edit.body is None and edit.new_topic is None:
            raise EditError(f"{name}: changes nothing; give it a body or a new_topic")
        if edit.new_topic is not None:
            _check_topic(name, edit.new_topic)
        receiver, places = self._select(name, edit)
        box = self._open(receiver)
        kept = [place for place in places if place in box.left]
        if not kept:
            raise EditError(f"{name}: all that it matches is dropped by this fork; remove one of the edits")
        before = sum(len(box.left[place].body) for place in kept)
        for place in kept:
            message = box.left[place]
            box.left[place] = msgspec.structs.replace(
                message,
                topic=message.topic if edit.new_topic is None else edit.new_topic,
                body=message.body if edit.body is None else edit.body,
            )
        if sum(len(box.left[place].body) for place in kept) > before:
            self._check_bytes(name, receiver, box.counted()[1])

    def inject(self, name: str, edit: Inject) -> None:
        """Add a message behind all that wait; raise EditError."""
        receiver = index_of(self._world, name, edit.to)
        state = self._world.agents[receiver]
        if not state.live:
            raise EditError(
                f"{name}: agent {shown(edit.to)} is {state.status}, and nothing reaches it;"
                f" restart = true in [{agent_edit_name(edit.to)}] sets it up anew"
            )
        self._check_sender(name, edit.sender)
        _check_topic(name, edit.topic)
        if edit.reply_to is not None:
            check_u64(name, "reply_to ", edit.reply_to)
        box = self._open(receiver)
        if receiver not in self._room:
            self._room[receiver] = box.counted()
        count, size = self._room[receiver]
        limit = state.spec.limits.mailbox_messages
        if count >= limit:
            raise EditError(
                f"{name}: the mailbox of {shown(edit.to)} is full ({limit} messages); drop something,"
                f" or raise limits.mailbox_messages in [{agent_edit_name(edit.to)}]"
            )
        size += len(edit.body)
        self._check_bytes(name, receiver, size)
        self._room[receiver] = count + 1, size
        box.injected.append(
            Message(
                kind=MessageClass.MESSAGE,
                # In tick 0 all agents are set up and nobody sends, so nothing can come between.
                tick=max(self._world.tick - 1, 0),
                agent=FORK_ORIGIN,
                effect=self._new_effect(),
                sender=edit.sender,
                topic=edit.topic,
                body=edit.body,
                reply_to=edit.reply_to,
            )
        )

    def mailboxes(self) -> Mapping[int, Sequence[Message]]:
        """Return the world's mailboxes with the edits in them."""
        mailboxes = dict(self._world.mailboxes)
        for receiver, box in self._boxes.items():
            messages = box.messages()
            if messages:
                mailboxes[receiver] = messages
            else:
                mailboxes.pop(receiver, None)
        return mailboxes

    def _select(self, name: str, edit: Drop | Replace) -> tuple[int, list[int]]:
        """Return the receiver, and the places in its mailbox of all that the edit matches, at least one."""
        receiver = index_of(self._world, name, edit.to)
        waiting = self._world.mailboxes.get(receiver, ())
        every = range(len(waiting))
        # Many edits by place alone must not each read the whole mailbox.
        candidates: Sequence[int] = every if edit.place is None else [edit.place]
        places = [
            place
            for place in candidates
            if place in every
            and (edit.sender is None or edit.sender == waiting[place].sender)
            and (edit.topic is None or edit.topic == waiting[place].topic)
        ]
        if not places:
            found = [
                f"{place}: {shown(message.topic)} from {shown(message.sender)} ({len(message.body)} bytes)"
                for place, message in enumerate(waiting[:LISTED_MAX])
            ]
            if len(waiting) > LISTED_MAX:
                found.append(f"and {len(waiting) - LISTED_MAX} more")
            raise EditError(
                f"{name}: matches nothing that waits for {shown(edit.to)} at tick {self._world.tick};"
                f" there waits {', '.join(found) or 'nothing'}"
            )
        return receiver, places

    def _open(self, receiver: int) -> _Mailbox:
        if receiver not in self._boxes:
            self._boxes[receiver] = _Mailbox(self._world.mailboxes.get(receiver, ()))
        return self._boxes[receiver]

    def _check_bytes(self, name: str, receiver: int, size: int) -> None:
        spec = self._world.agents[receiver].spec
        if size > spec.limits.mailbox_bytes:
            raise EditError(
                f"{name}: the mailbox of {shown(spec.id)} would hold {size} bytes, and its limit is"
                f" {spec.limits.mailbox_bytes}; raise limits.mailbox_bytes in [{agent_edit_name(spec.id)}]"
            )

    def _check_sender(self, name: str, sender: str) -> None:
        inputs = [INPUT_SENDER_PREFIX + source.name for source in self._world.run.inputs]
        if sender != FORK_SENDER and sender not in self._world.directory.index and sender not in inputs:
            raise EditError(
                f"{name}: the sender {shown(sender)} is no agent at tick {self._world.tick}, no input"
                f" (there are: {listed(inputs, len(inputs))}), and not {shown(FORK_SENDER)}"
            )

    def _new_effect(self) -> int:
        """Return the next number under `FORK_ORIGIN`; what an earlier fork injected may still wait."""
        if self._next_effect is None:
            waiting = [message for box in self._world.mailboxes.values() for message in box]
            taken = (message.effect for message in waiting if message.agent == FORK_ORIGIN)
            self._next_effect = max(taken, default=-1) + 1
        effect = self._next_effect
        self._next_effect += 1
        return effect


def _check_topic(name: str, topic: str) -> None:
    try:
        topic.encode()
    except UnicodeEncodeError:
        raise EditError(f"{name}: the topic {shown(topic)} is not UTF-8 text; correct it") from None
