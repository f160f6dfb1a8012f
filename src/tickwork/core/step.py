"""The two pure functions that a run is made of; WASM runs between them.

`plan` names the turns of a tick, the shell runs them on a pool in any order, and `settle` folds their
outcomes, in agent order, into the next world. Record, replay and fork differ only in where the arrivals and
outcomes come from.

A tick's rules, in the order in which they apply:

1. Agents that start are set up and do nothing else in that tick; what is sent to them waits.
2. Inputs, waiting messages, due completions and due timers make the inboxes. Who has one, or is marked
   `every_tick`, steps.
3. A failed turn ends its agent before any effect of the tick is looked at.
4. Effects are judged one by one in (agent, effect) order. What is refused is journaled and its sender told
   in the next tick.
5. An agent that is stopped ends with the tick: it keeps the turn that it took, and what already waited for
   it goes back to its senders as rejected.
"""

from collections.abc import Sequence

import msgspec

from tickwork.core.entropy import turn_seeds
from tickwork.core.entry import Entry, Undelivered
from tickwork.core.faulting import Broken, tick_faults
from tickwork.core.messages import Arrivals, Message, MessageClass
from tickwork.core.names import INPUT_SENDER_PREFIX, MODEL_SENDER_PREFIX, TOPIC_PIECE, TOPIC_REPLY
from tickwork.core.order import inbox_order
from tickwork.core.outcomes import Outcome
from tickwork.core.requests import PendingRequest, RequestKey
from tickwork.core.settling import Performed, Settling
from tickwork.core.world import Status, World


# gc=False here and for entries: made by the thousand each tick, and what they hold never points back.
class Turn(msgspec.Struct, frozen=True, gc=False):
    """One agent's run within a tick: its setup, or a step on `inbox`, with `seed` as its entropy.

    It gets no more than `fuel` where that is given, and no more memory unless it `may_grow`.
    """

    agent: int
    setup: bool
    seed: int
    inbox: Sequence[Message] = ()
    fuel: int | None = None
    may_grow: bool = True

    @property
    def plain(self) -> bool:
        """Whether the turn has all that the agent's limits allow."""
        return self.fuel is None and self.may_grow


class Plan(msgspec.Struct, frozen=True):
    """The turns of one tick, in agent order, and the arrivals that could not be delivered.

    `broken` is what faults made of it, in a tick that has some.
    """

    tick: int
    now_ns: int
    arrivals: Arrivals
    turns: tuple[Turn, ...]
    undelivered: tuple[Undelivered, ...] = ()
    broken: Broken | None = None


class Settled(msgspec.Struct, frozen=True):
    """What a tick came to: the next world, the record, and what the shell must now carry out.

    `started` and `ended` are the indexes of agents that were spawned, and of those that need no instance
    any more. An agent that was spawned and stopped in the same tick is in both. `asked` are the requests to
    models that were made, `cancelled` those of earlier ticks that nobody waits for any more. `restarted` are
    agents whose instance is of no use any more because they are set up anew, `rolled_back` those that go on
    from the state in which they were before the tick.
    """

    world: World
    entry: Entry
    fuel: tuple[int, ...]
    performed: tuple[Performed, ...]
    started: tuple[int, ...]
    ended: tuple[int, ...]
    asked: tuple[PendingRequest, ...] = ()
    cancelled: tuple[RequestKey, ...] = ()
    restarted: tuple[int, ...] = ()
    rolled_back: tuple[int, ...] = ()


def plan(world: World, arrivals: Arrivals) -> Plan:
    """Return the turns that are due in the world's tick. Pure; the world is not changed.

    The completions among the arrivals are those that are due: `requests.arrivals_fault` finds no fault.
    """
    faults = tick_faults(world)
    broken = None if faults is None else Broken(faults)
    boxes, undelivered = _deliver(world, arrivals, broken)
    starting = world.directory.starting
    for agent in world.directory.every_tick:
        boxes.setdefault(agent, ())
    for agent in starting:
        boxes[agent] = ()
    if broken is not None:
        broken.interrupt(world, boxes)
    due = sorted(boxes)
    seeds = turn_seeds(world.run.seed, world.tick, due, len(world.agents))
    starts = dict.fromkeys(starting)
    turns = tuple(
        Turn(agent, agent in starts, seed, boxes[agent]) for agent, seed in zip(due, seeds, strict=True)
    )
    if broken is not None:
        turns = tuple(_with_allowance(turn, *broken.allowance(turn.agent)) for turn in turns)
    return Plan(world.tick, world.now_ns, arrivals, turns, tuple(undelivered), broken)


def _with_allowance(turn: Turn, fuel: int | None, may_grow: bool) -> Turn:  # noqa: FBT001 - as in Turn
    return Turn(turn.agent, turn.setup, turn.seed, turn.inbox, fuel, may_grow)


def _deliver(
    world: World, arrivals: Arrivals, broken: Broken | None
) -> tuple[dict[int, Sequence[Message]], list[Undelivered]]:
    """Return the inboxes of the tick by agent, without those who only start, and what found no recipient."""
    boxes: dict[int, Sequence[Message]] = dict(world.mailboxes)
    undelivered: list[Undelivered] = []
    extra: dict[int, list[Message]] = {}
    for place, item in enumerate(arrivals.inputs):
        source = world.run.inputs[item.source]
        message = Message(
            kind=MessageClass.INPUT,
            tick=world.tick,
            agent=item.source,
            effect=place,
            sender=INPUT_SENDER_PREFIX + source.name,
            topic=source.topic,
            body=item.body,
        )
        for name in source.to:
            to = world.directory.index[name]
            agent = world.agents[to]
            if agent.status is Status.RUNNING:
                extra.setdefault(to, []).append(message)
            else:
                reason = f"agent is {agent.status}"
                undelivered.append(
                    Undelivered(message.kind, message.tick, message.agent, message.effect, name, reason)
                )
    for completion in arrivals.completions:
        request = world.requests.pending[completion.tick, completion.agent, completion.effect]
        message = Message(
            kind=MessageClass.COMPLETION,
            tick=request.tick,
            agent=request.agent,
            effect=request.effect,
            sender=MODEL_SENDER_PREFIX + world.run.models[request.model].name,
            topic=TOPIC_REPLY if completion.last else TOPIC_PIECE,
            body=completion.body,
            reply_to=request.request,
        )
        extra.setdefault(request.agent, []).append(message)
    due = world.timers.pending.get(world.tick, {}).values()
    for timer in due if broken is None else broken.timers_left(due):
        message = Message(
            kind=MessageClass.TIMER,
            tick=timer.tick,
            agent=timer.agent,
            effect=timer.effect,
            sender=world.agents[timer.agent].spec.id,
            topic=timer.topic,
            body=timer.body,
            reply_to=timer.request,
        )
        extra.setdefault(timer.agent, []).append(message)
    for to, messages in extra.items():
        boxes[to] = sorted([*boxes.get(to, ()), *messages], key=inbox_order)
    return boxes, undelivered


def settle(world: World, planned: Plan, outcomes: Sequence[Outcome]) -> Settled:
    """Return what the tick came to, given the outcome of each planned turn in the plan's order. Pure."""
    broken = planned.broken
    settling = Settling(world, None if broken is None else broken.faults)
    if broken is not None:
        for agent, inbox in broken.held.items():
            settling.hold(agent, inbox)
        for agent, inbox in broken.crashed.items():
            settling.crash(agent, inbox, setup=world.agents[agent].status is Status.STARTING)
    # What was sent to an agent that is only now set up waits for its first step.
    for turn in planned.turns:
        if turn.setup and turn.agent in world.mailboxes:
            settling.carry(turn.agent, world.mailboxes[turn.agent])
    for timer in tuple(world.timers.pending.get(world.tick, {}).values()):
        settling.timers.cancel(timer.agent, timer.request)
    settling.requests.answer(world.tick)
    for turn, outcome in zip(planned.turns, outcomes, strict=True):
        settling.judge_outcome(turn.agent, turn.inbox, outcome, setup=turn.setup)
    settling.arrive()
    turns = tuple(
        settling.settle_turn(turn.agent, outcome)
        for turn, outcome in zip(planned.turns, outcomes, strict=True)
    )
    finished = settling.finish()
    undelivered = (*planned.undelivered, *finished.late)
    applied = () if broken is None else (*broken.applied, *finished.applied)
    return Settled(
        world=finished.world,
        entry=Entry(planned.tick, planned.arrivals, turns, undelivered, applied),
        fuel=tuple(outcome.fuel for outcome in outcomes),
        performed=tuple(settling.performed),
        started=finished.started,
        ended=finished.ended,
        restarted=finished.restarted,
        rolled_back=finished.rolled_back,
        asked=finished.asked,
        cancelled=finished.cancelled,
    )
