"""The runs that are measured: as many agents of one kind as are asked for."""

import json
from pathlib import Path

from tickwork.core.digest import content_hash
from tickwork.core.grants import Capability, Grant, Grants
from tickwork.core.spec import AgentSpec, InputSpec, RunSpec
from tickwork.guest.c_source import build_c
from tickwork.guest.python_guest import python_guest
from tickwork.guest.python_source import python_preamble
from tickwork.runtime.project import Project

AGENTS = Path(__file__).parent / "agents"

TICKET = {
    "id": "T-1", "service": "orders-db", "title": "replica lags behind", "hops": 0, "tags": ["new", "db"],
    "text": "the read replica is minutes behind since the deploy, dashboards show old orders",
}  # fmt: skip


def _grants(target: str) -> Grants:
    return (Grant(Capability.SEND, target),)


def _project(agents: list[AgentSpec], code: bytes, inputs: tuple[InputSpec, ...] = ()) -> Project:
    spec = RunSpec(
        name="bench", seed=1, start_ns=0, tick_ns=1_000_000, floats="portable", agents=tuple(agents),
        inputs=inputs,
    )  # fmt: skip
    return Project(spec, {content_hash(code): code})


def tiny_project(count: int, messages: int, *, spin: int = 0, heavy: int = 1) -> Project:
    """Return `count` tiny C agents that send `messages` messages a tick each, or 1 to 4 where that is 0.

    `spin` is how many rounds of mixing a turn takes besides; every twentieth agent takes `heavy` times as
    many.
    """
    code = build_c(AGENTS / "tiny.c")
    configs = [f"{count} {messages} {rounds}".encode() for rounds in (spin, spin * heavy)]
    name, grants = content_hash(code), _grants("a-*")
    agents = [
        AgentSpec(f"a-{i}", "tiny", name, configs[i % 20 == 19], grants, every_tick=True)
        for i in range(count)
    ]
    return _project(agents, code)


def desk_project(count: int) -> Project:
    """Return `count` Python agents in a ring, each of which passes on a JSON ticket once it has one."""
    guest = python_guest()
    name = content_hash(guest)
    preamble = python_preamble("desk.py", (AGENTS / "desk.py").read_text(encoding="utf-8"))
    agents = []
    for index in range(count):
        following = f"desk-{(index + 1) % count}"
        config = json.dumps({"next": following}).encode()
        agents.append(AgentSpec(f"desk-{index}", "desk", name, config, _grants(following), preamble))
    everyone = tuple(agent.id for agent in agents)
    return _project(agents, guest, (InputSpec("tickets", "ticket", everyone, 1),))
