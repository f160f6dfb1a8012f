"""The two pure functions that a run is made of; WASM runs between them.

`plan` names the turns of a tick, the shell runs them on a pool in any order, and `settle` folds their
outcomes, in agent order, into the next world; `take` does both, wave by wave. Record, replay and fork differ
only in where the arrivals and outcomes come from.

A tick's rules, in the order in which they apply:

1. Agents that start are set up and do nothing else in that tick; what is sent to them waits.
2. Inputs, waiting messages, due completions and due timers make the inboxes. Who has one, or is marked
   `every_tick`, steps.
3. A failed turn ends its agent before any effect of the tick is looked at.
4. Effects are judged one by one in (agent, effect) order. What is refused is journaled and its sender told
   in the next tick.
5. An agent that is stopped ends with the tick: it keeps the turn that it took, and what already waited for
   it goes back to its senders as rejected.
6. With edges between agents (`core.dag`) a tick has waves: rules 2 to 4 hold in each of them. What an agent
   sends along an edge arrives in the same tick, in a later wave; everything else in the next. Who starts is
   set up in the first wave.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import msgspec

from tickwork.core.entropy import turn_seeds
from tickwork.core.entry import Entry, TurnEntry, Undelivered
from tickwork.core.faulting import Broken, tick_faults
from tickwork.core.messages import Arrivals, Message, MessageClass
from tickwork.core.names import INPUT_SENDER_PREFIX, MODEL_SENDER_PREFIX, TOPIC_PIECE, TOPIC_REPLY
from tickwork.core.order import inbox_order
from tickwork.core.outcomes import Outcome
from tickwork.core.requests import FAILED_ANSWER, PendingRequest, RequestKey
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


class _Opening(msgspec.Struct):
    """A tick at its beginning: inboxes by agent, of those whose turn is due as far as can be known then."""

    boxes: dict[int, Sequence[Message]]
    undelivered: list[Undelivered]
    broken: Broken | None


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
    """Return the turns that are due in the world's tick by what is known at its beginning.

    The completions among the arrivals are those that are due: `requests.arrivals_fault` finds no fault.
    Pure; the world is not changed.
    """
    opening = _open(world, arrivals)
    return _planned(world, arrivals, opening, _turns(world, opening, opening.boxes))


def _open(world: World, arrivals: Arrivals) -> _Opening:
    faults = tick_faults(world)
    broken = None if faults is None else Broken(faults)
    boxes, undelivered = _deliver(world, arrivals, broken)
    for agent in world.directory.every_tick:
        boxes.setdefault(agent, ())
    for agent in world.directory.starting:
        boxes[agent] = ()
    if broken is not None:
        broken.interrupt(world, boxes)
    return _Opening(boxes, undelivered, broken)


def _turns(world: World, opening: _Opening, boxes: Mapping[int, Sequence[Message]]) -> tuple[Turn, ...]:
    """Return the turns with these inboxes, in agent order."""
    due = sorted(boxes)
    seeds = turn_seeds(world.run.seed, world.tick, due, len(world.agents))
    starts = dict.fromkeys(world.directory.starting)
    turns = tuple(
        Turn(agent, agent in starts, seed, boxes[agent]) for agent, seed in zip(due, seeds, strict=True)
    )
    broken = opening.broken
    return turns if broken is None else tuple(_hampered(turn, broken) for turn in turns)


def _hampered(turn: Turn, broken: Broken) -> Turn:
    inbox = turn.inbox if turn.setup else broken.reordered(turn.agent, turn.inbox)
    return Turn(turn.agent, turn.setup, turn.seed, inbox, *broken.allowance(turn.agent))


def _planned(world: World, arrivals: Arrivals, opening: _Opening, turns: tuple[Turn, ...]) -> Plan:
    undelivered = tuple(opening.undelivered)
    return Plan(world.tick, world.now_ns, arrivals, turns, undelivered, opening.broken)


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
    for agent_index, message in _answers(world, arrivals):
        extra.setdefault(agent_index, []).append(message)
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


def _answers(world: World, arrivals: Arrivals) -> Iterator[tuple[int, Message]]:
    """Yield what comes of requests in the tick, and for whom."""
    pending = world.requests.pending
    found = [
        (request := pending[each.tick, each.agent, each.effect], each.last, request.received(each.body))
        for each in arrivals.completions
    ]
    if pending:
        found += [(request, True, FAILED_ANSWER) for request in world.requests.failing(world.tick)]
    for request, last, body in found:
        message = Message(
            kind=MessageClass.COMPLETION,
            tick=request.tick,
            agent=request.agent,
            effect=request.effect,
            sender=MODEL_SENDER_PREFIX + world.run.models[request.model].name,
            topic=TOPIC_REPLY if last else TOPIC_PIECE,
            body=body,
            reply_to=request.request,
        )
        yield request.agent, message


def settle(world: World, planned: Plan, outcomes: Sequence[Outcome]) -> Settled:
    """Return what a tick of one wave came to, from the outcome of each planned turn in its order. Pure."""
    settling = _begin(world, planned.broken, (turn.agent for turn in planned.turns if turn.setup))
    _judge(settling, planned.turns, outcomes)
    settling.arrive()
    return _finish(settling, planned, _settle_turns(settling, planned.turns, outcomes), outcomes)


def take(world: World, arrivals: Arrivals, run: Callable[[Plan], Sequence[Outcome]]) -> tuple[Plan, Settled]:
    """Take a whole tick, in as many waves as the world has; return all its turns, and what it came to.

    `run` is asked for the outcomes of each wave's turns, in their order. Pure, if that is.
    """
    if world.waves.count == 1:
        planned = plan(world, arrivals)
        return planned, settle(world, planned, run(planned))
    opening = _open(world, arrivals)
    starting = [agent for agent in world.directory.starting if agent in opening.boxes]
    settling = _begin(world, opening.broken, starting)
    settling.arrive()
    turns: list[Turn] = []
    entries: list[TurnEntry] = []
    outcomes: list[Outcome] = []
    for wave, boxes in enumerate(_by_wave(world, opening)):
        for agent, messages in settling.take_arrived(wave).items():
            boxes[agent] = sorted([*boxes.get(agent, ()), *messages], key=inbox_order)
        if boxes:
            due = _turns(world, opening, boxes)
            found = run(_planned(world, arrivals, opening, due))
            _judge(settling, due, found)
            entries += _settle_turns(settling, due, found)
            turns += due
            outcomes += found
    planned = _planned(world, arrivals, opening, tuple(turns))
    return planned, _finish(settling, planned, tuple(entries), outcomes)


def _by_wave(world: World, opening: _Opening) -> list[dict[int, Sequence[Message]]]:
    """Return the inboxes that are known at the tick's beginning by wave; agents are set up in the first."""
    waves: list[dict[int, Sequence[Message]]] = [{} for _ in range(world.waves.count)]
    for agent, box in opening.boxes.items():
        state = world.agents[agent]
        wave = 0 if state.status is Status.STARTING else world.waves.of(state.spec.id)
        waves[wave][agent] = box
    return waves


def _begin(world: World, broken: Broken | None, starting: Iterable[int]) -> Settling:
    settling = Settling(world, None if broken is None else broken.faults)
    if broken is not None:
        for agent, inbox in broken.held.items():
            settling.hold(agent, inbox)
        for agent, inbox in broken.crashed.items():
            settling.crash(agent, inbox, setup=world.agents[agent].status is Status.STARTING)
    # What was sent to an agent that is only now set up waits for its first step.
    for agent in starting:
        if agent in world.mailboxes:
            settling.carry(agent, world.mailboxes[agent])
    for timer in tuple(world.timers.pending.get(world.tick, {}).values()):
        settling.timers.cancel(timer.agent, timer.request)
    settling.requests.answer(world.tick)
    return settling


def _judge(settling: Settling, turns: Sequence[Turn], outcomes: Sequence[Outcome]) -> None:
    for turn, outcome in zip(turns, outcomes, strict=True):
        settling.judge_outcome(turn.agent, turn.inbox, outcome, setup=turn.setup)


def _settle_turns(
    settling: Settling, turns: Sequence[Turn], outcomes: Sequence[Outcome]
) -> tuple[TurnEntry, ...]:
    return tuple(
        settling.settle_turn(turn.agent, outcome) for turn, outcome in zip(turns, outcomes, strict=True)
    )


def _finish(
    settling: Settling, planned: Plan, turns: tuple[TurnEntry, ...], outcomes: Sequence[Outcome]
) -> Settled:
    finished = settling.finish()
    undelivered = (*planned.undelivered, *finished.late)
    applied = () if planned.broken is None else (*planned.broken.applied, *finished.applied)
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
