"""One measurement in one process; prints its figures as a JSON object. Used by run.py."""

import json
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import exploring
import traveling
import viewing
from msgspec import structs
from recording import WARM_TICKS, recorded, tickwork_run

from tickwork.bench.projects import AGENTS, TICKET, desk_project, tiny_project

HERE = Path(__file__).parent


def resident_mib():
    """Return (PSS, RSS): RSS counts a page that n agents share n times, PSS once."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()[1:]
    sizes = {line.split(":")[0]: int(line.split()[1]) / 1024 for line in lines}
    return sizes["Pss"], sizes["Rss"]


def turns(count, messages, ticks, journal, pool):
    from tickwork.core.messages import NO_ARRIVALS

    project = tiny_project(int(count), int(messages))
    ticks = int(ticks)
    with tempfile.TemporaryDirectory() as folder:
        with recorded(project, folder, pool) as run:
            run.advance(WARM_TICKS)
            started = time.perf_counter()
            if journal == "journal":
                run.advance(ticks)
                run.finish()
            else:
                for _ in range(ticks):
                    run.loop.tick(NO_ARRIVALS)
            elapsed = time.perf_counter() - started
            assert not run.tally.failed, run.tally.failed
        size = (Path(folder) / "bench.tick").stat().st_size
    return {
        "turns_per_s": int(count) * ticks / elapsed,
        "bytes_per_message": size / run.tally.messages,
    }


def checksum(entry):
    """FNV-1a over a tick's messages: receiver, then body, in the senders' order; as the peers have it."""
    h = 14695981039346656037
    for turn in entry.turns:
        for effect in turn.effects:
            for byte in int(effect.to[2:]).to_bytes(4, "little") + effect.body:
                h = (h ^ byte) * 1099511628211 & (1 << 64) - 1
    return f"{h:016x}"


def tiny_sum(count, messages, ticks):
    """The checksum of the messages of tick `ticks`."""
    project = tiny_project(int(count), int(messages))
    with tempfile.TemporaryDirectory() as folder, recorded(project, folder) as run:
        return {"checksum": checksum(run.advance(int(ticks) + 1).entry)}


def speedup(spin, heavy, ticks):
    """The same turns on one worker and on two, there and back again, without a journal."""
    from tickwork.core.messages import NO_ARRIVALS

    project = tiny_project(200, 1, spin=int(spin), heavy=int(heavy))
    seconds = {1: 0.0, 2: 0.0}
    for workers in (1, 2, 2, 1):
        with tempfile.TemporaryDirectory() as folder, tickwork_run(project, folder, workers) as run:
            run.advance(3)
            started = time.perf_counter()
            for _ in range(int(ticks)):
                run.loop.tick(NO_ARRIVALS)
            seconds[workers] += time.perf_counter() - started
            assert not run.tally.failed, run.tally.failed
    return {
        "speedup": seconds[1] / seconds[2],
        "turn_us": seconds[1] / 2 / int(ticks) / 200 * 1e6,
    }


def python_speedup(count, ticks):
    """The turns of Python agents on one worker and on two, there and back again, with the journal."""
    count, ticks = int(count), int(ticks)
    seconds = {1: 0.0, 2: 0.0}
    for workers in (1, 2, 2, 1):
        project = desk_project(count)
        with tempfile.TemporaryDirectory() as folder, tickwork_run(project, folder, workers) as run:
            run.advance()
            run.post("tickets", TICKET)
            run.advance(WARM_TICKS)
            started = time.perf_counter()
            run.advance(ticks)
            run.finish()
            seconds[workers] += time.perf_counter() - started
            assert not run.tally.failed, run.tally.failed
    return {"speedup": seconds[1] / seconds[2], "turn_us": seconds[1] / 2 / ticks / count * 1e6}


def million(messages):
    """Resident memory while a run delivers so many messages, after a fifth of them and at the end."""
    with tempfile.TemporaryDirectory() as folder, recorded(tiny_project(200, 0), folder) as run:
        figures = {}
        for share in (0.2, 1.0):
            while run.tally.messages < share * int(messages):
                run.advance(50)
            figures[f"pss_mib_at_{share:.0%}"] = resident_mib()[0]
        figures["messages"] = run.tally.messages
    return figures


def epidemic():
    from tickwork.runtime.assemble import load_project

    started = time.perf_counter()
    project = load_project(HERE.parent / "examples" / "epidemic")
    with tempfile.TemporaryDirectory() as folder:
        project = project.with_paths(inputs={}, outputs={"curve": str(Path(folder) / "curve.jsonl")})
        with recorded(project, folder) as run:
            run.advance()
            start_s = time.perf_counter() - started
            run.run_to_end()
            run.finish()
            return {"seconds": time.perf_counter() - started, "start_s": start_s}


def epidemic_mesa():
    sys.path.insert(0, str(HERE / "peers"))
    import epidemic_mesa as model

    started = time.perf_counter()
    model.simulate(10_000, 1)
    return {"seconds": time.perf_counter() - started}


def python_guest_turn(count, ticks):
    count, ticks = int(count), int(ticks)
    # One worker: the time of a turn, not of half of one where two run side by side.
    with tempfile.TemporaryDirectory() as folder, recorded(desk_project(count), folder, "kernel") as run:
        run.advance()
        run.post("tickets", TICKET)
        run.advance(WARM_TICKS)
        before = run.tally.turns
        started = time.perf_counter()
        run.advance(ticks)
        run.finish()
        elapsed = time.perf_counter() - started
        assert run.tally.turns - before == count * ticks, "every desk passes a ticket on in every tick"
    return {"us_per_turn": elapsed / (count * ticks) * 1e6}


def python_native_turn(count, ticks):
    """The same class and messages in plain CPython: dispatch, JSON and effects, no sandbox, no journal."""
    sys.path.insert(0, str(AGENTS))
    from desk import Desk

    from tickwork_agent import Message
    from tickwork_agent.testing import AgentTest

    count, ticks = int(count), int(ticks)
    desks = [AgentTest(Desk, {"next": f"desk-{(i + 1) % count}"}, id=f"desk-{i}") for i in range(count)]
    bodies = [json.dumps(TICKET).encode()] * count
    now = None

    def tick():
        nonlocal bodies
        after = [b""] * count
        for index, desk in enumerate(desks):
            effects = desk.agent._turn(now, [Message("desk", "ticket", bodies[index], None)])
            after[(index + 1) % count] = effects[0].body
        bodies = after

    for _ in range(WARM_TICKS):
        tick()
    started = time.perf_counter()
    for _ in range(ticks):
        tick()
    elapsed = time.perf_counter() - started
    return {"us_per_turn": elapsed / (count * ticks) * 1e6}


def load():
    from tickwork.guest.engine import Engine
    from tickwork.guest.instance import Instance
    from tickwork.guest.program import Program

    figures = {}
    for label, project in (("python", desk_project(1)), ("c", tiny_project(1, 1))):
        engine = Engine()
        spec = project.spec.agents[0]
        data = project.modules[spec.module]
        Program(engine, data)  # fills the cache of compiled code
        started = time.perf_counter()
        program = Program(engine, data)
        figures[f"{label}_load_ms"] = (time.perf_counter() - started) * 1e3
        times = []
        for _ in range(20):
            started = time.perf_counter()
            instance = Instance(program, spec.limits)
            outcome = instance.setup(spec.id, spec.preamble + spec.config, now_ns=0, start_ns=0, seed=1)
            times.append(time.perf_counter() - started)
            assert outcome.kind == "ok", outcome
            instance.close()
        figures[f"{label}_setup_s"] = sorted(times)[len(times) // 2]
    figures["python_setup_ms"] = figures.pop("python_setup_s") * 1e3
    figures["c_setup_us"] = figures.pop("c_setup_s") * 1e6
    return figures


def compile_cold():
    from tickwork.guest.component import flatten
    from tickwork.guest.engine import Engine

    figures = {}
    for label, project in (("python", desk_project(1)), ("c", tiny_project(1, 1))):
        engine = Engine()
        plan = flatten(next(iter(project.modules.values())))
        started = time.perf_counter()
        for module in plan.modules:
            engine.compile(module.code)
        figures[label] = time.perf_counter() - started
    return {"python_compile_s": figures["python"], "c_compile_ms": figures["c"] * 1e3}


def many(project):
    count = len(project.spec.agents)
    before, _ = resident_mib()
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        with recorded(project, folder) as run:
            run.advance()
            start_s = time.perf_counter() - started
            if project.spec.inputs:
                run.post("tickets", TICKET)
            run.advance(5)
            assert not run.tally.failed, run.tally.failed[:3]
            pss, rss = resident_mib()
    return {
        "start_s": start_s,
        "pss_mib": pss,
        "rss_mib": rss,
        "pss_kib_per_agent": (pss - before) / count * 1024,
    }


def many_python(count):
    return many(desk_project(int(count)))


def many_c(count):
    return many(tiny_project(int(count), 1))


def idle(count, ticks):
    """A tick in which none of the agents has anything to do."""
    project = tiny_project(int(count), 1)
    resting = tuple(structs.replace(agent, every_tick=False) for agent in project.spec.agents)
    project = replace(project, spec=structs.replace(project.spec, agents=resting))
    with tempfile.TemporaryDirectory() as folder, recorded(project, folder) as run:
        run.advance(WARM_TICKS)
        started = time.perf_counter()
        run.advance(int(ticks))
        return {"us_per_tick": (time.perf_counter() - started) / int(ticks) * 1e6}


MEASUREMENTS = {
    "turns": turns,
    "python-guest": python_guest_turn,
    "python-native": python_native_turn,
    "load": load,
    "compile": compile_cold,
    "many-python": many_python,
    "many-c": many_c,
    "idle": idle,
    "snapshot-overhead": traveling.snapshot_overhead,
    "travel": traveling.travel,
    "readers": traveling.readers,
    "viewers": viewing.viewers,
    "windows": viewing.windows,
    "explored": exploring.explored,
    "planted": exploring.planted,
    "tiny-sum": tiny_sum,
    "speedup": speedup,
    "python-speedup": python_speedup,
    "million": million,
    "epidemic": epidemic,
    "epidemic-mesa": epidemic_mesa,
}

if __name__ == "__main__":
    print(json.dumps(MEASUREMENTS[sys.argv[1]](*sys.argv[2:])))
