"""The only loop there is: plan, run the turns, settle, advance the digests.

Recording and replaying differ in where the arrivals come from and in what becomes of the record.
"""

from typing import NamedTuple

from tickwork.core import digest, entry
from tickwork.core.digest import Digests
from tickwork.core.messages import Arrivals
from tickwork.core.step import Settled, plan, settle
from tickwork.core.world import World
from tickwork.pool.interface import Pool


class Ticked(NamedTuple):
    """One tick, done: what it came to, its canonical bytes, and the digests after it."""

    settled: Settled
    entry: bytes
    fuel: bytes
    digests: Digests
    messages: int


class Loop:
    """A world, the pool that runs its agents, and the digest chain so far."""

    def __init__(self, world: World, pool: Pool, digests: Digests) -> None:
        self.world = world
        self.digests = digests
        self._pool = pool

    def tick(self, arrivals: Arrivals) -> Ticked:
        """Take the world one tick further. If the host fails, nothing has changed here."""
        planned = plan(self.world, arrivals)
        outcomes = self._pool.run(self.world, planned)
        settled = settle(self.world, planned, outcomes)
        record = entry.encode(settled.entry)
        fuel = entry.encode(entry.Fuel(settled.fuel))
        self.digests = digest.advance(self.digests, record, fuel)
        self.world = settled.world
        self._pool.retire(settled.ended)
        messages = sum([len(turn.inbox) for turn in planned.turns])
        return Ticked(settled, record, fuel, self.digests, messages)
