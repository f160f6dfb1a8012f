"""A process to be attacked: it runs hostile agents beside good ones, and says on standard output how it went.

One JSON object per line in, one out. If the engine can be crashed, this process dies, and the test with it.
"""

import functools
import json
import os
import sys
import time  # noqa: TID251 - how long an attack takes is what is measured
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from guests import chatter, engine, program
from tickwork.core.digest import content_hash, genesis
from tickwork.core.entry import decode_entry
from tickwork.core.errors import ModuleError
from tickwork.core.grants import Capability, Grant
from tickwork.core.limits import Limits
from tickwork.core.messages import Arrivals, Input
from tickwork.core.spec import AgentSpec, InputSpec, RunSpec
from tickwork.core.world import genesis_world
from tickwork.guest.instance import Instance
from tickwork.guest.program import Program
from tickwork.pool.choose import open_pool
from tickwork.runtime.loop import Loop

GOOD = ("g0", "g1", "g2")
EVIL = "evil"
TICKS = 5
PAGE_BYTES = 4096
WORKERS = int(os.environ.get("VICTIM_WORKERS", "0"))  # 0 for the inline pool


def good_agents() -> list[AgentSpec]:
    return [
        AgentSpec(
            id=name,
            kind=name,
            module=content_hash(chatter()),
            config=GOOD[(place + 1) % len(GOOD)].encode(),
            grants=(Grant(Capability.SEND, "g*"),),
            every_tick=True,
        )
        for place, name in enumerate(GOOD)
    ]


def _spec(evil: AgentSpec | None) -> RunSpec:
    return RunSpec(
        name="attack",
        seed=11,
        start_ns=0,
        tick_ns=1_000,
        floats="portable",
        agents=(*good_agents(), *([] if evil is None else [evil])),
        inputs=(InputSpec("line", "line", ("g0",) if evil is None else ("g0", EVIL), 2),),
    )


def _run(evil: AgentSpec | None, programs: Mapping[str, Program]) -> tuple[list[str], list[tuple[str, str]]]:
    """Return each tick's turns of the good agents, and the kind and detail of each turn of the evil one."""
    pool = open_pool(programs, WORKERS)
    loop = Loop(genesis_world(_spec(evil)), pool, genesis(b"attack"))
    good, bad = [], []
    try:
        for tick in range(TICKS):
            lines = tuple(Input(0, b'{"line": %d}' % n) for n in range(2)) if tick else ()
            turns = decode_entry(loop.tick(Arrivals(lines)).entry).turns
            good.append(repr([turn for turn in turns if turn.agent < len(GOOD)]))
            bad += [(str(turn.kind), turn.detail) for turn in turns if turn.agent == len(GOOD)]
    finally:
        pool.close()
    return good, bad


@functools.cache
def alone() -> list[str]:
    return _run(None, {content_hash(chatter()): program(chatter())})[0]


def attack(order: dict[str, Any]) -> dict[str, Any]:
    """Run one attack in a world; report its outcomes, and whether the others noticed."""
    code = bytes.fromhex(order["code"])
    limits = msgspec.convert(order["limits"], Limits)
    expected = alone()
    started = time.monotonic()
    try:
        hostile = Program(engine(), code)
    except ModuleError as error:
        return {"error": str(error), "wall_s": time.monotonic() - started}
    evil = AgentSpec(EVIL, EVIL, hostile.hash, bytes.fromhex(order["config"]), limits=limits, every_tick=True)
    programs = {content_hash(chatter()): program(chatter()), hostile.hash: hostile}
    good, bad = _run(evil, programs)
    return {
        "outcomes": bad,
        "others_unaffected": good == expected,
        "wall_s": time.monotonic() - started,
    }


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_BYTES


def repeat(order: dict[str, Any]) -> dict[str, Any]:
    """Make, attack with and drop an agent many times; report how much memory stayed."""
    hostile = program(bytes.fromhex(order["code"]))
    limits = msgspec.convert(order["limits"], Limits)
    config = bytes.fromhex(order["config"])
    before = 0
    kinds = set()
    for count in range(order["warm"] + order["times"]):
        if count == order["warm"]:
            before = _resident_bytes()
        instance = Instance(hostile, limits)
        outcome = instance.setup(EVIL, config, now_ns=0, start_ns=0, seed=count)
        if outcome.kind == "ok":
            outcome = instance.step(1, 1, count, ())
        kinds.add(str(outcome.kind))
        instance.close()
    return {"grown": _resident_bytes() - before, "kinds": sorted(kinds)}


def main() -> None:
    for line in sys.stdin:
        order = json.loads(line)
        done = {"attack": attack, "repeat": repeat}[order["do"]](order)
        print(json.dumps(done), flush=True)  # noqa: T201 - the protocol


if __name__ == "__main__":
    main()
