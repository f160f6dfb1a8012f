"""A second, slow and plain reading of a tick's rules, to hold the real one against.

It shares only the vocabulary with the core: effects, messages, specs. Wordings are not predicted.
"""

import json
import re
from dataclasses import dataclass, field

from core_worlds import Tick
from tickwork.core import effects as e
from tickwork.core.messages import Message
from tickwork.core.spec import AgentSpec

Letter = tuple[object, ...]


def grant_for(spec: AgentSpec, capability: str, target: str) -> int | None:
    """Return the place of the first grant that matches, by regular expression instead of by prefix."""
    for place, grant in enumerate(spec.grants):
        name = re.escape(grant.target.removesuffix("*")) + ("(?s:.*)" if grant.target.endswith("*") else "")
        if grant.capability.value == capability and re.fullmatch(name, target):
            return place
    return None


def aim_of(effect: e.Effect) -> tuple[str, str] | None:
    """Return the capability and target that the effect needs, or None if it needs none."""
    match effect:
        case e.Send(to=name):
            return "send", name
        case e.Publish(topic=name):
            return "publish", name
        case e.Infer(model=name):
            return "infer", name
        case e.Call(tool=name):
            return "call", name
        case e.Output(name=name):
            return "output", name
        case e.Timer():
            return "timer", ""
        case e.Spawn(kind=name):
            return "spawn", name
        case e.Stop(id=str(name)):
            return "stop", name
    return None


def letter(message: Message) -> Letter:
    """Return the message as plain values, a notice without the wording of its reason."""
    head = (int(message.kind), message.tick, message.agent, message.effect, message.sender, message.topic)
    if message.sender != "tickwork":
        return (*head, message.body, message.reply_to)
    told = json.loads(message.body)
    return (*head, told["tick"], told["effect"], told["kind"], message.reply_to)


@dataclass
class Reference:
    """The tick in the making. `verdicts` holds what is refused, by (agent, effect)."""

    ticked: Tick
    specs: list[AgentSpec] = field(default_factory=list)
    status: list[str] = field(default_factory=list)
    mail: dict[int, list[Letter]] = field(default_factory=dict)
    timers: dict[tuple[int, int], tuple[int, int, int, str, bytes]] = field(default_factory=dict)
    spent: dict[tuple[int, int], int] = field(default_factory=dict)
    spent_now: dict[tuple[int, int], int] = field(default_factory=dict)
    verdicts: dict[tuple[int, int], str] = field(default_factory=dict)
    undelivered: list[tuple[int, int, int, int, str]] = field(default_factory=list)
    performed: list[tuple[int, int, e.Effect]] = field(default_factory=list)
    leaving: set[int] = field(default_factory=set)
    newcomers: int = 0

    def settle(self) -> "Reference":
        before, now = self.ticked.before, self.ticked.before.tick
        self.specs = [agent.spec for agent in before.agents]
        self.status = [agent.status.value for agent in before.agents]
        self.spent = dict(before.spent)
        for at, timers in before.timers.pending.items():
            for timer in timers.values():
                if at != now:
                    self.timers[timer.agent, timer.request] = (
                        at, timer.tick, timer.effect, timer.topic, timer.body,
                    )  # fmt: skip
        turns = list(zip(self.ticked.planned.turns, self.ticked.outcomes, strict=True))
        for turn, outcome in turns:
            if turn.setup:
                self.mail[turn.agent] = [letter(m) for m in before.mailboxes.get(turn.agent, ())]
                self.status[turn.agent] = "running"
            if outcome.kind.value != "ok":
                self.status[turn.agent] = "failed"
        for turn, outcome in turns:
            for place, effect in enumerate(outcome.effects):
                self._effect(turn.agent, place, effect)
        self._end()
        return self

    def _effect(self, agent: int, place: int, effect: e.Effect) -> None:
        verdict = self._charge(agent, effect) or self._perform(agent, place, effect)
        if verdict:
            self.verdicts[agent, place] = verdict
            if self._reachable(agent):
                self._tell(agent, self.ticked.before.tick, place, verdict, effect)

    def _charge(self, agent: int, effect: e.Effect) -> str | None:
        aim = aim_of(effect)
        if aim is None or (isinstance(effect, e.Stop) and effect.id == self.specs[agent].id):
            return None
        place = grant_for(self.specs[agent], *aim)
        if place is None:
            return "denied"
        grant = self.specs[agent].grants[place]
        for limit, counter in ((grant.per_tick, self.spent_now), (grant.per_run, self.spent)):
            if limit is not None:
                if counter.get((agent, place), 0) == limit:
                    return "rejected"
                counter[agent, place] = counter.get((agent, place), 0) + 1
        return None

    def _perform(self, agent: int, place: int, effect: e.Effect) -> str | None:
        now = self.ticked.before.tick
        ids = [spec.id for spec in self.specs]
        match effect:
            case e.Send():
                if effect.to not in ids or len(effect.topic) > 256:
                    return "rejected"
                head = (1, now, agent, place, ids[agent], effect.topic, effect.body, effect.reply_to)
                return None if self._post(ids.index(effect.to), head) else "rejected"
            case e.Publish():
                head = (1, now, agent, place, ids[agent], effect.topic, effect.body, None)
                # Who is spawned in this tick hears nothing yet; who ended in an earlier one is no subscriber.
                listening = [
                    index
                    for index, known in enumerate(self.ticked.before.agents)
                    if effect.topic in known.spec.subscribe and known.status.value in ("running", "starting")
                ]
                reached = [self._post(index, head) for index in listening]
                return None if all(reached) else "rejected"
            case e.Infer() | e.Call():
                return "rejected"
            case e.Output():
                if effect.name not in self.ticked.before.run.outputs:
                    return "rejected"
                self.performed.append((agent, place, effect))
            case e.Timer():
                return self._timer(agent, place, effect)
            case e.Spawn():
                return self._spawn(effect, ids)
            case e.Stop():
                target = agent if effect.id is None else (ids.index(effect.id) if effect.id in ids else None)
                if target is None or self.status[target] not in ("running", "starting"):
                    return "rejected"
                self.leaving.add(target)
        return None

    def _timer(self, agent: int, place: int, effect: e.Timer) -> str | None:
        key = (agent, effect.request)
        if effect.after_ticks == 0:
            self.timers.pop(key, None)
            return None
        if len(effect.topic) > 256:
            return "rejected"
        due = self.ticked.before.tick + effect.after_ticks
        own = [owner for owner, request in self.timers if owner == agent and request != effect.request]
        if due >= 1 << 63 or (key not in self.timers and len(own) >= self.specs[agent].limits.timers):
            return "rejected"
        self.timers[key] = (due, self.ticked.before.tick, place, effect.topic, effect.body)
        return None

    def _spawn(self, effect: e.Spawn, ids: list[str]) -> str | None:
        run = self.ticked.before.run
        kinds = {kind.id: kind for kind in run.kinds}
        well_named = re.fullmatch(re.escape(effect.kind) + "/[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", effect.id)
        if effect.kind not in kinds or not well_named or effect.id.endswith("/tickwork"):
            return "rejected"
        if effect.id in ids or len(ids) == run.limits.agents:
            return "rejected"
        kind = kinds[effect.kind]
        self.specs.append(
            AgentSpec(
                effect.id, kind.kind, kind.module, effect.config or kind.config, kind.grants, kind.preamble,
                kind.subscribe, kind.limits, kind.every_tick,
            )
        )  # fmt: skip
        self.status.append("starting")
        self.newcomers += 1
        return None

    def _reachable(self, agent: int) -> bool:
        return self.status[agent] in ("running", "starting") and agent not in self.leaving

    def _post(self, to: int, message: Letter) -> bool:
        limits = self.specs[to].limits
        waiting = [m for m in self.mail.get(to, ()) if m[4] != "tickwork"]
        size = sum(len(m[6]) for m in waiting) + len(message[6])  # type: ignore[arg-type]
        fits = len(waiting) < limits.mailbox_messages and size <= limits.mailbox_bytes
        if fits and self._reachable(to):
            self.mail.setdefault(to, []).append(message)
            return True
        return False

    def _tell(self, agent: int, tick: int, place: int, verdict: str, effect: e.Effect) -> None:
        number = effect.reply_to if isinstance(effect, e.Send) else getattr(effect, "request", None)
        kind = type(effect).__name__.lower()
        self.mail.setdefault(agent, []).append(
            (1, tick, agent, place, "tickwork", f"tickwork.{verdict}", tick, place, kind, number)
        )

    def _end(self) -> None:
        for agent in self.leaving:
            self.status[agent] = "stopped"
        live_before = {
            i for i, a in enumerate(self.ticked.before.agents) if a.status.value in ("running", "starting")
        }
        gone = [i for i, status in enumerate(self.status) if status in ("stopped", "failed")]
        returned: list[Letter] = []
        for agent in gone:
            if agent in live_before or agent >= len(self.ticked.before.agents):
                for message in self.mail.pop(agent, []):
                    self.undelivered.append((*message[:4], self.specs[agent].id))  # type: ignore[arg-type]
                    if message[4] != "tickwork":
                        returned.append(message)
        for message in returned:
            _, tick, sender, place, _, topic, body, number = message
            if self._reachable(sender):  # type: ignore[arg-type]
                again = e.Send("", topic, body, number)  # type: ignore[arg-type]
                self._tell(sender, tick, place, "rejected", again)  # type: ignore[arg-type]
        for box in self.mail.values():
            box.sort(key=lambda message: message[:4])
        self.mail = {agent: box for agent, box in self.mail.items() if box}
        self.timers = {key: timer for key, timer in self.timers.items() if key[0] not in gone}
