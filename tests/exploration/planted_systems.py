"""The planted systems: each a project with a bug, its twin without it, and what must not happen."""

import re
from pathlib import Path

from tickwork.exploration.checks import Check, load_checks
from tickwork.runtime.assemble import load_project
from tickwork.runtime.project import Project

PLANTED = Path(__file__).parent / "planted"
SYSTEMS = tuple(sorted(folder.name for folder in PLANTED.iterdir() if (folder / "tickwork.toml").is_file()))
_CARELESS = re.compile(r"careful = 0")


def planted(name: str) -> Project:
    """Return a system with its bug."""
    return load_project(PLANTED / name)


def twin(name: str) -> Project:
    """Return the same system with its agents told to be careful, which is all that differs."""
    folder = PLANTED / name
    text, changed = _CARELESS.subn("careful = 1", (folder / "tickwork.toml").read_text())
    assert changed
    manifest = folder / f"careful-{name}.toml"
    manifest.write_text(text)
    try:
        return load_project(manifest)
    finally:
        manifest.unlink()


def checks_of(name: str) -> tuple[Check, ...]:
    return load_checks(PLANTED / name / "check.py")


def is_slow(name: str) -> bool:
    """Whether the agents are in Python, of which a second has time for tens of runs."""
    return bool(list((PLANTED / name).glob("*_agent.py")))
