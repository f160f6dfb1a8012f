"""What an agent written in Python is made of, as the preamble that the Python guest's `setup` is given.

The guest is one component for all Python agents; it receives the author's source as data.
"""

import json
import keyword
import sys
from collections.abc import Mapping

from tickwork.core.errors import ModuleError


def python_preamble(file: str, source: str, modules: Mapping[str, str] | None = None) -> bytes:
    """Return one line of JSON, its newline last, that stands before the author's config.

    `file` is the name that tracebacks show. `modules` are pure-Python modules to bundle, source by dotted
    name; a name that others continue is a package, and its source that of its `__init__.py`. Equal content
    gives equal bytes, in whatever order it was loaded. `ModuleError` for a name that cannot be imported.
    """
    modules = modules or {}
    for name in modules:
        _check_module_name(name)
    program = {"file": file, "source": source, "modules": dict(sorted(modules.items()))}
    try:
        return json.dumps(program, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
    except UnicodeEncodeError:
        raise ModuleError(f"{file} or a module bundled with it is not UTF-8 text") from None


def _check_module_name(name: str) -> None:
    parts = name.split(".")
    if not all(part.isidentifier() and not keyword.iskeyword(part) for part in parts):
        raise ModuleError(f"cannot bundle a module called {name!r}: its name cannot be imported; rename it")
    if parts[0] in sys.stdlib_module_names or parts[0] == "tickwork_agent":
        raise ModuleError(
            f"cannot bundle a module called {name!r}: the Python guest has its own {parts[0]!r}; rename it"
        )
