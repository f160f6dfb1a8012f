"""One entry of [[agents]] or [kinds.NAME]: a program, its config, and what it may do."""

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import msgspec

from tickwork.core.grants import Grant
from tickwork.core.limits import Limits, RunLimits
from tickwork.core.names import name_fault
from tickwork.core.supervision import NO_SUPERVISION, OnExhausted, OnFailure, Supervision
from tickwork.manifest.bounds import LIMIT_BOUNDS
from tickwork.manifest.faults import Fault, KeyPath, listed, quoted
from tickwork.manifest.fields import Section, type_words
from tickwork.manifest.files import FileFault, check_regular
from tickwork.manifest.grants import parse_grant, topic_fault
from tickwork.manifest.schema import LANGUAGE_OF_SUFFIX, Agent, BundledModule, Language

LIMITS_KEYS = Limits.__struct_fields__
RUN_LIMITS_KEYS = RunLimits.__struct_fields__
SUPERVISION_KEYS = ("on_failure", "max_restarts", "restart_window_ticks", "on_exhausted")
KIND_KEYS = (
    "module", "config", "grants", "subscribe", "every_tick", "limits", "modules", *SUPERVISION_KEYS
)  # fmt: skip
AGENT_KEYS = ("id", "count", "kind", *KIND_KEYS)

CONFIG_BYTES_MAX = 1024 * 1024
RESTARTS_MAX = 1_000
WINDOW_TICKS_MAX = 2**53


class AgentReader:
    """Reads the manifest's agents; holds what they share: directory, default limits, the run's limits."""

    def __init__(self, directory: Path, defaults: Mapping[str, int], run_limits: RunLimits) -> None:
        self._directory = directory
        self._defaults = defaults
        self._run_limits = run_limits

    def agents(self, value: object, at: KeyPath) -> tuple[Agent, ...]:
        """Return the agents of one [[agents]] entry, as many as its `count`; raise Fault."""
        section = Section(value, at, AGENT_KEYS, _whose(value, "agent"))
        section.require("id", 'id = "my-agent"')
        name = _name(section, "id", "")
        kind = _name(section, "kind", name)
        agent = self._agent(section, name, kind)
        if "count" not in section:
            return (agent,)
        count = section.integer("count", 1, 1, self._run_limits.agents)
        last = f"{name}-{count - 1}"
        if fault := name_fault(last):
            raise section.fault("id", f"{quoted(last)}, which `count` makes of it, {fault}")
        return tuple(replace(agent, id=f"{name}-{number}") for number in range(count))

    def kind(self, name: str, value: object) -> Agent:
        """Return the template [kinds.NAME]; raise Fault."""
        at: KeyPath = ("kinds", name)
        if fault := name_fault(name):
            raise Fault(at, f"the kind's name {fault}")
        return self._agent(Section(value, at, KIND_KEYS, f"kind {quoted(name)}"), name, name)

    def _agent(self, section: Section, name: str, kind: str) -> Agent:
        module, language = self._module(section)
        return Agent(
            id=name,
            kind=kind,
            module=module,
            language=language,
            config=_config(section),
            grants=_grants(section),
            subscribe=_subscribe(section),
            every_tick=section.boolean("every_tick", default=False),
            limits=Limits(**{**self._defaults, **parse_limits(section, "limits", LIMITS_KEYS)}),
            modules=self._bundle(section, language),
            supervision=_supervision(section),
        )

    def _module(self, section: Section) -> tuple[Path, Language]:
        section.require("module", 'module = "agents/my_agent.py"')
        text = section.text("module", "")
        path = self._file(section, text, "module")
        language = LANGUAGE_OF_SUFFIX.get(path.suffix)
        if language is None:
            raise section.fault(
                "module",
                f"{quoted(text)} is of no kind that can be run; it can end in {listed(LANGUAGE_OF_SUFFIX)}"
                " (compile other languages to .wasm)",
            )
        return path, language

    def _bundle(self, section: Section, language: Language) -> tuple[BundledModule, ...]:
        if "modules" not in section:
            return ()
        if language is not Language.PYTHON:
            raise section.fault("modules", f"is only for Python agents; this one is {language}")
        if isinstance(section.value("modules"), dict):
            given: list[tuple[str, object, str | int]] = [
                (key, value, key) for key, value in section.table("modules").items()
            ]
        else:
            given = [(Path(text).stem, text, at) for at, text in enumerate(section.strings("modules"))]
        bundle: dict[str, BundledModule] = {}
        for name, text, part in given:
            if not isinstance(text, str):
                raise section.fault("modules", f"must be a path, not {type_words(text)}", part)
            if not all(word.isidentifier() for word in name.split(".")):
                raise section.fault(
                    "modules",
                    f"{quoted(name)} cannot be imported; rename the file, or give a name:"
                    f' modules = {{ "my_package.my_module" = "lib/file.py" }}',
                    part,
                )
            path = self._file(section, text, "modules", part)
            if path.suffix != ".py":
                raise section.fault("modules", f"{quoted(text)} is not a .py file", part)
            if name in bundle:
                raise section.fault("modules", f"a second file would be imported as {quoted(name)}", part)
            bundle[name] = BundledModule(name, path)
        return tuple(bundle.values())

    def _file(self, section: Section, text: str, key: str, *part: str | int) -> Path:
        if not text:
            raise section.fault(key, "is empty; give a path relative to the manifest", *part)
        path = Path(resolved(self._directory, text))
        try:
            check_regular(path, self._run_limits.module_bytes)
        except FileFault as fault:
            raise section.fault(
                key, f"{quoted(text)} {fault} (paths are relative to the manifest)", *part
            ) from fault
        return path


def resolved(directory: Path, text: str) -> str:
    """Return the absolute form of a path in the manifest; relative ones begin at its directory."""
    return str(directory / text)


def parse_limits(section: Section, key: str, known: tuple[str, ...]) -> dict[str, int]:
    """Return the limits that the table at `key` sets; raise Fault."""
    if key not in section:
        return {}
    limits = Section(section.value(key), (*section.at, key), known, section.whose)
    return {name: limits.integer(name, 0, *LIMIT_BOUNDS[name]) for name in known if name in limits}


def _whose(value: object, what: str) -> str:
    name = value.get("id") if isinstance(value, dict) else None
    return f"{what} {quoted(name)}" if isinstance(name, str) else ""


def _name(section: Section, key: str, default: str) -> str:
    name = section.text(key, default)
    if fault := name_fault(name):
        raise section.fault(key, f"{quoted(name)} {fault}")
    return name


def _grants(section: Section) -> tuple[Grant, ...]:
    grants: list[Grant] = []
    for index, value in enumerate(section.array("grants")):
        grant = parse_grant(value, (*section.at, "grants", index), section.whose)
        if any(str(grant) == str(other) for other in grants):
            raise section.fault("grants", f"{quoted(str(grant))} is granted twice; remove one", index)
        grants.append(grant)
    return tuple(grants)


def _supervision(section: Section) -> Supervision | None:
    """Return how the agent is supervised, None for as it is by default."""
    default = NO_SUPERVISION
    on_failure = OnFailure(section.choice("on_failure", default.on_failure, list(OnFailure)))
    for key in ("max_restarts", "restart_window_ticks"):
        if key in section and on_failure is OnFailure.STOP:
            raise section.fault(
                key, 'only counts with on_failure = "restart" or "rollback"; add one, or remove it'
            )
    found = Supervision(
        on_failure=on_failure,
        max_restarts=section.integer("max_restarts", default.max_restarts, 0, RESTARTS_MAX),
        restart_window_ticks=section.integer(
            "restart_window_ticks", default.restart_window_ticks, 1, WINDOW_TICKS_MAX
        ),
        on_exhausted=OnExhausted(section.choice("on_exhausted", default.on_exhausted, list(OnExhausted))),
    )
    return None if found == default else found


def _subscribe(section: Section) -> tuple[str, ...]:
    topics = section.strings("subscribe")
    for index, topic in enumerate(topics):
        if fault := topic_fault(topic):
            raise section.fault("subscribe", f"the topic {quoted(topic)} {fault}", index)
    return tuple(topics)


def _config(section: Section) -> bytes:
    value = section.value("config")
    if value is None:
        return b""
    if isinstance(value, str):
        data = value.encode()
    elif isinstance(value, dict):
        try:
            _check_json(value, (*section.at, "config"), section.whose)
            data = msgspec.json.encode(value)
        except RecursionError:
            raise section.fault("config", "is nested too deeply") from None
    else:
        raise section.fault("config", f"must be a table or a string, not {type_words(value)}")
    if len(data) > CONFIG_BYTES_MAX:
        raise section.fault("config", f"has {len(data)} bytes as JSON, more than {CONFIG_BYTES_MAX}")
    return data


def _check_json(value: object, at: KeyPath, whose: str) -> None:
    """Raise Fault for what TOML can say and JSON cannot, or not exactly."""
    if isinstance(value, dict):
        for key, item in value.items():
            _check_json(item, (*at, key), whose)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _check_json(item, (*at, index), whose)
    elif isinstance(value, float) and not math.isfinite(value):
        raise Fault(at, "is not a finite number, and JSON has no other; write it as a string", whose)
    elif isinstance(value, int) and not -(2**63) <= value < 2**64:
        raise Fault(at, "does not fit 64 bits; write it as a string", whose)
