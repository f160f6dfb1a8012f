"""A moment of a run, as rows for tables and programs. Nothing is run again but for an agent's own state."""

from collections.abc import Iterator

from blake3 import blake3

from tickwork.core.messages import Message, MessageClass
from tickwork.core.timers import PendingTimer
from tickwork.runtime.seek import AgentMoment, Moment
from tickwork.runtime.views import Row, readable


def moment_row(moment: Moment) -> Row:
    """Return which moment it is, with the chain's digests there."""
    return {
        "tick": moment.tick,
        "first_tick": moment.recording.first_tick,
        "end_tick": moment.recording.end_tick,
        "digest": moment.digests.digest.hex(),
        "exact": moment.digests.exact.hex(),
    }


def agent_row(agent: AgentMoment) -> Row:
    """Return an agent's standing."""
    standing = agent.standing
    return {
        "index": agent.index,
        "id": standing.spec.id,
        "kind": standing.spec.kind,
        "status": str(standing.status),
        "reason": standing.reason,
        "waiting": len(agent.mailbox),
        "timers": agent.moment.world.timers.counts.get(agent.index, 0),
    }


def agent_rows(moment: Moment) -> Iterator[Row]:
    """Yield the standing of every agent so far, in index order."""
    for index in range(len(moment.world.agents)):
        yield agent_row(AgentMoment(moment, index))


def message_rows(moment: Moment, agent: AgentMoment | None = None) -> Iterator[Row]:
    """Yield what waits for one agent or for all, in the order in which each will find it."""
    for index in sorted(moment.world.mailboxes) if agent is None else (agent.index,):
        receiver = AgentMoment(moment, index)
        for place, message in enumerate(receiver.mailbox):
            yield _message_row(receiver.id, place, message)


def _message_row(to: str, place: int, message: Message) -> Row:
    return {
        "to": to,
        "place": place,
        "sender": message.sender,
        "topic": message.topic,
        "class": MessageClass(message.kind).name.lower(),
        "sent": message.tick,
        "reply_to": message.reply_to,
        "bytes": len(message.body),
        "body": readable(message.body),
    }


def timer_rows(moment: Moment, agent: AgentMoment | None = None) -> Iterator[Row]:
    """Yield the pending timers of one agent or of all, soonest first."""
    if agent is not None:
        for due, timer in agent.timers:
            yield _timer_row(moment, due, timer)
        return
    for due, at in sorted(moment.world.timers.pending.items()):
        for _, timer in sorted(at.items()):
            yield _timer_row(moment, due, timer)


def _timer_row(moment: Moment, due: int, timer: PendingTimer) -> Row:
    return {
        "due": due,
        "agent": moment.world.agents[timer.agent].spec.id,
        "request": timer.request,
        "topic": timer.topic,
        "set": timer.tick,
        "bytes": len(timer.body),
        "body": readable(timer.body),
    }


def memory_rows(agent: AgentMoment) -> Iterator[Row]:
    """Yield each linear memory of an agent: size in bytes, pages that its module did not bring, BLAKE3."""
    image = agent.image()
    for place, memory in enumerate(image.memories):
        yield {
            "memory": place,
            "bytes": memory.size,
            "changed_pages": len(memory.numbers),
            "hash": blake3(agent.whole(image, place)).hexdigest(),
        }
