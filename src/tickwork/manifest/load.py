"""Reads `tickwork.toml`. Whatever is wrong with it, the author gets one error: the first in the file."""

import os.path
import re
import tomllib
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import ParamSpec, TypeVar

from tickwork.core.errors import ManifestError
from tickwork.core.limits import RunLimits
from tickwork.manifest import check
from tickwork.manifest.agent_section import LIMITS_KEYS, RUN_LIMITS_KEYS, AgentReader, parse_limits
from tickwork.manifest.dag_section import edges_of, parse_dag
from tickwork.manifest.faults import Fault, KeyPath, line_of
from tickwork.manifest.fields import Section
from tickwork.manifest.files import FileFault, read_regular
from tickwork.manifest.flow_sections import parse_input, parse_output
from tickwork.manifest.model_section import parse_model
from tickwork.manifest.run_section import DAG, parse_engine, parse_faults, parse_run, parse_snapshots
from tickwork.manifest.schema import Manifest

MANIFEST_NAME = "tickwork.toml"
MANIFEST_BYTES_MAX = 4 * 1024 * 1024
TOP_KEYS = (
    "run",
    "engine",
    "snapshots",
    "limits",
    "defaults",
    "agents",
    "kinds",
    "inputs",
    "outputs",
    "dag",
    "models",
    "faults",
)
DEFAULTS_KEYS = ("limits",)

# Locating a fault costs some parses of the file; the first of so many is near enough to the first.
_LOCATED_MAX = 10
_POSITION = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")

P = ParamSpec("P")
T = TypeVar("T")


def load_manifest(path: Path) -> Manifest:
    """Return the checked manifest at `path`, or in the directory `path`; raise ManifestError.

    The message names the file, the line and the key, what is wrong, and how to put it right. Relative paths
    in the manifest begin at its directory. Of the files that it names, modules must exist; inputs and outputs
    are left to whoever opens them, because the command line may name others.
    """
    # Not Path.is_dir, which raises for a name that the system rejects.
    if os.path.isdir(path):  # noqa: PTH112
        path /= MANIFEST_NAME
    try:
        data = read_regular(path, MANIFEST_BYTES_MAX)
    except FileFault as fault:
        raise ManifestError(f"{path}: {fault}; a project is made with: tickwork new NAME") from fault
    text = _decoded(path, data)
    document = _parsed(path, text)
    reading = _Reading(path.absolute())
    try:
        return reading.manifest(document)
    except Fault as fault:
        found = reading.faults or [fault]
    line, first = _first(text, found)
    place = f"{path}:{line}" if line else str(path)
    raise ManifestError(f"{place}: {first}") from None


class _Reading:
    """One manifest being read; collects each part's first fault, so that the file's first can be told."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.faults: list[Fault] = []

    def manifest(self, document: dict[str, object]) -> Manifest:
        """Return the manifest; raise a Fault where there is any, with all in `faults`."""
        # Without these the rest has no meaning: a misspelt table is reported itself, not what it lacks.
        top = Section(document, (), TOP_KEYS)
        top.require("run", 'a table [run] with name = "my-run"')
        run = self._part(parse_run, top)
        floats = self._part(parse_engine, top)
        faults = self._part(parse_faults, top, self.path.parent)
        snapshots = self._part(parse_snapshots, top)
        limits = self._part(parse_limits, top, "limits", RUN_LIMITS_KEYS)
        declared = check.Declared(self.path, RunLimits(**(limits or {})))
        self._declare(top, declared)
        declared.wants_dag = run is not None and run.schedule == DAG
        self._raise_any()
        self.faults.extend(islice(check.faults(declared), _LOCATED_MAX))
        self._raise_any()
        assert run is not None
        assert floats is not None
        assert snapshots is not None
        return Manifest(
            path=self.path,
            name=run.name,
            seed=run.seed,
            start_ns=run.start_ns,
            tick_ns=run.tick_ns,
            ticks=run.ticks,
            until_idle=run.until_idle,
            schedule=run.schedule,
            edges=edges_of(declared.paths),
            stop_at_bad_input=run.stop_at_bad_input,
            durability=run.durability,
            snapshots=snapshots,
            floats=floats,
            limits=declared.limits,
            agents=tuple(declared.agents),
            kinds=tuple(kind for _, kind in declared.kinds),
            inputs=check.resolve_inputs(declared),
            outputs=tuple(declared.outputs),
            models=tuple(declared.models),
            faults=faults,
        )

    def _declare(self, top: Section, declared: check.Declared) -> None:
        directory = self.path.parent
        defaults = self._part(_default_limits, top) or {}
        reader = AgentReader(directory, defaults, declared.limits)
        for index, value in enumerate(self._part(top.array, "agents") or []):
            at: KeyPath = ("agents", index)
            agents = self._part(reader.agents, value, at)
            if agents is not None:
                declared.entries.append((at, agents))
        for name, value in (self._part(top.table, "kinds") or {}).items():
            kind = self._part(reader.kind, name, value)
            if kind is not None:
                declared.kinds.append((("kinds", name), kind))
        for name, value in (self._part(top.table, "inputs") or {}).items():
            source = self._part(parse_input, name, value, directory)
            if source is not None:
                declared.inputs.append(source)
        declared.paths = self._part(parse_dag, top) or []
        for name, value in (self._part(top.table, "outputs") or {}).items():
            output = self._part(parse_output, name, value, directory)
            if output is not None:
                declared.outputs.append(output)
        for name, value in (self._part(top.table, "models") or {}).items():
            model = self._part(parse_model, name, value, directory)
            if model is not None:
                declared.models.append(model)

    def _part(self, parse: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
        try:
            return parse(*args, **kwargs)
        except Fault as fault:
            self.faults.append(fault)
            return None

    def _raise_any(self) -> None:
        if self.faults:
            raise self.faults[0]


def _default_limits(top: Section) -> dict[str, int]:
    defaults = Section(top.table("defaults"), ("defaults",), DEFAULTS_KEYS)
    return parse_limits(defaults, "limits", LIMITS_KEYS)


def _first(text: str, found: list[Fault]) -> tuple[int | None, Fault]:
    """Return the fault that comes first in the file, with its line if that can be told."""
    located = [(line_of(text, fault.at), fault) for fault in found[:_LOCATED_MAX]]
    return min(located, key=lambda pair: (pair[0] is None, pair[0] or 0))


def _decoded(path: Path, data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ManifestError(f"{path}:{line}: is not UTF-8 text; save it as UTF-8") from error


def _parsed(path: Path, text: str) -> dict[str, object]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        position = _POSITION.search(message)
        place = str(path)
        if position and position[1]:
            place += f":{position[1]}:{position[2]}"
        elif position:
            place += f":{text.count(chr(10)) + 1}"
        reason = _POSITION.sub("", message)
        raise ManifestError(f"{place}: is not valid TOML: {reason[:1].lower()}{reason[1:]}") from error
    except RecursionError as error:
        raise ManifestError(f"{path}: is nested too deeply") from error
    except ValueError as error:
        # Not a fault of syntax: a number with thousands of digits, a date that is in no calendar.
        raise ManifestError(f"{path}: holds a value that is not possible: {error}") from error
