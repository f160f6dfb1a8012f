"""Grants as a manifest writes them: `"send:team-*"`, `"timer"`, or a table that adds how often."""

from tickwork.core.grants import Capability, Grant
from tickwork.core.names import RUNTIME_SENDER, name_fault
from tickwork.manifest.faults import Fault, KeyPath, did_you_mean, listed, quoted
from tickwork.manifest.fields import Section, type_words

GRANT_KEYS = ("capability", "per_tick", "per_run", "tokens_per_tick", "tokens_per_run")
_TOKEN_KEYS = GRANT_KEYS[3:]
# More often than this nothing happens in one run.
USES_MAX = 10**12

_NO_GRANT_NEEDED = ("log", "metric")
_CAPABILITIES = tuple(str(capability) for capability in Capability)


def parse_grant(value: object, at: KeyPath, whose: str) -> Grant:
    """Return a grant from a string or a table; raise Fault. Whether its target exists is not asked here."""
    if isinstance(value, str):
        return _grant_from_text(value, at, whose)
    if not isinstance(value, dict):
        raise Fault(at, f'must be a string such as "send:NAME" or a table, not {type_words(value)}', whose)
    section = Section(value, at, GRANT_KEYS, whose)
    section.require("capability", 'capability = "send:NAME"')
    grant = _grant_from_text(section.text("capability", ""), (*at, "capability"), whose)
    if grant.capability is not Capability.INFER:
        for key in _TOKEN_KEYS:
            if key in section:
                raise section.fault(key, f"bounds what models answer, and {grant} asks none; remove it")
    bounds = {
        key: section.integer(key, 1, 1, USES_MAX)
        for key in GRANT_KEYS
        if key in section and key != "capability"
    }
    return Grant(grant.capability, grant.target, **bounds)


def topic_fault(topic: str) -> str | None:
    """Return why `topic` cannot be an agent's or an input's topic, or None if it can."""
    if topic.startswith(f"{RUNTIME_SENDER}."):
        return f"is reserved: topics that begin with '{RUNTIME_SENDER}.' come from the runtime"
    return name_fault(topic)


def _grant_from_text(text: str, at: KeyPath, whose: str) -> Grant:
    name, colon, target = text.partition(":")
    if name in _NO_GRANT_NEEDED:
        raise Fault(at, f"{quoted(text)}: every agent may use '{name}'; remove this grant", whose)
    if name not in _CAPABILITIES:
        raise Fault(
            at,
            f"{quoted(text)} grants nothing that exists{did_you_mean(name, _CAPABILITIES)};"
            f" capabilities: {listed(_CAPABILITIES)}",
            whose,
        )
    capability = Capability(name)
    if capability is Capability.TIMER:
        if colon:
            raise Fault(at, f'{quoted(text)}: a timer has no target; write "timer"', whose)
        return Grant(capability)
    if not target:
        raise Fault(at, f'{quoted(text)} lacks a target; write "{name}:NAME", or "{name}:*" for all', whose)
    fault = _target_fault(capability, target)
    if fault:
        raise Fault(at, f"{quoted(text)}: the target {quoted(target)} {fault}", whose)
    return Grant(capability, target)


def _target_fault(capability: Capability, target: str) -> str | None:
    literal = target.removesuffix("*")
    if "*" in literal:
        return "may have a '*' only at its end"
    if not literal:
        return None
    is_prefix = literal != target
    if capability in (Capability.SEND, Capability.STOP):
        # A spawned agent's id is KIND/NAME.
        head, slash, tail = literal.partition("/")
        if slash:
            return name_fault(head) or (None if is_prefix and not tail else name_fault(tail))
    return name_fault(literal)
