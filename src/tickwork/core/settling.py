"""One tick's effects judged and carried into the next world. Used by `step.settle` and by nothing else."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

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
from tickwork.core.grants import Capability, find
from tickwork.core.messages import Message, MessageClass
from tickwork.core.names import RUNTIME_SENDER, TOPIC_DENIED, TOPIC_REJECTED, spawned_id_fault
from tickwork.core.order import inbox_order
from tickwork.core.outcomes import Outcome, OutcomeKind
from tickwork.core.timers import PendingTimer, TimersEdit
from tickwork.core.world import AgentState, Directory, Status, World

DENIED = "denied"
REJECTED = "rejected"
_TICK_MAX = (1 << 63) - 1
# Bounds the memory of remembered routes where everybody talks to everybody.
ROUTES_MAX = 256


class Performed(NamedTuple):
    """An effect that the shell must carry out once the tick is durable."""

    agent: int
    effect: int
    what: Output


class Notice(msgspec.Struct, frozen=True):
    """The JSON body of `tickwork.denied` and `tickwork.rejected`."""

    tick: int
    effect: int
    kind: str
    target: str
    reason: str


class _Refused(Exception):  # noqa: N818 - control flow within this module, never an error of the run
    def __init__(self, verdict: str, reason: str) -> None:
        super().__init__(reason)
        self.verdict = verdict
        self.reason = reason


def _number(effect: Effect) -> int | None:
    """Return the number by which the sender knows the effect, if it gave one."""
    if isinstance(effect, Send):
        return effect.reply_to
    if isinstance(effect, (Infer, Call, Timer)):
        return effect.request
    return None


class Settling:
    """The tick in the making. The methods are called in the order of `step`'s rules."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._agents = list(world.agents)
        self._index: Mapping[str, int] = world.directory.index
        self._new_index: dict[str, int] = {}
        self._routes = world.directory.routes
        self._tick = world.tick
        self._changed = False
        self._boxes: dict[int, list[Message]] = {}
        self._box_bytes: dict[int, int] = {}
        self._unsorted: dict[int, None] = {}
        self._stopping: dict[int, str] = {}
        self._ended: list[int] = []
        self._tick_counts: dict[tuple[int, int], int] = {}
        self._spent: dict[tuple[int, int], int] | None = None
        self.timers = TimersEdit(world.timers)
        self.performed: list[Performed] = []

    def carry(self, agent: int, messages: Sequence[Message]) -> None:
        """Keep what waits for an agent that takes no step in this tick."""
        self._boxes[agent] = list(messages)
        self._box_bytes[agent] = sum(len(message.body) for message in messages)

    def judge_outcome(self, agent: int, outcome: Outcome, *, setup: bool) -> None:
        """Let the agent start, go on, or end by its turn's outcome."""
        if outcome.kind is not OutcomeKind.OK:
            reason = f"{outcome.kind}: {outcome.detail}" if outcome.detail else str(outcome.kind)
            self._end(agent, Status.FAILED, reason)
        elif setup:
            self._agents[agent] = msgspec.structs.replace(self._agents[agent], status=Status.RUNNING)
            self._changed = True

    def _end(self, agent: int, status: Status, reason: str) -> None:
        state = self._agents[agent]
        self._agents[agent] = AgentState(state.spec, status, reason)
        self._ended.append(agent)
        self._changed = True
        self.timers.cancel_all(agent)

    def settle_turn(self, agent: int, outcome: Outcome) -> TurnEntry:
        """Perform or refuse each effect of one turn and return the turn's record."""
        refusals: list[Refusal] = []
        for place, effect in enumerate(outcome.effects):
            try:
                if type(effect) is Send:  # by far the most frequent
                    self._send(agent, place, effect)
                else:
                    self._other(agent, place, effect)
            except _Refused as refused:
                refusals.append(Refusal(place, refused.verdict, refused.reason))
                self._notify(agent, place, effect, refused)
        return TurnEntry(agent, outcome.kind, outcome.effects, tuple(refusals), outcome.detail)

    def _other(self, agent: int, place: int, effect: Effect) -> None:
        match effect:
            case Send():
                self._send(agent, place, effect)
            case Publish():
                self._publish(agent, place, effect)
            case Output():
                self._authorise(agent, Capability.OUTPUT, effect.name)
                if effect.name not in self._world.run.outputs:
                    raise _Refused(REJECTED, f"there is no output {effect.name!r}")
                self.performed.append(Performed(agent, place, effect))
            case Timer():
                self._timer(agent, place, effect)
            case Log() | Metric():
                pass  # its record in the entry is all there is to it
            case Spawn():
                self._spawn(agent, effect)
            case Stop():
                self._stop(agent, effect)
            case Infer():
                self._authorise(agent, Capability.INFER, effect.model)
                raise _Refused(REJECTED, f"nothing serves the model {effect.model!r} in this run")
            case Call():
                self._authorise(agent, Capability.CALL, effect.tool)
                raise _Refused(REJECTED, f"nothing serves the tool {effect.tool!r} in this run")

    def _authorise(self, agent: int, capability: Capability, target: str) -> bool:
        """Charge the first grant that covers the effect, or refuse; return whether the grant has a limit."""
        grants = self._agents[agent].spec.grants
        found = find(grants, capability, target)
        if found is None:
            asked = f"{capability}:{target}" if target else str(capability)
            raise _Refused(DENIED, f"no grant covers {asked}")
        grant = grants[found]
        key = (agent, found)
        if grant.per_tick is not None:
            count = self._tick_counts.get(key, 0) + 1
            if count > grant.per_tick:
                raise _Refused(REJECTED, f"over the limit of {grant.per_tick} per tick of grant {grant}")
            self._tick_counts[key] = count
        if grant.per_run is not None:
            spent = self._world.spent if self._spent is None else self._spent
            count = spent.get(key, 0) + 1
            if count > grant.per_run:
                raise _Refused(REJECTED, f"over the limit of {grant.per_run} per run of grant {grant}")
            if self._spent is None:
                self._spent = dict(self._world.spent)
            self._spent[key] = count
        return grant.per_tick is not None or grant.per_run is not None

    def _send(self, agent: int, place: int, effect: Send) -> None:
        routes = self._routes.get(agent)
        receiver = -1 if routes is None else routes.get(effect.to, -1)
        if receiver < 0:
            receiver = self._route(agent, effect.to)
        message = Message(
            MessageClass.MESSAGE,
            self._tick,
            agent,
            place,
            self._agents[agent].spec.id,
            effect.topic,
            effect.body,
            effect.reply_to,
        )
        self._put(receiver, message)

    def _route(self, agent: int, to: str) -> int:
        """Return the receiver's index; remember it where a later send needs no other judgement."""
        limited = self._authorise(agent, Capability.SEND, to)
        receiver = self._index.get(to, -1)
        if receiver < 0:
            receiver = self._new_index.get(to, -1)
            if receiver < 0:
                raise _Refused(REJECTED, f"there is no agent {to!r}")
        elif not limited:
            routes = self._routes.setdefault(agent, {})
            if len(routes) < ROUTES_MAX:
                routes[to] = receiver
        return receiver

    def _put(self, receiver: int, message: Message) -> None:
        """Append to a mailbox, or refuse: the agent has ended, or the mailbox is full."""
        state = self._agents[receiver]
        if not state.live or receiver in self._stopping:
            status = state.status if not state.live else Status.STOPPED
            raise _Refused(REJECTED, f"agent {state.spec.id!r} is {status}")
        limits = state.spec.limits
        box = self._boxes.get(receiver)
        if box is None:
            box = self._boxes[receiver] = []
        if len(box) >= limits.mailbox_messages:
            raise _Refused(
                REJECTED, f"mailbox of {state.spec.id!r} is full ({limits.mailbox_messages} messages)"
            )
        size = self._box_bytes.get(receiver, 0) + len(message.body)
        if size > limits.mailbox_bytes:
            raise _Refused(REJECTED, f"mailbox of {state.spec.id!r} is full ({limits.mailbox_bytes} bytes)")
        self._box_bytes[receiver] = size
        box.append(message)

    def _publish(self, agent: int, place: int, effect: Publish) -> None:
        self._authorise(agent, Capability.PUBLISH, effect.topic)
        sender = self._agents[agent].spec.id
        message = Message(MessageClass.MESSAGE, self._tick, agent, place, sender, effect.topic, effect.body)
        missed: list[str] = []
        for receiver in self._world.directory.subscribers.get(effect.topic, ()):
            try:
                self._put(receiver, message)
            except _Refused as refused:
                missed.append(refused.reason)
        if missed:
            raise _Refused(REJECTED, "not everybody was reached: " + "; ".join(missed))

    def _timer(self, agent: int, place: int, effect: Timer) -> None:
        self._authorise(agent, Capability.TIMER, "")
        if effect.after_ticks == 0:
            self.timers.cancel(agent, effect.request)
            return
        due = self._tick + effect.after_ticks
        if due > _TICK_MAX:
            raise _Refused(REJECTED, f"a timer cannot be due after tick {_TICK_MAX}")
        limit = self._agents[agent].spec.limits.timers
        if not self.timers.holds(agent, effect.request) and self.timers.count(agent) >= limit:
            raise _Refused(REJECTED, f"over the limit of {limit} pending timers")
        pending = PendingTimer(agent, effect.request, self._tick, place, effect.topic, effect.body)
        self.timers.set(pending, due)

    def _spawn(self, agent: int, effect: Spawn) -> None:
        self._authorise(agent, Capability.SPAWN, effect.kind)
        run = self._world.run
        kind = next((kind for kind in run.kinds if kind.id == effect.kind), None)
        if kind is None:
            raise _Refused(REJECTED, f"there is no kind {effect.kind!r}")
        fault = spawned_id_fault(effect.id, effect.kind)
        if fault is not None:
            raise _Refused(REJECTED, f"the id {effect.id!r} {fault}")
        if effect.id in self._index or effect.id in self._new_index:
            raise _Refused(REJECTED, f"there is already an agent {effect.id!r}")
        if len(self._agents) >= run.limits.agents:
            raise _Refused(REJECTED, f"over the limit of {run.limits.agents} agents")
        spec = msgspec.structs.replace(kind, id=effect.id, config=effect.config or kind.config)
        self._new_index[effect.id] = len(self._agents)
        self._agents.append(AgentState(spec))
        self._changed = True

    def _stop(self, agent: int, effect: Stop) -> None:
        if effect.id is None:
            self._stopping.setdefault(agent, effect.reason)
            return
        target = self._index.get(effect.id, self._new_index.get(effect.id, -1))
        if target != agent:
            self._authorise(agent, Capability.STOP, effect.id)
        if target < 0:
            raise _Refused(REJECTED, f"there is no agent {effect.id!r}")
        if not self._agents[target].live:
            raise _Refused(REJECTED, f"agent {effect.id!r} is {self._agents[target].status} already")
        self._stopping.setdefault(target, effect.reason)

    def _notify(self, agent: int, place: int, effect: Effect, refused: _Refused) -> None:
        """Tell the sender, over and above its mailbox's cap: its own effects bound the number."""
        if not self._agents[agent].live or agent in self._stopping:
            return
        topic = TOPIC_DENIED if refused.verdict == DENIED else TOPIC_REJECTED
        self._notice(agent, place, effect, topic, refused.reason)

    def _notice(self, agent: int, place: int, effect: Effect, topic: str, reason: str) -> None:
        notice = Notice(self._tick, place, type(effect).__name__.lower(), _target(effect), reason)
        message = Message(
            MessageClass.MESSAGE,
            self._tick,
            agent,
            place,
            RUNTIME_SENDER,
            topic,
            msgspec.json.encode(notice),
            _number(effect),
        )
        self._boxes.setdefault(agent, []).append(message)

    def finish(self) -> tuple[World, list[Undelivered], tuple[int, ...], tuple[int, ...]]:
        """Return the next world, what was undeliverable, and the agents that started and ended."""
        late = self._return_letters()
        for agent in self._unsorted:
            self._boxes[agent].sort(key=inbox_order)
        world = self._world
        agents = tuple(self._agents) if self._changed else world.agents
        after = World(
            run=world.run,
            agents=agents,
            directory=Directory.of(agents) if self._changed else world.directory,
            tick=world.tick + 1,
            mailboxes={agent: box for agent, box in self._boxes.items() if box},
            timers=self.timers.done(),
            spent=world.spent if self._spent is None else self._spent,
        )
        started = tuple(range(len(world.agents), len(agents)))
        return after, late, started, tuple(self._ended)

    def _return_letters(self) -> list[Undelivered]:
        """End those who were stopped, and hand what waited for all who ended back to its senders."""
        for agent, reason in sorted(self._stopping.items()):
            if self._agents[agent].live:
                self._end(agent, Status.STOPPED, reason)
        late: list[Undelivered] = []
        letters: list[tuple[Message, AgentState]] = []
        for agent in sorted(self._ended):
            state = self._agents[agent]
            for message in self._boxes.pop(agent, ()):
                late.append(
                    Undelivered(
                        message.kind,
                        message.tick,
                        message.agent,
                        message.effect,
                        state.spec.id,
                        f"agent is {state.status}",
                    )
                )
                letters.append((message, state))
        for message, state in letters:
            sender = message.agent
            ours = message.sender == RUNTIME_SENDER or message.kind != MessageClass.MESSAGE
            if not ours and self._agents[sender].live:
                reason = f"agent {state.spec.id!r} is {state.status}"
                returned = Send(state.spec.id, message.topic, message.body, message.reply_to)
                self._notice(sender, message.effect, returned, TOPIC_REJECTED, reason)
                self._unsorted[sender] = None
        return late


def _target(effect: Effect) -> str:
    """Return what the effect was aimed at, in the words of its grant."""
    match effect:
        case Send():
            return effect.to
        case Publish() | Timer():
            return effect.topic
        case Infer():
            return effect.model
        case Call():
            return effect.tool
        case Output() | Metric():
            return effect.name
        case Spawn():
            return effect.id
        case Stop():
            return effect.id or ""
        case Log():
            return ""
