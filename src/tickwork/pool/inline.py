"""The pool that needs nothing: turns run one after the other on the caller's thread."""

from collections.abc import Iterable, Mapping

from tickwork.core.image import AgentImage
from tickwork.core.outcomes import Outcome
from tickwork.core.quiet import Plain
from tickwork.core.spec import AgentSpec
from tickwork.core.step import Plan, Turn
from tickwork.core.supervision import OnFailure
from tickwork.core.world import World
from tickwork.guest.image import Base
from tickwork.guest.instance import Instance
from tickwork.guest.program import Program
from tickwork.pool.signals import held_back


class InlinePool:
    """Implements `Pool` over the given programs, which are looked up by their modules' hash."""

    def __init__(self, programs: Mapping[str, Program]) -> None:
        self._programs = programs
        self._calls_host = any(program.plan.hosts for program in programs.values())
        self._instances: dict[int, Instance] = {}
        # Agents that were restored and have had no turn since: few of them may ever have one.
        self._asleep: dict[int, AgentImage] = {}
        self._bases: dict[str, Base] = {}
        # Agents that may be rolled back, and their states before the turns of the tick, if they had one.
        self._guarded: dict[int, None] = {}
        self._before: dict[int, AgentImage] = {}
        self._before_tick = -1

    def run(self, world: World, planned: Plan) -> list[Outcome]:
        """Run every turn of the plan; return the outcomes in the plan's order."""
        if self._calls_host:
            return self._run_held_back(world, planned)
        self._wake_due(world, planned.turns)
        self._guard(world, planned.turns)
        return [self._take(world, planned, turn) for turn in planned.turns]

    def run_quiet(self, world: World) -> Plain | list[Outcome] | None:
        """Leave all ticks to `run`."""

    def _run_held_back(self, world: World, planned: Plan) -> list[Outcome]:
        """Do the same with the handlers of signals run only between turns."""
        outcomes = []
        with held_back() as deliver:
            self._wake_due(world, planned.turns)
            self._guard(world, planned.turns)
            for turn in planned.turns:
                outcomes.append(self._take(world, planned, turn))
                deliver()
        return outcomes

    def _take(self, world: World, planned: Plan, turn: Turn) -> Outcome:
        """Take one turn on the caller's thread."""
        if turn.setup:
            return self._set_up(world, planned, turn)
        instance = self._instances[turn.agent]
        tick, now_ns = planned.tick, planned.now_ns
        if turn.plain:
            return instance.step(tick, now_ns, turn.seed, turn.inbox)
        return instance.step_broken(
            tick, now_ns, turn.seed, turn.inbox, fuel=turn.fuel, may_grow=turn.may_grow
        )

    def _set_up(self, world: World, planned: Plan, turn: Turn) -> Outcome:
        spec = world.agents[turn.agent].spec
        instance = Instance(self._programs[spec.module], spec.limits)
        self._instances[turn.agent] = instance
        outcome = instance.setup(
            spec.id,
            spec.preamble + spec.config,
            now_ns=planned.now_ns,
            start_ns=world.run.start_ns,
            seed=turn.seed,
            fuel=turn.fuel,
            may_grow=turn.may_grow,
        )
        self._ready(turn.agent, spec)
        return outcome

    def _ready(self, agent: int, spec: AgentSpec) -> None:
        """Learn that the agent's setup has run, or that it was restored."""
        if spec.supervised.on_failure is OnFailure.ROLLBACK:
            self._guarded[agent] = None

    def _guard(self, world: World, turns: Iterable[Turn]) -> None:
        """Keep the states of those of the turns' agents that may be rolled back."""
        if self._guarded:
            self._guard_agents(world, [turn.agent for turn in turns if not turn.setup])

    def _guard_agents(self, world: World, agents: Iterable[int]) -> None:
        if self._before_tick != world.tick:
            self._before_tick = world.tick
            self._before.clear()
        for agent in agents:
            if agent in self._guarded:
                self._before[agent] = self.image(world, agent)

    def _wake_due(self, world: World, turns: Iterable[Turn]) -> None:
        for turn in turns if self._asleep else ():
            if turn.agent in self._asleep:
                self._wake(world, turn.agent)

    def _wake(self, world: World, agent: int) -> None:
        spec = world.agents[agent].spec
        instance = Instance(self._programs[spec.module], spec.limits)
        instance.restore(self._asleep[agent])
        self._instances[agent] = instance
        del self._asleep[agent]
        self._ready(agent, spec)

    def restore(self, images: Mapping[int, AgentImage]) -> None:
        """Take over agents at a tick's boundary; an instance is made when its first turn comes."""
        self._asleep.update(images)

    def image(self, world: World, agent: int) -> AgentImage:
        """Return the state of an agent that has been set up and has not ended, between two ticks."""
        asleep = self._asleep.get(agent)
        if asleep is not None:
            return asleep
        module = world.agents[agent].spec.module
        base = self._bases.get(module)
        if base is None:
            with held_back():
                base = self._bases[module] = Instance.base(self._programs[module])
        return self._instances[agent].take_image(base)

    def roll_back(self, agents: Iterable[int]) -> None:
        """Take agents that failed in the tick back to where they were before it."""
        for agent in agents:
            # Who failed without a turn is there still.
            image = self._before.get(agent)
            if image is not None:
                self.retire((agent,))
                self._asleep[agent] = image

    def holding(self) -> list[int]:
        """Return the agents that the pool has, in no order that means anything."""
        return [*self._instances, *self._asleep]

    def instance(self, agent: int) -> Instance | None:
        """Return an agent's instance; None if it was restored and has had no turn since, or is gone."""
        return self._instances.get(agent)

    def wake(self, world: World, agents: Iterable[int]) -> None:
        """Make the instances of agents that were restored now, not when their first turns come."""
        for agent in agents:
            if agent in self._asleep:
                self._wake(world, agent)

    def forget_record(self) -> None:
        """Learn that the next tick does not follow the last one."""

    def retire(self, agents: Iterable[int]) -> None:
        """Free the instances of agents that have ended."""
        for agent in agents:
            self._asleep.pop(agent, None)
            self._before.pop(agent, None)
            self._guarded.pop(agent, None)
            instance = self._instances.pop(agent, None)
            if instance is not None:
                instance.close()

    def close(self) -> None:
        """Free every instance."""
        self._asleep.clear()
        self.retire(list(self._instances))
