"""Small worlds for tests, and a loop that drives them through the real core without WASM."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from tickwork.core.digest import Digests, advance, genesis
from tickwork.core.effects import Effect
from tickwork.core.entry import Fuel, encode, encode_entry
from tickwork.core.grants import Capability, Grant
from tickwork.core.messages import NO_ARRIVALS, Arrivals
from tickwork.core.outcomes import Outcome, OutcomeKind
from tickwork.core.spec import AgentSpec, RunSpec
from tickwork.core.step import Plan, Settled, Turn, plan, take
from tickwork.core.world import World, genesis_world

# Every power there is.
ALL_GRANTS = tuple(
    Grant(capability, "" if capability is Capability.TIMER else "*") for capability in Capability
)

Behaviour = Callable[[Turn], Outcome]


def agent(id: str, *grants: Grant, **rest: Any) -> AgentSpec:  # noqa: A002 - the field's name
    """Return an agent of no particular module."""
    return AgentSpec(id=id, kind="kind", module="00" * 32, config=b"", grants=grants, **rest)


def powerful(id: str, **rest: Any) -> AgentSpec:  # noqa: A002 - the field's name
    return agent(id, *ALL_GRANTS, **rest)


def run_of(*agents: AgentSpec, **rest: Any) -> RunSpec:
    return RunSpec(
        name="test", seed=7, start_ns=1_000, tick_ns=10, floats="portable", agents=tuple(agents), **rest
    )


def ok(*effects: Effect, fuel: int = 1) -> Outcome:
    return Outcome(OutcomeKind.OK, effects, fuel)


def failed(kind: OutcomeKind = OutcomeKind.UNREACHABLE, detail: str = "") -> Outcome:
    return Outcome(kind, (), 1, detail)


@dataclass(frozen=True)
class Tick:
    """One tick as it went: what was given to the core and what it gave back."""

    before: World
    arrivals: Arrivals
    planned: Plan
    outcomes: tuple[Outcome, ...]
    settled: Settled

    @property
    def after(self) -> World:
        return self.settled.world

    def refusals(self) -> dict[tuple[int, int], str]:
        """Return the verdict on each refused effect, by (agent, place in its turn)."""
        return {
            (turn.agent, refusal.effect): refusal.verdict
            for turn in self.settled.entry.turns
            for refusal in turn.refusals
        }

    def performed(self) -> Iterator[tuple[int, int, Effect]]:
        """Yield each effect that was not refused, as (agent, place in its turn, effect)."""
        refused = self.refusals()
        for turn in self.settled.entry.turns:
            for place, effect in enumerate(turn.effects):
                if (turn.agent, place) not in refused:
                    yield turn.agent, place, effect


def advance_world(world: World, behave: Behaviour, arrivals: Arrivals = NO_ARRIVALS) -> Tick:
    """Run one tick in which each turn comes to what `behave` says."""
    outcomes: list[Outcome] = []

    def run(wave: Plan) -> list[Outcome]:
        found = [behave(turn) for turn in wave.turns]
        outcomes.extend(found)
        return found

    planned, settled = take(world, arrivals, run)
    return Tick(world, arrivals, planned, tuple(outcomes), settled)


def tick(
    world: World, does: Mapping[str, Sequence[Effect] | Outcome] = {}, arrivals: Arrivals = NO_ARRIVALS
) -> Tick:
    """Run one tick; `does` names effects or an outcome by agent id. Whoever is named must have a turn."""
    left = dict(does)

    def behave(turn: Turn) -> Outcome:
        what = left.pop(world.agents[turn.agent].spec.id, ())
        return what if isinstance(what, Outcome) else ok(*what)

    ticked = advance_world(world, behave, arrivals)
    assert not left, f"no turn was due for {sorted(left)}"
    return ticked


def started(*agents: AgentSpec, **rest: Any) -> World:
    """Return a world at tick 1, in which every agent has been set up."""
    return tick(genesis_world(run_of(*agents, **rest))).after


def chain(ticks: Sequence[Tick], run: RunSpec) -> list[Digests]:
    """Return the digests after each tick, from the run's genesis."""
    digests = genesis(msgspec.msgpack.encode(run))
    links = []
    for ticked in ticks:
        digests = advance(digests, encode_entry(ticked.settled.entry), encode(Fuel(ticked.settled.fuel)))
        links.append(digests)
    return links


def inbox(world: World, agent_id: str, arrivals: Arrivals = NO_ARRIVALS) -> list[tuple[str, str, bytes]]:
    """Return what `agent_id` would find in the coming tick, as (sender, topic, body)."""
    index = world.directory.index[agent_id]
    for turn in plan(world, arrivals).turns:
        if turn.agent == index:
            return [(message.sender, message.topic, message.body) for message in turn.inbox]
    return []


def notices(world: World, agent_id: str) -> list[dict[str, Any]]:
    """Return the bodies of the runtime's notices in the coming inbox of `agent_id`, each with its topic."""
    return [
        {"topic": topic, **msgspec.json.decode(body)}
        for sender, topic, body in inbox(world, agent_id)
        if sender == "tickwork"
    ]
