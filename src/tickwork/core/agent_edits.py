"""Edits of agents: what each is from the fork on. Used by `editing.apply_edits` and by nothing else."""

from collections.abc import Callable, Mapping

import msgspec

from tickwork.core.edit_faults import agent_edit_name, check_u64, index_of, listed, shown
from tickwork.core.edits import AgentEdit
from tickwork.core.errors import EditError
from tickwork.core.grants import Capability, Grant, Grants
from tickwork.core.spec import AgentSpec
from tickwork.core.world import AgentState, Status, World

CarriesOver = Callable[[str, str], str | None]

# Read when an instance is made or set up, and never again.
SETUP_LIMITS = ("fuel_setup", "table_elements")


class AgentEditing:
    """The agents in the making; `restarted` has the indexes of those that are set up anew."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._edited: dict[int, AgentEdit] = {}
        self.agents = list(world.agents)
        self.spent = dict(world.spent)
        self.tokens_spent = dict(world.tokens_spent)
        self.restarted: list[int] = []

    def change(self, edit: AgentEdit, carries_over: CarriesOver, memory_bytes: Callable[[int], int]) -> None:
        """Change one agent's specification and, with `restart`, its standing; raise EditError."""
        name = agent_edit_name(edit.id)
        index = index_of(self._world, name, edit.id)
        if index in self._edited:
            raise EditError(f"{name}: the agent is edited twice; make one edit of both")
        self._edited[index] = edit
        state = self.agents[index]
        if edit == AgentEdit(edit.id):
            raise EditError(f"{name}: changes nothing; say what it changes, or remove it")
        if not (state.live or edit.restart):
            raise EditError(f"{name}: the agent is {state.status}; add restart = true to set it up anew")
        spec = _changed_spec(name, state.spec, edit)
        if not edit.restart and state.status is Status.RUNNING:
            _check_running(name, state.spec, spec, carries_over)
            if spec.limits.memory_bytes < state.spec.limits.memory_bytes:
                _check_memory(name, spec, memory_bytes(index))
        if edit.grants is not None:
            self._recount(index, state.spec.grants, edit.grants)
        if edit.restart:
            self.restarted.append(index)
            self.agents[index] = AgentState(spec)
        else:
            self.agents[index] = msgspec.structs.replace(state, spec=spec)

    def _recount(self, agent: int, before: Grants, after: Grants) -> None:
        """Move what the agent spent to the places that its grants have now."""
        for counts, bounded in (
            (self.spent, [grant.per_run is not None for grant in after]),
            (self.tokens_spent, [grant.tokens_per_run is not None for grant in after]),
        ):
            spent: dict[str, int] = {}
            for place, grant in enumerate(before):
                count = counts.pop((agent, place), None)
                if count is not None:
                    # Of two grants of the same only the first was ever charged.
                    spent.setdefault(str(grant), count)
            for place, grant in enumerate(after):
                count = spent.get(str(grant))
                if count is not None and bounded[place]:
                    counts[agent, place] = count

    def check_grants(self) -> None:
        """Raise EditError for a new grant of nothing, by the rules that a manifest is held to."""
        targets = _Targets(self.agents, self._world)
        for edit in self._edited.values():
            for grant in edit.grants or ():
                targets.check(agent_edit_name(edit.id), grant)


class _Targets:
    """What grants may aim at, each set in the order of declaration."""

    def __init__(self, agents: list[AgentState], world: World) -> None:
        kinds = world.run.kinds
        specs = [*(agent.spec for agent in agents), *kinds]
        self._agents = dict.fromkeys(agent.spec.id for agent in agents)
        self._kinds = dict.fromkeys(kind.id for kind in kinds)
        self._outputs = dict.fromkeys(world.run.outputs)
        self._models = dict.fromkeys(model.name for model in world.run.models)
        self._topics = dict.fromkeys(topic for spec in specs for topic in spec.subscribe)

    def check(self, name: str, grant: Grant) -> None:
        """Raise EditError if the grant's target is nothing in this run."""
        what: str
        known: Mapping[str, None]
        match grant.capability:
            case Capability.SEND | Capability.STOP:
                if self._of_a_kind(grant.target):
                    return
                what, known = "agent", self._agents
            case Capability.SPAWN:
                what, known = "kind", self._kinds
            case Capability.OUTPUT:
                what, known = "output", self._outputs
            case Capability.PUBLISH:
                what, known = "topic that anyone subscribes to", self._topics
            case Capability.INFER:
                what, known = "model", self._models
            case Capability.TIMER | Capability.CALL:
                return
        if not any(grant.covers(grant.capability, target) for target in known):
            raise EditError(
                f"{name}: the grant {shown(str(grant))} matches no {what} of this run"
                f" (there are: {listed(known, len(known))}); correct it"
            )

    def _of_a_kind(self, target: str) -> bool:
        """Return whether an agent that is yet to be spawned could match: KIND/NAME, of any NAME."""
        literal = target.removesuffix("*")
        return any(
            literal.startswith(f"{kind}/") or (literal != target and f"{kind}/".startswith(literal))
            for kind in self._kinds
        )


def _changed_spec(name: str, spec: AgentSpec, edit: AgentEdit) -> AgentSpec:
    _check_grants(name, edit.grants or ())
    known = spec.limits.__struct_fields__
    for limit, value in edit.limits:
        if limit not in known:
            raise EditError(f"{name}: there is no limit {shown(limit)} (there are: {', '.join(known)})")
        check_u64(name, f"limits.{limit} ", value)
    return msgspec.structs.replace(
        spec,
        grants=spec.grants if edit.grants is None else edit.grants,
        limits=msgspec.structs.replace(spec.limits, **dict(edit.limits)),
        config=spec.config if edit.config is None else edit.config,
        preamble=spec.preamble if edit.preamble is None else edit.preamble,
        module=spec.module if edit.module is None else edit.module,
    )


def _check_grants(name: str, grants: Grants) -> None:
    seen: dict[str, None] = {}
    for grant in grants:
        if str(grant) in seen:
            raise EditError(f"{name}: {shown(str(grant))} is granted twice; remove one")
        seen[str(grant)] = None
        for count in (grant.per_tick, grant.per_run, grant.tokens_per_tick, grant.tokens_per_run):
            if count is not None:
                check_u64(name, f"a bound of the grant {shown(str(grant))} ", count)


def _check_running(name: str, before: AgentSpec, after: AgentSpec, carries_over: CarriesOver) -> None:
    """Refuse changes that an agent which goes on from its memory would never see."""
    fix = "add restart = true to set the agent up anew"
    if after.module != before.module:
        reason = carries_over(before.module, after.module)
        if reason is not None:
            raise EditError(f"{name}: its memory does not carry over to the new module: {reason}; {fix}")
    if after.preamble != before.preamble:
        raise EditError(
            f"{name}: its memory does not carry over to the new source: setup alone reads it, and the memory"
            f" holds what the old source made; {fix}"
        )
    if after.config != before.config:
        raise EditError(f"{name}: setup alone reads the config, and the agent has been set up; {fix}")
    for limit in SETUP_LIMITS:
        if getattr(after.limits, limit) != getattr(before.limits, limit):
            raise EditError(f"{name}: limits.{limit} holds from setup on, which is over; {fix}")


def _check_memory(name: str, spec: AgentSpec, size: int) -> None:
    if size > spec.limits.memory_bytes:
        raise EditError(
            f"{name}: limits.memory_bytes is {spec.limits.memory_bytes}, and the agent has {size} bytes"
            " already; raise it, or add restart = true to set the agent up anew"
        )
