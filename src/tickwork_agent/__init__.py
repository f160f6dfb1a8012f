"""The Python side of a tickwork agent: what an author imports, in the sandbox and in tests alike.

This package needs nothing but the standard library and is the same code in both places. Start with `Agent`.
"""

from tickwork_agent.agent import Agent, handler_name
from tickwork_agent.effects import (
    Call,
    Effect,
    Infer,
    Level,
    Log,
    Metric,
    Output,
    Publish,
    Send,
    Spawn,
    Stop,
    Timer,
)
from tickwork_agent.encoding import Body, encode_body
from tickwork_agent.messages import Message, Now
from tickwork_agent.replies import Reply

__all__ = [
    "Agent",
    "Body",
    "Call",
    "Effect",
    "Infer",
    "Level",
    "Log",
    "Message",
    "Metric",
    "Now",
    "Output",
    "Publish",
    "Reply",
    "Send",
    "Spawn",
    "Stop",
    "Timer",
    "encode_body",
    "handler_name",
]
