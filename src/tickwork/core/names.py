"""What ids, topics and other names may look like, and which of them are reserved."""

import re

ABI_VERSION = "1.0.0"

RUNTIME_SENDER = "tickwork"
TOPIC_DENIED = "tickwork.denied"
TOPIC_REJECTED = "tickwork.rejected"
INPUT_SENDER_PREFIX = "input:"
MODEL_SENDER_PREFIX = "model:"
# What a model answers, and the pieces of it that come before if the agent asked for them.
TOPIC_REPLY = "reply"
TOPIC_PIECE = "reply.piece"

NAME_BYTES_MAX = 128
# A mailbox's bytes are those of bodies: topics must not be a way around that limit.
TOPIC_CHARS_MAX = 256
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]*")


def name_fault(name: str) -> str | None:
    """Return why `name` cannot be an agent's, kind's, input's or output's name, or None if it can."""
    if not name:
        return "is empty"
    if len(name.encode()) > NAME_BYTES_MAX:
        return f"is longer than {NAME_BYTES_MAX} bytes"
    if not _NAME.fullmatch(name):
        return "may hold only letters, digits, '_', '-' and '.', and must not begin with '-' or '.'"
    if name == RUNTIME_SENDER:
        return "is reserved for the runtime"
    return None


def spawned_id_fault(agent_id: str, kind: str) -> str | None:
    """Return why `agent_id` cannot name a spawned agent of `kind` (`KIND/NAME`), or None if it can."""
    head, slash, tail = agent_id.partition("/")
    if head != kind or not slash:
        return f"must begin with '{kind}/'"
    fault = name_fault(tail)
    return f"has a last part that {fault}" if fault else None
