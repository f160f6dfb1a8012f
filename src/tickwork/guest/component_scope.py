"""The index spaces of a component, or of a component or instance type, while it is read."""

from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from tickwork.guest.binary import Reader, quoted
from tickwork.guest.component_types import FuncType, InstanceType, ResourceType, Type
from tickwork.guest.core_module import Signature
from tickwork.guest.linker import CoreExports, CoreItem, LiftOptions
from tickwork.guest.plan import ExportSource

_T = TypeVar("_T")

# Deeper nesting than any composed component; bounds Python's own recursion.
DEPTH_MAX = 20

CORE_SORTS = {
    0x00: "core func",
    0x01: "core table",
    0x02: "core memory",
    0x03: "core global",
    0x10: "core type",
    0x11: "core module",
    0x12: "core instance",
}
SORTS = {0x01: "func", 0x03: "type", 0x04: "component", 0x05: "instance"}
_OUTER_SORTS = frozenset({"core type", "core module", "type", "component"})


@dataclass(frozen=True, slots=True)
class ImportedFunc:
    """A function that the host provides, by its full name."""

    name: str
    type: FuncType


@dataclass(frozen=True, slots=True)
class LiftedFunc:
    """A core function, lifted."""

    item: CoreItem
    options: LiftOptions
    type: FuncType


Func = ImportedFunc | LiftedFunc
Definition = tuple[str, Any]  # sort and item


class Instance(Protocol):
    """A component instance, known by its exports."""

    def find(self, name: str) -> Definition | None:
        """Return the sort and item of the export `name`, or None."""

    def names(self) -> list[str]:
        """Return the exports' names."""


@dataclass(frozen=True, slots=True)
class InlineInstance:
    """An instance put together from items, or what a nested component left behind."""

    items: dict[str, Definition]

    def find(self, name: str) -> Definition | None:  # noqa: D102 - as in Instance
        return self.items.get(name)

    def names(self) -> list[str]:  # noqa: D102 - as in Instance
        return list(self.items)


@dataclass(frozen=True, slots=True)
class ImportedInstance:
    """An interface that the host provides; its items are made when asked for."""

    name: str
    type: InstanceType

    def find(self, name: str) -> Definition | None:  # noqa: D102 - as in Instance
        declared = self.type.exports.get(name)
        if declared is None:
            return None
        return imported(declared[0], f"{self.name}#{name}", declared[1])

    def names(self) -> list[str]:  # noqa: D102 - as in Instance
        return list(self.type.exports)


def imported(sort: str, name: str, described: Type) -> Definition:
    """Return the item that an import of this sort and type is known by."""
    if isinstance(described, FuncType):
        return sort, ImportedFunc(name, described)
    if isinstance(described, InstanceType):
        return sort, ImportedInstance(name, described)
    return sort, described


class Scope:
    """Index spaces, filled in the order of definition. `depth` counts the enclosing scopes."""

    def __init__(self, parent: "Scope | None" = None) -> None:
        self.parent = parent
        self.depth: int = 0 if parent is None else parent.depth + 1
        self.core_funcs: list[CoreItem] = []
        self.core_tables: list[CoreItem] = []
        self.core_memories: list[CoreItem] = []
        self.core_globals: list[CoreItem] = []
        self.core_types: list[Signature] = []
        self.core_modules: list[int] = []
        self.core_instances: list[CoreExports] = []
        self.funcs: list[Func] = []
        self.types: list[Type] = []
        self.components: list[NestedComponent] = []
        self.instances: list[Instance] = []
        self.spaces: dict[str, list[Any]] = {
            "core func": self.core_funcs,
            "core table": self.core_tables,
            "core memory": self.core_memories,
            "core global": self.core_globals,
            "core type": self.core_types,
            "core module": self.core_modules,
            "core instance": self.core_instances,
            "func": self.funcs,
            "type": self.types,
            "component": self.components,
            "instance": self.instances,
        }
        self.exports: dict[str, Definition] = {}

    def add(self, definition: Definition) -> None:
        """Append the item to the index space of its sort."""
        self.spaces[definition[0]].append(definition[1])

    def nested(self, reader: Reader) -> "Scope":
        """Return a new inner scope; `ModuleError` when that is too deep."""
        if self.depth >= DEPTH_MAX:
            raise reader.error(f"components or types nested more than {DEPTH_MAX} deep are not supported")
        return Scope(self)

    def outer(self, levels: int, reader: Reader) -> "Scope":
        """Return the scope `levels` outwards."""
        scope: Scope | None = self
        for _ in range(min(levels, DEPTH_MAX + 1)):
            scope = None if scope is None else scope.parent
        if scope is None:
            raise reader.error(f"an alias reaches out by {levels} scopes, further than there are")
        return scope


@dataclass(frozen=True, slots=True)
class NestedComponent:
    """A component that has been met and not read: that happens at each instantiation, with its arguments."""

    start: int
    end: int
    scope: Scope


def item_at(space: list[_T], reader: Reader, what: str) -> _T:
    """Read an index and return the item of `space` there."""
    start = reader.at
    index = reader.u32()
    if index >= len(space):
        raise reader.error(f"{what} {index} does not exist", start)
    return space[index]


def source_at(space: list[CoreItem], reader: Reader, what: str) -> ExportSource:
    """Read an index and return the core export there; a host function will not do."""
    start = reader.at
    item = item_at(space, reader, what)
    if not isinstance(item, ExportSource):
        raise reader.error(f"a {what} that is a canonical built-in or import is not supported", start)
    return item


def resource_at(scope: Scope, reader: Reader) -> ResourceType:
    """Read the index of a resource type."""
    start = reader.at
    found = item_at(scope.types, reader, "type")
    if not isinstance(found, ResourceType):
        raise reader.error("a type index that is not a resource", start)
    return found


def func_type_at(scope: Scope, reader: Reader) -> FuncType:
    """Read the index of a function type."""
    start = reader.at
    found = item_at(scope.types, reader, "type")
    if not isinstance(found, FuncType):
        raise reader.error("a type index that is not a function type", start)
    return found


def _read_core_sort(reader: Reader) -> str:
    start = reader.at
    code = reader.byte()
    sort = CORE_SORTS.get(code)
    if sort is None:
        raise reader.error(f"core sort 0x{code:02x} (exception tags?) is not supported", start)
    return sort


def _read_sort(reader: Reader) -> str:
    start = reader.at
    code = reader.byte()
    if code == 0:
        return _read_core_sort(reader)
    sort = SORTS.get(code)
    if sort is None:
        what = "component values are not supported" if code == 2 else f"unknown sort 0x{code:02x}"
        raise reader.error(what, start)
    return sort


def read_definition(scope: Scope, reader: Reader, *, core: bool) -> Definition:
    """Read a sort and an index, and return what is there."""
    sort = _read_core_sort(reader) if core else _read_sort(reader)
    return sort, item_at(scope.spaces[sort], reader, sort)


def read_alias(scope: Scope, reader: Reader) -> None:
    """Read an alias and add its item to `scope`."""
    start = reader.at
    sort = _read_sort(reader)
    target = reader.byte()
    if target == 0:
        found = item_at(scope.instances, reader, "instance").find(name := reader.name())
    elif target == 1:
        instance = item_at(scope.core_instances, reader, "core instance")
        core = instance.find(name := reader.name())
        found = None if core is None else (f"core {core[0]}", core[1])
    elif target == 2:
        if sort not in _OUTER_SORTS:
            raise reader.error(f"an outer alias of a {sort}", start)
        outer = scope.outer(reader.u32(), reader)
        scope.add((sort, item_at(outer.spaces[sort], reader, f"outer {sort}")))
        return
    else:
        raise reader.error(f"an alias of unknown kind {target}", start)
    if found is None or found[0] != sort:
        what = "nothing" if found is None else f"a {found[0]}"
        raise reader.error(f"an alias of the {sort} {quoted(name)} finds {what} of that name", start)
    scope.add(found)
