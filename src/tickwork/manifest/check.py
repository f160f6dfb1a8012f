"""Whether the parts of a manifest fit each other: names that are used are declared, no file has two uses.

A manifest includes no other and no template extends another, so it has no way to form a cycle.
"""

import os.path
import pathlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tickwork.core.grants import Capability, Grant
from tickwork.core.limits import RunLimits
from tickwork.manifest.dag_section import EXAMPLE, Path, dag_faults
from tickwork.manifest.faults import Fault, KeyPath, did_you_mean, listed, quoted
from tickwork.manifest.flow_sections import STREAM, InputFields
from tickwork.manifest.schema import Agent, Input, Model, Output


@dataclass(slots=True)
class Declared:
    """All that a manifest declares, each part with its place: one entry for each [[agents]] and [kinds.X]."""

    manifest: pathlib.Path
    limits: RunLimits
    entries: list[tuple[KeyPath, tuple[Agent, ...]]] = field(default_factory=list)
    kinds: list[tuple[KeyPath, Agent]] = field(default_factory=list)
    inputs: list[InputFields] = field(default_factory=list)
    outputs: list[Output] = field(default_factory=list)
    models: list[Model] = field(default_factory=list)
    paths: list[Path] = field(default_factory=list)
    wants_dag: bool = False

    @property
    def agents(self) -> list[Agent]:
        """Every declared agent, in index order."""
        return [agent for _, agents in self.entries for agent in agents]


def faults(declared: Declared) -> Iterator[Fault]:
    """Yield everything in which the parts do not fit."""
    yield from _agent_faults(declared)
    yield from _grant_faults(declared)
    yield from _input_faults(declared)
    yield from _path_faults(declared)
    yield from _edge_faults(declared)


def receivers(declared: Declared, source: InputFields) -> tuple[str, ...]:
    """Return the ids of the agents that an input goes to, patterns replaced by what they match, each once."""
    ids = [agent.id for agent in declared.agents]
    found: dict[str, None] = {}
    for _, to in source.to:
        for name in _matches(to, ids):
            found[name] = None
    return tuple(found)


def resolve_inputs(declared: Declared) -> tuple[Input, ...]:
    """Return the inputs with their receivers, once `faults` has none."""
    return tuple(
        Input(source.name, source.topic, receivers(declared, source), source.rate, source.path)
        for source in declared.inputs
    )


def _matches(pattern: str, names: Sequence[str]) -> list[str]:
    if pattern.endswith("*"):
        return [name for name in names if name.startswith(pattern[:-1])]
    return [name for name in names if name == pattern]


def _agent_faults(declared: Declared) -> Iterator[Fault]:
    if not declared.entries:
        yield Fault((), "there are no agents; add [[agents]] with an id and a module")
    first: dict[str, KeyPath] = {}
    total = 0
    for at, agents in declared.entries:
        total += len(agents)
        if total > declared.limits.agents:
            yield Fault(
                at, f"makes {total} agents, more than limits.agents, which is {declared.limits.agents}"
            )
            return
        for agent in agents:
            if agent.id in first:
                here = f"agents[{first[agent.id][1]}]"
                yield Fault(
                    (*at, "id"), f"the id {quoted(agent.id)} is taken by {here}; every id must be unique"
                )
                break
            first[agent.id] = at


def _grant_faults(declared: Declared) -> Iterator[Fault]:
    names = _Names(declared)
    holders = [(at, agents[0], f"agent {quoted(agents[0].id)}") for at, agents in declared.entries]
    holders += [(at, kind, f"kind {quoted(kind.id)}") for at, kind in declared.kinds]
    for at, agent, whose in holders:
        for index, grant in enumerate(agent.grants):
            reason = names.fault(grant)
            if reason:
                yield Fault((*at, "grants", index), f"{quoted(str(grant))} {reason}", whose)


class _Names:
    """What grants may aim at."""

    def __init__(self, declared: Declared) -> None:
        holders = [*(group[0] for _, group in declared.entries), *(kind for _, kind in declared.kinds)]
        # Dictionaries: in order of declaration, and quick to ask for one of many thousands.
        self._agents = dict.fromkeys(agent.id for agent in declared.agents)
        self._kinds = dict.fromkeys(kind.id for _, kind in declared.kinds)
        self._outputs = dict.fromkeys(output.name for output in declared.outputs)
        self._models = dict.fromkeys(model.name for model in declared.models)
        self._topics = dict.fromkeys(topic for holder in holders for topic in holder.subscribe)

    def fault(self, grant: Grant) -> str | None:
        """Return why the grant's target is nothing that is declared, or None."""
        match grant.capability:
            case Capability.SEND | Capability.STOP:
                return self._agent_fault(grant.target)
            case Capability.SPAWN:
                return _missing(grant.target, self._kinds, "kind", "add [kinds.NAME]")
            case Capability.OUTPUT:
                return _missing(grant.target, self._outputs, "output", "add [outputs.NAME]")
            case Capability.PUBLISH:
                return _missing(
                    grant.target, self._topics, "topic that anyone subscribes to", "let one subscribe"
                )
            case Capability.INFER:
                return _missing(grant.target, self._models, "model", "add [models.NAME]")
            case Capability.TIMER | Capability.CALL:
                return None

    def _agent_fault(self, target: str) -> str | None:
        literal = target.removesuffix("*")
        for kind in self._kinds:
            # A spawned agent's id is KIND/NAME, and NAME is chosen by whoever spawns it.
            spawned = f"{kind}/"
            if literal.startswith(spawned) or (literal != target and spawned.startswith(literal)):
                return None
        if "/" in literal:
            return _missing(literal.partition("/")[0], self._kinds, "kind", "add [kinds.NAME]")
        return _missing(target, self._agents, "agent", "declare it in [[agents]]")


def _missing(target: str, known: Mapping[str, None], what: str, fix: str) -> str | None:
    if _matches_any(target, known):
        return None
    verb = "matches" if target.endswith("*") else "names"
    hint = did_you_mean(target, list(known))
    return f"{verb} no {what}{hint} (there are: {listed(known)}); correct it, or {fix}"


def _matches_any(pattern: str, names: Mapping[str, None]) -> bool:
    if pattern.endswith("*"):
        return any(name.startswith(pattern[:-1]) for name in names)
    return pattern in names


def _input_faults(declared: Declared) -> Iterator[Fault]:
    ids = [agent.id for agent in declared.agents]
    boxes = {agent.id: agent.limits.mailbox_messages for agent in declared.agents}
    arriving: Counter[str] = Counter()
    for source in declared.inputs:
        for at, to in source.to:
            if "*" in to[:-1]:
                yield Fault(at, f"{quoted(to)} may have a '*' only at its end")
            elif not _matches(to, ids):
                verb = "matches" if to.endswith("*") else "is"
                hint = did_you_mean(to, ids)
                yield Fault(at, f"{quoted(to)} {verb} no declared agent{hint} (there are: {listed(ids)})")
        for name in receivers(declared, source):
            arriving[name] += source.rate
            if arriving[name] > boxes[name]:
                yield Fault(
                    (*source.at, "rate"),
                    f"brings {arriving[name]} lines a tick to agent {quoted(name)}, whose"
                    f" limits.mailbox_messages is {boxes[name]}; lower the rate or raise that limit",
                )
                break


def _edge_faults(declared: Declared) -> Iterator[Fault]:
    if declared.wants_dag and not declared.paths:
        yield Fault(("run", "schedule"), f'is "dag", but no edges are declared; add [dag] with {EXAMPLE}')
    agents, kinds = [agent.id for agent in declared.agents], [kind.id for _, kind in declared.kinds]
    yield from dag_faults(declared.paths, agents, kinds)


def _path_faults(declared: Declared) -> Iterator[Fault]:
    """Yield where a run would write over what it reads, or mix two outputs in one file."""
    used = {_same(str(declared.manifest)): "the manifest"}
    holders = [*(agents[0] for _, agents in declared.entries), *(kind for _, kind in declared.kinds)]
    for agent in holders:
        used.setdefault(_same(str(agent.module)), f"the module of {quoted(agent.id)}")
        for module in agent.modules:
            used.setdefault(_same(str(module.path)), f"a module of {quoted(agent.id)}")
    streams: dict[str, str] = {}
    for source in declared.inputs:
        if source.path == STREAM:
            if "stdin" in streams:
                yield Fault(
                    (*source.at, "path"), f"standard input goes to the input {streams['stdin']} already"
                )
            streams["stdin"] = source.name
        elif source.path is not None:
            used.setdefault(_same(source.path), f"the input {source.name}")
    for output in declared.outputs:
        if output.path is None:
            continue
        at: KeyPath = ("outputs", output.name, "path")
        key = STREAM if output.path == STREAM else _same(output.path)
        if key in used:
            what = "standard output" if key == STREAM else quoted(output.path)
            yield Fault(at, f"{what} is used by {used[key]} already; give this output a path of its own")
        used[key] = f"the output {output.name}"


def _same(path: str) -> str:
    """Return one name for all ways to write a path."""
    return os.path.realpath(path)
