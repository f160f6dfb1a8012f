"""Imports inside the sandbox: what is already loaded, the archived standard library, and bundled modules.

There are no files in the sandbox. The guest's builder compiles the standard library modules that agents may
want into an archive of code, which costs memory only for what is imported; modules that come with an agent
are kept as source.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import marshal
import sys
from collections.abc import Mapping, Sequence
from types import ModuleType

from tickwork_agent.tracebacks import remember_source


def bundled_file(name: str, names: Sequence[str] | Mapping[str, str]) -> str:
    """Return the file name that tracebacks show for the bundled module `name`, one of `names`."""
    path = name.replace(".", "/")
    is_package = any(other.startswith(name + ".") for other in names)
    return f"{path}/__init__.py" if is_package else f"{path}.py"


class Archive(importlib.abc.Loader):
    """Standard library modules as marshalled code, by name: (is it a package, its code)."""

    def __init__(self, code: Mapping[str, tuple[bool, bytes]]) -> None:
        self._code = code

    def find_spec(
        self,
        name: str,
        path: Sequence[str] | None = None,  # noqa: ARG002 - the protocol's
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> importlib.machinery.ModuleSpec | None:
        """Return the spec of an archived module, or None."""
        if name not in self._code:
            return None
        return importlib.util.spec_from_loader(name, self, is_package=self._code[name][0])

    def exec_module(self, module: ModuleType) -> None:
        """Run the module's code."""
        exec(marshal.loads(self._code[module.__name__][1]), module.__dict__)


class Bundle(importlib.abc.Loader):
    """The agent's own modules, as source by name; a parent without source is an empty package."""

    def __init__(self, sources: Mapping[str, str]) -> None:
        self._sources: dict[str, str] = {}
        for name in sources:
            parts = name.split(".")
            for depth in range(1, len(parts)):
                self._sources.setdefault(".".join(parts[:depth]), "")
        self._sources.update(sources)

    @property
    def files(self) -> list[str]:
        """The file names that tracebacks show for the bundled modules."""
        return [bundled_file(name, self._sources) for name in self._sources]

    def find_spec(
        self,
        name: str,
        path: Sequence[str] | None = None,  # noqa: ARG002 - the protocol's
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> importlib.machinery.ModuleSpec | None:
        """Return the spec of a bundled module, or None."""
        if name not in self._sources:
            return None
        file = bundled_file(name, self._sources)
        return importlib.util.spec_from_loader(
            name, self, origin=file, is_package=file.endswith("/__init__.py")
        )

    def exec_module(self, module: ModuleType) -> None:
        """Compile and run the module's source."""
        name = module.__name__
        file = bundled_file(name, self._sources)
        module.__file__ = file
        remember_source(file, self._sources[name])
        exec(compile(self._sources[name], file, "exec", dont_inherit=True), module.__dict__)


class Absent:
    """The last finder: says why a module cannot be had, and what to do."""

    def find_spec(
        self,
        name: str,
        path: Sequence[str] | None = None,  # noqa: ARG002 - the protocol's
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> None:
        """Raise ModuleNotFoundError for a top-level module; Python's own error is right for others."""
        if "." in name:
            return
        if name in sys.stdlib_module_names:
            message = (
                f"the standard library module {name!r} is not part of the Python guest: agents have no "
                f"files, sockets, threads or processes"
            )
        else:
            message = (
                f"no module named {name!r} in the Python guest: beyond the standard library an agent can "
                f"import only what is bundled with it; if {name!r} is pure Python, add its source to the "
                f"agent's `modules` in the manifest"
            )
        raise ModuleNotFoundError(message, name=name)


def seal(archive: Mapping[str, tuple[bool, bytes]]) -> None:
    """Leave no way to import but built-in, frozen and archived modules, and forget every path."""
    sys.meta_path[:] = [
        importlib.machinery.BuiltinImporter,
        importlib.machinery.FrozenImporter,
        Archive(archive),
        Absent(),
    ]
    sys.path.clear()
    sys.path_hooks.clear()
    sys.path_importer_cache.clear()


def bundle(modules: Bundle) -> None:
    """Make the bundled modules importable, after the standard library."""
    sys.meta_path.insert(len(sys.meta_path) - 1, modules)
