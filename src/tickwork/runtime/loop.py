"""The only loop there is: plan, run the turns, settle, advance the digests.

Recording and replaying differ in where the arrivals come from and in what becomes of the record.
"""

from collections.abc import Sequence
from typing import NamedTuple

from tickwork.core import digest, entry
from tickwork.core.digest import Digests
from tickwork.core.messages import Arrivals
from tickwork.core.outcomes import Outcome
from tickwork.core.quiet import Plain, after_plain, is_quiet, settled_plain
from tickwork.core.step import Plan, Settled, take
from tickwork.core.world import World
from tickwork.pool.interface import Pool


class Ticked(NamedTuple):
    """One tick, done: the world after it, its canonical bytes, and the digests after it.

    `agents` are those that took a turn, `messages` is how many messages they found in their inboxes.
    `result` is what the tick came to, in the form in which it was found.
    """

    world: World
    entry: bytes
    fuel: bytes
    digests: Digests
    agents: Sequence[int]
    messages: int
    result: Settled | Plain

    @property
    def settled(self) -> Settled:
        """What the tick came to; after a plain tick this reads its record."""
        return settled_plain(self.world, self.result) if isinstance(self.result, Plain) else self.result


class Loop:
    """A world, the pool that runs its agents, and the digest chain so far."""

    def __init__(self, world: World, pool: Pool, digests: Digests) -> None:
        self.world = world
        self.digests = digests
        self._pool = pool

    def tick(self, arrivals: Arrivals) -> Ticked:
        """Take the world one tick further. If the host fails, nothing has changed here."""
        found = self._pool.run_quiet(self.world) if is_quiet(self.world, arrivals) else None
        ticked = self._plain(found) if isinstance(found, Plain) else self._settle(arrivals, found)
        self.world = ticked.world
        self.digests = ticked.digests
        return ticked

    def _plain(self, record: Plain) -> Ticked:
        digests = digest.advance(self.digests, record.entry, record.fuel)
        after = after_plain(self.world, record)
        return Ticked(after, record.entry, record.fuel, digests, record.agents, record.messages, record)

    def _settle(self, arrivals: Arrivals, outcomes: Sequence[Outcome] | None) -> Ticked:
        def run(wave: Plan) -> Sequence[Outcome]:
            return self._pool.run(self.world, wave) if outcomes is None else outcomes

        planned, settled = take(self.world, arrivals, run)
        record = entry.encode_entry(settled.entry)
        fuel = entry.encode(entry.Fuel(settled.fuel))
        digests = digest.advance(self.digests, record, fuel)
        self._pool.retire((*settled.ended, *settled.restarted))
        self._pool.roll_back(settled.rolled_back)
        agents = [turn.agent for turn in planned.turns]
        messages = sum([len(turn.inbox) for turn in planned.turns])
        return Ticked(settled.world, record, fuel, digests, agents, messages, settled)
