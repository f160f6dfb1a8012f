"""What can be run: a resolved specification, the modules' bytes, and where inputs and outputs are."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import msgspec

from tickwork.core.dag import Edge
from tickwork.core.errors import InputError
from tickwork.core.fault_plan import FaultPlan
from tickwork.core.spec import RunSpec, with_faults
from tickwork.journal.writer import Durability
from tickwork.manifest.dag_section import EXAMPLE
from tickwork.manifest.run_section import DAG, SCHEDULES
from tickwork.runtime.model_place import ModelPlace
from tickwork.runtime.schedule import SnapshotSettings


@dataclass(frozen=True, slots=True)
class Project:
    """A run that has not begun. `inputs` and `outputs` give each declared name its path, `-` for a stream.

    An input without a path takes only what is posted to it. `ticks` and `until_idle` are when `run_to_end`
    ends; `stop_at_bad_input` makes the first bad line end the run instead of being reported.
    `models` says where each model that agents may ask is on this machine.
    `durability` says what a committed tick survives, `snapshots` when and how long they are kept; neither has
    any influence on the run, and nor has `note`, what a run is recorded for.
    `edges` are those declared, which count if the specification has them too.
    """

    spec: RunSpec
    modules: Mapping[str, bytes]
    inputs: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)
    ticks: int | None = None
    until_idle: bool = True
    stop_at_bad_input: bool = False
    durability: Durability = Durability.GROUP
    snapshots: SnapshotSettings = field(default_factory=SnapshotSettings)
    edges: tuple[Edge, ...] = ()
    models: Mapping[str, ModelPlace] = field(default_factory=dict)
    note: str = ""

    def with_seed(self, seed: int) -> "Project":
        """Return the project with another seed."""
        return replace(self, spec=msgspec.structs.replace(self.spec, seed=seed))

    def with_faults(self, faults: FaultPlan) -> "Project":
        """Return the project with this plan in place of the manifest's; one of nothing breaks nothing."""
        return replace(self, spec=with_faults(self.spec, faults))

    def scheduled(self, schedule: str) -> "Project":
        """Return the project with ticks of one wave (`lockstep`) or in the order of its edges (`dag`).

        Raises `InputError` for another word, or for `dag` if there are no edges.
        """
        if schedule not in SCHEDULES:
            raise InputError(f"--schedule takes {' or '.join(SCHEDULES)}, not {schedule!r}")
        if schedule == DAG and not self.edges:
            raise InputError(
                f"--schedule dag needs edges, and the manifest has none; add [dag] with {EXAMPLE}"
            )
        edges = self.edges if schedule == DAG else ()
        return replace(self, spec=msgspec.structs.replace(self.spec, edges=edges))

    def without_outputs(self) -> "Project":
        """Return the project with outputs that are only recorded."""
        return replace(self, outputs={})

    def with_paths(self, *, inputs: Mapping[str, str], outputs: Mapping[str, str]) -> "Project":
        """Return the project with other paths; raise `InputError` for a name that is not declared."""
        declared = [item.name for item in self.spec.inputs]
        for kind, given, names in (("input", inputs, declared), ("output", outputs, self.spec.outputs)):
            for name in given:
                if name not in names:
                    known = ", ".join(names) or "none"
                    raise InputError(f"there is no {kind} {name!r}; declared: {known}")
        return replace(self, inputs={**self.inputs, **inputs}, outputs={**self.outputs, **outputs})

    def ending(self, *, ticks: int | None, until: str | None) -> "Project":
        """Return the project with another end; raise `InputError` if it would have none.

        `until` is `idle` or `ticks`; None keeps the manifest's.
        """
        if until not in {None, "idle", "ticks"}:
            raise InputError(f"--until takes idle or ticks, not {until!r}")
        until_idle = self.until_idle if until is None else until == "idle"
        project = replace(self, ticks=self.ticks if ticks is None else ticks, until_idle=until_idle)
        project.check_ends()
        return project

    def check_ends(self) -> None:
        """Raise `InputError` if it is plain that `run_to_end` would never end."""
        if self.ticks is not None:
            return
        if not self.until_idle:
            raise InputError("the run would never end: give --ticks N, or --until idle")
        restless = next((agent.id for agent in self.spec.agents if agent.every_tick), None)
        if restless is not None:
            raise InputError(
                f"agent {restless!r} has every_tick, so the run never goes idle: "
                "give --ticks N, or set ticks in [run]"
            )
