"""What an image of an agent tells about it: a memory whole, and a Python agent's attributes."""

import msgspec

from tickwork.core.effects import Output
from tickwork.core.errors import HostError, InputError
from tickwork.core.image import PAGE_BYTES, AgentImage
from tickwork.core.limits import MIB
from tickwork.core.messages import Message, MessageClass
from tickwork.core.names import RUNTIME_SENDER
from tickwork.core.outcomes import Outcome, OutcomeKind
from tickwork.core.spec import AgentSpec
from tickwork.core.world import World
from tickwork.guest.image import Base
from tickwork.guest.instance import Instance
from tickwork.guest.program import Program

# The question that the Python guest's shell answers; only the runtime's own name may send it.
STATE_TOPIC = "tickwork.state"
_STATE_FUEL = 10_000_000_000
_STATE_BYTES_MAX = 64 * MIB


def require_python(spec: AgentSpec) -> None:
    """Raise `InputError` for an agent that no one can ask for its state."""
    if not spec.preamble:
        raise InputError(f"agent {spec.id!r} is not written in Python: only its memory can be shown")


def ask_state(program: Program, spec: AgentSpec, image: AgentImage, world: World) -> object:
    """Return a Python agent's attributes as JSON's values; a copy of the agent is asked, and thrown away."""
    limits = msgspec.structs.replace(spec.limits, fuel_per_turn=_STATE_FUEL, bytes_per_turn=_STATE_BYTES_MAX)
    instance = Instance(program, limits)
    try:
        instance.restore(image)
        question = Message(MessageClass.MESSAGE, world.tick, 0, 0, RUNTIME_SENDER, STATE_TOPIC, b"")
        outcome = instance.step(world.tick, world.now_ns, 0, [question])
    finally:
        instance.close()
    return _answer(spec.id, outcome)


def whole_memory(image: AgentImage, base: Base, place: int) -> bytes:
    """Return a linear memory from an agent's image and its program's base."""
    memory = image.memories[place]
    content = bytearray(memory.size)
    initial = base.memories[place][: memory.size]
    content[: len(initial)] = initial
    for number, page in zip(memory.numbers, memory.pages, strict=True):
        content[number * PAGE_BYTES : (number + 1) * PAGE_BYTES] = page
    return bytes(content)


def _answer(agent: str, outcome: Outcome) -> object:
    if outcome.kind is not OutcomeKind.OK:
        raise HostError(f"agent {agent!r} cannot tell its state: {outcome.kind} {outcome.detail}")
    for effect in outcome.effects:
        if isinstance(effect, Output) and effect.name == STATE_TOPIC:
            return msgspec.json.decode(effect.body)
    raise InputError(f"agent {agent!r} does not answer for its state: it is no agent of the Python guest")
