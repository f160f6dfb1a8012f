"""Collects core modules, their instances and host functions into a `LinkPlan`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from tickwork.core.errors import ModuleError
from tickwork.guest.binary import quoted
from tickwork.guest.core_module import Import, ParsedModule, Signature
from tickwork.guest.exports import State, expose_state
from tickwork.guest.plan import (
    CoreInstance,
    CoreModule,
    ExportSource,
    HostImport,
    HostSource,
    Lifted,
    LinkPlan,
    Source,
)
from tickwork.guest.world import EXPORTS, POST_RETURN, REALLOC

# Far above real components (a CPython guest has 14 instances and 2,400 links); a file can name one module
# a thousand times in a few bytes, so what it asks for is counted, not what it holds.
MODULES_MAX = 1_000
INSTANCES_MAX = 1_000
LINKS_MAX = 200_000


@dataclass(slots=True, eq=False)
class HostFunction:
    """A core function that the host provides.

    `signature` is None until an import tells it; `index` is the plan's, and -1 until an import asks for it.
    """

    name: str
    signature: Signature | None
    memory: ExportSource | None = None
    realloc: ExportSource | None = None
    index: int = -1


CoreItem = ExportSource | HostFunction


class CoreExports(Protocol):
    """Something that core imports can be satisfied from."""

    def find(self, name: str) -> tuple[str, CoreItem] | None:
        """Return the kind and item of the export `name`, or None."""


@dataclass(frozen=True, slots=True)
class ModuleInstance:
    """The exports of the plan's instance `index`."""

    index: int
    module: ParsedModule

    def find(self, name: str) -> tuple[str, CoreItem] | None:  # noqa: D102 - as in CoreExports
        export = self.module.exports.get(name)
        return None if export is None else (export.kind, ExportSource(self.index, name))


@dataclass(frozen=True, slots=True)
class InlineExports:
    """An instance put together from items of others."""

    items: dict[str, tuple[str, CoreItem]]

    def find(self, name: str) -> tuple[str, CoreItem] | None:  # noqa: D102 - as in CoreExports
        return self.items.get(name)


@dataclass(frozen=True, slots=True)
class LiftOptions:
    """The canonical options of a lifted or lowered function."""

    memory: ExportSource | None = None
    realloc: ExportSource | None = None
    post: ExportSource | None = None


@dataclass(slots=True)
class Linker:
    """Builds one `LinkPlan` from the file `data`."""

    data: bytes
    _parsed: list[ParsedModule] = field(default_factory=list)
    _modules: list[CoreModule] = field(default_factory=list)
    _states: list[State] = field(default_factory=list)
    _module_at: dict[int, int] = field(default_factory=dict)
    _instances: list[CoreInstance] = field(default_factory=list)
    _hosts: list[HostFunction] = field(default_factory=list)
    _links: int = 0

    def add_module(self, start: int, end: int) -> int:
        """Return the plan's index of the core module at `[start, end)`; one place in the file, one module."""
        known = self._module_at.get(start)
        if known is not None:
            return known
        if len(self._parsed) >= MODULES_MAX:
            raise ModuleError(f"more than {MODULES_MAX} core modules (at byte {start})")
        parsed = ParsedModule(self.data, start, end)
        code, state = expose_state(parsed)
        self._module_at[start] = len(self._parsed)
        self._parsed.append(parsed)
        self._modules.append(CoreModule(code))
        self._states.append(state)
        return len(self._parsed) - 1

    def parsed(self, module: int) -> ParsedModule:
        """Return what is known of a module that was added."""
        return self._parsed[module]

    def instantiate(self, module: int, arguments: Mapping[str, CoreExports]) -> ModuleInstance:
        """Add an instance whose imports are satisfied by `arguments`; `ModuleError` if one is not."""
        parsed = self._parsed[module]
        state = self._states[module]
        if len(self._instances) >= INSTANCES_MAX:
            raise ModuleError(f"more than {INSTANCES_MAX} core instances")
        self._links += len(parsed.imports) + len(state.memories) + len(state.globals) + len(state.tables)
        if self._links > LINKS_MAX:
            raise ModuleError(f"the instances have more than {LINKS_MAX} imports and pieces of state in all")
        sources: list[Source] = []
        for wanted in parsed.imports:
            provider = arguments.get(wanted.module)
            found = None if provider is None else provider.find(wanted.name)
            if found is None or found[0] != wanted.kind:
                what = "but nothing provides it" if found is None else f"but a {found[0]} is provided"
                raise _unlinked(parsed, wanted, what)
            item = found[1]
            if isinstance(item, HostFunction):
                sources.append(self._host_source(item, wanted))
            else:
                self._check_source(item, wanted, parsed)
                sources.append(item)
        self._instances.append(CoreInstance(module, tuple(sources)))
        return ModuleInstance(len(self._instances) - 1, parsed)

    def _check_source(self, source: ExportSource, wanted: Import, parsed: ParsedModule) -> None:
        provider = self._parsed[self._instances[source.instance].module]
        found = provider.export_type(source.export)
        if found != wanted.type:
            raise _unlinked(parsed, wanted, f"as {wanted.type}, but it is {found}")

    def _host_source(self, host: HostFunction, wanted: Import) -> HostSource:
        signature = wanted.type
        if not isinstance(signature, Signature) or not signature.is_numeric():
            raise ModuleError(f"import {quoted(host.name)} is {signature}: only numbers can reach the host")
        if host.signature is None:
            host.signature = signature
        if host.signature != signature:
            raise ModuleError(f"import {quoted(host.name)} is {host.signature}, but is used as {signature}")
        if host.index < 0:
            host.index = len(self._hosts)
            self._hosts.append(host)
        return HostSource(host.index)

    def find_functions(self, *wanted: tuple[str, Signature]) -> tuple[ExportSource, ...] | None:
        """Return the functions of the first instance that exports all of these by name, or None.

        `ModuleError` if one of them has another type.
        """
        names = [name for name, _ in wanted]
        having = (
            index
            for index, instance in enumerate(self._instances)
            if all(name in self._parsed[instance.module].exports for name in names)
        )
        first = next(having, None)
        if first is None:
            return None
        found = tuple(ExportSource(first, name) for name in names)
        for source, (name, expected) in zip(found, wanted, strict=True):
            kind = self.signature(source)
            if kind != expected:
                raise ModuleError(f"{name} must be a core function {expected}, found {kind or 'no function'}")
        return found

    def signature(self, source: ExportSource) -> Signature | None:
        """Return the type of the exported function, or None where the export is not a function."""
        return self._parsed[self._instances[source.instance].module].export_signature(source.export)

    def lift(self, name: str, func: ExportSource, options: LiftOptions) -> Lifted:
        """Return the world's function `name` lifted from `func`; `ModuleError` if a core type is wrong."""
        wanted = EXPORTS[name].lifted()
        for role, source, expected in (
            (name, func, wanted),
            (f"{name}'s realloc", options.realloc, REALLOC),
            (f"{name}'s post-return", options.post, POST_RETURN),
        ):
            found = None if source is None else self.signature(source)
            if source is not None and found != expected:
                raise ModuleError(
                    f"{role} must be a core function {expected}, found {found or 'no function'}"
                )
        if options.memory is None or options.realloc is None:
            missing = "memory" if options.memory is None else "realloc"
            raise ModuleError(f"{name} is lifted without a {missing}; its strings and lists need one")
        return Lifted(func, wanted.params, wanted.results, options.memory, options.realloc, options.post)

    def plan(
        self,
        lifted: dict[str, Lifted],
        initialize: tuple[ExportSource, ...] = (),
        arena: ExportSource | None = None,
    ) -> LinkPlan:
        """Return the finished plan."""
        memories: list[ExportSource] = []
        mutable: list[tuple[ExportSource, str]] = []
        tables: list[ExportSource] = []
        for index, instance in enumerate(self._instances):
            state = self._states[instance.module]
            memories += [ExportSource(index, name) for name in state.memories]
            mutable += [(ExportSource(index, name), value) for name, value in state.globals]
            tables += [ExportSource(index, name) for name in state.tables]
        return LinkPlan(
            modules=tuple(self._modules),
            instances=tuple(self._instances),
            hosts=tuple(_host_import(host) for host in self._hosts),
            lifted=lifted,
            initialize=initialize,
            memories=tuple(memories),
            globals=tuple(mutable),
            tables=tuple(tables),
            arena=arena,
        )


def _unlinked(module: ParsedModule, wanted: Import, why: str) -> ModuleError:
    return ModuleError(
        f"the core module at byte {module.start} imports the {wanted.kind} {quoted(wanted.module)} "
        f"{quoted(wanted.name)}, {why}"
    )


def _host_import(host: HostFunction) -> HostImport:
    params, results = host.signature or Signature((), ())
    return HostImport(host.name, params, results, host.memory, host.realloc)
