"""Random worlds come out the same however they are run.

Each world is recorded once, and then run again in other ways: with another number of workers, and other
snapshots; replayed; killed and gone on with; forked at any tick; explored from one setup, after another case.
Every tick's entry, fuel and digests must be those of the first time.

`TICKWORK_SIM_WORLDS` says how many worlds there are; with `TICKWORK_SOAK_S` there are as many as fit into so
many seconds. `TICKWORK_SIM_SEED` brings a failure back: it is the seed of the first world.
"""

import os
import random  # noqa: TID251 - chooses what to try; a failure names its seed
import shutil
import subprocess
import sys
import time  # noqa: TID251 - bounds how long is searched
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import random_worlds
from random_worlds import RandomWorld, random_world
from tickwork.core.entry import decode_entry
from tickwork.core.faults import kind_of
from tickwork.exploration.case import Case, Horizon
from tickwork.exploration.draws import Draws
from tickwork.exploration.events import events_of
from tickwork.exploration.execution import TICKS, Explored, digests_of
from tickwork.exploration.plans import DRAWN_KINDS, FaultMix, vary
from tickwork.exploration.reproduce import chain_of, record_case
from tickwork.exploration.stage import Stage, read_lines
from tickwork.journal.reader import RunReader
from tickwork.journal.writer import Durability
from tickwork.pool.native import kernel_fault
from tickwork.runtime.fork import fork
from tickwork.runtime.record import Run
from tickwork.runtime.replay import replay
from tickwork.runtime.resume import resume
from tickwork.runtime.schedule import SnapshotSettings
from tickwork.runtime.seek import Recording

WORLDS = int(os.environ.get("TICKWORK_SIM_WORLDS", "12"))
SOAK_S = float(os.environ.get("TICKWORK_SOAK_S", "0"))
SEED = int(os.environ.get("TICKWORK_SIM_SEED") or random.SystemRandom().getrandbits(32))
WORKERS = (0, 1, 2, 3) if kernel_fault() is None else (0,)
# A process of its own for each kill takes longer than all else.
KILLED = 0.15
KILLS_MAX = 6
_NEVER = 1 << 60
# Cases that are explored of each world.
CASES = 3
EVERY_FAULT = FaultMix(tuple((kind, 1) for kind in DRAWN_KINDS), everyone=True)

Rows = list[tuple[int, bytes, bytes, bytes, bytes]]


def rows_of(path: Path) -> Rows:
    with RunReader.open(path) as reader:
        return [(one.tick, one.entry, one.fuel, *one.digests) for one in reader.entries()]


def again(world: RandomWorld, path: Path, draw: random.Random) -> None:
    """Record it with everything else that must not matter."""
    project = replace(
        world.project,
        outputs={},
        snapshots=SnapshotSettings(every=draw.choice([None, 0, 1, 3, 7])),
        durability=draw.choice([Durability.OFF, Durability.GROUP]),
    )
    with Run(project, path, workers=draw.choice(WORKERS)) as run:
        run.run_to_end()


def kill_and_go_on(world: RandomWorld, folder: Path, draw: random.Random) -> int:
    """Let processes die of it until one comes to the end; return how many died."""
    script = Path(random_worlds.__file__)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(script.parent), *sys.path])}
    for kill in range(KILLS_MAX + 1):
        calls = int(10 ** draw.uniform(2.5, 5.5)) if kill < KILLS_MAX else _NEVER
        command = [sys.executable, script, world.seed, folder, calls]
        done = subprocess.run(
            [*map(str, command)], env=environment, capture_output=True, check=False, timeout=300
        )
        if done.returncode == 0:
            return kill
        assert done.returncode < 0, done.stderr.decode()
    pytest.fail("a run that nothing killed did not end")


def fork_and_go_on(path: Path, out: Path, tick: int, draw: random.Random) -> None:
    fork(path, out, tick)
    with resume(out, workers=draw.choice(WORKERS)) as run:
        run.run_to_end()


def explore(world: RandomWorld, path: Path, draw: random.Random, told: Counter[str]) -> None:
    """Run cases of the world from one setup, with faults for what happens in it, and record each of them."""
    project, ticks = world.project, len(rows_of(path))
    lines = read_lines(project, ticks)
    horizon = Horizon(ticks, until_idle=False, must_idle=False)
    plain = Case(project.spec.seed)
    stage = Stage(project, lines)
    try:
        chain = chain_of(path)
        assert digests_of(stage, plain, ticks) == chain
        with RunReader.open(path) as reader:
            events = events_of(project.spec, [decode_entry(one.entry) for one in reader.entries()], {})
        for _ in range(CASES):
            seed = draw.choice([plain.seed, draw.getrandbits(64)])
            case = Case(seed, vary((), events, EVERY_FAULT, Draws(draw.getrandbits(64))))
            found = Explored(None, TICKS, ticks, digests_of(stage, case, ticks))
            file = path.with_name("case.tick")
            # Fails unless the recorded run's digests are those of the explored one.
            record_case(project, case, lines, horizon, found, file, force=True)
            again = replay(file, workers=draw.choice(WORKERS))
            assert again.identical, again
            note_kinds(rows_of(file), told)
        assert digests_of(stage, plain, ticks) == chain
    finally:
        stage.close()
    told["runs"] += 2 + 3 * CASES


def try_world(seed: int, folder: Path, told: Counter[str]) -> None:
    draw = random.Random(-seed - 1)
    world = random_world(seed, folder)
    path = folder / "run.tick"
    with Run(world.project, path, workers=draw.choice(WORKERS)) as run:
        run.run_to_end()
    rows = rows_of(path)
    ticks = len(rows)
    again(world, folder / "again.tick", draw)
    assert rows_of(folder / "again.tick") == rows
    found = replay(path, workers=draw.choice(WORKERS))
    assert found.identical, found
    told["runs"] += 3
    at = draw.randrange(ticks + 1)
    fork_and_go_on(path, folder / "fork.tick", at, draw)
    assert rows_of(folder / "fork.tick") == rows[at:]
    with Recording.open(path) as recording, Recording.open(folder / "again.tick") as other:
        for tick in draw.sample(range(ticks + 1), min(3, ticks + 1)):
            assert recording.at(tick).digests == other.at(tick).digests
    told["runs"] += 2
    explore(world, path, draw, told)
    if draw.random() < KILLED:
        outputs = (folder / "told.jsonl").read_bytes()
        told["kills"] += kill_and_go_on(world, folder / "killed", draw)
        assert rows_of(folder / "killed" / "run.tick") == rows
        assert (folder / "killed" / "told.jsonl").read_bytes() == outputs
        told["runs"] += 1
    count(world, rows, told)


def count(world: RandomWorld, rows: Rows, told: Counter[str]) -> None:
    """Note what the world had, so that nobody thinks of empty worlds as proof."""
    told["worlds"] += 1
    told["ticks"] += len(rows)
    told.update(f"with {name}" for name, has in world.spec_says().items() if has)
    note_kinds(rows, told)


def note_kinds(rows: Rows, told: Counter[str]) -> None:
    """Note which faults hit, how turns ended and what was refused in a run, each once."""
    kinds = set()
    for row in rows:
        entry = decode_entry(row[1])
        told["turns"] += len(entry.turns)
        kinds |= {f"fault {kind_of(one.fault)}" for one in entry.faults}
        kinds |= {f"turn {turn.kind}" for turn in entry.turns}
        kinds |= {f"refusal {one.verdict}" for turn in entry.turns for one in turn.refusals}
    told.update(kinds)


def test_random_worlds_come_out_the_same_however_they_are_run(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    sys.stdout.write(f"TICKWORK_SIM_SEED={SEED}\n")
    told: Counter[str] = Counter()
    began_s = time.monotonic()
    seed = SEED
    while told["worlds"] < WORLDS or time.monotonic() - began_s < SOAK_S:
        folder = tmp_path / str(seed)
        try:
            try_world(seed, folder, told)
        except BaseException:
            sys.stdout.write(f"failed: TICKWORK_SIM_SEED={seed}\n")
            raise
        shutil.rmtree(folder)
        seed += 1
    sys.stdout.write(f"{dict(sorted(told.items()))} in {time.monotonic() - began_s:.1f} s\n")
    record_property("worlds", dict(told))
    if told["worlds"] > 100:
        for name in ("faults", "waves", "restart", "rollback", "python", "rust", "wat"):
            assert told[f"with {name}"], name
    assert told["turns"] > 20 * WORLDS
