"""Decoding a component's types and canonical definitions. Source: the Component Model's Binary.md."""

from collections.abc import Callable

from tickwork.guest import component_types as t
from tickwork.guest.binary import Reader
from tickwork.guest.component_scope import (
    LiftedFunc,
    Scope,
    func_type_at,
    imported,
    item_at,
    read_alias,
    resource_at,
    source_at,
)
from tickwork.guest.core_module import Signature, read_function_type
from tickwork.guest.linker import CoreItem, HostFunction, LiftOptions

PRIMITIVES = {
    0x7F: t.BOOL,
    0x7E: t.S8,
    0x7D: t.U8,
    0x7C: t.S16,
    0x7B: t.U16,
    0x7A: t.S32,
    0x79: t.U32,
    0x78: t.S64,
    0x77: t.U64,
    0x76: t.F32,
    0x75: t.F64,
    0x74: t.CHAR,
    0x73: t.STRING,
    0x64: t.ERROR_CONTEXT,
}
# Crossing from one component to another changes no bit of these, whatever the caller passes.
_UNCHANGED = frozenset({"s32", "u32", "s64", "u64", "f32", "f64"})

RESOURCE_DROP = "resource.drop"
ADAPTER = "component.adapter"

# Operands: t a type index, v a core value type, i a number, b a flag, o options, r a result list, m a memory.
_BUILTINS = {
    0x05: ("task.cancel", ""),
    0x06: ("subtask.cancel", "b"),
    0x09: ("task.return", "ro"),
    0x0A: ("context.get", "vi"),
    0x0B: ("context.set", "vi"),
    0x0C: ("thread.yield", "b"),
    0x0D: ("subtask.drop", ""),
    0x0E: ("stream.new", "t"),
    0x0F: ("stream.read", "to"),
    0x10: ("stream.write", "to"),
    0x11: ("stream.cancel-read", "tb"),
    0x12: ("stream.cancel-write", "tb"),
    0x13: ("stream.drop-readable", "t"),
    0x14: ("stream.drop-writable", "t"),
    0x15: ("future.new", "t"),
    0x16: ("future.read", "to"),
    0x17: ("future.write", "to"),
    0x18: ("future.cancel-read", "tb"),
    0x19: ("future.cancel-write", "tb"),
    0x1A: ("future.drop-readable", "t"),
    0x1B: ("future.drop-writable", "t"),
    0x1C: ("error-context.new", "o"),
    0x1D: ("error-context.debug-message", "o"),
    0x1E: ("error-context.drop", ""),
    0x1F: ("waitable-set.new", ""),
    0x20: ("waitable-set.wait", "bm"),
    0x21: ("waitable-set.poll", "bm"),
    0x22: ("waitable-set.drop", ""),
    0x23: ("waitable.join", ""),
    0x24: ("backpressure.inc", ""),
    0x25: ("backpressure.dec", ""),
}


def read_name(reader: Reader) -> str:
    """Read an import's or export's name; its attributes are skipped."""
    start = reader.at
    form = reader.byte()
    name = reader.name()
    if form == 2:
        for _ in range(reader.count()):
            reader.byte()
            reader.name()
    elif form > 2:
        raise reader.error(f"a name of unknown form {form}", start)
    return name


def read_value_type(scope: Scope, reader: Reader) -> t.ValueType:
    """Read a primitive type or the index of a value type."""
    start = reader.at
    code = reader.signed(33)
    if code < 0:
        found = PRIMITIVES.get(code & 0x7F) if code >= -0x40 else None
        if found is None:
            raise reader.error(f"unknown component value type {code}", start)
        return found
    if code >= len(scope.types):
        raise reader.error(f"type {code} does not exist", start)
    indexed = scope.types[code]
    if not isinstance(indexed, t.ValueType):
        raise reader.error("a type index that is not a value type", start)
    return indexed


def _optional(scope: Scope, reader: Reader) -> t.ValueType | None:
    start = reader.at
    present = reader.byte()
    if present > 1:
        raise reader.error(f"an optional type with tag {present}", start)
    return read_value_type(scope, reader) if present else None


def _labelled(scope: Scope, reader: Reader, what: str) -> list[tuple[str, t.ValueType]]:
    fields = [(reader.name(), read_value_type(scope, reader)) for _ in range(reader.count())]
    if not fields:
        raise reader.error(f"an empty {what}")
    return fields


def _case(scope: Scope, reader: Reader) -> tuple[str, t.ValueType | None]:
    name = reader.name()
    value = _optional(scope, reader)
    if reader.byte() != 0:
        raise reader.error("a variant case that refines another is not supported", reader.at - 1)
    return name, value


def _variant(scope: Scope, reader: Reader) -> t.ValueType:
    cases = [_case(scope, reader) for _ in range(reader.count())]
    if not cases:
        raise reader.error("an empty variant")
    return t.variant(cases)


def _tuple(scope: Scope, reader: Reader) -> t.ValueType:
    values = [read_value_type(scope, reader) for _ in range(reader.count())]
    if not values:
        raise reader.error("an empty tuple")
    return t.tuple_of(values)


def _names(reader: Reader) -> list[str]:
    names = [reader.name() for _ in range(reader.count())]
    if not names:
        raise reader.error("an empty flags or enum")
    return names


def _handle(kind: str) -> Callable[[Scope, Reader], t.ValueType]:
    def read(scope: Scope, reader: Reader) -> t.ValueType:
        resource_at(scope, reader)
        return t.handle(kind)

    return read


def _channel(kind: str) -> Callable[[Scope, Reader], t.ValueType]:
    def read(scope: Scope, reader: Reader) -> t.ValueType:
        _optional(scope, reader)
        return t.handle(kind)

    return read


_COMPOUND: dict[int, Callable[[Scope, Reader], t.ValueType]] = {
    0x72: lambda scope, reader: t.record(_labelled(scope, reader, "record")),
    0x71: _variant,
    0x70: lambda scope, reader: t.list_of(read_value_type(scope, reader)),
    0x6F: _tuple,
    0x6E: lambda _, reader: t.flags(_names(reader)),
    0x6D: lambda _, reader: t.enum(_names(reader)),
    0x6B: lambda scope, reader: t.option(read_value_type(scope, reader)),
    0x6A: lambda scope, reader: t.result(_optional(scope, reader), _optional(scope, reader)),
    0x69: _handle("own"),
    0x68: _handle("borrow"),
    0x66: _channel("stream"),
    0x65: _channel("future"),
}


def read_type(scope: Scope, reader: Reader) -> t.Type:
    """Read a type definition."""
    start = reader.at
    form = reader.byte()
    if form in PRIMITIVES:
        return PRIMITIVES[form]
    compound = _COMPOUND.get(form)
    if compound is not None:
        return compound(scope, reader)
    if form == 0x40:
        return _read_function(scope, reader)
    if form in (0x41, 0x42):
        return _read_interface(scope, reader, is_component=form == 0x41)
    unsupported = {
        0x3F: "a resource type defined by a component (as --stub-wasi leaves them)",
        0x43: "an async function type",
        0x63: "a map type",
        0x67: "a list of fixed length",
    }
    raise reader.error(f"{unsupported.get(form, f'component type 0x{form:02x}')} is not supported", start)


def _read_results(scope: Scope, reader: Reader) -> t.ValueType | None:
    start = reader.at
    form = reader.byte()
    if form == 0:
        return read_value_type(scope, reader)
    if form != 1 or reader.byte() != 0:
        raise reader.error("a function with named results is not supported", start)
    return None


def _read_function(scope: Scope, reader: Reader) -> t.FuncType:
    params = tuple([(reader.name(), read_value_type(scope, reader)) for _ in range(reader.count())])
    return t.FuncType(params, _read_results(scope, reader))


def _read_interface(outer: Scope, reader: Reader, *, is_component: bool) -> t.Type:
    scope = outer.nested(reader)
    exports: dict[str, tuple[str, t.Type]] = {}
    for _ in range(reader.count()):
        start = reader.at
        form = reader.byte()
        if form == 0:
            scope.core_types.append(read_core_type(reader))
        elif form == 1:
            scope.types.append(read_type(scope, reader))
        elif form == 2:
            read_alias(scope, reader)
        elif form == 4 or (form == 3 and is_component):
            name = read_name(reader)
            sort, described = read_description(scope, reader)
            scope.add(imported(sort, name, described))
            if form == 4:
                exports[name] = (sort, described)
        else:
            raise reader.error(f"a declaration of unknown form {form}", start)
    return t.ComponentType() if is_component else t.InstanceType(exports)


def read_core_type(reader: Reader) -> Signature:
    """Read a core type definition; only function types are supported."""
    start = reader.at
    form = reader.byte()
    if form != 0x60:
        what = "a core module type" if form == 0x50 else f"core type form 0x{form:02x}"
        raise reader.error(f"{what} is not supported", start)
    return read_function_type(reader)


def read_description(scope: Scope, reader: Reader) -> tuple[str, t.Type]:
    """Read the sort and type of an import or export."""
    start = reader.at
    form = reader.byte()
    if form == 1:
        return "func", func_type_at(scope, reader)
    if form == 3:
        bound = reader.byte()
        if bound > 1:
            raise reader.error(f"a type bound of unknown form {bound}", start)
        return "type", t.ResourceType() if bound else item_at(scope.types, reader, "type")
    if form in (4, 5):
        sort, wanted = ("component", t.ComponentType) if form == 4 else ("instance", t.InstanceType)
        found = item_at(scope.types, reader, "type")
        if not isinstance(found, wanted):
            raise reader.error(f"a type index that is not a type of {sort}s", start)
        return sort, found
    what = {0: "an imported or exported core module", 2: "a component value"}.get(form, "an unknown item")
    raise reader.error(f"{what} is not supported", start)


def _read_options(scope: Scope, reader: Reader) -> LiftOptions:
    memory = realloc = post = None
    for _ in range(reader.count()):
        start = reader.at
        code = reader.byte()
        if code == 0:
            continue
        if code == 3:
            memory = source_at(scope.core_memories, reader, "core memory")
        elif code == 4:
            realloc = source_at(scope.core_funcs, reader, "core func")
        elif code == 5:
            post = source_at(scope.core_funcs, reader, "core func")
        else:
            what = {
                1: "string encoding UTF-16",
                2: "string encoding latin1+UTF-16",
                6: "an async lift or lower",
                7: "an async lift with a callback",
            }.get(code, f"canonical option {code}")
            raise reader.error(f"{what} is not supported (use UTF-8 and synchronous functions)", start)
    return LiftOptions(memory, realloc, post)


def read_canonical(scope: Scope, reader: Reader) -> None:
    """Read a canonical definition and add its function to `scope`."""
    start = reader.at
    code = reader.byte()
    if code in (0, 1):
        if reader.byte() != 0:
            raise reader.error("a canonical definition of something other than a function", start)
        if code == 0:
            item = item_at(scope.core_funcs, reader, "core func")
            options = _read_options(scope, reader)
            scope.funcs.append(LiftedFunc(item, options, func_type_at(scope, reader)))
        else:
            scope.core_funcs.append(_read_lower(scope, reader))
    elif code == 3:
        resource_at(scope, reader)
        scope.core_funcs.append(HostFunction(RESOURCE_DROP, Signature(("i32",), ())))
    elif code in _BUILTINS:
        name, operands = _BUILTINS[code]
        for operand in operands:
            _read_operand(operand, scope, reader)
        scope.core_funcs.append(HostFunction(name, None))
    else:
        what = {2: "resource.new", 4: "resource.rep"}.get(code, f"0x{code:02x} (threads?)")
        raise reader.error(f"canonical built-in {what} is not supported", start)


def _read_lower(scope: Scope, reader: Reader) -> CoreItem:
    func = item_at(scope.funcs, reader, "func")
    options = _read_options(scope, reader)
    if isinstance(func, LiftedFunc):
        if _passes_unchanged(func):
            return func.item
        return HostFunction(ADAPTER, func.type.lowered(), options.memory, options.realloc)
    return HostFunction(func.name, func.type.lowered(), options.memory, options.realloc)


def _passes_unchanged(func: LiftedFunc) -> bool:
    """Tell whether lifting and lowering `func` again is no work at all, so that it can be called directly."""
    if func.options.post is not None or len(func.type.params) > t.FLAT_PARAMS_MAX:
        return False
    values = [value for _, value in func.type.params]
    if func.type.result is not None:
        values.append(func.type.result)
    return _UNCHANGED.issuperset(value.kind for value in values)


def _read_operand(operand: str, scope: Scope, reader: Reader) -> None:
    if operand == "t":
        item_at(scope.types, reader, "type")
    elif operand == "m":
        item_at(scope.core_memories, reader, "core memory")
    elif operand == "i":
        reader.u32()
    elif operand == "o":
        _read_options(scope, reader)
    elif operand == "r":
        _read_results(scope, reader)
    else:  # a flag, or a core value type
        reader.byte()
