"""The agent world of wit/tickwork-agent.wit: the types that a module must export, and the version check."""

from collections.abc import Iterable

from tickwork.core.errors import ModuleError
from tickwork.core.names import ABI_VERSION
from tickwork.guest.binary import quoted
from tickwork.guest.component_types import (
    F64,
    STRING,
    U8,
    U64,
    FuncType,
    difference,
    enum,
    list_of,
    option,
    record,
    result,
    variant,
)
from tickwork.guest.core_module import Signature

PACKAGE = "tickwork:agent"

_BYTES = list_of(U8)
_BODY = ("body", _BYTES)

_MESSAGE = record([("sender", STRING), ("topic", STRING), _BODY, ("reply-to", option(U64))])
_CONTEXT = record([("tick", U64), ("now-ns", U64), ("seed", U64), ("fuel", U64)])
_IDENTITY = record([("id", STRING), ("config", _BYTES), ("abi", STRING)])
_EFFECT = variant(
    [
        ("send", record([("to", STRING), ("topic", STRING), _BODY, ("reply-to", option(U64))])),
        ("publish", record([("topic", STRING), _BODY])),
        ("infer", record([("model", STRING), _BODY, ("request", U64)])),
        ("call", record([("tool", STRING), _BODY, ("request", U64)])),
        ("output", record([("name", STRING), _BODY])),
        ("timer", record([("topic", STRING), _BODY, ("after-ticks", U64), ("request", U64)])),
        ("log", record([("level", enum(["debug", "info", "warn", "error"])), ("text", STRING)])),
        ("metric", record([("name", STRING), ("value", F64)])),
        ("spawn", record([("id", STRING), ("kind", STRING), ("config", _BYTES)])),
        ("stop", record([("id", option(STRING)), ("reason", STRING)])),
    ]
)

EXPORTS: dict[str, FuncType] = {
    "setup": FuncType((("me", _IDENTITY),), result(None, STRING)),
    "step": FuncType((("now", _CONTEXT), ("inbox", list_of(_MESSAGE))), result(list_of(_EFFECT), STRING)),
}

REALLOC = Signature(("i32", "i32", "i32", "i32"), ("i32",))
POST_RETURN = Signature(("i32",), ())


def check_version(interfaces: Iterable[str]) -> None:
    """Raise `ModuleError` if an imported or exported interface is of an ABI that this host does not speak.

    1.x only adds, so a guest of an earlier 1.x is welcome and one of a later 1.x is not.
    """
    host = _numbers(ABI_VERSION)
    for name in interfaces:
        path, _, version = name.partition("@")
        if path.partition("/")[0] != PACKAGE:
            continue
        guest = _numbers(version)
        if guest is None or host is None or guest[0] != host[0] or guest[1:] > host[1:]:
            raise ModuleError(
                f"wrong ABI version: the module was built for {quoted(name)}, this host speaks "
                f"{PACKAGE}@{ABI_VERSION}; rebuild it with this version's tickwork-agent.wit"
            )


def _numbers(version: str) -> tuple[int, int] | None:
    """Return (major, minor); patch releases do not change an ABI."""
    parts = version.split(".")
    if len(parts) != 3 or not all(part.isascii() and part.isdigit() and len(part) < 6 for part in parts):
        return None
    return int(parts[0]), int(parts[1])


def check_type(name: str, found: FuncType) -> None:
    """Raise `ModuleError` unless the exported function `name` has the world's type for it."""
    expected = EXPORTS[name]
    if len(found.params) != len(expected.params):
        fault: str | None = f"{name}: expected {len(expected.params)} parameters, found {len(found.params)}"
    else:
        fault = None
        for (label, value), (found_label, found_value) in zip(expected.params, found.params, strict=True):
            if label != found_label:
                fault = f"{name}: expected a parameter {label!r}, found {quoted(found_label)}"
            fault = fault or difference(value, found_value, f"{name}.{label}")
        fault = fault or difference(expected.result, found.result, f"{name}'s result")
    if fault is not None:
        raise ModuleError(f"not the world {PACKAGE}@{ABI_VERSION}: {fault}")


def missing_exports(names: Iterable[str], missing: str, form: str) -> ModuleError:
    """Return the error for a file of `form` that exports `names` and not `missing`."""
    shown = sorted(names)
    listed = ", ".join(quoted(name) for name in shown[:8]) + (", ..." if len(shown) > 8 else "")
    return ModuleError(
        f"{form} without export {missing!r}: it exports {listed or 'nothing'}; an agent exports "
        f"{' and '.join(repr(name) for name in EXPORTS)} (world of {PACKAGE}@{ABI_VERSION})"
    )
