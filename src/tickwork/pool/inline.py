"""The pool that needs nothing: turns run one after the other on the caller's thread."""

from collections.abc import Iterable, Mapping

from tickwork.core.outcomes import Outcome
from tickwork.core.step import Plan, Turn
from tickwork.core.world import World
from tickwork.guest.instance import Instance
from tickwork.guest.program import Program
from tickwork.pool.signals import held_back


class InlinePool:
    """Implements `Pool` over the given programs, which are looked up by their modules' hash."""

    def __init__(self, programs: Mapping[str, Program]) -> None:
        self._programs = programs
        self._calls_host = any(program.plan.hosts for program in programs.values())
        self._instances: dict[int, Instance] = {}

    def run(self, world: World, planned: Plan) -> list[Outcome]:
        """Run every turn of the plan; return the outcomes in the plan's order."""
        if not self._calls_host:
            return [self._take(world, planned, turn) for turn in planned.turns]
        outcomes = []
        with held_back() as deliver:
            for turn in planned.turns:
                outcomes.append(self._take(world, planned, turn))
                deliver()
        return outcomes

    def _take(self, world: World, planned: Plan, turn: Turn) -> Outcome:
        if turn.setup:
            return self._set_up(world, planned, turn)
        return self._instances[turn.agent].step(planned.tick, planned.now_ns, turn.seed, turn.inbox)

    def _set_up(self, world: World, planned: Plan, turn: Turn) -> Outcome:
        spec = world.agents[turn.agent].spec
        instance = Instance(self._programs[spec.module], spec.limits)
        self._instances[turn.agent] = instance
        return instance.setup(
            spec.id,
            spec.preamble + spec.config,
            now_ns=planned.now_ns,
            start_ns=world.run.start_ns,
            seed=turn.seed,
        )

    def retire(self, agents: Iterable[int]) -> None:
        """Free the instances of agents that have ended."""
        for agent in agents:
            instance = self._instances.pop(agent, None)
            if instance is not None:
                instance.close()

    def close(self) -> None:
        """Free every instance."""
        self.retire(list(self._instances))
