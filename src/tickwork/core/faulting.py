"""The faults of one tick, by what they hit, and what they do to its turns before any is taken."""

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any, TypeVar

from tickwork.core.edits import FORK_ORIGIN
from tickwork.core.fault_plan import Chance, FaultPlan, matches
from tickwork.core.faults import (
    AppliedFault,
    CrashAfter,
    CrashBefore,
    Delay,
    Drop,
    Duplicate,
    FailRequest,
    Fault,
    GarbleRequest,
    LoseTimer,
    MessageFault,
    Partition,
    Pause,
    RefuseMemory,
    Reorder,
    RequestFault,
    SlowRequest,
    StarveFuel,
)
from tickwork.core.messages import Message, MessageClass
from tickwork.core.names import RUNTIME_SENDER
from tickwork.core.timers import PendingTimer
from tickwork.core.world import Status, World

_MESSAGE_KINDS: tuple[type[MessageFault], ...] = (Drop, Delay, Duplicate)
_REQUEST_KINDS: tuple[type[RequestFault], ...] = (FailRequest, SlowRequest, GarbleRequest)
# A crash that comes by chance leaves fewer effects than this; most turns have fewer.
_CHANCE_EFFECTS = 8
_Kind = TypeVar("_Kind", bound=Fault)


class TickFaults:
    """What a plan has for the tick of a world. Agents are given by index.

    Where several faults could do one thing, which of them is applied does not depend on whether it came by
    chance or was said. So a run in which the applied ones are said is the same run.
    """

    def __init__(self, world: World, plan: FaultPlan) -> None:
        self._world = world
        self._tick = world.tick
        self._partitions: list[Partition] = []
        self._named: dict[tuple[Any, int], list[Any]] = {}
        for fault in plan.at(world.tick):
            if isinstance(fault, Partition):
                self._partitions.append(fault)
                continue
            name = fault.sender if isinstance(fault, MessageFault) else fault.agent
            agent = world.directory.index.get(name)
            if agent is not None:
                self._named.setdefault((type(fault), agent), []).append(fault)
        self._chances: dict[type[Fault], list[Chance]] = {}
        for chance in plan.chances_at(world.tick):
            self._chances.setdefault(chance.kind, []).append(chance)

    def _id(self, agent: int) -> str:
        return self._world.agents[agent].spec.id

    def _explicit(self, kind: type[_Kind], agent: int) -> Sequence[_Kind]:
        return self._named.get((kind, agent), [])

    def _struck(self, kind: type[Fault], agent: int, nth: int = 0) -> Chance | None:
        """Return the first rate of this kind that comes to the agent's thing at place `nth`."""
        for chance in self._chances.get(kind, ()):
            if chance.concerns(self._id(agent)) and chance.strikes(self._tick, agent, nth):
                return chance
        return None

    def hits(self, kind: type[Fault]) -> bool:
        """Return whether the tick has any fault of a kind that names an agent."""
        return kind in self._chances or any(named is kind for named, _ in self._named)

    # ---- agents

    def crash_before(self, agent: int) -> CrashBefore | None:
        """Return the fault by which the agent fails before its turn."""
        for fault in self._explicit(CrashBefore, agent):
            return fault
        return CrashBefore(self._tick, self._id(agent)) if self._struck(CrashBefore, agent) else None

    def pause(self, agent: int) -> Pause | None:
        """Return the fault by which the agent takes no turn."""
        by_chance = [Pause(tick, self._id(agent), ticks) for tick, ticks in self._begun(Pause, agent)]
        return min([*self._explicit(Pause, agent), *by_chance], key=_lasting_order, default=None)

    def _begun(self, kind: type[Fault], agent: int) -> Iterator[tuple[int, int]]:
        """Yield the first tick of faults that came by chance and have not passed, and how long they last."""
        for chance in self._chances.get(kind, ()):
            if chance.concerns(self._id(agent)):
                tick = chance.begun(self._tick, agent)
                if tick is not None:
                    yield tick, chance.rate.ticks

    # ---- turns

    def starve_fuel(self, agent: int) -> StarveFuel | None:
        """Return the fault that bounds the fuel of the agent's turn."""
        for fault in self._explicit(StarveFuel, agent):
            return fault
        struck = self._struck(StarveFuel, agent)
        return None if struck is None else StarveFuel(self._tick, self._id(agent), struck.rate.fuel)

    def refuse_memory(self, agent: int) -> RefuseMemory | None:
        """Return the fault by which the agent's memory cannot grow in its turn."""
        for fault in self._explicit(RefuseMemory, agent):
            return fault
        return RefuseMemory(self._tick, self._id(agent)) if self._struck(RefuseMemory, agent) else None

    def crash_after(self, agent: int) -> CrashAfter | None:
        """Return the fault by which the agent fails after its turn."""
        for fault in self._explicit(CrashAfter, agent):
            return fault
        struck = self._struck(CrashAfter, agent)
        if struck is None:
            return None
        return CrashAfter(self._tick, self._id(agent), struck.draw(self._tick, agent, 1) % _CHANCE_EFFECTS)

    # ---- what comes and goes

    def lost_timer(self, agent: int, request: int, nth: int) -> LoseTimer | None:
        """Return the fault by which the agent's due timer, at place `nth` of those, is lost."""
        found = [fault for fault in self._explicit(LoseTimer, agent) if fault.request in {None, request}]
        if found:
            return next((fault for fault in found if fault.request is not None), found[0])
        return (
            LoseTimer(self._tick, self._id(agent), request) if self._struck(LoseTimer, agent, nth) else None
        )

    def reorders(self, agent: int, count: int) -> Iterator[Reorder]:
        """Yield the faults that put one of the inbox's `count` messages, not the last, behind the others."""
        found = [fault for fault in self._explicit(Reorder, agent) if fault.nth < count - 1]
        if Reorder in self._chances:
            struck = [nth for nth in range(count - 1) if self._struck(Reorder, agent, nth)]
            found += [Reorder(self._tick, self._id(agent), nth) for nth in struck]
        yield from dict.fromkeys(found)

    def of_message(self, sender: int, nth: int, to: str, nth_to: int) -> Iterator[MessageFault]:
        """Yield what befalls a message: the sender's at place `nth`, and at `nth_to` of those to `to`."""
        for kind in _MESSAGE_KINDS:
            found: list[MessageFault] = [
                fault
                for fault in self._explicit(kind, sender)
                if fault.nth == (nth if fault.to is None else nth_to) and fault.to in {None, to}
            ]
            struck = self._struck(kind, sender, nth)
            if struck is not None:
                found.append(_of_message(kind, self._tick, self._id(sender), nth_to, to, struck.rate.ticks))
            yield from dict.fromkeys(found)

    def of_request(self, agent: int, nth: int) -> Iterator[RequestFault]:
        """Yield what befalls the agent's request at place `nth`."""
        for kind in _REQUEST_KINDS:
            for fault in self._explicit(kind, agent):
                if fault.nth == nth:
                    yield fault
            struck = self._struck(kind, agent, nth)
            if struck is not None:
                if kind is SlowRequest:
                    yield SlowRequest(self._tick, self._id(agent), nth, struck.rate.ticks)
                else:
                    yield kind(self._tick, self._id(agent), nth)

    def cut_off(self, sender: str, receiver: str) -> Partition | None:
        """Return the first partition between two agents, given by their ids."""
        for fault in self._all_partitions:
            if _member(fault, sender) != _member(fault, receiver):
                return fault
        return None

    @cached_property
    def _all_partitions(self) -> Sequence[Partition]:
        found = list(self._partitions)
        if Partition in self._chances:
            for agent, state in enumerate(self._world.agents):
                for tick, ticks in self._begun(Partition, agent):
                    found.append(Partition(tick, (state.spec.id,), ticks))
        return sorted(found, key=_lasting_order)


def _of_message(
    kind: type[MessageFault], tick: int, sender: str, nth: int, to: str, ticks: int
) -> MessageFault:
    if kind is Drop:
        return Drop(tick, sender, nth, to)
    return Delay(tick, sender, nth, to, ticks) if kind is Delay else Duplicate(tick, sender, nth, to, ticks)


def _lasting_order(fault: Partition | Pause) -> tuple[int, int, tuple[str, ...]]:
    return fault.tick, fault.ticks, fault.group if isinstance(fault, Partition) else ()


def _member(fault: Partition, agent_id: str) -> bool:
    return any(matches(pattern, agent_id) for pattern in fault.group)


def tick_faults(world: World) -> TickFaults | None:
    """Return the faults that could hit something in the world's tick, or None if there are none."""
    plan = world.run.faults
    return TickFaults(world, plan) if plan is not None and plan.touches(world.tick) else None


class Broken:
    """What faults made of a tick's turns before they are taken.

    `crashed` and `held` have the inboxes of agents that fail before their turn, and of paused ones.
    """

    def __init__(self, faults: TickFaults) -> None:
        self.faults = faults
        self.crashed: dict[int, Sequence[Message]] = {}
        self.held: dict[int, Sequence[Message]] = {}
        self.applied: list[AppliedFault] = []

    def timers_left(self, due: Iterable[PendingTimer]) -> Iterator[PendingTimer]:
        """Yield those of the timers that are due which are not lost."""
        seen: dict[int, int] = {}
        # Not in the order in which they were set, which a snapshot does not keep.
        for timer in sorted(due, key=lambda timer: (timer.agent, timer.request)):
            nth = seen.get(timer.agent, 0)
            seen[timer.agent] = nth + 1
            lost = self.faults.lost_timer(timer.agent, timer.request, nth)
            if lost is None:
                yield timer
            else:
                self.applied.append(AppliedFault(lost, timer.agent))

    def interrupt(self, world: World, boxes: dict[int, Sequence[Message]]) -> None:
        """Take the turns of those who crash or are paused out of `boxes`."""
        faults = self.faults
        if faults.hits(CrashBefore):
            for agent, state in enumerate(world.agents):
                crash = faults.crash_before(agent) if state.live else None
                if crash is not None:
                    inbox = boxes.pop(agent, ())
                    starting = state.status is Status.STARTING
                    self.crashed[agent] = world.mailboxes.get(agent, ()) if starting else inbox
                    self.applied.append(AppliedFault(crash, agent))
        for agent in sorted(boxes):
            if world.agents[agent].status is Status.RUNNING:
                pause = faults.pause(agent)
                if pause is not None:
                    self.held[agent] = boxes.pop(agent)
                    self.applied.append(AppliedFault(pause, agent))

    def reordered(self, agent: int, inbox: Sequence[Message]) -> Sequence[Message]:
        """Return the inbox of the agent's turn, messages put behind others where faults say so."""
        if not self.faults.hits(Reorder):
            return inbox
        places = [place for place, message in enumerate(inbox) if _overtaken(message)]
        moved: dict[int, None] = {}
        for fault in self.faults.reorders(agent, len(places)):
            moved[places[fault.nth]] = None
            message = inbox[places[fault.nth]]
            self.applied.append(AppliedFault(fault, message.agent, message.effect, agent))
        if not moved:
            return inbox
        ordered = [*(place for place in places if place not in moved), *moved]
        changed = list(inbox)
        for place, source in zip(places, ordered, strict=True):
            changed[place] = inbox[source]
        return changed

    def allowance(self, agent: int) -> tuple[int | None, bool]:
        """Return the most fuel that the agent's turn gets, None for its limit, and if memory may grow."""
        starve, refuse = self.faults.starve_fuel(agent), self.faults.refuse_memory(agent)
        self.applied += [AppliedFault(fault, agent) for fault in (starve, refuse) if fault is not None]
        return None if starve is None else starve.fuel, refuse is None


def _overtaken(message: Message) -> bool:
    """Return whether other messages can overtake this one: an agent sent it."""
    sent = message.kind == MessageClass.MESSAGE and message.sender != RUNTIME_SENDER
    return sent and message.agent != FORK_ORIGIN
