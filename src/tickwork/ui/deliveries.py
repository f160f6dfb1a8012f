"""Where what a turn asked for is found: messages, timers, answers and new agents, and in which tick."""

from collections.abc import Iterator

import msgspec

from tickwork.core.messages import Message, MessageClass
from tickwork.core.names import RUNTIME_SENDER
from tickwork.core.world import Status
from tickwork.runtime.fold import FoldedTick


class Delivery(msgspec.Struct, frozen=True):
    """Where a message, a timer, an answer or a new agent's first turn is found."""

    agent: str
    tick: int


def deliveries(folded: FoldedTick, agent: int) -> dict[int, list[Delivery]]:
    """Return by effect where what came of an agent's turn is found, as far as the tick's end tells."""
    tick, after = folded.planned.tick, folded.settled.world
    found: dict[int, list[Delivery]] = {}
    for message, to, due in _messages(folded):
        mine = (message.agent, message.tick, message.kind) == (agent, tick, MessageClass.MESSAGE)
        if mine and message.sender != RUNTIME_SENDER:
            found.setdefault(message.effect, []).append(Delivery(after.agents[to].spec.id, due))
    own = after.agents[agent].spec.id
    for request in after.requests.pending.values():
        if (request.agent, request.tick) == (agent, tick):
            found.setdefault(request.effect, []).append(Delivery(own, request.due))
    for due, timers in after.timers.pending.items():
        for timer in timers.values():
            if (timer.agent, timer.tick) == (agent, tick):
                found.setdefault(timer.effect, []).append(Delivery(own, due))
    return found


def _messages(folded: FoldedTick) -> Iterator[tuple[Message, int, int]]:
    """Yield messages with who finds each, and in which tick.

    Along an edge a message is found in its own tick, by default in the next, with a fault later.
    """
    tick, after = folded.planned.tick, folded.settled.world
    for planned in folded.planned.turns if after.waves.count > 1 else ():
        for message in planned.inbox:
            yield message, planned.agent, tick
    for to, box in after.mailboxes.items():
        due = tick + (2 if after.agents[to].status is Status.STARTING else 1)
        for message in box:
            yield message, to, due
    for due, held in after.delayed.items():
        for each in held:
            yield each.message, each.to, due
