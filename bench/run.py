"""Measures what bench/RESULTS.md states, and prints it as a table or, with --json, as data.

    python bench/run.py [NAME ...] [--json] [--save FILE] [--repeat N]

Every measurement runs in a process of its own. Where two things are compared they alternate within one call,
and the ratio is taken pair by pair: machines drift, ratios less so.
"""

import argparse
import json
import platform
import statistics
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import exploring

from tickwork.bench.measurements import machine

HERE = Path(__file__).parent
REPEAT = 5
TIMEOUT_S = 600
POOLS = ("inline", "kernel", "threads")


def measure(name: str, *arguments: object) -> dict[str, float]:
    """Run one measurement in a fresh process and return its figures."""
    command = [sys.executable, str(HERE / "measure.py"), name, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command[1:])} failed:\n{done.stderr}")
    return dict(json.loads(done.stdout))


def repeated(repeat: int, name: str, *arguments: object) -> dict[str, float]:
    """Return the median of each figure over `repeat` fresh processes."""
    runs = [measure(name, *arguments) for _ in range(repeat)]
    return {key: statistics.median(run[key] for run in runs) for key in runs[0]}


def turns(repeat: int) -> list[tuple[str, float, str]]:
    """Tiny C agents on each pool, journal on and off, all of them in turn."""
    rows = []
    for agents in (200, 1000):
        for messages, shown in ((1, "1 message"), (0, "1-4 messages")):
            ticks = 60_000 // agents
            runs: dict[tuple[str, str], list[dict[str, float]]] = {}
            for _ in range(repeat):
                for pool in POOLS:
                    for journal in ("journal", "none"):
                        found = measure("turns", agents, messages, ticks, journal, pool)
                        runs.setdefault((pool, journal), []).append(found)
            label = f"{agents} tiny C agents, {shown} of 32-200 B a turn"
            for pool in POOLS:
                journaled, bare = runs[pool, "journal"], runs[pool, "none"]
                rate = statistics.median(run["turns_per_s"] for run in journaled)
                cost = statistics.median(
                    b["turns_per_s"] / j["turns_per_s"] for j, b in zip(journaled, bare, strict=True)
                )
                gain = statistics.median(
                    j["turns_per_s"] / i["turns_per_s"]
                    for j, i in zip(journaled, runs["inline", "journal"], strict=True)
                )
                rows += [
                    (f"{label}, {pool} pool, journaled", rate, "turns/s"),
                    ("  without journal / with", cost, "x"),
                    ("  this pool / inline pool, journaled", gain, "x"),
                ]
            size = statistics.median(run["bytes_per_message"] for run in runs["inline", "journal"])
            rows.append((f"{label}, run file", size, "B/message"))
    return rows


def against_peers(repeat: int) -> list[tuple[str, float, str]]:
    """The same crowd on other runtimes and on ours, in turn: 1 to 4 messages of 32 to 200 B a turn."""
    sys.path.insert(0, str(HERE / "peers"))
    import crowds

    rows: list[tuple[str, float, str]] = []
    with crowds.modules() as built:
        for agents in (200, 1000):
            rates: dict[str, list[float]] = {}
            for _ in range(repeat):
                for journal, shown in (("none", "without its journal"), ("journal", "with its journal")):
                    found = measure("turns", agents, 0, 400_000 // agents, journal, "threads")
                    rates.setdefault(f"tickwork {shown}", []).append(found["turns_per_s"])
                for peer in crowds.PEERS:
                    if crowds.missing(peer.tool) is None:
                        ticks = max(crowds.TICKS[peer.tool] // agents, 5)
                        found = crowds.run(built, peer, agents=agents, messages=0, ticks=ticks, warm=20)
                        rates.setdefault(peer.label, []).append(found["turns_per_s"])
            ours = rates["tickwork without its journal"]
            for label, found in rates.items():
                rows.append((f"{agents} agents, {label}", statistics.median(found), "turns/s"))
                if found is not ours:
                    ratio = statistics.median(a / b for a, b in zip(ours, found, strict=True))
                    rows.append(("  tickwork without its journal / this", ratio, "x"))
                    ratio = statistics.median(
                        a / b for a, b in zip(rates["tickwork with its journal"], found, strict=True)
                    )
                    rows.append(("  tickwork with its journal / this", ratio, "x"))
        rows += [
            (f"not measured: {crowds.missing(tool)}", 0.0, "")
            for tool in crowds.TICKS
            if crowds.missing(tool)
        ]
    return rows


def sizes(repeat: int) -> list[tuple[str, float, str]]:
    """Turns per second by the number of agents, without the journal and with it."""
    rows = []
    for agents in (100, 300, 1000, 3000, 10_000, 30_000):
        for journal, shown in (("none", "without its journal"), ("journal", "with its journal")):
            ticks = max(200_000 // agents, 5)
            found = [measure("turns", agents, 1, ticks, journal, "threads") for _ in range(repeat)]
            rate = statistics.median(one["turns_per_s"] for one in found)
            rows.append((f"{agents} agents, {shown}", rate, "turns/s"))
    return rows


def speedups(repeat: int) -> list[tuple[str, float, str]]:
    """Two workers over one, by the size of a turn, also where every 20th agent works 20 times as long."""
    rows = []
    for spin, ticks in ((0, 4000), (600, 1000), (6000, 100), (30_000, 30), (1_200_000, 2)):
        for heavy, shown in ((1, "even"), (20, "uneven")):
            if heavy > 1 and spin > 30_000:
                heavy = 3  # noqa: PLW2901 - 20 times two milliseconds would be more than the fuel of a turn
            found = [measure("speedup", spin, heavy, ticks) for _ in range(repeat)]
            turn_us = statistics.median(one["turn_us"] for one in found)
            gain = statistics.median(one["speedup"] for one in found)
            rows.append((f"turns of {turn_us:.1f} us on average, {shown} load: 2 workers / 1", gain, "x"))
    return rows


def million(_repeat: int) -> list[tuple[str, float, str]]:
    """Memory over a run of more than a million messages, journaled."""
    figures = measure("million", 1_200_000)
    return [
        ("messages delivered", figures["messages"], ""),
        ("resident after a fifth of them (PSS)", figures["pss_mib_at_20%"], "MiB"),
        ("resident at the end", figures["pss_mib_at_100%"], "MiB"),
    ]


def epidemic(repeat: int) -> list[tuple[str, float, str]]:
    """examples/epidemic with its journal, and the same model in Mesa, both from nothing to the end."""
    ours, theirs = [], []
    for _ in range(repeat):
        ours.append(measure("epidemic")["seconds"])
        theirs.append(measure("epidemic-mesa")["seconds"])
    return [
        ("10,000 people in tickwork: start, run, journal", statistics.median(ours), "s"),
        ("  of it the start", measure("epidemic")["start_s"], "s"),
        ("10,000 people in Mesa: start, run", statistics.median(theirs), "s"),
        ("  Mesa / tickwork", statistics.median(t / o for o, t in zip(ours, theirs, strict=True)), "x"),
    ]


def python_turn(repeat: int) -> list[tuple[str, float, str]]:
    """A Python agent's JSON turn in the sandbox and on native CPython, in turn."""
    guest, native = [], []
    for _ in range(repeat):
        guest.append(measure("python-guest", 20, 300)["us_per_turn"])
        native.append(measure("python-native", 20, 3000)["us_per_turn"])
    both = [measure("python-speedup", 100, 100) for _ in range(repeat)]
    return [
        (
            "Python JSON turns, 100 agents, journaled: 2 workers / 1",
            statistics.median(one["speedup"] for one in both),
            "x",
        ),
        ("Python JSON turn, sandboxed and journaled, one worker", statistics.median(guest), "us"),
        (f"Python JSON turn, native CPython {platform.python_version()}", statistics.median(native), "us"),
        (
            "sandboxed / native",
            statistics.median(g / n for g, n in zip(guest, native, strict=True)),
            "x",
        ),
    ]


def loading(repeat: int) -> list[tuple[str, float, str]]:
    """What it takes to get an agent."""
    figures = repeated(repeat, "load")
    cold = measure("compile")
    return [
        ("Python guest: compile, once per machine", cold["python_compile_s"], "s"),
        ("Python guest: load compiled", figures["python_load_ms"], "ms"),
        ("Python agent: instantiate and set up", figures["python_setup_ms"], "ms"),
        ("tiny C agent: compile", cold["c_compile_ms"], "ms"),
        ("tiny C agent: load compiled", figures["c_load_ms"], "ms"),
        ("tiny C agent: instantiate and set up", figures["c_setup_us"], "us"),
    ]


def scale(_repeat: int) -> list[tuple[str, float, str]]:
    """Memory and start of many agents in one process."""
    python = measure("many-python", 300)
    c = measure("many-c", 10_000)
    rows = []
    more = measure("many-c", 30_000)
    agents = (("300 Python agents", python), ("10,000 tiny C agents", c), ("30,000 tiny C agents", more))
    for label, figures in agents:
        rows += [
            (f"{label}: start, warm", figures["start_s"], "s"),
            ("  resident after 5 ticks, each page once (PSS)", figures["pss_mib"], "MiB"),
            ("  resident after 5 ticks, shared pages for each agent (RSS)", figures["rss_mib"], "MiB"),
            ("  for each agent (PSS)", figures["pss_kib_per_agent"], "KiB"),
        ]
    for count in (100, 10_000, 30_000):
        found = measure("idle", count, 2000)["us_per_tick"]
        rows.append((f"a tick of {count:,} tiny C agents with nothing to do, journaled", found, "us"))
    return rows


def travel(_repeat: int) -> list[tuple[str, float, str]]:
    """Looking at any tick of a run, forking it, and what snapshots cost while it is recorded."""
    rows = []
    for which, ticks, shown in (
        ("c", 600, "1000 tiny C agents"),
        ("python", 1000, "300 Python agents"),
    ):
        figures = measure("travel", which, ticks)
        overhead = measure("snapshot-overhead", which, ticks)
        rows += [
            (f"{shown}, {ticks} ticks: the world at a random tick, median", figures["world_ms"], "ms"),
            ("  the worst of 30", figures["world_worst_ms"], "ms"),
            ("  one agent's state at a random tick, median", figures["state_ms"], "ms"),
            ("  the worst of 30", figures["state_worst_ms"], "ms"),
            ("  a fork up to the end of its first tick, median of 3", figures["fork_s"], "s"),
            ("  replay / recording", figures["replay_over_record"], "x"),
            ("  recording with snapshots / without", 1 + overhead["overhead"], "x"),
            ("  run file without snapshots", overhead["bytes_per_tick"] / 1024, "KiB/tick"),
            ("  growth by snapshots", overhead["growth_per_tick"] / 1024, "KiB/tick"),
        ]
    return rows


def followed(repeat: int) -> list[tuple[str, float, str]]:
    """What a run notices of others who read its file, alone and followed in turn."""
    alone, three = [], []
    for _ in range(repeat):
        alone.append(measure("readers", 0, 2000)["tick_us"])
        three.append(measure("readers", 3, 2000)["tick_us"])
    return [
        ("a tick of 200 tiny C agents, journaled, median", statistics.median(alone), "us"),
        ("  with 3 processes following the file", statistics.median(three), "us"),
        ("  followed / alone", statistics.median(t / a for t, a in zip(three, alone, strict=True)), "x"),
    ]


def watched(_repeat: int) -> list[tuple[str, float, str]]:
    """A run alone and with five pages of viewers that follow it, in turn: ratios of four pairs."""
    rows = []
    for which, ticks, shown in (("c", 15_000, "200 tiny C agents"), ("python", 6_000, "20 Python agents")):
        for servers, label in ((5, "five viewers with a page each"), (1, "one viewer with five pages")):
            found = measure("viewers", which, ticks, servers, 5, 4)
            rows += [
                (f"a tick of {shown}, alone", found["alone_us"], "us"),
                (f"  with {label}", found["watched_us"], "us"),
                ("  watched / alone", found["ratio"], "x"),
                ("  the least and", found["ratio_least"], "x"),
                ("  the most of the pairs", found["ratio_most"], "x"),
                ("  times that a page drew what was new", found["drawn"], ""),
            ]
    return rows


def windows(_repeat: int) -> list[tuple[str, float, str]]:
    """Windows of the timeline of 20 agents and 100,000 ticks, asked for one after the other."""
    found = measure("windows", 20, 100_000, 20)
    rows = [
        ("reading the run: all of it counted after", found["read_s"], "s"),
        ("memory: before, and", found["start_mib"], "MiB"),
        ("  the most", found["peak_mib"], "MiB"),
    ]
    for key, value in found.items():
        name, _, which = key.partition(": ")
        if which:
            rows.append((f"{name}: {WHICH[which]}", value, "ms"))
    return rows


WHICH = {"cold": "first answer of a fresh viewer", "p50": "median of 20", "worst": "the worst of them"}


def explore(repeat: int) -> list[tuple[str, float, str]]:
    """Explored runs a second on one thread, and what becomes of each planted bug within 2,000 runs."""
    figures = repeated(repeat, "explored", 10, 50)
    rows = []
    for language in ("C", "Python"):
        rows += [
            (f"10 {language} agents, 50 ticks", figures[f"{language}_per_s"], "runs/s"),
            ("  of processor time", figures[f"{language}_per_processor_s"], "runs/s"),
        ]
    for name in exploring.systems():
        found = measure("planted", name, 2000)
        rows += [
            (f"{name}: runs up to the first that fails", found["runs"], ""),
            ("  faults in it", found["faults_found"], ""),
            ("  faults left", found["faults_left"], ""),
            ("  shrinking, recording and telling", found["shrink_s"], "s"),
            ("  runs of the correct twin", found["twin_runs"], ""),
            ("  of them failing", found["twin_failures"], ""),
            ("  of them a second", found["twin_runs_per_s"], "runs/s"),
        ]
    return rows


BENCHMARKS = {
    "turns": turns,
    "peers": against_peers,
    "sizes": sizes,
    "speedup": speedups,
    "million": million,
    "epidemic": epidemic,
    "python-turn": python_turn,
    "loading": loading,
    "scale": scale,
    "travel": travel,
    "readers": followed,
    "viewers": watched,
    "windows": windows,
    "explore": explore,
}


def main() -> None:
    """Run the chosen benchmarks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}; all if none")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--save", type=Path, metavar="FILE", help="write that object to FILE as well")
    parser.add_argument("--repeat", type=int, default=REPEAT, help=f"runs of each measurement ({REPEAT})")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in BENCHMARKS]
    if unknown or options.repeat < 1:
        parser.error(f"no benchmark {unknown[0]!r}" if unknown else "--repeat takes a positive number")
    about = machine()
    results = {name: BENCHMARKS[name](options.repeat) for name in options.names or BENCHMARKS}
    told = json.dumps({"date": datetime.now(UTC).date().isoformat(), "machine": about, "results": results})
    if options.save is not None:
        options.save.write_text(told + "\n")
    if options.json:
        print(told)
        return
    print(", ".join(f"{key} {value}" for key, value in about.items()), f"- medians of {options.repeat}")
    for name, rows in results.items():
        print(f"\n{name}")
        for label, value, unit in rows:
            print(f"  {label:<66} {value:>12,.{0 if value >= 1000 else 2}f} {unit}")


if __name__ == "__main__":
    main()
