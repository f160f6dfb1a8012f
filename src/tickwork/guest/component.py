"""Flattening: a component becomes the core modules inside it and the links between them.

A component is a program that instantiates core modules. It has no branches, so it is carried out here
once, symbolically: index spaces hold where an item will come from instead of the item. What is left for
load time is the `LinkPlan`. Nested components are carried out where they are instantiated, with their
arguments.

Refused, each by name: start functions and values, async lifts, strings that are not UTF-8, resources that a
component defines, imported components and modules. A call from one nested component to another that
must move strings or lists is linked to the built-in `component.adapter`, because componentize-qjs wires two
that an agent never makes; the host ends a turn that calls it.
"""

from collections.abc import Mapping
from dataclasses import replace

from tickwork.core.errors import ModuleError
from tickwork.guest.bare import ARENA, ARENA_EXPORT, plan_bare
from tickwork.guest.binary import (
    COMPONENT_HEADER,
    CORE_HEADER,
    MAGIC,
    Reader,
    Section,
    quoted,
    sections,
)
from tickwork.guest.component_decode import (
    read_canonical,
    read_core_type,
    read_description,
    read_name,
    read_type,
)
from tickwork.guest.component_scope import (
    Definition,
    InlineInstance,
    Instance,
    LiftedFunc,
    NestedComponent,
    Scope,
    imported,
    item_at,
    read_alias,
    read_definition,
)
from tickwork.guest.core_module import Signature
from tickwork.guest.linker import CoreExports, InlineExports, Linker
from tickwork.guest.plan import ExportSource, Lifted, LinkPlan
from tickwork.guest.world import EXPORTS, check_type, check_version, missing_exports

DIRECT_STEP_EXPORT = "tickwork_step"

# A component may instantiate another many times in a few bytes, so what is carried out is counted.
# A CPython guest needs 80 kB and 2 components.
BYTES_MAX = 1 << 20
# Sections cost time and memory even when they are empty or skipped.
SECTION_BYTES = 16
COMPONENTS_MAX = 200

_CUSTOM, _CORE_MODULE, _CORE_INSTANCE, _CORE_TYPE, _COMPONENT, _INSTANCE = range(6)
_ALIAS, _TYPE, _CANONICAL, _START, _IMPORT, _EXPORT, _VALUE = range(6, 13)


def flatten(data: bytes) -> LinkPlan:
    """Return the plan of an agent's file: a component for the agent world, or a bare core module.

    Time and memory are linear in the file's size, and what a file may ask for beyond that is bounded. Raises
    `ModuleError`, and nothing else, for a file that is damaged, unsupported, or no agent. Instructions
    and data are not looked at; the engine validates them when it compiles the plan's modules.
    """
    header = data[:8]
    if header == CORE_HEADER:
        return plan_bare(data)
    if header == COMPONENT_HEADER:
        return _plan_component(data)
    if not data.startswith(MAGIC):
        raise ModuleError("not a WebAssembly file: it does not begin with the bytes '\\0asm'")
    if len(header) < 8:
        raise ModuleError("truncated: a WebAssembly header has 8 bytes")
    raise ModuleError(
        f"a WebAssembly file of unknown version {header[4:].hex()}: core modules of version 1 and components "
        "of version 13 are supported"
    )


def _plan_component(data: bytes) -> LinkPlan:
    """Return the plan of a component for the agent world; `ModuleError` if it is not one or not supported."""
    linker = Linker(data)
    root = _Carrier(linker).carry_out(NestedComponent(0, len(data), Scope()), None)
    lifted = {}
    for name in EXPORTS:
        sort, func = root.find(name) or (None, None)
        if sort != "func":
            raise missing_exports(root.names(), name, "a component")
        if not isinstance(func, LiftedFunc):
            raise ModuleError(f"export {name!r} is an import passed on, not a function of the component")
        if not isinstance(func.item, ExportSource):
            raise ModuleError(f"export {name!r} lifts an import or built-in, not a function of a core module")
        check_type(name, func.type)
        lifted[name] = linker.lift(name, func.item, func.options)
    return _with_direct_step(linker, lifted)


def _with_direct_step(linker: Linker, lifted: dict[str, Lifted]) -> LinkPlan:
    """Return the plan, in which a core module that offers it takes turns directly (docs/reference/abi.md)."""
    usual = lifted["step"]
    direct = linker.find_functions(
        (DIRECT_STEP_EXPORT, Signature(usual.params, usual.results)), (ARENA_EXPORT, ARENA)
    )
    if direct is None:
        return linker.plan(lifted)
    step, arena = direct
    return linker.plan({**lifted, "step": replace(usual, func=step, post=None)}, arena=arena)


class _Carrier:
    """Carries out components into a linker, within the bounds above."""

    def __init__(self, linker: Linker) -> None:
        self._linker = linker
        self._bytes = 0
        self._components = 0

    def carry_out(self, component: NestedComponent, arguments: Mapping[str, Definition] | None) -> Instance:
        """Return the exports of one instance; the root has no `arguments`: the host provides its imports."""
        data = self._linker.data
        self._components += 1
        if self._components > COMPONENTS_MAX:
            raise ModuleError(f"more than {COMPONENTS_MAX} component instances (at byte {component.start})")
        content = component.start + len(COMPONENT_HEADER)
        if component.end < content or data[component.start : content] != COMPONENT_HEADER:
            raise ModuleError(f"not a component of the supported version (at byte {component.start})")
        scope = component.scope
        for section in sections(data, content, component.end):
            skipped = section.id in (_CUSTOM, _CORE_MODULE, _COMPONENT)
            self._bytes += SECTION_BYTES + (0 if skipped else section.end - section.start)
            if self._bytes > BYTES_MAX:
                raise ModuleError(
                    f"more than {BYTES_MAX} bytes of component definitions (at byte {section.begin})"
                )
            self._read_section(section, scope, arguments)
        if arguments is None:
            check_version(name for name, (sort, _) in scope.exports.items() if sort == "instance")
        return InlineInstance(scope.exports)

    def _read_section(
        self, section: Section, scope: Scope, arguments: Mapping[str, Definition] | None
    ) -> None:
        reader = Reader(self._linker.data, section.start, section.end)
        if section.id == _CUSTOM:
            return
        if section.id == _CORE_MODULE:
            scope.core_modules.append(self._linker.add_module(section.start, section.end))
            return
        if section.id == _COMPONENT:
            scope.components.append(NestedComponent(section.start, section.end, scope))
            return
        if section.id in (_START, _VALUE) or section.id > _VALUE:
            what = {_START: "a component start function", _VALUE: "a component value section"}
            raise reader.error(
                f"{what.get(section.id, f'component section {section.id}')} is not supported", section.begin
            )
        for _ in range(reader.count()):
            self._read_definition(section.id, scope, reader, arguments)
        reader.expect_end(f"component section {section.id}")

    def _read_definition(
        self, section: int, scope: Scope, reader: Reader, arguments: Mapping[str, Definition] | None
    ) -> None:
        if section == _CORE_INSTANCE:
            scope.core_instances.append(self._read_core_instance(scope, reader))
        elif section == _CORE_TYPE:
            scope.core_types.append(read_core_type(reader))
        elif section == _INSTANCE:
            scope.instances.append(self._read_instance(scope, reader))
        elif section == _ALIAS:
            read_alias(scope, reader)
        elif section == _TYPE:
            scope.types.append(read_type(scope, reader))
        elif section == _CANONICAL:
            read_canonical(scope, reader)
        elif section == _IMPORT:
            scope.add(_read_import(scope, reader, arguments))
        else:
            _read_export(scope, reader)

    def _read_core_instance(self, scope: Scope, reader: Reader) -> CoreExports:
        start = reader.at
        form = reader.byte()
        if form == 0:
            module = item_at(scope.core_modules, reader, "core module")
            arguments: dict[str, CoreExports] = {}
            for _ in range(reader.count()):
                name = reader.name()
                if reader.byte() != 0x12:
                    raise reader.error("a core argument that is not an instance", reader.at - 1)
                arguments[name] = item_at(scope.core_instances, reader, "core instance")
            return self._linker.instantiate(module, arguments)
        if form != 1:
            raise reader.error(f"a core instance of unknown form {form}", start)
        items = {}
        for _ in range(reader.count()):
            name = reader.name()
            sort, item = read_definition(scope, reader, core=True)
            items[name] = (sort.removeprefix("core "), item)
        return InlineExports(items)

    def _read_instance(self, scope: Scope, reader: Reader) -> Instance:
        start = reader.at
        form = reader.byte()
        if form == 0:
            nested = item_at(scope.components, reader, "component")
            arguments: dict[str, Definition] = {}
            for _ in range(reader.count()):
                name = reader.name()
                arguments[name] = read_definition(scope, reader, core=False)
            inner = NestedComponent(nested.start, nested.end, nested.scope.nested(reader))
            return self.carry_out(inner, arguments)
        if form != 1:
            raise reader.error(f"an instance of unknown form {form}", start)
        items: dict[str, Definition] = {}
        for _ in range(reader.count()):
            name = read_name(reader)
            items[name] = read_definition(scope, reader, core=False)
        return InlineInstance(items)


def _read_import(scope: Scope, reader: Reader, arguments: Mapping[str, Definition] | None) -> Definition:
    start = reader.at
    name = read_name(reader)
    sort, described = read_description(scope, reader)
    if arguments is None:
        check_version((name,))
        if sort == "component":
            raise reader.error(f"the imported component {quoted(name)} is not supported", start)
        return imported(sort, name if sort == "instance" else f"$root#{name}", described)
    given = arguments.get(name)
    if given is None or given[0] != sort:
        what = "nothing" if given is None else f"a {given[0]}"
        raise reader.error(f"a nested component imports the {sort} {quoted(name)} and is given {what}", start)
    return given


def _read_export(scope: Scope, reader: Reader) -> None:
    start = reader.at
    name = read_name(reader)
    definition = read_definition(scope, reader, core=False)
    described = reader.byte()
    if described > 1:
        raise reader.error(f"an export's type with tag {described}", start)
    if described:
        read_description(scope, reader)
    if name in scope.exports:
        raise reader.error(f"{quoted(name)} is exported twice", start)
    scope.exports[name] = definition
    scope.add(definition)
