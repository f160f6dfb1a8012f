"""One tick's effects judged and carried into the next world. Used by `step.settle` and by nothing else."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from tickwork.core.edits import FORK_ORIGIN
from tickwork.core.effects import (
    Call,
    Effect,
    Infer,
    Log,
    Metric,
    Output,
    Publish,
    Send,
    Spawn,
    Stop,
    Timer,
)
from tickwork.core.entry import Refusal, TurnEntry, Undelivered
from tickwork.core.errors import HostError
from tickwork.core.grants import Capability, find
from tickwork.core.limits import Limits
from tickwork.core.messages import Message, MessageClass
from tickwork.core.names import (
    RUNTIME_SENDER,
    TOPIC_CHARS_MAX,
    TOPIC_DENIED,
    TOPIC_REJECTED,
    spawned_id_fault,
)
from tickwork.core.order import inbox_order
from tickwork.core.outcomes import Outcome, OutcomeKind
from tickwork.core.refusals import DENIED, REJECTED, Notice, Refused, clipped, number, quoted, target
from tickwork.core.timers import PendingTimer, TimersEdit
from tickwork.core.world import AgentState, Directory, Status, World

_TICK_MAX = (1 << 63) - 1
# Bounds the memory of remembered routes where everybody talks to everybody.
ROUTES_MAX = 256
# Bounds the record of a publish that a crowd of full mailboxes refused.
_MISSED_NAMED_MAX = 8
# Looking a member up on its enum costs as much as the rest of a send's bookkeeping.
_OK = OutcomeKind.OK
_MESSAGE = MessageClass.MESSAGE


class Performed(NamedTuple):
    """An effect that the shell must carry out once the tick is durable."""

    agent: int
    effect: int
    what: Output


class _Mailbox:
    """The messages for one agent's next inbox, and how much more it may take."""

    __slots__ = ("messages", "room", "room_bytes")

    def __init__(self, limits: Limits) -> None:
        self.messages: list[Message] = []
        self.room = limits.mailbox_messages
        self.room_bytes = limits.mailbox_bytes


def _long_topic() -> Refused:
    return Refused(REJECTED, f"its topic is longer than {TOPIC_CHARS_MAX} characters")


class Settling:
    """The tick in the making. The methods are called in the order of `step`'s rules."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._agents: Sequence[AgentState] = world.agents
        self._own_agents: list[AgentState] | None = None
        self._index: Mapping[str, int] = world.directory.index
        self._new_index: dict[str, int] = {}
        self._routes = world.directory.routes
        self._tick = world.tick
        self._boxes: dict[int, _Mailbox] = {}
        self._unsorted: dict[int, None] = {}
        self._stopping: dict[int, str] = {}
        self._ended: list[int] = []
        self._tick_counts: dict[tuple[int, int], int] = {}
        self._spent: dict[tuple[int, int], int] | None = None
        self.timers = TimersEdit(world.timers)
        self.performed: list[Performed] = []

    def _writable_agents(self) -> list[AgentState]:
        """Return the next world's agents for a change; in most ticks there is none, and nothing is copied."""
        if self._own_agents is None:
            self._agents = self._own_agents = list(self._agents)
        return self._own_agents

    def carry(self, agent: int, messages: Sequence[Message]) -> None:
        """Keep what waits for an agent that takes no step in this tick."""
        box = self._boxes[agent] = _Mailbox(self._agents[agent].spec.limits)
        box.messages += messages
        box.room -= len(messages)
        box.room_bytes -= sum(len(message.body) for message in messages)

    def judge_outcome(self, agent: int, outcome: Outcome, *, setup: bool) -> None:
        """Let the agent start, go on, or end by its turn's outcome.

        Raises HostError if a failed turn brings effects other than logs: the pool broke its promise.
        """
        if outcome.kind is not _OK:
            if not all(isinstance(effect, Log) for effect in outcome.effects):
                raise HostError(f"the pool reports effects of a failed turn ({outcome.kind}, agent {agent})")
            reason = f"{outcome.kind}: {outcome.detail}" if outcome.detail else str(outcome.kind)
            self._end(agent, Status.FAILED, reason)
        elif setup:
            state = self._agents[agent]
            self._writable_agents()[agent] = msgspec.structs.replace(state, status=Status.RUNNING)

    def _end(self, agent: int, status: Status, reason: str) -> None:
        self._writable_agents()[agent] = AgentState(self._agents[agent].spec, status, reason)
        self._ended.append(agent)
        self._close(agent)

    def _close(self, agent: int) -> None:
        """Let nothing more into the mailbox."""
        if agent in self._boxes:
            self._boxes[agent].room = 0

    def settle_turn(self, agent: int, outcome: Outcome) -> TurnEntry:
        """Perform or refuse each effect of one turn and return the turn's record."""
        effects = outcome.effects
        if not effects:
            return TurnEntry(agent, outcome.kind, effects, (), outcome.detail)
        refusals: list[Refusal] = []
        sender = self._agents[agent].spec.id
        # What is not remembered, `_route` judges.
        routes = self._routes.setdefault(agent, {})
        for place, effect in enumerate(effects):
            try:
                if type(effect) is Send:  # by far the most frequent
                    receiver = routes.get(effect.to, -1)
                    if receiver < 0:
                        receiver = self._route(agent, effect.to)
                    topic, body = effect.topic, effect.body
                    if len(topic) > TOPIC_CHARS_MAX:
                        raise _long_topic()
                    message = Message(
                        _MESSAGE, self._tick, agent, place, sender, topic, body, effect.reply_to
                    )
                    self._put(receiver, message, len(body))
                else:
                    self._other(agent, place, effect)
            except Refused as refused:
                refusals.append(Refusal(place, refused.verdict, refused.reason))
                self._notify(agent, place, effect, refused)
        return TurnEntry(agent, outcome.kind, effects, tuple(refusals), outcome.detail)

    def _other(self, agent: int, place: int, effect: Effect) -> None:
        match effect:
            case Publish():
                self._publish(agent, place, effect)
            case Output():
                self._authorise(agent, Capability.OUTPUT, effect.name)
                if effect.name not in self._world.run.outputs:
                    raise Refused(REJECTED, f"there is no output {quoted(effect.name)}")
                self.performed.append(Performed(agent, place, effect))
            case Timer():
                self._timer(agent, place, effect)
            case Log() | Metric() | Send():
                pass  # a log's or metric's record in the entry is all there is to it; sends do not come here
            case Spawn():
                self._spawn(agent, effect)
            case Stop():
                self._stop(agent, effect)
            case Infer():
                self._authorise(agent, Capability.INFER, effect.model)
                raise Refused(REJECTED, f"nothing serves the model {quoted(effect.model)} in this run")
            case Call():
                self._authorise(agent, Capability.CALL, effect.tool)
                raise Refused(REJECTED, f"nothing serves the tool {quoted(effect.tool)} in this run")

    def _authorise(self, agent: int, capability: Capability, aim: str) -> bool:
        """Charge the first grant that covers the effect, or refuse; return whether the grant has a limit."""
        grants = self._agents[agent].spec.grants
        found = find(grants, capability, aim)
        if found is None:
            asked = quoted(f"{capability}:{aim}" if aim else str(capability))
            raise Refused(DENIED, f"no grant covers {asked}")
        grant = grants[found]
        key = (agent, found)
        if grant.per_tick is not None:
            count = self._tick_counts.get(key, 0) + 1
            if count > grant.per_tick:
                raise Refused(REJECTED, f"over the limit of {grant.per_tick} per tick of grant {grant}")
            self._tick_counts[key] = count
        if grant.per_run is not None:
            spent = self._world.spent if self._spent is None else self._spent
            count = spent.get(key, 0) + 1
            if count > grant.per_run:
                raise Refused(REJECTED, f"over the limit of {grant.per_run} per run of grant {grant}")
            if self._spent is None:
                self._spent = dict(self._world.spent)
            self._spent[key] = count
        return grant.per_tick is not None or grant.per_run is not None

    def _route(self, agent: int, to: str) -> int:
        """Return the receiver's index; remember it where a later send needs no other judgement."""
        limited = self._authorise(agent, Capability.SEND, to)
        receiver = self._index.get(to, -1)
        if receiver < 0:
            receiver = self._new_index.get(to, -1)
            if receiver < 0:
                raise Refused(REJECTED, f"there is no agent {quoted(to)}")
        elif not limited:
            routes = self._routes[agent]
            if len(routes) < ROUTES_MAX:
                routes[to] = receiver
        return receiver

    def _put(self, receiver: int, message: Message, size: int) -> None:
        """Append to a mailbox, or refuse: the agent has ended, or the mailbox is full."""
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
        ended = self._ended_fault(receiver)
        if ended is not None:
            raise Refused(REJECTED, ended)
        box = self._boxes[receiver] = _Mailbox(self._agents[receiver].spec.limits)
        return box

    def _no_room(self, receiver: int, box: _Mailbox) -> Refused:
        ended = self._ended_fault(receiver)
        if ended is not None:
            return Refused(REJECTED, ended)
        spec = self._agents[receiver].spec
        cap = (
            f"{spec.limits.mailbox_messages} messages"
            if box.room <= 0
            else f"{spec.limits.mailbox_bytes} bytes"
        )
        return Refused(REJECTED, f"mailbox of {quoted(spec.id)} is full ({cap})")

    def _ended_fault(self, agent: int) -> str | None:
        """Return that the agent is ended, or about to be, in the words of a refusal."""
        state = self._agents[agent]
        if state.live and agent not in self._stopping:
            return None
        status = Status.STOPPED if state.live else state.status
        return f"agent {quoted(state.spec.id)} is {status}"

    def _publish(self, agent: int, place: int, effect: Publish) -> None:
        self._authorise(agent, Capability.PUBLISH, effect.topic)
        sender = self._agents[agent].spec.id
        message = Message(_MESSAGE, self._tick, agent, place, sender, effect.topic, effect.body)
        missed = 0
        reasons: list[str] = []
        for receiver in self._world.directory.subscribers.get(effect.topic, ()):
            try:
                self._put(receiver, message, len(effect.body))
            except Refused as refused:
                missed += 1
                if missed <= _MISSED_NAMED_MAX:
                    reasons.append(refused.reason)
        if missed:
            if missed > _MISSED_NAMED_MAX:
                reasons.append(f"and {missed - _MISSED_NAMED_MAX} more")
            raise Refused(REJECTED, "not everybody was reached: " + "; ".join(reasons))

    def _timer(self, agent: int, place: int, effect: Timer) -> None:
        self._authorise(agent, Capability.TIMER, "")
        if effect.after_ticks == 0:
            self.timers.cancel(agent, effect.request)
            return
        if len(effect.topic) > TOPIC_CHARS_MAX:
            raise _long_topic()
        due = self._tick + effect.after_ticks
        if due > _TICK_MAX:
            raise Refused(REJECTED, f"a timer cannot be due after tick {_TICK_MAX}")
        limit = self._agents[agent].spec.limits.timers
        if not self.timers.holds(agent, effect.request) and self.timers.count(agent) >= limit:
            raise Refused(REJECTED, f"over the limit of {limit} pending timers")
        pending = PendingTimer(agent, effect.request, self._tick, place, effect.topic, effect.body)
        self.timers.set(pending, due)

    def _spawn(self, agent: int, effect: Spawn) -> None:
        self._authorise(agent, Capability.SPAWN, effect.kind)
        run = self._world.run
        kind = next((kind for kind in run.kinds if kind.id == effect.kind), None)
        if kind is None:
            raise Refused(REJECTED, f"there is no kind {quoted(effect.kind)}")
        fault = spawned_id_fault(effect.id, effect.kind)
        if fault is not None:
            raise Refused(REJECTED, f"the id {quoted(effect.id)} {fault}")
        if effect.id in self._index or effect.id in self._new_index:
            raise Refused(REJECTED, f"there is already an agent {quoted(effect.id)}")
        agents = self._writable_agents()
        if len(agents) >= run.limits.agents:
            raise Refused(REJECTED, f"over the limit of {run.limits.agents} agents")
        spec = msgspec.structs.replace(kind, id=effect.id, config=effect.config or kind.config)
        self._new_index[effect.id] = len(agents)
        agents.append(AgentState(spec))

    def _stop(self, agent: int, effect: Stop) -> None:
        aim = agent if effect.id is None else self._index.get(effect.id, self._new_index.get(effect.id, -1))
        if effect.id is not None and aim != agent:
            self._authorise(agent, Capability.STOP, effect.id)
            if aim < 0:
                raise Refused(REJECTED, f"there is no agent {quoted(effect.id)}")
            if not self._agents[aim].live:
                raise Refused(REJECTED, f"agent {quoted(effect.id)} is {self._agents[aim].status} already")
        self._stopping.setdefault(aim, effect.reason)
        self._close(aim)

    def _notify(self, agent: int, place: int, effect: Effect, refused: Refused) -> None:
        if self._ended_fault(agent) is None:
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

    def finish(self) -> tuple[World, list[Undelivered], tuple[int, ...], tuple[int, ...]]:
        """Return the next world, what was undeliverable, and the agents that started and ended."""
        late = self._return_letters()
        self.timers.cancel_owned(self._ended)
        for agent in self._unsorted:
            self._boxes[agent].messages.sort(key=inbox_order)
        world = self._world
        agents = world.agents if self._own_agents is None else tuple(self._own_agents)
        after = World(
            run=world.run,
            agents=agents,
            directory=world.directory if self._own_agents is None else Directory.of(agents),
            tick=world.tick + 1,
            mailboxes={agent: box.messages for agent, box in self._boxes.items() if box.messages},
            timers=self.timers.done(),
            spent=world.spent if self._spent is None else self._spent,
        )
        started = tuple(range(len(world.agents), len(agents)))
        return after, late, started, tuple(self._ended)

    def _return_letters(self) -> list[Undelivered]:
        """End those who were stopped, and hand what waited for all who ended back to its senders."""
        for agent, reason in sorted(self._stopping.items()):
            self._end(agent, Status.STOPPED, reason)
        late: list[Undelivered] = []
        letters: list[tuple[Message, str, str]] = []
        for agent in sorted(self._ended):
            state = self._agents[agent]
            box = self._boxes.pop(agent, None)
            for message in () if box is None else box.messages:
                reason = f"agent is {state.status}"
                late.append(
                    Undelivered(
                        message.kind, message.tick, message.agent, message.effect, state.spec.id, reason
                    )
                )
                # Nobody sent what the runtime told the agent, or what a fork injected.
                if (
                    message.kind == _MESSAGE
                    and message.sender != RUNTIME_SENDER
                    and message.agent != FORK_ORIGIN
                ):
                    letters.append(
                        (message, state.spec.id, f"agent {quoted(state.spec.id)} is {state.status}")
                    )
        for message, to, reason in letters:
            sender = message.agent
            if self._agents[sender].live:
                effect = Send(to, message.topic, message.body, message.reply_to)
                self._notice(sender, message.tick, message.effect, effect, TOPIC_REJECTED, reason)
                self._unsorted[sender] = None
        return late
