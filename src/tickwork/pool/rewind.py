"""Taking all agents of a pool back to one moment, again and again, without making their instances anew."""

from collections.abc import Collection, Mapping

from tickwork.core.image import AgentImage
from tickwork.core.world import Status, World
from tickwork.guest.image import Kept
from tickwork.guest.instance import Instance
from tickwork.pool.inline import InlinePool


class Moment:
    """The agents of a pool as they stand between two ticks, kept for `rewind`.

    `world` is the one at that moment. Costs a copy of each agent's memory. Not for agents that have ended.
    """

    def __init__(self, pool: InlinePool, world: World) -> None:
        self.world = world
        self._pool = pool
        self._images: dict[int, AgentImage] = {
            agent: pool.image(world, agent)
            for agent, state in enumerate(world.agents)
            if state.status is Status.RUNNING
        }
        self._kept: dict[int, tuple[Instance, Kept]] = {}
        for agent in self._images:
            self._keep(agent)

    @property
    def agents(self) -> Collection[int]:
        """The agents that were running."""
        return self._images.keys()

    @property
    def drawn(self) -> bool:
        """Whether any agent has read its random stream, so that its state may depend on the stream's key."""
        return any(image.drawn for image in self._images.values())

    def rewind(self, streams: Mapping[int, bytes] | None = None) -> None:
        """Take the pool back. `streams` are other keys of the agents' random streams, by agent."""
        pool = self._pool
        pool.forget_record()
        pool.retire([agent for agent in pool.holding() if agent not in self._images])
        for agent, image in self._images.items():
            instance, kept = self._kept[agent]
            if pool.instance(agent) is not instance or not instance.rewind(kept):
                pool.retire((agent,))
                pool.restore({agent: image})
                pool.wake(self.world, (agent,))
                self._keep(agent)
        if streams is not None:
            for agent, key in streams.items():
                self._kept[agent][0].state.seed = key

    def _keep(self, agent: int) -> None:
        instance = self._pool.instance(agent)
        if instance is not None:
            self._kept[agent] = instance, instance.keep()
