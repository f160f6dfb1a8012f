"""Every tie-break in tickwork. Nothing else may decide who comes first."""

from tickwork.core.messages import Message


def inbox_order(message: Message) -> tuple[int, int, int, int]:
    """Order an inbox: by class, then by the origin's tick, index and effect."""
    return (message.kind, message.tick, message.agent, message.effect)
