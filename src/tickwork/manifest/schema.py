"""What a manifest says, checked and with its defaults filled in. Pure description: nothing is built."""

import enum
from dataclasses import dataclass
from pathlib import Path

from tickwork.core.dag import Edge
from tickwork.core.grants import Grants
from tickwork.core.limits import Limits, RunLimits
from tickwork.core.supervision import Supervision


class Language(enum.StrEnum):
    """What an agent's file is, by its suffix, and so how it becomes a WASM module."""

    PYTHON = "python"
    C = "c"
    CPP = "cpp"
    WASM = "wasm"


LANGUAGE_OF_SUFFIX = {
    ".py": Language.PYTHON,
    ".c": Language.C,
    ".cc": Language.CPP,
    ".cpp": Language.CPP,
    ".cxx": Language.CPP,
    ".wasm": Language.WASM,
}


@dataclass(frozen=True, slots=True)
class BundledModule:
    """A Python module that an agent can import as `name`, with its absolute path."""

    name: str
    path: Path


@dataclass(frozen=True, slots=True)
class Agent:
    """One agent, or the template of a kind, whose `id` and `kind` are both the kind's name.

    `module` is absolute and was a regular file of acceptable size when the manifest was read. `config` is the
    author's bytes: compact JSON where the manifest has a table. `supervision` is None for the default.
    """

    id: str
    kind: str
    module: Path
    language: Language
    config: bytes
    grants: Grants
    subscribe: tuple[str, ...]
    every_tick: bool
    limits: Limits
    modules: tuple[BundledModule, ...]
    supervision: Supervision | None


@dataclass(frozen=True, slots=True)
class Input:
    """An external input; `path` is absolute, `-` for standard input, or None if only given at the start."""

    name: str
    topic: str
    to: tuple[str, ...]
    rate: int
    path: str | None


@dataclass(frozen=True, slots=True)
class Output:
    """An output; `path` is absolute, `-` for standard output, or None: its records stay in the run file."""

    name: str
    path: str | None


@dataclass(frozen=True, slots=True)
class Model:
    """A model that agents may ask: in the folder `path`, absolute, or in the cache under the name `cached`.

    `variant` is which of several files in the folder; `providers` where to run it, the first choice first.
    The others are those of `core.spec.ModelSpec`.
    """

    name: str
    path: str | None
    cached: str | None
    variant: str
    latency_ticks: int
    tokens_per_tick: int | None
    tokens_default: int
    tokens_max: int
    context_tokens: int
    requests_max: int
    providers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Snapshots:
    """When snapshots are taken, and which stay; no digest depends on it.

    `every` so many ticks, 0 for never; None: as often as a `share` of the run's time pays for. `keep` is a
    number of snapshots, or `all` or `thin`.
    """

    every: int | None = None
    share: float = 0.05
    keep: int | str = "all"


@dataclass(frozen=True, slots=True)
class Manifest:
    """A project. `path` is the manifest's own; times are in nanoseconds, `start_ns` since the Unix epoch.

    A run ends after `ticks` ticks if that is given, and with `until_idle` also when nothing is left to do.
    `durability` is `tick`, `group` or `off`. `edges` count if `schedule` is `dag`.
    `faults` is the absolute path of a file of faults, or None.
    """

    path: Path
    name: str
    seed: int
    start_ns: int
    tick_ns: int
    ticks: int | None
    until_idle: bool
    schedule: str
    edges: tuple[Edge, ...]
    stop_at_bad_input: bool
    durability: str
    snapshots: Snapshots
    floats: str
    limits: RunLimits
    agents: tuple[Agent, ...]
    kinds: tuple[Agent, ...]
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    models: tuple[Model, ...] = ()
    faults: Path | None = None
