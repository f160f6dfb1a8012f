"""One tick's effects judged and carried into the next world. Used by `step.settle` and by nothing else."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from tickwork.core.allowances import Allowances
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
from tickwork.core.faulting import TickFaults
from tickwork.core.faults import AppliedFault
from tickwork.core.faulty_post import FaultyPost
from tickwork.core.faulty_requests import FaultyRequests
from tickwork.core.grants import Capability
from tickwork.core.messages import DelayedMessage, Message, MessageClass
from tickwork.core.names import TOPIC_CHARS_MAX, spawned_id_fault
from tickwork.core.outcomes import Outcome, OutcomeKind
from tickwork.core.post import Post
from tickwork.core.refusals import LOST, NOT_EVERYBODY, REJECTED, Refused, quoted
from tickwork.core.requests import PendingRequest, RequestKey, RequestsEdit, asked, schedule
from tickwork.core.roster import Roster
from tickwork.core.supervision import OnFailure
from tickwork.core.timers import PendingTimer, TimersEdit
from tickwork.core.world import World

_TICK_MAX = (1 << 63) - 1
# Bounds the memory of remembered routes where everybody talks to everybody.
ROUTES_MAX = 256
# Bounds the record of a publish that a crowd of full mailboxes refused.
_MISSED_NAMED_MAX = 8
# Looking a member up on its enum costs as much as the rest of a send's bookkeeping.
_OK = OutcomeKind.OK
_MESSAGE = MessageClass.MESSAGE
_CRASHED_BEFORE = "crashed on purpose before it"
_CRASHED_AFTER = "crashed on purpose after its turn"
_GOES_ON = {OnFailure.RESTART: "was restarted", OnFailure.ROLLBACK: "was rolled back"}


class Performed(NamedTuple):
    """An effect that the shell must carry out once the tick is durable."""

    agent: int
    effect: int
    what: Output


class Finished(NamedTuple):
    """What a tick came to: the next world, what did not reach its receiver, the faults that hit.

    Then agents: those spawned, ended, and those that failed and go on; and requests: new ones, and those that
    nobody waits for any more.
    """

    world: World
    late: list[Undelivered]
    applied: list[AppliedFault]
    started: tuple[int, ...]
    ended: tuple[int, ...]
    restarted: tuple[int, ...]
    rolled_back: tuple[int, ...]
    asked: tuple[PendingRequest, ...]
    cancelled: tuple[RequestKey, ...]


class _Crash(NamedTuple):
    """An agent that fails after its turn: how many of the turn's effects happen, and what the turn was."""

    fault: AppliedFault
    effects: int
    inbox: Sequence[Message]
    setup: bool


def _long_topic() -> Refused:
    return Refused(REJECTED, f"its topic is longer than {TOPIC_CHARS_MAX} characters")


class Settling:
    """The tick in the making. The methods are called in the order of `step`'s rules."""

    def __init__(self, world: World, faults: TickFaults | None = None) -> None:
        self._world = world
        self._faults = faults
        self._roster = Roster(world)
        self._post: Post = Post(self._roster, world)
        self._faulty_post: FaultyPost | None = None
        self._faulty_requests = None if faults is None else FaultyRequests(faults)
        if faults is not None:
            self._post = self._faulty_post = FaultyPost(self._roster, world, faults)
        self._crashing: dict[int, _Crash] = {}
        self._routes = world.directory.routes
        self._tick = world.tick
        self._allowances = Allowances(world, self._roster)
        self.timers = TimersEdit(world.timers)
        self.requests = RequestsEdit(world.requests)
        self.performed: list[Performed] = []

    def carry(self, agent: int, messages: Sequence[Message]) -> None:
        """Keep what waits for an agent that is only set up in this tick."""
        self._post.carry(agent, messages)

    def hold(self, agent: int, inbox: Sequence[Message]) -> None:
        """Keep the whole inbox of an agent that is paused."""
        self._post.carry_unsorted(agent, inbox)
        self._post.miss(agent)

    def crash(self, agent: int, inbox: Sequence[Message], *, setup: bool) -> None:
        """Let an agent fail before its turn, or before its setup; `inbox` is what waits for it."""
        self._post.miss(agent)
        how = self._fail(agent, _CRASHED_BEFORE, () if setup else inbox, setup=setup)
        if setup or how is OnFailure.STOP:
            self._post.carry_unsorted(agent, inbox)
        if how is OnFailure.STOP:
            self._post.close(agent)

    def take_arrived(self, wave: int) -> dict[int, list[Message]]:
        """Return what earlier waves of this tick sent to the agents of a wave, whose turn now comes."""
        return self._post.take_arrived(wave)

    def arrive(self) -> None:
        """Take in the messages that were delayed until now."""
        for delayed in self._world.delayed.get(self._tick + 1, ()):
            self._post.arrive(delayed.to, delayed.message)

    def _fail(self, agent: int, reason: str, inbox: Sequence[Message], *, setup: bool) -> OnFailure:
        """Let the agent end, or go on without the inbox of the turn that failed."""
        how = self._roster.fail(agent, reason, setup=setup)
        if how is OnFailure.STOP:
            self._post.close(agent)
        else:
            done = _GOES_ON[how]
            name = quoted(self._roster[agent].spec.id)
            self._post.give_back(agent, inbox, f"agent failed and {done}", f"agent {name} failed and {done}")
        return how

    def judge_outcome(self, agent: int, inbox: Sequence[Message], outcome: Outcome, *, setup: bool) -> None:
        """Let the agent start, go on, or end by its turn's outcome.

        Raises HostError if a failed turn brings effects other than logs: the pool broke its promise.
        """
        if outcome.kind is not _OK:
            if not all(isinstance(effect, Log) for effect in outcome.effects):
                raise HostError(f"the pool reports effects of a failed turn ({outcome.kind}, agent {agent})")
            reason = f"{outcome.kind}: {outcome.detail}" if outcome.detail else str(outcome.kind)
            self._fail(agent, reason, inbox, setup=setup)
            return
        if setup:
            self._roster.start(agent)
        crash = None if self._faults is None else self._faults.crash_after(agent)
        if crash is not None:
            effects = len(outcome.effects) if crash.effects is None else crash.effects
            self._crashing[agent] = _Crash(AppliedFault(crash, agent), effects, inbox, setup)

    def settle_turn(self, agent: int, outcome: Outcome) -> TurnEntry:
        """Perform or refuse each effect of one turn and return the turn's record."""
        effects = outcome.effects
        if not effects:
            return TurnEntry(agent, outcome.kind, effects, (), outcome.detail)
        refusals: list[Refusal] = []
        sender = self._roster[agent].spec.id
        put = self._post.putting()
        crash = self._crashing.get(agent)
        last = len(effects) if crash is None else crash.effects
        # What is not remembered, `_route` judges.
        routes = self._routes.setdefault(agent, {})
        for place, effect in enumerate(effects):
            if place >= last:
                refusals.append(Refusal(place, LOST, _CRASHED_BEFORE))
                continue
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
                    put(receiver, message, len(body))
                else:
                    self._other(agent, place, effect)
            except Refused as refused:
                refusals.append(Refusal(place, refused.verdict, refused.reason))
                self._post.notify(agent, place, effect, refused)
        return TurnEntry(agent, outcome.kind, effects, tuple(refusals), outcome.detail)

    def _other(self, agent: int, place: int, effect: Effect) -> None:
        match effect:
            case Publish():
                self._publish(agent, place, effect)
            case Output():
                self._allowances.charge(agent, Capability.OUTPUT, effect.name)
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
                self._infer(agent, place, effect)
            case Call():
                self._allowances.charge(agent, Capability.CALL, effect.tool)
                raise Refused(REJECTED, f"nothing serves the tool {quoted(effect.tool)} in this run")

    def _route(self, agent: int, to: str) -> int:
        """Return the receiver's index; remember it where a later send needs no other judgement."""
        limited = self._allowances.charge(agent, Capability.SEND, to)
        receiver = self._roster.find(to)
        if receiver < 0:
            raise Refused(REJECTED, f"there is no agent {quoted(to)}")
        if not limited and receiver < len(self._world.agents):
            routes = self._routes[agent]
            if len(routes) < ROUTES_MAX:
                routes[to] = receiver
        return receiver

    def _publish(self, agent: int, place: int, effect: Publish) -> None:
        self._allowances.charge(agent, Capability.PUBLISH, effect.topic)
        sender = self._roster[agent].spec.id
        message = Message(_MESSAGE, self._tick, agent, place, sender, effect.topic, effect.body)
        put = self._post.putting()
        missed = 0
        reasons: list[str] = []
        for receiver in self._world.directory.subscribers.get(effect.topic, ()):
            try:
                put(receiver, message, len(effect.body))
            except Refused as refused:
                missed += 1
                if missed <= _MISSED_NAMED_MAX:
                    reasons.append(refused.reason)
        if missed:
            if missed > _MISSED_NAMED_MAX:
                reasons.append(f"and {missed - _MISSED_NAMED_MAX} more")
            raise Refused(REJECTED, NOT_EVERYBODY + "; ".join(reasons))

    def _timer(self, agent: int, place: int, effect: Timer) -> None:
        self._allowances.charge(agent, Capability.TIMER, "")
        if effect.after_ticks == 0:
            self.timers.cancel(agent, effect.request)
            return
        if len(effect.topic) > TOPIC_CHARS_MAX:
            raise _long_topic()
        due = self._tick + effect.after_ticks
        if due > _TICK_MAX:
            raise Refused(REJECTED, f"a timer cannot be due after tick {_TICK_MAX}")
        limit = self._roster[agent].spec.limits.timers
        if not self.timers.holds(agent, effect.request) and self.timers.count(agent) >= limit:
            raise Refused(REJECTED, f"over the limit of {limit} pending timers")
        pending = PendingTimer(agent, effect.request, self._tick, place, effect.topic, effect.body)
        self.timers.set(pending, due)

    def _infer(self, agent: int, place: int, effect: Infer) -> None:
        self._allowances.charge(agent, Capability.INFER, effect.model)
        models = self._world.run.models
        found = next((index for index, model in enumerate(models) if model.name == effect.model), None)
        if found is None:
            raise Refused(REJECTED, f"nothing serves the model {quoted(effect.model)} in this run")
        model = models[found]
        what = asked(model, effect.body)
        if what.tokens > model.tokens_max:
            raise Refused(
                REJECTED, f"it asks for {what.tokens} tokens; tokens_max of the model is {model.tokens_max}"
            )
        if self.requests.count(found) >= model.requests_max:
            raise Refused(REJECTED, f"over the limit of {model.requests_max} pending requests of the model")
        self._allowances.charge_tokens(agent, effect.model, what.tokens)
        due, first = schedule(model, self._tick, what)
        request = PendingRequest(
            self._tick, agent, place, effect.request, found, effect.body, due=due, first=first
        )
        self.requests.add(request if self._faulty_requests is None else self._faulty_requests.made(request))

    def _spawn(self, agent: int, effect: Spawn) -> None:
        self._allowances.charge(agent, Capability.SPAWN, effect.kind)
        run = self._world.run
        kind = next((kind for kind in run.kinds if kind.id == effect.kind), None)
        if kind is None:
            raise Refused(REJECTED, f"there is no kind {quoted(effect.kind)}")
        fault = spawned_id_fault(effect.id, effect.kind)
        if fault is not None:
            raise Refused(REJECTED, f"the id {quoted(effect.id)} {fault}")
        if self._roster.find(effect.id) >= 0:
            raise Refused(REJECTED, f"there is already an agent {quoted(effect.id)}")
        if len(self._roster) >= run.limits.agents:
            raise Refused(REJECTED, f"over the limit of {run.limits.agents} agents")
        config = effect.config or kind.config
        self._roster.add(msgspec.structs.replace(kind, id=effect.id, config=config))

    def _stop(self, agent: int, effect: Stop) -> None:
        aim = agent if effect.id is None else self._roster.find(effect.id)
        if effect.id is not None and aim != agent:
            self._allowances.charge(agent, Capability.STOP, effect.id)
            if aim < 0:
                raise Refused(REJECTED, f"there is no agent {quoted(effect.id)}")
            if not self._roster[aim].live:
                raise Refused(REJECTED, f"agent {quoted(effect.id)} is {self._roster[aim].status} already")
        self._roster.stop(aim, effect.reason)
        self._post.close(aim)

    def finish(self) -> Finished:
        """Return what the tick came to, once all turns are settled."""
        for agent, crash in self._crashing.items():
            self._fail(agent, _CRASHED_AFTER, crash.inbox, setup=crash.setup)
        self._roster.end_stopped()
        late = self._post.return_letters()
        ended, restarted = tuple(self._roster.ended), tuple(self._roster.restarted)
        gone = (*ended, *restarted)
        self.timers.cancel_owned(gone)
        self.requests.cancel_owned(gone)
        requests, new, cancelled = self.requests.done()
        spent, tokens_spent = self._allowances.done()
        world = self._world
        agents, directory = self._roster.done()
        after = World(
            run=world.run,
            agents=agents,
            directory=directory,
            tick=world.tick + 1,
            mailboxes=self._post.done(),
            timers=self.timers.done(),
            spent=spent,
            tokens_spent=tokens_spent,
            requests=requests,
            delayed=self._delayed(),
            restarts=self._roster.restarts(),
            waves=world.waves,
        )
        return Finished(
            world=after,
            late=late,
            applied=self._applied(),
            started=tuple(range(len(world.agents), len(agents))),
            ended=ended,
            restarted=restarted,
            rolled_back=tuple(self._roster.rolled_back),
            asked=new,
            cancelled=cancelled,
        )

    def _applied(self) -> list[AppliedFault]:
        """Return the faults that hit while the tick was settled."""
        messages = () if self._faulty_post is None else self._faulty_post.applied
        requests = () if self._faulty_requests is None else self._faulty_requests.applied
        return [*messages, *requests, *(crash.fault for crash in self._crashing.values())]

    def _delayed(self) -> Mapping[int, Sequence[DelayedMessage]]:
        """Return what is still on its way."""
        before, now = self._world.delayed, self._tick + 1
        added = {} if self._faulty_post is None else self._faulty_post.delayed
        if not added and now not in before:
            return before
        delayed = {tick: messages for tick, messages in before.items() if tick != now}
        for tick, messages in added.items():
            delayed[tick] = (*delayed.get(tick, ()), *messages)
        return delayed
