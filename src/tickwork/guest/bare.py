"""A bare core module as an agent: the module that a component for the agent world would hold."""

from dataclasses import dataclass

from tickwork.core.errors import ModuleError
from tickwork.guest.binary import quoted
from tickwork.guest.core_module import ParsedModule, Signature
from tickwork.guest.linker import CoreItem, HostFunction, LiftOptions, Linker
from tickwork.guest.plan import ExportSource, LinkPlan
from tickwork.guest.world import EXPORTS, check_version, missing_exports

REALLOC_EXPORT = "cabi_realloc"
MEMORY_EXPORT = "memory"
POST_PREFIX = "cabi_post_"
INITIALIZE_EXPORT = "_initialize"
ARENA_EXPORT = "tickwork_inbox"

_INITIALIZE = Signature((), ())
ARENA = Signature(("i32",), ("i32",))
_ONLY_INSTANCE = 0


@dataclass(frozen=True, slots=True)
class _HostModule:
    """Every function of one import module, to be provided by the host."""

    module: str
    memory: ExportSource
    realloc: ExportSource
    functions: dict[str, HostFunction]

    def find(self, name: str) -> tuple[str, CoreItem] | None:
        function = self.functions.get(name)
        if function is None:
            function = HostFunction(f"{self.module}#{name}", None, self.memory, self.realloc)
            self.functions[name] = function
        return "func", function


def plan_bare(data: bytes) -> LinkPlan:
    """Return the plan of a core module with the exports `setup`, `step`, `cabi_realloc` and `memory`.

    Optional are `cabi_post_setup`, `cabi_post_step`, `_initialize` and `tickwork_inbox`. Its imports must
    be functions. `ModuleError` for anything else.
    """
    linker = Linker(data)
    parsed = linker.parsed(linker.add_module(0, len(data)))
    _check_imports(parsed)
    for name in (*EXPORTS, REALLOC_EXPORT):
        if parsed.export_signature(name) is None:
            raise missing_exports(_function_names(parsed), name, "a core module")
    exported = parsed.exports.get(MEMORY_EXPORT)
    if exported is None or exported.kind != "memory":
        raise ModuleError(f"a core module without export {MEMORY_EXPORT!r}: an agent exports its memory")
    memory = ExportSource(_ONLY_INSTANCE, MEMORY_EXPORT)
    realloc = ExportSource(_ONLY_INSTANCE, REALLOC_EXPORT)
    modules = dict.fromkeys(wanted.module for wanted in parsed.imports)
    linker.instantiate(0, {module: _HostModule(module, memory, realloc, {}) for module in modules})
    lifted = {}
    for name in EXPORTS:
        post = POST_PREFIX + name
        options = LiftOptions(
            memory, realloc, ExportSource(_ONLY_INSTANCE, post) if post in parsed.exports else None
        )
        lifted[name] = linker.lift(name, ExportSource(_ONLY_INSTANCE, name), options)
    initialize = _optional(parsed, INITIALIZE_EXPORT, _INITIALIZE)
    return linker.plan(
        lifted, () if initialize is None else (initialize,), _optional(parsed, ARENA_EXPORT, ARENA)
    )


def _check_imports(parsed: ParsedModule) -> None:
    check_version(wanted.module for wanted in parsed.imports)
    for wanted in parsed.imports:
        if wanted.kind != "func":
            raise ModuleError(
                f"a core module that imports the {wanted.kind} {quoted(wanted.module)} {quoted(wanted.name)}"
                "; an agent defines its own (for a memory: link without --import-memory)"
            )


def _function_names(parsed: ParsedModule) -> list[str]:
    return [name for name, export in parsed.exports.items() if export.kind == "func"]


def _optional(parsed: ParsedModule, name: str, expected: Signature) -> ExportSource | None:
    if name not in parsed.exports:
        return None
    found = parsed.export_signature(name)
    if found != expected:
        raise ModuleError(f"{name} must be a core function {expected}, found {found or 'no function'}")
    return ExportSource(_ONLY_INSTANCE, name)
