"""What snapshots cost, how fast any tick of a run is looked at, and what readers of a run cost."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from recording import WARM_TICKS, recorded

from tickwork.bench.projects import TICKET, desk_project, tiny_project


def project_named(which):
    return {"c": lambda: tiny_project(1000, 1), "python": lambda: desk_project(300)}[which]()


def start(run):
    """Set everybody up, and give the Python desks their first tickets; they pass them on for ever."""
    run.advance()
    if run.project.spec.inputs:
        run.post("tickets", TICKET)


def snapshot_overhead(which, ticks):
    """The same run with adaptive snapshots, twice without, and with them again, in one process."""
    from dataclasses import replace

    from tickwork.runtime.schedule import SnapshotSettings

    figures = {"with_s": 0.0, "without_s": 0.0}
    # There and back again, so that a machine that drifts does so for both.
    kinds = [("with", SnapshotSettings()), ("without", SnapshotSettings(every=0))]
    for label, settings in (*kinds, *reversed(kinds)):
        project = replace(project_named(which), snapshots=settings)
        with tempfile.TemporaryDirectory() as folder:
            with recorded(project, folder) as run:
                start(run)
                started = time.perf_counter()
                run.advance(int(ticks))
                run.finish()
                figures[f"{label}_s"] += time.perf_counter() - started
            figures[f"{label}_bytes"] = (Path(folder) / "bench.tick").stat().st_size
    return {
        "overhead": figures["with_s"] / figures["without_s"] - 1,
        "bytes_per_tick": figures["without_bytes"] / int(ticks),
        "growth_per_tick": (figures["with_bytes"] - figures["without_bytes"]) / int(ticks),
    }


def travel(which, ticks):
    """Look at random ticks of a finished run: the world, one agent's state; and fork it."""
    import random

    from tickwork.journal.reader import RunReader
    from tickwork.runtime.fork import fork
    from tickwork.runtime.replay import replay
    from tickwork.runtime.resume import resume
    from tickwork.runtime.seek import Recording

    ticks = int(ticks)
    draw = random.Random(1)
    figures = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bench.tick"
        project = project_named(which)
        started = time.perf_counter()
        with recorded(project, folder) as run:
            start(run)
            run.advance(ticks)
        record_s = time.perf_counter() - started
        started = time.perf_counter()
        result = replay(path)
        assert result.identical, result.first_divergence
        figures["replay_over_record"] = (time.perf_counter() - started) / record_s
        with RunReader.open(path) as reader:
            figures["snapshots"] = len(reader.snapshots())
        worlds, states = [], []
        with Recording.open(path) as recording:
            count = len(recording.spec.agents)
            recording.at(recording.end_tick).agent(recording.spec.agents[0].id).image()  # loads the program
            for _ in range(30):
                tick = draw.randint(2, recording.end_tick)
                started = time.perf_counter()
                moment = recording.at(tick)
                worlds.append(time.perf_counter() - started)
                name = recording.spec.agents[draw.randrange(count)].id
                started = time.perf_counter()
                agent = recording.at(tick).agent(name)
                agent.state() if which == "python" else agent.image()
                states.append(time.perf_counter() - started)
                assert moment.tick == tick
        forks = []
        for _ in range(3):
            tick = draw.randint(2, ticks)
            out = Path(folder) / "fork.tick"
            started = time.perf_counter()
            fork(path, out, tick, force=True)
            with resume(out) as run:
                run.advance()
                forks.append(time.perf_counter() - started)
    for label, values in (("world", worlds), ("state", states)):
        values.sort()
        figures[f"{label}_ms"] = values[len(values) // 2] * 1e3
        figures[f"{label}_worst_ms"] = values[-1] * 1e3
    figures["fork_s"] = sorted(forks)[1]
    return figures


READ_ON = """
import sys, time
from pathlib import Path
from tickwork.journal.reader import RunReader
seen = 0
while True:
    with RunReader.open(Path(sys.argv[1])) as reader:
        for stored in reader.entries(seen):
            assert stored.damage is None, stored.damage
            seen = stored.tick + 1
    time.sleep(0.02)
"""


def readers(count, ticks):
    """Record while `count` other processes follow the run file, 50 times a second each."""

    count, ticks = int(count), int(ticks)
    with tempfile.TemporaryDirectory() as folder, recorded(tiny_project(200, 1), folder) as run:
        run.advance(WARM_TICKS)
        path = Path(folder) / "bench.tick"
        following = [subprocess.Popen([sys.executable, "-c", READ_ON, path]) for _ in range(count)]
        time.sleep(1.0)
        appends = []
        for _ in range(ticks):
            began = time.perf_counter()
            run.advance()
            appends.append(time.perf_counter() - began)
        alive = [process.poll() is None for process in following]
        for process in following:
            process.kill()
            process.wait()
        assert all(alive), "a reader found damage"
    appends.sort()
    return {"tick_us": appends[ticks // 2] * 1e6, "tick_p99_us": appends[ticks * 99 // 100] * 1e6}
