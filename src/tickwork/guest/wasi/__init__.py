"""Virtual WASI: what a guest may import, and nothing of the outside behind it.

Every function is a pure function of the agent's `VirtualState`, the guest's memory and its arguments:
`preview1` for core modules, `preview2` for components, `behaviour` for what both do. No environment, no
arguments, no files, no sockets; standard input is at its end; output is kept for the log; time is the tick's,
and a sleep advances it at once; randomness is a seeded stream.
"""

import re
from collections.abc import Sequence
from typing import NoReturn

from tickwork.core.errors import ModuleError
from tickwork.core.outcomes import OutcomeKind
from tickwork.guest.plan import HostImport, ValueTypes
from tickwork.guest.virtual import GuestFault, HostCall, HostFunction
from tickwork.guest.wasi import preview1, preview2
from tickwork.guest.wasi.function import Provided, provided

_WASI_02 = re.compile(r"(wasi:[a-z0-9-]+/[a-z0-9-]+)@0\.2\.[0-9]+(#.+)", re.ASCII)
_RESOURCE_DROP = "[resource-drop]"

# The Component Model's built-ins. Async code that a guest carries but never runs may import them.
_BUILTIN = re.compile(
    r"(component|resource|task|subtask|context|backpressure|waitable|waitable-set|stream|future|error-context"
    r"|thread)\.[a-z.-]+|yield",
    re.ASCII,
)


def _drop(_call: HostCall, _args: Sequence[int]) -> None:
    return None


_DROP = provided("i:", _drop)


def known(name: str) -> bool:
    """Return whether a guest may import `name`: a WASI function, provided or not, or a canonical built-in."""
    return _find(name) is not None or _may_stay_unprovided(name)


def lookup(name: str) -> HostFunction:
    """Return the function for `HostImport.name`, whatever the 0.2 patch version it names.

    A function of WASI 0.2 that is not provided, or a canonical built-in other than `resource.drop`, ends the
    turn when called: guests import more than they use. `ModuleError` if the import is not WASI at all.
    """
    found = _find(name)
    if found:
        return found.run
    if _may_stay_unprovided(name):
        return _unprovided(name)
    raise ModuleError(f"the module imports '{name}', which does not exist; {_fix(name)}")


def resolve(wanted: HostImport) -> HostFunction:
    """Return `lookup(wanted.name)`, or `ModuleError` also where its core signature is not the function's."""
    run = lookup(wanted.name)
    found = _find(wanted.name)
    if found and (wanted.params, wanted.results) != (found.params, found.results):
        raise ModuleError(
            f"the module imports '{wanted.name}' as {_signature(wanted.params, wanted.results)}, but it is "
            f"{_signature(found.params, found.results)}; rebuild the module with bindings for that interface"
        )
    return run


def _find(name: str) -> Provided | None:
    module, separator, function = name.partition("#")
    if not separator:
        return _DROP if name == "resource.drop" else None
    if module == preview1.MODULE:
        return preview1.FUNCTIONS.get(function)
    match = _WASI_02.fullmatch(name)
    if not match:
        return None
    return _DROP if function.startswith(_RESOURCE_DROP) else preview2.FUNCTIONS.get(match[1] + match[2])


def _may_stay_unprovided(name: str) -> bool:
    return bool(_WASI_02.fullmatch(name) or _BUILTIN.fullmatch(name))


def _unprovided(name: str) -> HostFunction:
    def run(_call: HostCall, _args: Sequence[int]) -> NoReturn:
        raise GuestFault(OutcomeKind.UNSUPPORTED_IMPORT, f"{name} is not provided")

    return run


def _fix(name: str) -> str:
    if name.startswith("wasi:"):
        return "build it for WASI 0.2"
    if name.startswith(preview1.MODULE):
        return "preview 1 has no such function"
    return f"an agent may import only WASI 0.2 or '{preview1.MODULE}'; ask for things by returning effects"


def _signature(params: ValueTypes, results: ValueTypes) -> str:
    return f"({', '.join(params)}) -> ({', '.join(results)})"
