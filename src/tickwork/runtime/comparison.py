"""Holding a tick that was run again against its record: where they part, and who is concerned."""

from dataclasses import dataclass
from itertools import zip_longest

from tickwork.core.entry import Entry, Fuel, TurnEntry, encode
from tickwork.core.messages import NO_ARRIVALS
from tickwork.core.spec import RunSpec
from tickwork.core.step import plan
from tickwork.core.world import World
from tickwork.journal.reader import StoredEntry
from tickwork.runtime.loop import Ticked


@dataclass(frozen=True, slots=True)
class Divergence:
    """The first place at which a replay and its record part; `agent` is None where no agent is concerned."""

    tick: int
    agent: str | None
    reason: str

    def __str__(self) -> str:
        who = "" if self.agent is None else f", agent {self.agent}"
        return f"tick {self.tick}{who}: {self.reason}"


class Comparison:
    """Compares ticks of one run. Without `same_engine`, fuel and so `exact` are not looked at."""

    def __init__(self, spec: RunSpec, *, same_engine: bool) -> None:
        self._spec = spec
        self._same_engine = same_engine

    def divergence(
        self,
        world: World,
        recorded: tuple[Entry, Fuel],
        stored: StoredEntry,
        ticked: Ticked,
        fault: str | None,
    ) -> Divergence | None:
        """Return the first difference of a tick, run on `world`, from its record; None if there is none.

        `fault` is why the record does not continue the chain before it, if it does not.
        """
        entry, fuel = recorded
        return (
            self._content_divergence(world, entry, stored, ticked)
            or (self._fuel_divergence(world, entry, fuel.used, ticked) if self._same_engine else None)
            or self._chain_divergence(world, entry, stored, ticked, fault)
        )

    def _content_divergence(
        self, world: World, recorded: Entry, stored: StoredEntry, ticked: Ticked
    ) -> Divergence | None:
        if ticked.entry == stored.entry:
            return None
        replayed = ticked.settled.entry
        for was, now in zip(recorded.turns, replayed.turns, strict=False):
            if encode(was) != encode(now):
                agent = min(was.agent, now.agent)
                return Divergence(world.tick, name_of(world, agent), _turn_difference(was, now))
        if len(recorded.turns) != len(replayed.turns):
            shorter = min(len(recorded.turns), len(replayed.turns))
            longer = max(recorded.turns, replayed.turns, key=len)
            only = "recorded" if longer is recorded.turns else "replayed"
            return Divergence(
                world.tick, name_of(world, longer[shorter].agent), f"only the {only} run has a turn"
            )
        for before, after in zip_longest(recorded.undelivered, replayed.undelivered):
            lost = before or after
            if before != after and lost is not None:
                return Divergence(world.tick, lost.to, "another message was not delivered")
        for was_applied, is_applied in zip_longest(recorded.faults, replayed.faults):
            applied = was_applied or is_applied
            if was_applied != is_applied and applied is not None:
                return Divergence(world.tick, name_of(world, applied.agent), "other faults were applied")
        return Divergence(world.tick, None, "the record's bytes are not canonical")

    def _fuel_divergence(
        self, world: World, recorded: Entry, used: tuple[int, ...], ticked: Ticked
    ) -> Divergence | None:
        if used == ticked.settled.fuel:
            return None
        for turn, was, now in zip(recorded.turns, used, ticked.settled.fuel, strict=False):
            if was != now:
                reason = f"same effects, but {now} units of fuel where {was} are recorded"
                return Divergence(world.tick, name_of(world, turn.agent), reason)
        return Divergence(world.tick, None, "the record of fuel has another length")

    def _chain_divergence(
        self, world: World, recorded: Entry, stored: StoredEntry, ticked: Ticked, fault: str | None
    ) -> Divergence | None:
        """Find a record that agrees with its replay and yet not with its own digest."""
        same = ticked.digests == stored.digests
        if same or (not self._same_engine and ticked.digests.digest == stored.digests.digest):
            return None
        # Arrivals are not recomputed, so a change in one shows here first: in what its receiver was given.
        receiver = next((self._spec.inputs[item.source].to[0] for item in recorded.arrivals.inputs), None)
        reason = fault or "the entry does not have its digest"
        if receiver is not None:
            reason += "; the turns agree, so an input of the tick was changed, or the digest was"
        return Divergence(world.tick, receiver or first_due(world), reason)


def name_of(world: World, agent: int) -> str | None:
    """Return an agent's id; None for an index from a damaged record that is nobody's."""
    return world.agents[agent].spec.id if 0 <= agent < len(world.agents) else None


def first_due(world: World) -> str | None:
    """Return the first agent whose turn the world's tick would have been, as far as it can be told."""
    turns = plan(world, NO_ARRIVALS).turns
    return name_of(world, turns[0].agent) if turns else None


def _turn_difference(was: TurnEntry, now: TurnEntry) -> str:
    """Say in one line how a turn differs from its record."""
    if was.agent != now.agent:
        return f"a turn {'is missing from' if now.agent < was.agent else 'was added to'} the record"
    if (was.kind, was.detail) != (now.kind, now.detail):
        return f"the turn ended {now.kind}, recorded is {was.kind}"
    for place, (before, after) in enumerate(zip(was.effects, now.effects, strict=False)):
        if before != after:
            return f"effect {place} is {_brief(after)}, recorded is {_brief(before)}"
    if len(was.effects) != len(now.effects):
        return f"{len(now.effects)} effects, recorded are {len(was.effects)}"
    return "the same effects were judged otherwise"


def _brief(effect: object) -> str:
    text = repr(effect)
    return text if len(text) <= 120 else text[:117] + "..."
