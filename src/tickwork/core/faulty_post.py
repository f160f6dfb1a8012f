"""The mailboxes of a tick in which messages may be lost, delayed or doubled on purpose."""

from tickwork.core.faulting import TickFaults
from tickwork.core.faults import AppliedFault, Delay, Drop, Duplicate, Fault
from tickwork.core.messages import DelayedMessage, Message
from tickwork.core.post import Post
from tickwork.core.refusals import Refused
from tickwork.core.roster import Roster


class FaultyPost(Post):
    """Mailboxes between which the faults of a tick stand. `applied` are those that hit, in that order.

    `delayed` has what comes later, by the tick in which it is found.
    """

    def __init__(self, roster: Roster, tick: int, faults: TickFaults) -> None:
        super().__init__(roster, tick)
        self._faults = faults
        self._sent: dict[int, int] = {}
        self._sent_to: dict[tuple[int, int], int] = {}
        self.applied: list[AppliedFault] = []
        self.delayed: dict[int, list[DelayedMessage]] = {}

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
        first = self._tick + 1
        if delay is None:
            super().put(receiver, message, size)
        else:
            self._hit(delay, message, receiver)
            first += delay.ticks
            self._detain(first, receiver, message)
        for fault in befalls:
            if isinstance(fault, Duplicate):
                self._double(fault, first + fault.ticks, receiver, message)

    def _double(self, fault: Duplicate, found: int, receiver: int, message: Message) -> None:
        if found > self._tick + 1:
            self._detain(found, receiver, message)
        else:
            try:
                super().put(receiver, message, len(message.body))
            except Refused:
                return  # the sender's own message is there, and of a second one it knows nothing
        self._hit(fault, message, receiver)

    def _detain(self, found: int, receiver: int, message: Message) -> None:
        self.delayed.setdefault(found, []).append(DelayedMessage(receiver, message))

    def _hit(self, fault: Fault, message: Message, receiver: int) -> None:
        self.applied.append(AppliedFault(fault, message.agent, message.effect, receiver))
