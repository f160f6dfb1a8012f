"""Reads a file of edits, which says what a fork changes. As strict as a manifest, and in the same words.

Whether what it names exists at the fork's tick is for `core.editing`, which has the world.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, ParamSpec, TypeVar

import msgspec

from tickwork.core.edits import FORK_SENDER, AgentEdit, Drop, Edits, Inject, Replace
from tickwork.core.errors import EditError, ManifestError
from tickwork.core.fault_plan import NO_FAULTS
from tickwork.core.limits import RunLimits
from tickwork.manifest.agent_section import (
    LIMITS_KEYS,
    AgentReader,
    _check_json,
    _config,
    _grants,
    parse_limits,
    resolved,
)
from tickwork.manifest.faults import Fault, KeyPath, quoted
from tickwork.manifest.fields import Section, type_words
from tickwork.manifest.files import FileFault, check_regular, read_regular
from tickwork.manifest.load import MANIFEST_BYTES_MAX, _decoded, _first, _parsed
from tickwork.manifest.run_section import SEED_MAX, parse_faults
from tickwork.manifest.schema import BundledModule, Language

TOP_KEYS = ("seed", "inject", "drop", "replace", "agents", "faults")
SELECT_KEYS = ("to", "sender", "topic", "place")
INJECT_KEYS = ("to", "sender", "topic", "body", "reply_to")
DROP_KEYS = SELECT_KEYS
REPLACE_KEYS = (*SELECT_KEYS, "body", "new_topic")
AGENT_KEYS = ("grants", "limits", "config", "module", "modules", "restart")

_PLACE_MAX = 2**32 - 1
_REPLY_TO_MAX = 2**64 - 1

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class AgentSource:
    """An agent's new program, not yet built; as in `schema.Agent`, `module` is absolute and was readable."""

    module: Path
    language: Language
    modules: tuple[BundledModule, ...]


class BuiltSource(NamedTuple):
    """What became of an `AgentSource`: the hex hash of its module, and what setup is given first."""

    module: str
    preamble: bytes


@dataclass(frozen=True, slots=True)
class EditsFile:
    """A file of edits: all that needs no building, and by agent id the sources that do.

    `faults` is the file of faults that takes the place of the run's; the edits have no faults of it yet.
    """

    path: Path
    edits: Edits
    sources: Mapping[str, AgentSource]
    faults: Path | None = None

    def resolve(self, built: Mapping[str, BuiltSource]) -> Edits:
        """Return the edits with what became of each agent's source in them."""
        agents = tuple(
            msgspec.structs.replace(edit, module=built[edit.id].module, preamble=built[edit.id].preamble)
            if edit.id in self.sources
            else edit
            for edit in self.edits.agents
        )
        return msgspec.structs.replace(self.edits, agents=agents)


def load_edits(path: Path, module_bytes_max: int = RunLimits().module_bytes) -> EditsFile:
    """Return the checked edits at `path`; raise EditError.

    The message names the file, the line and the key, what is wrong, and how to put it right. Relative paths
    begin at the file's directory; what they name must be a regular file of at most `module_bytes_max` bytes.
    """
    try:
        text = _decoded(path, read_regular(path, MANIFEST_BYTES_MAX))
        document = _parsed(path, text)
    except FileFault as fault:
        raise EditError(f"{path}: {fault}; name a file of edits (TOML)") from fault
    except ManifestError as error:
        raise EditError(str(error)) from error
    reading = _Reading(path.absolute(), module_bytes_max)
    try:
        return reading.file(document)
    except Fault as fault:
        found = reading.faults or [fault]
    line, first = _first(text, found)
    raise EditError(f"{path}:{line}: {first}" if line else f"{path}: {first}") from None


class _Reading:
    """One file being read; collects each part's first fault, so that the file's first can be told."""

    def __init__(self, path: Path, module_bytes_max: int) -> None:
        self._path = path
        self._reader = _AgentEditReader(path.parent, module_bytes_max)
        self._sources: dict[str, AgentSource] = {}
        self.faults: list[Fault] = []

    def file(self, document: dict[str, object]) -> EditsFile:
        """Return the edits; raise a Fault where there is any, with all in `faults`."""
        top = Section(document, (), TOP_KEYS)
        edits = Edits(
            seed=self._part(_seed, top),
            inject=self._list(top, "inject", _inject),
            drop=self._list(top, "drop", _drop),
            replace=self._list(top, "replace", _replace),
            agents=self._agents(top),
            faults=NO_FAULTS if "faults" in top else None,
        )
        faults = self._part(parse_faults, top, self._path.parent)
        if self.faults:
            raise self.faults[0]
        return EditsFile(self._path, edits, self._sources, faults)

    def _list(self, top: Section, key: str, parse: Callable[[object, KeyPath], T]) -> tuple[T, ...]:
        values = self._part(top.array, key) or []
        parts = [self._part(parse, value, (key, index)) for index, value in enumerate(values)]
        return tuple(part for part in parts if part is not None)

    def _agents(self, top: Section) -> tuple[AgentEdit, ...]:
        edits = []
        # By id: the order of tables means nothing, so equal files must not differ by it.
        for agent_id, value in sorted((self._part(top.table, "agents") or {}).items()):
            parsed = self._part(self._reader.edit, agent_id, value)
            if parsed is not None:
                edit, source = parsed
                edits.append(edit)
                if source is not None:
                    self._sources[agent_id] = source
        return tuple(edits)

    def _part(self, parse: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
        try:
            return parse(*args, **kwargs)
        except Fault as fault:
            self.faults.append(fault)
            return None


class _AgentEditReader(AgentReader):
    """Reads [agents.ID]; its programs are named as in a manifest, beginning at the file's directory."""

    def __init__(self, directory: Path, module_bytes_max: int) -> None:
        super().__init__(directory, {}, RunLimits(module_bytes=module_bytes_max))

    def edit(self, agent_id: str, value: object) -> tuple[AgentEdit, AgentSource | None]:
        """Return one agent's edit and its new program, if it has one; raise Fault."""
        section = Section(value, ("agents", agent_id), AGENT_KEYS)
        source = None
        if "module" in section:
            module, language = self._module(section)
            source = AgentSource(module, language, self._bundle(section, language))
        elif "modules" in section:
            raise section.fault("modules", "comes with a new program only; add module too")
        edit = AgentEdit(
            id=agent_id,
            grants=_grants(section) if "grants" in section else None,
            limits=tuple(sorted(parse_limits(section, "limits", LIMITS_KEYS).items())),
            config=_config(section) if "config" in section else None,
            restart=section.boolean("restart", default=False),
        )
        if source is None and edit == AgentEdit(agent_id):
            raise Fault(section.at, f"changes nothing; give it one of: {', '.join(AGENT_KEYS)}")
        return edit, source

    def _file(self, section: Section, text: str, key: str, *part: str | int) -> Path:
        if not text:
            raise section.fault(key, "is empty; give a path relative to the file of edits", *part)
        path = Path(resolved(self._directory, text))
        try:
            check_regular(path, self._run_limits.module_bytes)
        except FileFault as fault:
            reason = f"{quoted(text)} {fault} (paths are relative to the file of edits)"
            raise section.fault(key, reason, *part) from fault
        return path


def _seed(top: Section) -> int | None:
    return top.integer("seed", 0, 0, SEED_MAX) if "seed" in top else None


def _inject(value: object, at: KeyPath) -> Inject:
    section = Section(value, at, INJECT_KEYS)
    to = _receiver(section)
    section.require("topic", 'topic = "TOPIC"')
    return Inject(
        to=to,
        topic=section.text("topic", ""),
        body=_body(section) or b"",
        sender=section.text("sender", FORK_SENDER),
        reply_to=section.integer("reply_to", 0, 0, _REPLY_TO_MAX) if "reply_to" in section else None,
    )


def _drop(value: object, at: KeyPath) -> Drop:
    return _selected(Section(value, at, DROP_KEYS))


def _replace(value: object, at: KeyPath) -> Replace:
    section = Section(value, at, REPLACE_KEYS)
    selected = _selected(section)
    if "body" not in section and "new_topic" not in section:
        raise Fault(at, "changes nothing; give it a body or a new_topic")
    return Replace(
        selected.to,
        selected.sender,
        selected.topic,
        selected.place,
        body=_body(section),
        new_topic=section.text("new_topic", "") if "new_topic" in section else None,
    )


def _selected(section: Section) -> Drop:
    """Return the drop of what the section selects, whatever else it has."""
    return Drop(
        to=_receiver(section),
        sender=section.text("sender", "") if "sender" in section else None,
        topic=section.text("topic", "") if "topic" in section else None,
        place=section.integer("place", 0, 0, _PLACE_MAX) if "place" in section else None,
    )


def _receiver(section: Section) -> str:
    section.require("to", 'to = "AGENT"')
    return section.text("to", "")


def _body(section: Section) -> bytes | None:
    """Return a message's body: a string's bytes as they are, a table or an array as compact JSON."""
    value = section.value("body")
    if value is None:
        return None
    if isinstance(value, str):
        return value.encode()
    if not isinstance(value, dict | list):
        raise section.fault(
            "body",
            f"must be a string, a table or an array, not {type_words(value)};"
            ' for JSON write the text that is to arrive, such as body = "42"',
        )
    try:
        _check_json(value, (*section.at, "body"), section.whose)
        return msgspec.json.encode(value)
    except RecursionError:
        raise section.fault("body", "is nested too deeply") from None
