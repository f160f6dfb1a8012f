"""The mailboxes of a tick in which messages may be lost, delayed or doubled on purpose."""

from collections.abc import Callable

from tickwork.core.faulting import TickFaults
from tickwork.core.faults import AppliedFault, Delay, Drop, Duplicate, Fault
from tickwork.core.messages import DelayedMessage, Message
from tickwork.core.post import Post
from tickwork.core.refusals import Refused
from tickwork.core.roster import Roster
from tickwork.core.world import World


class FaultyPost(Post):
    """Mailboxes between which the faults of a tick stand. `applied` are those that hit, in that order.

    `delayed` has what comes later, by the tick in which it is found.
    """

    def __init__(self, roster: Roster, world: World, faults: TickFaults) -> None:
        super().__init__(roster, world)
        self._faults = faults
        self._sent: dict[int, int] = {}
        self._sent_to: dict[tuple[int, int], int] = {}
        self.applied: list[AppliedFault] = []
        self.delayed: dict[int, list[DelayedMessage]] = {}

    def putting(self) -> Callable[[int, Message, int], None]:
        """Return `put`."""
        return self.put

    def arrives_now(self, receiver: int, message: Message) -> bool:
        """Return whether an edge brings the message to its receiver in this tick: not if that is paused."""
        if not super().arrives_now(receiver, message):
            return False
        pause = self._faults.pause(receiver)
        if pause is not None:
            self.miss(receiver)
            self.applied.append(AppliedFault(pause, receiver))
        return pause is None

    def put(self, receiver: int, message: Message, size: int) -> None:
        """Do with the message what the faults say; raise `Refused` as the mailbox does."""
        sender = message.agent
        nth = self._sent.get(sender, 0)
        nth_to = self._sent_to.get((sender, receiver), 0)
        self._sent[sender] = nth + 1
        self._sent_to[sender, receiver] = nth_to + 1
        to = self._roster[receiver].spec.id
        befalls = list(self._faults.of_message(sender, nth, to, nth_to))
        lost: Fault | None = self._faults.cut_off(message.sender, to)
        if lost is None:
            lost = next((fault for fault in befalls if isinstance(fault, Drop)), None)
        if lost is not None:
            self._hit(lost, message, receiver)
            return
        delay = next((fault for fault in befalls if isinstance(fault, Delay)), None)
        found = self._tick if self.arrives_now(receiver, message) else self._tick + 1
        if delay is not None:
            self._hit(delay, message, receiver)
            found += delay.ticks
        self._put_into(found, receiver, message, size)
        for fault in befalls:
            if isinstance(fault, Duplicate):
                self._double(fault, found + fault.ticks, receiver, message)

    def _double(self, fault: Duplicate, found: int, receiver: int, message: Message) -> None:
        try:
            self._put_into(found, receiver, message, len(message.body))
        except Refused:
            return  # the sender's own message is there, and of a second one it knows nothing
        self._hit(fault, message, receiver)

    def _put_into(self, found: int, receiver: int, message: Message, size: int) -> None:
        """Let the message be found in a tick: this one, the next, or a later one."""
        if found == self._tick:
            self.put_now(receiver, message, size)
        elif found == self._tick + 1:
            self.put_next(receiver, message, size)
        else:
            self.delayed.setdefault(found, []).append(DelayedMessage(receiver, message))

    def _hit(self, fault: Fault, message: Message, receiver: int) -> None:
        self.applied.append(AppliedFault(fault, message.agent, message.effect, receiver))
