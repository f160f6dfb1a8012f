"""What `tickwork bench` measures. Where two things are compared, they alternate."""

import platform
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from tickwork.bench.exploring import explored
from tickwork.bench.projects import TICKET, desk_project, tiny_project
from tickwork.core.messages import NO_ARRIVALS
from tickwork.pool.choose import Workers
from tickwork.pool.native import cpus, kernel_fault
from tickwork.runtime.clock import monotonic_s
from tickwork.runtime.programs import compile_project
from tickwork.runtime.project import Project
from tickwork.runtime.record import Run

WARM_TICKS = 20


class Row(NamedTuple):
    """One figure: of which benchmark and case, how much, of what."""

    benchmark: str
    case: str
    value: float
    unit: str


class Benchmark(NamedTuple):
    """One benchmark: what it tells, the sizes it has by default, and how it is run."""

    about: str
    agents: int
    ticks: int
    run: Callable[[int, int, int], Iterator[Row]]


def _pools() -> dict[str, Workers]:
    """Return the pools that can be had here, by name; the inline pool is the one without workers."""
    found: dict[str, Workers] = {"inline": 0}
    if kernel_fault() is None:
        found["kernel, 1 thread"] = 1
        if cpus() > 1:
            found[f"kernel, {cpus()} threads"] = cpus()
    return found


def _rate(project: Project, ticks: int, workers: Workers, *, journal: bool) -> float:
    """Return turns per second, once everything is warm."""
    programs = compile_project(project)
    with (
        tempfile.TemporaryDirectory() as folder,
        Run(project, Path(folder) / "bench.tick", programs=programs, workers=workers) as run,
    ):
        run.advance()
        if project.spec.inputs:
            run.post("tickets", TICKET)
        run.advance(WARM_TICKS)
        started_s = monotonic_s()
        if journal:
            run.advance(ticks)
            run.finish()
        else:
            for _ in range(ticks):
                run.loop.tick(NO_ARRIVALS)
        return len(project.spec.agents) * ticks / (monotonic_s() - started_s)


def _medians(project: Project, ticks: int, repeat: int) -> Iterator[tuple[str, str, float]]:
    rates: dict[tuple[str, str], list[float]] = {}
    for _ in range(repeat):
        for pool, workers in _pools().items():
            for journal in ("with the journal", "without"):
                rate = _rate(project, ticks, workers, journal=journal == "with the journal")
                rates.setdefault((pool, journal), []).append(rate)
    for (pool, journal), found in rates.items():
        yield pool, journal, statistics.median(found)


def turns(agents: int, ticks: int, repeat: int) -> Iterator[Row]:
    """Measure tiny C agents that send 1 to 4 messages of 32 to 200 bytes each tick."""
    for pool, journal, rate in _medians(tiny_project(agents, 0), ticks, repeat):
        yield Row("turns", f"{agents} C agents, {pool}, {journal}", rate, "turns/s")


def python(agents: int, ticks: int, repeat: int) -> Iterator[Row]:
    """Measure Python agents that pass a JSON ticket on each tick."""
    for pool, journal, rate in _medians(desk_project(agents), ticks, repeat):
        yield Row("python", f"{agents} Python agents, {pool}, {journal}", 1e6 / rate, "us/turn")


def start(agents: int, ticks: int, repeat: int) -> Iterator[Row]:
    """Measure how long agents take to start, and a tick in which none of them has anything to do."""
    del ticks
    for kind, project in (("C", tiny_project(agents, 1)), ("Python", desk_project(max(agents // 30, 1)))):
        times = []
        count = len(project.spec.agents)
        for _ in range(repeat):
            programs = compile_project(project)
            started_s = monotonic_s()
            with (
                tempfile.TemporaryDirectory() as folder,
                Run(project, Path(folder) / "bench.tick", programs=programs) as run,
            ):
                run.advance()
                times.append(monotonic_s() - started_s)
        yield Row("start", f"{count} {kind} agents, compiled before", statistics.median(times) * 1e3, "ms")


def explore(agents: int, ticks: int, repeat: int) -> Iterator[Row]:
    """Measure how many runs a second are explored, with faults and checks, on one thread."""
    rates: dict[str, list[tuple[float, float]]] = {}
    for _ in range(repeat):
        for found in explored(agents, ticks):
            rates.setdefault(found.language, []).append((found.runs_per_s, found.runs_per_processor_s))
    for language, pairs in rates.items():
        by_clock, by_processor = (statistics.median(column) for column in zip(*pairs, strict=True))
        case = f"{agents} {language} agents, {ticks} ticks"
        yield Row("explore", case, by_clock, "runs/s")
        yield Row("explore", f"{case}, of processor time", by_processor, "runs/s")


BENCHMARKS = {
    "turns": Benchmark("tiny C agents, on each pool, with and without the journal", 200, 1000, turns),
    "python": Benchmark("Python agents that pass JSON on", 50, 100, python),
    "start": Benchmark("how long agents take to start", 1000, 1, start),
    "explore": Benchmark("how many runs a second are explored", 10, 50, explore),
}


def machine() -> dict[str, str | int]:
    """Return what figures depend on, to be kept beside them."""
    return {
        "machine": platform.machine(),
        "processor": _processor(),
        "processors": cpus(),
        "system": f"{platform.system()} {platform.release()}",
        "python": sys.version.split()[0],
        "tickwork": version("tickwork"),
        "wasmtime": version("wasmtime"),
        "kernel": kernel_fault() or "built",
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
