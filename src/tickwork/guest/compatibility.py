"""Whether an agent's memory means the same to another version of its module."""

from tickwork.guest.addresses import static_addresses
from tickwork.guest.binary import CORE_HEADER, sections
from tickwork.guest.program import Program

_CUSTOM, _CODE = 0, 10


def carries_over(old: Program, new: Program) -> str | None:
    """Return why the state of an agent of `old` cannot go on in `new`, or None if it can.

    It can if the two differ in function bodies only, and these use the same static addresses: then every
    variable, global and table entry is where it was. Whether the new code *reads* its data as the old code
    wrote it is the author's to know.
    """
    if len(old.plan.modules) != len(new.plan.modules):
        return "it has another number of core modules"
    if (old.plan.instances, old.plan.hosts) != (new.plan.instances, new.plan.hosts):
        return "it imports other things, or links them otherwise"
    for before, after in zip(old.plan.modules, new.plan.modules, strict=True):
        if _shape(before.code) != _shape(after.code):
            return "its types, functions, memory, globals, tables or initial data are not laid out as before"
        if before.code != after.code and static_addresses(before.code) != static_addresses(after.code):
            return "its code has variables at other addresses than before"
    return None


def _shape(code: bytes) -> list[tuple[int, bytes]]:
    """Return everything of a core module but its function bodies and custom sections."""
    return [
        (section.id, code[section.start : section.end])
        for section in sections(code, len(CORE_HEADER), len(code))
        if section.id not in {_CUSTOM, _CODE}
    ]
