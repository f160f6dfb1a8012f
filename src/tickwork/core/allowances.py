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

    def charge(self, agent: int, capability: Capability, aim: str, tokens: int = 0) -> bool:
        """Charge the first grant that covers the effect, or refuse; return whether the grant has a limit.

        `tokens` is the most that the effect may cost a model.
        """
        grants = self._roster[agent].spec.grants
        found = find(grants, capability, aim)
        if found is None:
            asked = quoted(f"{capability}:{aim}" if aim else str(capability))
            raise Refused(DENIED, f"no grant covers {asked}")
        grant = grants[found]
        key = (agent, found)
        if tokens:
            self._check_tokens(agent, found, tokens)
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
        if grant.tokens_per_tick is not None:
            self._tick_tokens[key] = self._tick_tokens.get(key, 0) + tokens
        if grant.tokens_per_run is not None:
            if self._tokens is None:
                self._tokens = dict(self._world.tokens_spent)
            self._tokens[key] = self._tokens.get(key, 0) + tokens
        return grant.per_tick is not None or grant.per_run is not None

    def _check_tokens(self, agent: int, found: int, tokens: int) -> None:
        grant = self._roster[agent].spec.grants[found]
        key = (agent, found)
        spent = self._world.tokens_spent if self._tokens is None else self._tokens
        for limit, used, span in (
            (grant.tokens_per_tick, self._tick_tokens.get(key, 0), "tick"),
            (grant.tokens_per_run, spent.get(key, 0), "run"),
        ):
            if limit is not None and used + tokens > limit:
                raise Refused(
                    REJECTED,
                    f"over the limit of {limit} tokens per {span} of grant {grant}:"
                    f" it may cost {tokens}, and {limit - used} are left",
                )

    def done(self) -> tuple[_Counts, _Counts]:
        """Return the uses and the tokens that count for the rest of the run."""
        return (
            self._world.spent if self._spent is None else self._spent,
            self._world.tokens_spent if self._tokens is None else self._tokens,
        )
