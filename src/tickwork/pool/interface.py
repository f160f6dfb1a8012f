"""What the loop asks of a pool."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from tickwork.core.image import AgentImage
from tickwork.core.outcomes import Outcome
from tickwork.core.quiet import Plain
from tickwork.core.step import Plan
from tickwork.core.world import World


class Pool(Protocol):
    """Holds the agents' instances and runs their turns."""

    def run(self, world: World, planned: Plan) -> Sequence[Outcome]:
        """Run every turn of the plan; return the outcomes in the plan's order.

        A setup turn makes the agent's instance. What goes wrong in a guest is an outcome; only a failure of
        the host raises (`HostError`).
        """

    def run_quiet(self, world: World) -> Plain | Sequence[Outcome] | None:
        """Run the whole of a quiet tick (`core.quiet`), if this pool can.

        Return its record if it was plain, else the outcomes of the plan's turns in its order; or None, with
        no turn run.
        """

    def restore(self, images: Mapping[int, AgentImage]) -> None:
        """Take over agents at a tick's boundary, in place of their setup."""

    def image(self, world: World, agent: int) -> AgentImage:
        """Return the state of an agent that has been set up and has not ended, between two ticks."""

    def roll_back(self, agents: Iterable[int]) -> None:
        """Take agents that failed in the tick back to where they were before it.

        Only those whose specification asks for it: the pool keeps their states from before each turn.
        """

    def retire(self, agents: Iterable[int]) -> None:
        """Free the instances of agents that have ended."""

    def close(self) -> None:
        """Free every instance."""
