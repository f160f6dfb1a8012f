"""From an agent's file to its link plan."""

from tickwork.core.errors import ModuleError
from tickwork.guest.bare import plan_bare
from tickwork.guest.binary import COMPONENT_HEADER, CORE_HEADER, MAGIC
from tickwork.guest.component import plan_component
from tickwork.guest.plan import LinkPlan


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
        return plan_component(data)
    if not data.startswith(MAGIC):
        raise ModuleError("not a WebAssembly file: it does not begin with the bytes '\\0asm'")
    if len(header) < 8:
        raise ModuleError("truncated: a WebAssembly header has 8 bytes")
    raise ModuleError(
        f"a WebAssembly file of unknown version {header[4:].hex()}: core modules of version 1 and components "
        "of version 13 are supported"
    )
