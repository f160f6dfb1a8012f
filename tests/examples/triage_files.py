"""Where the triage example lies, and its agents as plain Python classes."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

EXAMPLE = Path(__file__).parents[2] / "examples" / "triage"


def load(path: str) -> ModuleType:
    """Import a file of the example under a name of its own."""
    name = "triage_example_" + Path(path).stem
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, EXAMPLE / path)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]
