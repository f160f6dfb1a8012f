"""Runs drawn from a seed with a bit of everything: languages, graphs, limits, faults, supervision, waves.

As a script, `random_worlds.py SEED FOLDER CALLS` records the run of a seed until it is killed.
"""

import functools
import json
import os
import random  # noqa: TID251 - draws a world from its seed
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import pytest

import travel_worlds
from guests import chatter, drawer
from tickwork.core.digest import content_hash
from tickwork.core.fault_plan import FaultPlan
from tickwork.core.faults import (
    KINDS,
    CrashAfter,
    CrashBefore,
    Delay,
    Drop,
    Duplicate,
    Fault,
    FaultRate,
    LoseTimer,
    Partition,
    Pause,
    RefuseMemory,
    Reorder,
    StarveFuel,
)
from tickwork.core.grants import Capability, Grant, Grants
from tickwork.core.limits import Limits
from tickwork.core.spec import AgentSpec, InputSpec, RunSpec
from tickwork.core.supervision import OnExhausted, OnFailure, Supervision
from tickwork.guest.c_source import build_c
from tickwork.guest.python_guest import python_guest
from tickwork.guest.python_source import python_preamble
from tickwork.journal.writer import Durability
from tickwork.runtime.project import Project
from tickwork.runtime.record import Run
from tickwork.runtime.resume import resume
from tickwork.runtime.schedule import SnapshotSettings

AGENTS = Path(__file__).parent / "shell_agents"
LANGUAGES = ("c", "wat", "wasi", "rust", "js", "python")
_COSTLY = ("js", "python")
TICKS = 40
# Faults that only hit requests to models and tools find nothing here.
_RATES = tuple(sorted(set(KINDS) - {"fail-request", "slow-request", "garble-request"}))


@dataclass(frozen=True)
class RandomWorld:
    """What was drawn from `seed`: a project that ends after `ticks` ticks, and the languages in it."""

    seed: int
    project: Project
    languages: frozenset[str]

    @property
    def ticks(self) -> int:
        assert self.project.ticks is not None
        return self.project.ticks

    def spec_says(self) -> dict[str, bool]:
        """Return what the world has, for who counts worlds."""
        spec = self.project.spec
        supervised = [agent.supervised.on_failure for agent in spec.agents]
        return {
            "faults": spec.faults is not None,
            "waves": bool(spec.edges),
            "restart": OnFailure.RESTART in supervised,
            "rollback": OnFailure.ROLLBACK in supervised,
        } | dict.fromkeys(sorted(self.languages), True)


@functools.cache
def code(language: str) -> bytes | None:
    """Return the module of a language's agents, or None where it cannot be had."""
    made: dict[str, Callable[[], bytes]] = {
        "c": lambda: build_c(AGENTS / "wanderer.c"),
        "wat": chatter,
        "wasi": drawer,
        "rust": travel_worlds.DEDUP.read_bytes,
        "js": travel_worlds.js_component,
        "python": python_guest,
    }
    try:
        return made[language]()
    except pytest.skip.Exception:
        return None


def known_languages() -> tuple[str, ...]:
    return tuple(language for language in LANGUAGES if code(language) is not None)


def _config(language: str, neighbours: Sequence[str]) -> bytes:
    match language:
        case "python":
            return json.dumps(" ".join(neighbours)).encode()
        case "rust":
            return b'{"window": 6, "likeness": 60}'
        case "js":
            return b"7"
        case "wat" | "wasi":
            return neighbours[0].encode()
    return " ".join(neighbours).encode()


def _agent(draw: random.Random, name: str, language: str, neighbours: Sequence[str]) -> AgentSpec:
    module = code(language)
    assert module is not None
    source = (AGENTS / "wanderer.py").read_text(encoding="utf-8")
    return AgentSpec(
        id=name,
        kind=language,
        module=content_hash(module),
        config=_config(language, neighbours),
        grants=_grants(draw),
        preamble=python_preamble("wanderer.py", source) if language == "python" else b"",
        subscribe=("news",) if draw.random() < 0.2 else (),
        limits=_limits(draw),
        every_tick=draw.random() < 0.5,
        supervision=_supervision(draw),
    )


def _grants(draw: random.Random) -> Grants:
    every = (
        Grant(Capability.SEND, "*", per_tick=draw.choice([None, None, 2])),
        Grant(Capability.PUBLISH, "news", per_run=draw.choice([None, 5])),
        Grant(Capability.TIMER),
        Grant(Capability.OUTPUT, "told"),
        Grant(Capability.SPAWN, "worker", per_run=4),
    )
    return tuple(grant for grant in every if draw.random() < 0.9)


def _limits(draw: random.Random) -> Limits:
    if draw.random() < 0.8:
        return Limits(fuel_per_turn=5_000_000)
    return Limits(
        fuel_per_turn=draw.choice([2_000, 200_000, 5_000_000]),
        effects_per_turn=draw.choice([1, 3, 1_000]),
        mailbox_messages=draw.choice([1, 3, 10]),
        timers=draw.choice([1, 3]),
    )


def _supervision(draw: random.Random) -> Supervision | None:
    if draw.random() < 0.3:
        return None
    return Supervision(
        on_failure=draw.choice([OnFailure.RESTART, OnFailure.ROLLBACK, OnFailure.STOP]),
        max_restarts=draw.choice([0, 1, 3, 50]),
        restart_window_ticks=draw.choice([1, 5, 100]),
        on_exhausted=OnExhausted.STOP_RUN if draw.random() < 0.1 else OnExhausted.FAIL,
    )


def _fault(  # noqa: PLR0911 - one for each kind
    draw: random.Random, names: Sequence[str], ticks: int
) -> Fault:
    """Return a fault of a drawn kind; names and places are such that it may well hit something."""
    tick, agent, to = draw.randrange(ticks), draw.choice(names), draw.choice(names)
    nth, span = draw.choice([0, 0, 0, 1, 2]), draw.choice([1, 1, 2, 5])
    receiver = draw.choice([None, to])
    match draw.choice(_RATES):
        case "drop":
            return Drop(tick, agent, nth, receiver)
        case "delay":
            return Delay(tick, agent, nth, receiver, span)
        case "duplicate":
            return Duplicate(tick, agent, nth, receiver, span - 1)
        case "reorder":
            return Reorder(tick, agent, nth)
        case "partition":
            return Partition(tick, tuple(dict.fromkeys((agent, to))), span)
        case "crash-before":
            return CrashBefore(tick, agent)
        case "crash-after":
            return CrashAfter(tick, agent, draw.choice([None, 0, 1, 2]))
        case "starve-fuel":
            return StarveFuel(tick, agent, draw.choice([0, 500]))
        case "refuse-memory":
            return RefuseMemory(tick, agent)
        case "lose-timer":
            return LoseTimer(tick, agent, draw.choice([None, 0, 1]))
    return Pause(tick, agent, span)


def _faults(draw: random.Random, names: Sequence[str]) -> FaultPlan | None:
    if draw.random() < 0.3:
        return None
    explicit = tuple(_fault(draw, names, TICKS) for _ in range(draw.randrange(12)))
    rates = tuple(
        FaultRate(draw.choice(_RATES), draw.choice([0.01, 0.05, 0.3]), agents=(draw.choice(["*", names[0]]),))
        for _ in range(draw.choice([0, 0, 1, 3]))
    )
    return FaultPlan(explicit, rates, draw.randrange(1000)) or None


def _edges(draw: random.Random, names: Sequence[str]) -> tuple[tuple[str, str], ...]:
    if draw.random() < 0.5:
        return ()
    order = draw.sample(names, len(names))
    found = []
    for _ in range(draw.randrange(1, 2 * len(order))):
        start, end = sorted(draw.sample(range(len(order)), 2))
        found.append((order[start], order[end]))
    return tuple(dict.fromkeys(found))


def random_world(seed: int, folder: Path, *, costly: bool | None = None) -> RandomWorld:
    """Return the world of a seed, its input written into `folder`.

    `costly` says whether there may be agents in languages that take long to start; by default a third of the
    worlds have some.
    """
    draw = random.Random(seed)
    names = [f"w{place}" for place in range(draw.randrange(2, 16))]
    may_cost = draw.random() < 1 / 3
    if costly is not None:
        may_cost = costly
    cheap = [language for language in known_languages() if language not in _COSTLY]
    dear = [language for language in known_languages() if language in _COSTLY]
    spoken = [draw.choice(["c", "c", "c", *cheap]) for _ in names]
    for place in range(min(2, len(names)) if may_cost and dear else 0):
        spoken[place] = draw.choice(dear)
    agents = tuple(
        _agent(draw, name, language, draw.sample(names, draw.randrange(1, len(names) + 1)))
        for name, language in zip(names, spoken, strict=True)
    )
    # A template's id is its kind's name.
    worker = msgspec.structs.replace(_agent(draw, "worker", "c", names[:2]), kind="worker")
    readers = tuple(draw.sample(names, draw.randrange(1, len(names) + 1)))
    spec = RunSpec(
        name="random",
        seed=draw.getrandbits(64),
        start_ns=1_700_000_000_000_000_000,
        tick_ns=1_000_000,
        floats="portable",
        agents=agents,
        kinds=(worker,),
        inputs=(InputSpec("lines", "ticket", readers, draw.choice([1, 2, 5])),),
        outputs=("told",),
        faults=_faults(draw, names),
        edges=_edges(draw, names),
    )
    languages = frozenset({*spoken, "c"})
    modules = [module for language in languages if (module := code(language)) is not None]
    folder.mkdir(parents=True, exist_ok=True)
    lines = folder / "lines.jsonl"
    travel_worlds.write_lines(lines, draw.randrange(60))
    project = Project(
        spec,
        {content_hash(module): module for module in modules},
        {"lines": str(lines)},
        {"told": str(folder / "told.jsonl")},
        ticks=draw.randrange(5, TICKS),
        until_idle=draw.random() < 0.3,
    )
    return RandomWorld(seed, with_chance(project, draw), languages)


def with_chance(project: Project, draw: random.Random) -> Project:
    """Return the project with drawn settings that no digest may depend on."""
    every = draw.choice([None, 0, 1, 2, 5, 11])
    durability = draw.choice([Durability.GROUP, Durability.OFF])
    return replace(project, snapshots=SnapshotSettings(every=every), durability=durability)


def main(seed: str, folder: str, calls: str) -> None:
    """Record the run of a seed, or go on with it, and be killed after so many calls of Python functions."""
    path = Path(folder) / "run.tick"
    world = random_world(int(seed), Path(folder))
    left = int(calls)

    def count(*_: object) -> None:
        nonlocal left
        left -= 1
        if left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(count)
    begun = path.exists() and path.stat().st_size > 0
    with resume(path) if begun else Run(world.project, path, force=True) as run:
        run.run_to_end()


if __name__ == "__main__":
    main(*sys.argv[1:])
