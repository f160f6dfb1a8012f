"""Thirty thousand agents in one process, and what happens where there is no room for another."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import guests
from tickwork.guest.room import mapping_limit
from tickwork.runtime.replay import replay

TESTS = Path(guests.__file__).parent
AGENTS, BUSY = 30_000, 10
# Their mappings, and those that are kept back.
MAPPINGS_NEEDED = 62_500
MEMORY_NEEDED = 2 << 30

_CROWD = """
from pathlib import Path
from tickwork.core.digest import content_hash
from tickwork.core.grants import Capability, Grant
from tickwork.core.spec import AgentSpec, RunSpec
from tickwork.guest.c_source import build_c
from tickwork.runtime.project import Project
from tickwork.runtime.record import Run
from tickwork.runtime.schedule import SnapshotSettings

code = build_c(Path("shell_agents/neighbour.c"))
module = content_hash(code)

def crowd(agents, busy, every):
    specs = []
    for place in range(agents):
        to = f"a-{(place + 1) % busy}" if place < busy else f"a-{place}"
        grants = (Grant(Capability.SEND, "a-*"),)
        specs.append(AgentSpec(f"a-{place}", "a", module, to.encode(), grants, every_tick=place < busy))
    spec = RunSpec("crowd", 1, 0, 1, "portable", tuple(specs))
    return Project(spec, {module: code}, ticks=6, snapshots=SnapshotSettings(every=every))
"""

_LIFE = (
    _CROWD
    + """
import json, sys
from tickwork.runtime.fork import fork
from tickwork.runtime.resume import resume

def resident():
    rows = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return next(int(row.split()[1]) * 1024 for row in rows if row.startswith("Pss:"))

folder = Path(sys.argv[1])
project = crowd(int(sys.argv[2]), int(sys.argv[3]), 4)
before = resident()
with Run(project, folder / "crowd.tick") as run:
    run.advance(3)
    used = resident() - before
    run.advance(3)
    digests = [run.digests.exact.hex()]
with resume(folder / "crowd.tick", ticks=2) as run:
    run.run_to_end()
    digests.append(run.digests.exact.hex())
fork(folder / "crowd.tick", folder / "fork.tick", 5)
with resume(folder / "fork.tick", ticks=1) as run:
    turns = [turn.agent for turn in run.advance(1).entry.turns]
print(json.dumps({"used": used, "digests": digests, "turns": turns}))
"""
)


def scripted(script: str, *arguments: object) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=TESTS,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _too_small() -> str | None:
    limit = mapping_limit()
    if limit is None or limit < MAPPINGS_NEEDED:
        return f"the system allows {limit} mappings"
    pages, size = os.sysconf("SC_AVPHYS_PAGES"), os.sysconf("SC_PAGESIZE")
    return None if pages * size >= MEMORY_NEEDED else "less than 2 GiB of memory are free"


def test_thirty_thousand_agents_start_step_resume_and_fork_in_30_kib_each(tmp_path: Path) -> None:
    small = _too_small()
    if small is not None:
        pytest.skip(small)
    found = json.loads(scripted(_LIFE, tmp_path, AGENTS, BUSY))
    assert found["used"] / AGENTS < 30 * 1024
    assert found["turns"] == list(range(BUSY))
    assert len(set(found["digests"])) == 2


_IDLE = (
    _CROWD
    + """
import sys, time

def quickest(run):
    before = time.perf_counter()
    run.advance(1)
    return time.perf_counter() - before

folder, busy = Path(sys.argv[1]), int(sys.argv[2])
few, many = crowd(busy, busy, 0), crowd(int(sys.argv[3]), busy, 0)
with Run(few, folder / "few.tick") as one, Run(many, folder / "many.tick") as other:
    one.advance(20)
    other.advance(20)
    took = [(quickest(one), quickest(other)) for _ in range(300)]
print(*map(min, zip(*took)))
"""
)


def test_agents_with_nothing_to_do_cost_a_tick_nothing(tmp_path: Path) -> None:
    # One look at each of so many would take as long again as the busy ones' turns, or far longer.
    limit = mapping_limit()
    if limit is not None and limit < MAPPINGS_NEEDED:
        pytest.skip(f"the system allows {limit} mappings")
    few_s, many_s = map(float, scripted(_IDLE, tmp_path, BUSY, 10_000).split())
    assert many_s < 2 * few_s


_CROWDED = """
import resource, sys
from pathlib import Path
from guests import Answers, image_guest
from determined_run import idler
from tickwork.core.digest import content_hash
from tickwork.core.effects import Spawn
from tickwork.core.errors import HostError
from tickwork.core.grants import Capability, Grant
from tickwork.core.spec import AgentSpec, RunSpec
from tickwork.runtime.project import Project
from tickwork.runtime.record import Run

nanny = Answers("nanny")
for number in range(9):
    nanny.effects(Spawn(f"w/{number}", "w", b""))
modules = {content_hash(code): code for code in (image_guest(), idler())}
first, second = modules
agents = (AgentSpec("nanny", "n", first, nanny.config(), (Grant(Capability.SPAWN, "w"),), every_tick=True),)
spec = RunSpec("crowd", 1, 0, 1, "portable", agents, kinds=(AgentSpec("w", "w", second, b""),))
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (24 << 30),) * 2)
with Run(Project(spec, modules, ticks=9), Path(sys.argv[1])) as run:
    try:
        run.run_to_end()
    except HostError as error:
        print(run.world.tick, error)
"""


@pytest.mark.skipif(mapping_limit() is None, reason="only Linux bounds a process's address space")
def test_a_spawn_that_there_is_no_room_for_ends_the_run_and_keeps_what_was(tmp_path: Path) -> None:
    path = tmp_path / "crowd.tick"
    tick, _, told = scripted(_CROWDED, path).partition(" ")
    assert "no address space left for another agent's memory" in told
    found = replay(path)
    assert found.identical, found.first_divergence
    assert found.ticks == int(tick)
    assert 3 <= found.ticks <= 7
