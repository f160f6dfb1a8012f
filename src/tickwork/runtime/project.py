"""What can be run: a resolved specification, the modules' bytes, and where inputs and outputs are."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import msgspec

from tickwork.core.errors import InputError
from tickwork.core.spec import RunSpec


@dataclass(frozen=True, slots=True)
class Project:
    """A run that has not begun. `inputs` and `outputs` give each declared name its path, `-` for a stream.

    An input without a path takes only what is posted to it. `ticks` and `until_idle` are when `run_to_end`
    ends; `stop_at_bad_input` makes the first bad line end the run instead of being reported.
    """

    spec: RunSpec
    modules: Mapping[str, bytes]
    inputs: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)
    ticks: int | None = None
    until_idle: bool = True
    stop_at_bad_input: bool = False

    def with_seed(self, seed: int) -> "Project":
        """Return the project with another seed."""
        return replace(self, spec=msgspec.structs.replace(self.spec, seed=seed))

    def with_paths(self, *, inputs: Mapping[str, str], outputs: Mapping[str, str]) -> "Project":
        """Return the project with other paths; raise `InputError` for a name that is not declared."""
        declared = [item.name for item in self.spec.inputs]
        for kind, given, names in (("input", inputs, declared), ("output", outputs, self.spec.outputs)):
            for name in given:
                if name not in names:
                    known = ", ".join(names) or "none"
                    raise InputError(f"there is no {kind} {name!r}; declared: {known}")
        return replace(self, inputs={**self.inputs, **inputs}, outputs={**self.outputs, **outputs})
