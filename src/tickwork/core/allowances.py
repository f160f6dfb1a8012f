"""What grants still allow in one tick. Used by `settling` and by nothing else."""

from collections.abc import Mapping

from tickwork.core.grants import Capability, find
from tickwork.core.refusals import DENIED, REJECTED, Refused, quoted
from tickwork.core.roster import Roster
from tickwork.core.world import World

_Counts = Mapping[tuple[int, int], int]


class Allowances:
    """The uses and tokens that each grant has left, by (agent, grant index)."""

    def __init__(self, world: World, roster: Roster) -> None:
        self._world = world
        self._roster = roster
        self._tick_counts: dict[tuple[int, int], int] = {}
        self._tick_tokens: dict[tuple[int, int], int] = {}
        self._spent: dict[tuple[int, int], int] | None = None
        self._tokens: dict[tuple[int, int], int] | None = None

    def charge(self, agent: int, capability: Capability, aim: str) -> bool:
        """Charge the first grant that covers the effect, or refuse; return whether the grant has a limit."""
        found = self._find(agent, capability, aim)
        grant = self._roster[agent].spec.grants[found]
        key = (agent, found)
        if grant.per_tick is not None:
            count = self._tick_counts.get(key, 0) + 1
            if count > grant.per_tick:
                raise Refused(REJECTED, f"over the limit of {grant.per_tick} per tick of grant {grant}")
            self._tick_counts[key] = count
        if grant.per_run is not None:
            spent = self._world.spent if self._spent is None else self._spent
            count = spent.get(key, 0) + 1
            if count > grant.per_run:
                raise Refused(REJECTED, f"over the limit of {grant.per_run} per run of grant {grant}")
            if self._spent is None:
                self._spent = dict(self._world.spent)
            self._spent[key] = count
        return grant.per_tick is not None or grant.per_run is not None

    def charge_tokens(self, agent: int, model: str, tokens: int) -> None:
        """Charge the grant of a request, which is charged already, with the most tokens that it may cost.

        Or refuse, and then no tokens are charged.
        """
        found = self._find(agent, Capability.INFER, model)
        grant = self._roster[agent].spec.grants[found]
        key = (agent, found)
        in_tick = self._tick_tokens.get(key, 0)
        spent = self._world.tokens_spent if self._tokens is None else self._tokens
        in_run = spent.get(key, 0)
        for limit, used, span in (
            (grant.tokens_per_tick, in_tick, "tick"),
            (grant.tokens_per_run, in_run, "run"),
        ):
            if limit is not None and used + tokens > limit:
                raise Refused(
                    REJECTED,
                    f"over the limit of {limit} tokens per {span} of grant {grant}:"
                    f" it may cost {tokens}, and {limit - used} are left",
                )
        if grant.tokens_per_tick is not None:
            self._tick_tokens[key] = in_tick + tokens
        if grant.tokens_per_run is not None:
            if self._tokens is None:
                self._tokens = dict(self._world.tokens_spent)
            self._tokens[key] = in_run + tokens

    def _find(self, agent: int, capability: Capability, aim: str) -> int:
        """Return the place of the first grant that covers the effect among the agent's, or refuse."""
        found = find(self._roster[agent].spec.grants, capability, aim)
        if found is None:
            asked = quoted(f"{capability}:{aim}" if aim else str(capability))
            raise Refused(DENIED, f"no grant covers {asked}")
        return found

    def done(self) -> tuple[_Counts, _Counts]:
        """Return the uses and the tokens that count for the rest of the run."""
        return (
            self._world.spent if self._spent is None else self._spent,
            self._world.tokens_spent if self._tokens is None else self._tokens,
        )
