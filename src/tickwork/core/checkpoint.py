"""A world as canonical bytes, and back. What can be derived from the rest is left out and made again."""

from typing import Any

import msgspec
from blake3 import blake3

from tickwork.core.digest import Digests
from tickwork.core.messages import DelayedMessage, Message
from tickwork.core.requests import REQUEST_FIELDS, PendingRequest, Requests
from tickwork.core.shortest import shortest
from tickwork.core.spec import AgentSpec, RunSpec
from tickwork.core.timers import PendingTimer, Timers, TimersEdit
from tickwork.core.world import AgentState, Directory, Status, World, run_waves


class _Agent(msgspec.Struct, frozen=True, array_like=True):
    """An agent's standing; `spec` only where it was spawned, since the run's specification has the others."""

    status: Status
    reason: str
    spec: AgentSpec | None


class _World(msgspec.Struct, frozen=True, array_like=True):
    """Every map as pairs in the order of its keys, so that equal worlds have equal bytes."""

    tick: int
    agents: tuple[_Agent, ...]
    mailboxes: tuple[tuple[int, tuple[Message, ...]], ...]
    timers: tuple[tuple[int, PendingTimer], ...]
    spent: tuple[tuple[tuple[int, int], int], ...]
    requests: tuple[PendingRequest, ...] = ()
    tokens_spent: tuple[tuple[tuple[int, int], int], ...] = ()
    delayed: tuple[tuple[int, tuple[DelayedMessage, ...]], ...] = ()
    restarts: tuple[tuple[int, tuple[int, ...]], ...] = ()


# The fields that every world's bytes have.
_WORLD_FIELDS = 5
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_World).decode


def encode_world(world: World) -> bytes:
    """Return the canonical bytes of a world, without the run's specification."""
    declared = len(world.run.agents)
    agents = tuple(
        _Agent(agent.status, agent.reason, None if index < declared else agent.spec)
        for index, agent in enumerate(world.agents)
    )
    timers = tuple(
        (due, pending)
        for due, at in sorted(world.timers.pending.items())
        for _, pending in sorted(at.items())
    )
    # `shortest` gives what the bytes have of a request, and no request.
    requests: tuple[Any, ...] = tuple(
        shortest(request, REQUEST_FIELDS) for request in world.requests.pending.values()
    )
    stored = _World(
        tick=world.tick,
        agents=agents,
        mailboxes=tuple((agent, tuple(box)) for agent, box in sorted(world.mailboxes.items())),
        timers=timers,
        spent=tuple(sorted(world.spent.items())),
        requests=requests,
        tokens_spent=tuple(sorted(world.tokens_spent.items())),
        delayed=tuple((tick, tuple(messages)) for tick, messages in sorted(world.delayed.items())),
        restarts=tuple((agent, tuple(ticks)) for agent, ticks in sorted(world.restarts.items())),
    )
    return _encode(shortest(stored, _WORLD_FIELDS))


def decode_world(data: bytes, run: RunSpec) -> World:
    """Return the world that `encode_world` was given; `ValueError` if the bytes are no world of `run`."""
    try:
        stored = _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"no world: {error}") from None
    agents = tuple(_agents(stored, run))
    count = len(agents)
    timers = TimersEdit(Timers())
    for due, pending in stored.timers:
        if not 0 <= pending.agent < count or due < stored.tick:
            raise ValueError("no world: a timer has no owner, or was due before")
        timers.set(pending, due)
    mailboxes = {agent: list(box) for agent, box in stored.mailboxes}
    if any(not 0 <= agent < count or not agents[agent].live for agent in mailboxes):
        raise ValueError("no world: a mailbox has no owner")
    for request in stored.requests:
        owned = 0 <= request.agent < count and agents[request.agent].live
        if not owned or not 0 <= request.model < len(run.models) or request.due < stored.tick:
            raise ValueError("no world: a request has no owner or no model, or was due before")
        if not 0 <= request.slowed <= request.first - request.tick:
            raise ValueError("no world: a request is slowed by more ticks than it takes")
    if stored.tick < 0:
        raise ValueError("no world: its tick is negative")
    for tick, messages in stored.delayed:
        ends = [end for delayed in messages for end in (delayed.to, delayed.message.agent)]
        if tick <= stored.tick or not all(0 <= end < count for end in ends):
            raise ValueError("no world: a delayed message has no sender or receiver, or was due before")
    if any(not 0 <= agent < count or not agents[agent].live for agent, _ in stored.restarts):
        raise ValueError("no world: there are restarts of nobody")
    return World(
        run=run,
        agents=agents,
        directory=Directory.of(agents),
        tick=stored.tick,
        mailboxes=mailboxes,
        timers=timers.done(),
        spent=dict(stored.spent),
        tokens_spent=dict(stored.tokens_spent),
        requests=Requests({request.key: request for request in stored.requests}),
        delayed=dict(stored.delayed),
        restarts=dict(stored.restarts),
        waves=run_waves(run),
    )


def _agents(stored: _World, run: RunSpec) -> list[AgentState]:
    if len(stored.agents) < len(run.agents):
        raise ValueError("no world: agents are missing")
    agents = []
    for index, agent in enumerate(stored.agents):
        spec = run.agents[index] if index < len(run.agents) else agent.spec
        if spec is None:
            raise ValueError("no world: a spawned agent has no specification")
        agents.append(AgentState(spec, agent.status, agent.reason))
    return agents


def state_digest(digests: Digests, world: bytes, images: tuple[tuple[int, bytes], ...]) -> bytes:
    """Return the digest of everything at a tick's boundary.

    It covers the chain so far, the world's bytes, and each agent's image digest, by index in order. It is
    not a link of the chain: when snapshots are taken must not change a run's digests.
    """
    hasher = blake3(digests.digest + digests.exact, derive_key_context="tickwork 1 state")
    hasher.update(blake3(world).digest())
    for agent, image in images:
        hasher.update(agent.to_bytes(8, "little") + image)
    return hasher.digest()
