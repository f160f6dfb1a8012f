"""The tables [inputs.NAME] and [outputs.NAME]: what comes in from outside, and what goes out."""

from dataclasses import dataclass
from pathlib import Path

from tickwork.core.names import name_fault
from tickwork.manifest.agent_section import resolved
from tickwork.manifest.faults import Fault, KeyPath, quoted
from tickwork.manifest.fields import Section
from tickwork.manifest.grants import topic_fault
from tickwork.manifest.schema import Output

INPUT_KEYS = ("path", "to", "topic", "rate")
OUTPUT_KEYS = ("path",)
# Standard input or output in place of a path.
STREAM = "-"
# An input's lines of one tick lie in memory together, and in one entry of the run file.
RATE_MAX = 1_000_000


@dataclass(frozen=True, slots=True)
class InputFields:
    """An input as written: `to` may hold patterns, each with its place in the manifest."""

    name: str
    at: KeyPath
    topic: str
    to: tuple[tuple[KeyPath, str], ...]
    rate: int
    path: str | None


def parse_input(name: str, value: object, directory: Path) -> InputFields:
    """Return one input; raise Fault. Whether its receivers exist is not asked here."""
    at: KeyPath = ("inputs", name)
    if fault := name_fault(name):
        raise Fault(at, f"the input's name {fault}")
    section = Section(value, at, INPUT_KEYS)
    section.require("to", 'to = ["AGENT"]')
    if isinstance(section.value("to"), str):
        to: tuple[tuple[KeyPath, str], ...] = (((*at, "to"), section.text("to", "")),)
    else:
        to = tuple(((*at, "to", index), item) for index, item in enumerate(section.strings("to")))
    if not to:
        raise section.fault("to", "names no agent, so the input would reach nobody")
    topic = section.text("topic", name)
    if fault := topic_fault(topic):
        raise section.fault("topic", f"the topic {quoted(topic)} {fault}")
    rate = section.integer("rate", 1, 1, RATE_MAX)
    return InputFields(name, at, topic, to, rate, _path(section, directory))


def parse_output(name: str, value: object, directory: Path) -> Output:
    """Return one output; raise Fault."""
    at: KeyPath = ("outputs", name)
    if fault := name_fault(name):
        raise Fault(at, f"the output's name {fault}")
    return Output(name, _path(Section(value, at, OUTPUT_KEYS), directory))


def _path(section: Section, directory: Path) -> str | None:
    if "path" not in section:
        return None
    text = section.text("path", "")
    if not text or "\0" in text:
        raise section.fault("path", "is not a path; leave it out, or give a file's name or - for the stream")
    return STREAM if text == STREAM else resolved(directory, text)
