"""A run that is killed at any moment, again and again, ends as the run that never was interrupted.

The moments: between any two calls of Python functions, between steps inside of SQLite's statements, in the
middle of a write to any file (as when the power fails), and at any time. `TICKWORK_SIM_KILLS` says how many
kills there are, 200 if it is not set; with `TICKWORK_SOAK_S` there are as many as fit into so many seconds.
`TICKWORK_SIM_SEED` brings back a failure.
"""

import os
import random  # noqa: TID251 - chooses what to try; a failure names its seed
import subprocess
import sys
import time  # noqa: TID251 - bounds how long is searched
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest
from kill_server import PLACES, Fate, Order

import travel_worlds
from tickwork.journal.reader import RunReader
from tickwork.journal.verify import verify
from tickwork.runtime.outputs import json_line
from tickwork.runtime.reconcile import recorded_outputs
from tickwork.runtime.replay import replay

KILLS = int(os.environ.get("TICKWORK_SIM_KILLS", "200"))
SOAK_S = float(os.environ.get("TICKWORK_SOAK_S", "0"))
SEED = int(os.environ.get("TICKWORK_SIM_SEED") or random.SystemRandom().getrandbits(32))
TESTS = Path(travel_worlds.__file__).parent

# A world in Python takes ten times as long to come up.
LANGUAGES = (*["c"] * 11, "python")
LINES = {"c": 500, "python": 120}
WAYS = ("call", "sql", "torn", "torn", "torn", "clock", "clock", *PLACES, "append_snapshot", "_commit")
# A life that would never come to its end is not one that is lived again and again.
DEATHS_MAX = 25


class Server:
    """The process that lives are forked from."""

    def __init__(self) -> None:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path])}
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("kill_server.py"))],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def live(self, order: Order) -> Fate:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(msgspec.json.encode(order) + b"\n")
        self._process.stdin.flush()
        return msgspec.json.decode(self._process.stdout.readline(), type=Fate)

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()


@contextmanager
def serving() -> Iterator[Server]:
    server = Server()
    try:
        yield server
    finally:
        server.close()


@dataclass(frozen=True)
class Whole:
    """The run that was never interrupted: its entries with their digests, its outputs, and its end."""

    rows: list[tuple[int, bytes, bytes, bytes, bytes]]
    outputs: dict[str, bytes]
    cursors: object
    end: object


def rows_of(reader: RunReader) -> list[tuple[int, bytes, bytes, bytes, bytes]]:
    assert verify(reader) is None
    return [(one.tick, one.entry, one.fuel, *one.digests) for one in reader.entries()]


def whole_of(folder: Path) -> Whole:
    with RunReader.open(folder / "run.tick") as reader:
        assert reader.end is not None
        return Whole(rows_of(reader), travel_worlds.outputs(folder), reader.cursors(), reader.end)


def check_cut_off(folder: Path, whole: Whole) -> int:
    """Fail unless what a death left is the beginning of the whole run; return its number of ticks."""
    path = folder / "run.tick"
    if not path.exists() or path.stat().st_size == 0:
        # It died before there was a run.
        for name in travel_worlds.OUTPUTS:
            output = folder / f"{name}.jsonl"
            assert not output.exists() or output.stat().st_size == 0
        return 0
    with RunReader.open(path) as reader:
        rows = rows_of(reader)
        assert rows == whole.rows[: len(rows)]
        for snapshot in reader.usable_snapshots(report=pytest.fail):
            assert snapshot.tick <= len(rows)
        for name in travel_worlds.OUTPUTS:
            recorded = b"".join(
                json_line(one.body) + b"\n" for one in recorded_outputs(reader) if one.name == name
            )
            # Never a line of a tick that is not committed.
            assert recorded.startswith((folder / f"{name}.jsonl").read_bytes())
        return len(rows)


@dataclass
class Told:
    """What a simulation came to, for whoever reads its output."""

    deaths: Counter[str] = field(default_factory=Counter)
    ended: int = 0
    cut: int = 0
    again: int = 0


def amount_of(draw: random.Random, how: str, folder: Path) -> int:
    """Draw when to die. Sizes are spread over magnitudes: what is rare is early as well as late."""
    match how:
        case "call":
            return int(10 ** draw.uniform(2, 5.3))
        case "sql":
            return int(10 ** draw.uniform(0, 3.8))
        case "clock":
            return int(10 ** draw.uniform(3.5, 5.2))
        case "torn":
            largest = max((item.stat().st_size for item in folder.glob("*run.tick*")), default=0)
            return int(largest * draw.choice([0, 0.5, 0.9, 1]) + 10 ** draw.uniform(2, 6.3))
        case "never":
            return 0
    return int(10 ** draw.uniform(0, 3.3))


def simulate(server: Server, draw: random.Random, folder: Path, wholes: dict[str, Whole], told: Told) -> None:
    """Live one run to its end, through many deaths."""
    language = draw.choice(LANGUAGES)
    every = draw.choice([1, 2, 3, 7, 20, None, 0])
    durability = draw.choice(["group", "group", "group", "off", "tick"])
    whole = wholes[language]
    order = Order(str(folder), language, LINES[language], every, durability, "never", 0)
    ticks = 0
    for death in range(DEATHS_MAX + 1):
        how = draw.choice(WAYS) if death < DEATHS_MAX else "never"
        this = msgspec.structs.replace(order, how=how, amount=amount_of(draw, how, folder))
        fate = server.live(this)
        assert not fate.error, (this, fate)
        if not fate.signal:
            break
        told.deaths[how] += 1
        after = check_cut_off(folder, whole)
        assert after >= ticks, this
        told.cut += 0 < after < len(whole.rows)
        told.again += ticks > 0
        ticks = after
    else:
        pytest.fail(f"a life that nothing ended did not end: {order}")
    told.ended += 1
    found = whole_of(folder)
    assert found == whole, (order, death)
    if draw.random() < 0.1:
        assert replay(folder / "run.tick").identical
    left = {item.name for item in folder.iterdir() if not item.name.startswith(".")}
    assert left == {"run.tick", "lines.jsonl", *(f"{name}.jsonl" for name in travel_worlds.OUTPUTS)}


def test_a_run_that_is_killed_again_and_again_ends_as_the_one_that_was_not(tmp_path: Path) -> None:
    sys.stdout.write(f"TICKWORK_SIM_SEED={SEED}\n")
    draw = random.Random(SEED)
    told = Told()
    wholes: dict[str, Whole] = {}
    began_s = time.monotonic()
    with serving() as server:
        for language in dict.fromkeys(LANGUAGES):
            folder = tmp_path / language
            never = Order(str(folder), language, LINES[language], 0, "group", "never", 0)
            assert server.live(never) == Fate()
            wholes[language] = whole_of(folder)
        while told.deaths.total() < KILLS or time.monotonic() - began_s < SOAK_S:
            simulate(server, draw, tmp_path / f"run-{told.ended}", wholes, told)
    sys.stdout.write(f"{told} in {time.monotonic() - began_s:.1f} s\n")
    # Most deaths were in the middle of something, and all kinds were had.
    assert told.cut >= told.deaths.total() // 4
    assert {"call", "sql", "torn", "clock", "append_snapshot", "_commit"} <= set(told.deaths)
