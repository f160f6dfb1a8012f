"""What linking needs to know of a core module: its types, imports, exports and state.

Code and data are skipped by their size; the engine validates them, and all else that is not used here,
when it compiles the module. Refused, because a run could not be exact or could not be restored: shared
memory, 64-bit memories, exception tags, reference types beyond funcref and externref, passive elements.
"""

from itertools import islice
from typing import NamedTuple

from tickwork.core.errors import ModuleError
from tickwork.guest.binary import CORE_HEADER, Reader, Section, quoted, sections
from tickwork.guest.plan import ValueTypes

KINDS = ("func", "table", "memory", "global", "tag")
# More than any real toolchain emits; bounds the time and memory that a hostile file can cost.
ITEMS_MAX = 200_000
SECTIONS_MAX = 1_000

_VALUE_TYPES = {
    0x7F: "i32",
    0x7E: "i64",
    0x7D: "f32",
    0x7C: "f64",
    0x7B: "v128",
    0x70: "funcref",
    0x6F: "externref",
}
_REFERENCES = frozenset({"funcref", "externref"})
_NUMBERS = frozenset({"i32", "i64", "f32", "f64"})

# The order of sections that the specification fixes, by identifier.
_SECTION_ORDER = {
    identifier: rank for rank, identifier in enumerate((1, 2, 3, 4, 5, 13, 6, 7, 8, 9, 12, 10, 11))
}
_TYPE, _IMPORT, _FUNCTION, _TABLE, _MEMORY, _GLOBAL, _EXPORT = range(1, 8)
_ELEMENT = 9
_TAG = 13

_CONST_ARITHMETIC = frozenset({0x6A, 0x6B, 0x6C, 0x7C, 0x7D, 0x7E})


class Signature(NamedTuple):
    """A core function's type."""

    params: ValueTypes
    results: ValueTypes

    def __str__(self) -> str:
        return f"({', '.join(self.params)}) -> ({', '.join(self.results)})"

    def is_numeric(self) -> bool:
        """Tell whether only i32, i64, f32 and f64 cross."""
        return _NUMBERS.issuperset(self.params + self.results)


class GlobalType(NamedTuple):
    """A global's value type, and whether it can change."""

    value: str
    mutable: bool

    def __str__(self) -> str:
        return f"mutable {self.value}" if self.mutable else self.value


# Tables and memories have limits, which only the engine compares.
ItemType = Signature | GlobalType | None


class Import(NamedTuple):
    """`type` is a function's `Signature`, a global's `GlobalType`, and None for other kinds."""

    module: str
    name: str
    kind: str
    type: ItemType


class Export(NamedTuple):
    """What an export name stands for: an item of `kind`, by index."""

    kind: str
    item: int


class ParsedModule:
    """A core module at `[start, end)` of `data`, as far as linking needs it.

    Index spaces hold imported items first. `exports` keeps the module's own order.
    """

    def __init__(self, data: bytes, start: int, end: int) -> None:
        if data[start : start + 8] != CORE_HEADER or end - start < 8:
            raise ModuleError(f"not a core module of version 1 (at byte {start})")
        self.data = data
        self.start = start
        self.end = end
        self.sections: tuple[Section, ...] = tuple(islice(sections(data, start + 8, end), SECTIONS_MAX + 1))
        if len(self.sections) > SECTIONS_MAX:
            raise ModuleError(f"more than {SECTIONS_MAX} sections (at byte {start})")
        self.types: list[Signature] = []
        self.imports: list[Import] = []
        self.imported = dict.fromkeys(KINDS, 0)
        self.memory_count = 0
        self.table_count = 0
        self.globals: list[GlobalType] = []
        self.exports: dict[str, Export] = {}
        self._imported_functions: list[Signature] = []
        self._function_section: Section | None = None
        self._defined_functions: list[int] | None = None
        self._read_sections()

    def signature(self, function: int) -> Signature:
        """Return the type of the function with this index; `ModuleError` if there is none."""
        imported = len(self._imported_functions)
        if function < imported:
            return self._imported_functions[function]
        if self._defined_functions is None:
            self._defined_functions = self._read_functions()
        if function - imported >= len(self._defined_functions):
            raise ModuleError(f"function {function} does not exist in the core module at byte {self.start}")
        index = self._defined_functions[function - imported]
        if index >= len(self.types):
            raise ModuleError(f"function {function} has no type in the core module at byte {self.start}")
        return self.types[index]

    def export_signature(self, name: str) -> Signature | None:
        """Return the type of the exported function `name`, or None where no function has that name."""
        export = self.exports.get(name)
        return self.signature(export.item) if export is not None and export.kind == "func" else None

    def export_type(self, name: str) -> ItemType:
        """Return the type of the export `name`; `ModuleError` if it exports what does not exist."""
        export = self.exports[name]
        if export.kind == "func":
            return self.signature(export.item)
        if export.kind == "global":
            if export.item >= len(self.globals):
                raise ModuleError(f"{quoted(name)} exports no global of the core module at byte {self.start}")
            return self.globals[export.item]
        return None

    def _read_functions(self) -> list[int]:
        if self._function_section is None:
            return []
        reader = Reader(self.data, self._function_section.start, self._function_section.end)
        return [reader.u32() for _ in range(_count(reader, "functions"))]

    def _read_sections(self) -> None:
        rank = -1
        for section in self.sections:
            if section.id == 0:
                continue
            reader = Reader(self.data, section.start, section.end)
            if section.id not in _SECTION_ORDER:
                raise reader.error(f"unknown core module section {section.id}", section.begin)
            if _SECTION_ORDER[section.id] <= rank:
                raise reader.error(f"section {section.id} is repeated or out of order", section.begin)
            rank = _SECTION_ORDER[section.id]
            self._read_section(section, reader)

    def _read_section(self, section: Section, reader: Reader) -> None:
        if section.id == _TYPE:
            self.types = [_read_signature(reader) for _ in range(_count(reader, "types"))]
        elif section.id == _IMPORT:
            for _ in range(_count(reader, "imports")):
                self._read_import(reader)
        elif section.id == _FUNCTION:
            self._function_section = section
            return
        elif section.id == _TABLE:
            self._read_tables(reader)
        elif section.id == _MEMORY:
            self._read_memories(reader)
        elif section.id == _GLOBAL:
            self._read_globals(reader)
        elif section.id == _EXPORT:
            self._read_exports(reader)
        elif section.id == _ELEMENT:
            _refuse_passive_elements(reader)
            return
        elif section.id == _TAG:
            raise reader.error("exceptions (a tag section) are not supported", section.begin)
        else:
            return
        reader.expect_end(f"section {section.id}")

    def _read_import(self, reader: Reader) -> None:
        start = reader.at
        module = reader.name()
        name = reader.name()
        kind_byte = reader.byte()
        if kind_byte >= len(KINDS):
            raise reader.error(f"an import of unknown kind {kind_byte}", reader.at - 1)
        kind = KINDS[kind_byte]
        described: ItemType = None
        if kind == "func":
            type_index = reader.u32()
            if type_index >= len(self.types):
                raise reader.error(f"import {quoted(name)} has no type", start)
            described = self.types[type_index]
            self._imported_functions.append(described)
        elif kind == "table":
            _skip_table_type(reader)
            self.table_count += 1
        elif kind == "memory":
            _skip_limits(reader, "memory")
            self.memory_count += 1
        elif kind == "global":
            described = _read_global_type(reader)
            self.globals.append(described)
        else:
            raise reader.error(f"exceptions (imported tag {quoted(name)}) are not supported", start)
        self.imported[kind] += 1
        self.imports.append(Import(module, name, kind, described))

    def _read_tables(self, reader: Reader) -> None:
        for _ in range(_count(reader, "tables")):
            if reader.at < reader.end and reader.data[reader.at] == 0x40:
                reader.skip(1)
                if reader.byte() != 0:
                    raise reader.error("a table with an unknown prefix", reader.at - 1)
                _skip_table_type(reader)
                _skip_constant(reader)
            else:
                _skip_table_type(reader)
            self.table_count += 1

    def _read_memories(self, reader: Reader) -> None:
        for _ in range(_count(reader, "memories")):
            _skip_limits(reader, "memory")
            self.memory_count += 1

    def _read_globals(self, reader: Reader) -> None:
        for _ in range(_count(reader, "globals")):
            self.globals.append(_read_global_type(reader))
            _skip_constant(reader)

    def _read_exports(self, reader: Reader) -> None:
        exports = self.exports
        for _ in range(_count(reader, "exports")):
            start = reader.at
            name = reader.name()
            kind = reader.byte()
            if kind >= len(KINDS) or name in exports:
                why = "is exported twice" if name in exports else f"has unknown kind {kind}"
                raise reader.error(f"export {quoted(name)} {why}", start)
            exports[name] = Export(KINDS[kind], reader.u32())


def _count(reader: Reader, what: str) -> int:
    start = reader.at
    count = reader.count()
    if count > ITEMS_MAX:
        raise reader.error(f"{count} {what}; at most {ITEMS_MAX} are supported", start)
    return count


def read_value_type(reader: Reader) -> str:
    """Read a core value type; typed references and GC types are refused."""
    code = reader.byte()
    name = _VALUE_TYPES.get(code)
    if name is None:
        raise reader.error(
            f"value type 0x{code:02x} (GC or typed references?) is not supported", reader.at - 1
        )
    return name


def _read_signature(reader: Reader) -> Signature:
    form = reader.byte()
    if form != 0x60:
        raise reader.error(f"type form 0x{form:02x} (GC types?) is not supported", reader.at - 1)
    return read_function_type(reader)


def read_function_type(reader: Reader) -> Signature:
    """Read a core function type after its 0x60 byte."""
    params = tuple([read_value_type(reader) for _ in range(reader.count())])
    return Signature(params, tuple([read_value_type(reader) for _ in range(reader.count())]))


def _read_global_type(reader: Reader) -> GlobalType:
    value = read_value_type(reader)
    mutability = reader.byte()
    if mutability > 1:
        raise reader.error("a shared global (threads) is not supported", reader.at - 1)
    return GlobalType(value, mutability == 1)


def _skip_table_type(reader: Reader) -> None:
    start = reader.at
    if read_value_type(reader) not in _REFERENCES:
        raise reader.error("a table of something other than references", start)
    _skip_limits(reader, "table")


def _skip_limits(reader: Reader, what: str) -> None:
    flags = reader.byte()
    for bit, feature in ((2, f"a shared {what} (threads)"), (4, f"a 64-bit {what}")):
        if flags & bit:
            raise reader.error(f"{feature} is not supported", reader.at - 1)
    if flags > 1:
        raise reader.error(f"{what} limits with flags 0x{flags:02x} are not supported", reader.at - 1)
    reader.u32()
    if flags == 1:
        reader.u32()


def _skip_constant(reader: Reader) -> None:
    while True:
        opcode = reader.byte()
        if opcode == 0x0B:
            return
        if opcode == 0x41:
            reader.signed(32)
        elif opcode == 0x42:
            reader.signed(64)
        elif opcode == 0x43:
            reader.skip(4)
        elif opcode == 0x44:
            reader.skip(8)
        elif opcode in (0x23, 0xD2):  # global.get, ref.func
            reader.u32()
        elif opcode == 0xD0:  # ref.null
            reader.signed(33)
        elif opcode == 0xFD and reader.u32() == 0x0C:  # v128.const
            reader.skip(16)
        elif opcode not in _CONST_ARITHMETIC:
            raise reader.error(f"opcode 0x{opcode:02x} in a constant is not supported", reader.at - 1)


def _refuse_passive_elements(reader: Reader) -> None:
    """Raise `ModuleError` at a passive segment: it is there for `table.init`, and tables must not change.

    The last segment's items, which are nearly all of a real section, are left unread.
    """
    count = _count(reader, "element segments")
    for segment in range(count):
        start = reader.at
        flags = reader.u32()
        if flags > 7:
            raise reader.error(f"an element segment with flags {flags}", start)
        if flags & 3 == 1:
            raise reader.error("a passive element segment (table.init) is not supported", start)
        if segment == count - 1:
            return
        if not flags & 1:
            if flags & 2:
                reader.u32()
            _skip_constant(reader)
        if flags & 3:
            reader.byte()  # the element kind or type
        for _ in range(_count(reader, "elements")):
            if flags & 4:
                _skip_constant(reader)
            else:
                reader.u32()
