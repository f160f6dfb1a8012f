"""How the core modules of an agent's file are instantiated and called.

A component and a bare core module both become this one form. Pure data: `component` and `exports` make it,
`program` carries it out.
"""

from dataclasses import dataclass

ValueTypes = tuple[str, ...]  # of "i32", "i64", "f32", "f64"


@dataclass(frozen=True, slots=True)
class HostSource:
    """An import satisfied by the host function with this index in `LinkPlan.hosts`."""

    host: int


@dataclass(frozen=True, slots=True)
class ExportSource:
    """An import (or option) satisfied by an export, by name, of an earlier instance of the plan."""

    instance: int
    export: str


Source = HostSource | ExportSource


@dataclass(frozen=True, slots=True)
class HostImport:
    """A function that the host must provide.

    `name` is `INTERFACE@VERSION#FUNCTION` for a lowered component import, `MODULE#FUNCTION` for a core
    import, or a canonical built-in such as `resource.drop`, which has no `#`. Of the built-ins an agent
    calls only `resource.drop` in a turn; for the rest (`context.get`, `waitable-set.new`, ..., and
    `component.adapter`, a call between nested components that moves memory) the host ends the turn.

    Arguments arrive as the flattened core values of `params`. `memory` and `realloc` are those given when
    the import was lowered (for a bare core module: its own exports), through which pointers among the
    arguments are read and results returned.
    """

    name: str
    params: ValueTypes
    results: ValueTypes
    memory: ExportSource | None
    realloc: ExportSource | None


@dataclass(frozen=True, slots=True)
class CoreModule:
    """A core module whose mutable globals, memories and tables are all exported."""

    code: bytes


@dataclass(frozen=True, slots=True)
class CoreInstance:
    """An instance of `LinkPlan.modules[module]`; `imports` are in the module's own import order."""

    module: int
    imports: tuple[Source, ...]


@dataclass(frozen=True, slots=True)
class Lifted:
    """An exported function of the agent, called by the Canonical ABI with flattened core values."""

    func: ExportSource
    params: ValueTypes
    results: ValueTypes
    memory: ExportSource | None
    realloc: ExportSource | None
    post: ExportSource | None


@dataclass(frozen=True, slots=True)
class LinkPlan:
    """Everything needed to make an agent: instantiate in order, call `initialize`, then the lifted exports.

    `memories`, `globals` and `tables` name every piece of mutable state, each once, in a stable order; a
    snapshot is exactly these. `arena` is the optional export by which a bare core module takes a whole
    inbox in one block (docs/reference/abi.md).
    """

    modules: tuple[CoreModule, ...]
    instances: tuple[CoreInstance, ...]
    hosts: tuple[HostImport, ...]
    lifted: dict[str, Lifted]
    initialize: tuple[ExportSource, ...]
    memories: tuple[ExportSource, ...]
    globals: tuple[tuple[ExportSource, str], ...]
    tables: tuple[ExportSource, ...]
    arena: ExportSource | None = None
