"""Make a core module's hidden state visible: export each memory, mutable global and table it defines.

Only the export section changes. An item that has an export keeps it; a new name starts with
`tickwork.state.` and never takes one that the module uses.
"""

from dataclasses import dataclass

from tickwork.core.errors import ModuleError
from tickwork.guest.binary import Reader, encode_name, encode_u32, quoted
from tickwork.guest.core_module import KINDS, ParsedModule

_EXPORT_SECTION = 7
# Sections that must follow the export section (start, elements, data count, code, data).
_AFTER_EXPORTS = frozenset({8, 9, 10, 11, 12})


@dataclass(frozen=True, slots=True)
class State:
    """The export names of what a module defines and can change, in index order, each once."""

    memories: tuple[str, ...]
    globals: tuple[tuple[str, str], ...]  # (export name, value type)
    tables: tuple[str, ...]


def expose_state(module: ParsedModule) -> tuple[bytes, State]:
    """Return the module's code with all its state exported, and the names to find that state by."""
    names: dict[tuple[str, int], str] = {}
    for name, export in module.exports.items():
        names.setdefault((export.kind, export.item), name)
    added: list[tuple[str, str, int]] = []

    def name_of(kind: str, index: int) -> str:
        known = names.get((kind, index))
        if known is not None:
            return known
        fresh = f"tickwork.state.{kind}.{index}"
        while fresh in module.exports:
            fresh += "'"
        added.append((fresh, kind, index))
        return fresh

    memories = [name_of("memory", index) for index in range(module.imported["memory"], module.memory_count)]
    mutable = [
        (name_of("global", index), module.globals[index].value)
        for index in range(module.imported["global"], len(module.globals))
        if module.globals[index].mutable
    ]
    tables = [name_of("table", index) for index in range(module.imported["table"], module.table_count)]
    for name, value in mutable:
        if value.endswith("ref"):
            raise ModuleError(
                f"mutable global {quoted(name)} of the core module at byte {module.start} holds a {value}, "
                "which cannot be saved and restored"
            )
    return _with_exports(module, added), State(tuple(memories), tuple(mutable), tuple(tables))


def _with_exports(module: ParsedModule, added: list[tuple[str, str, int]]) -> bytes:
    if not added:
        return module.data[module.start : module.end]
    entries = b"".join(
        encode_name(name) + bytes((KINDS.index(kind),)) + encode_u32(index) for name, kind, index in added
    )
    kept = b""
    cut = resume = module.end
    for section in module.sections:
        if section.id == _EXPORT_SECTION:
            reader = Reader(module.data, section.start, section.end)
            reader.u32()
            kept = module.data[reader.at : section.end]
            cut, resume = section.begin, section.end
            break
        if section.id in _AFTER_EXPORTS:
            cut = resume = section.begin
            break
    content = encode_u32(len(module.exports) + len(added)) + kept + entries
    section_bytes = bytes((_EXPORT_SECTION,)) + encode_u32(len(content)) + content
    return b"".join((module.data[module.start : cut], section_bytes, module.data[resume : module.end]))
