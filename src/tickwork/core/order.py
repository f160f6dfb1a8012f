"""Every tie-break in tickwork. Nothing else may decide who comes first."""

from tickwork.core.messages import Message


def inbox_order(message: Message) -> tuple[int, int, int, int]:
    """Order an inbox: by class, then by the origin's tick, index and effect.

    Only notices can tie, with each other or with the publish that they are about. Sorts are stable: ties keep
    the order in which they arose, the message first, then refusals, then what came back from ended agents.
    """
    return (message.kind, message.tick, message.agent, message.effect)
