"""What the viewer costs: a run that is watched against one that is not, and how fast a long run is shown."""

import http.client
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlencode

from tickwork.bench.projects import TICKET, desk_project, tiny_project

WARM_TICKS = 20

# A page that follows its run as timeline.js does: it hears of ticks, and asks for what is new.
PAGES = """
import http.client, json, sys, threading

def ask(connection, path):
    connection.request("GET", path)
    connection.getresponse().read()

def follow(port):
    events = http.client.HTTPConnection("127.0.0.1", port)
    events.request("GET", "/api/events?run=bench.tick")
    asked = http.client.HTTPConnection("127.0.0.1", port)
    answer = events.getresponse()
    heard = 0
    while line := answer.readline():
        if not line.startswith(b"data: "):
            continue
        end = json.loads(line[6:])["end_tick"]
        ask(asked, f"/api/timeline?run=bench.tick&first={max(end - 60, 0)}&last={end}&lanes=40&detail=true")
        ask(asked, f"/api/tick?run=bench.tick&tick={max(end - 1, 0)}&limit=200")
        if heard % 7 == 0:
            ask(asked, "/api/timeline?run=bench.tick&columns=600&rows=1&lanes=1000")
        heard += 1
        print(heard, flush=True)

threads = [threading.Thread(target=follow, args=(int(port),), daemon=True) for port in sys.argv[1:]]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


@contextmanager
def server(place):
    """A viewer of `place`, as a process of its own; yields the process and its port."""
    command = [sys.executable, "-m", "tickwork", "ui", str(place), "--port", "0"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        yield process, int(re.search(r":(\d+)/", process.stdout.readline())[1])
    finally:
        process.terminate()
        process.communicate()


@contextmanager
def pages(ports, drawn):
    """One page on each of the ports; yields once they all draw, and adds to `drawn` how often they did."""
    process = subprocess.Popen(
        [sys.executable, "-c", PAGES, *map(str, ports)], stdout=subprocess.PIPE, text=True
    )
    try:
        for _ in ports:
            process.stdout.readline()
        yield
    finally:
        process.kill()
        drawn.append(process.communicate()[0].count("\n"))


def _watched_run(project, ticks, servers, count, drawn):
    """Record once with `count` pages on so many servers; return seconds and the last digest."""
    import tickwork

    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        ports = [stack.enter_context(server(folder))[1] for _ in range(servers)]
        run = stack.enter_context(tickwork.record(project, Path(folder) / "bench.tick"))
        run.advance()
        if project.spec.inputs:
            run.post(project.spec.inputs[0].name, TICKET)
        run.advance(WARM_TICKS)
        if count:
            stack.enter_context(pages([ports[page % servers] for page in range(count)], drawn))
        started = time.perf_counter()
        run.advance(ticks)
        elapsed = time.perf_counter() - started
        return elapsed, run.loop.digests.digest.hex()


def viewers(which, ticks, servers, count, pairs):
    """A run alone and with `count` pages that follow it, in turn, so many times; ratios are of pairs."""
    ticks = int(ticks)
    project = tiny_project(200, 1) if which == "c" else desk_project(20)
    drawn, times = [], {0: [], int(servers): []}
    _, digest = _watched_run(project, ticks, 0, 0, drawn)
    for pair in range(int(pairs)):
        # Who comes first changes, as the second of a pair finds a warmer machine.
        for attached in sorted(times, reverse=bool(pair % 2)):
            pages_of = int(count) if attached else 0
            elapsed, found = _watched_run(project, ticks, attached, pages_of, drawn)
            assert found == digest, "a run that is watched has another digest"
            times[attached].append(elapsed)
    alone, watched = times[0], times[int(servers)]
    ratios = sorted(w / a for a, w in zip(alone, watched, strict=True))
    return {
        "alone_us": statistics.median(alone) / ticks * 1e6,
        "watched_us": statistics.median(watched) / ticks * 1e6,
        "ratio": statistics.median(ratios),
        "ratio_least": ratios[0],
        "ratio_most": ratios[-1],
        "drawn": statistics.median(drawn) / int(count),
    }


def _peak_mib(process):
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


WINDOWS = {
    "whole run": {"columns": 1200},
    "a tenth of it": {"first": 0.45, "last": 0.55, "columns": 1200},
    "300 ticks, turn by turn": {"first": 0.5, "span": 300, "detail": "true"},
    "the last 300 ticks, turn by turn": {"first": 0.997, "span": 300, "detail": "true"},
}


def windows(agents, ticks, repeat):
    """Windows of a long run: the first answers of a fresh viewer, and many once all was read."""
    import tickwork

    agents, ticks = int(agents), int(ticks)
    figures = {}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "bench.tick"
        with tickwork.record(tiny_project(agents, 1), place) as run:
            run.advance(ticks)
            run.finish()
        cold, warm = {}, {}
        for name, window in WINDOWS.items():
            with server(place) as (_, port):
                cold[name] = _asked_ms(port, window, ticks, agents)
        with server(place) as (process, port):
            _asked_ms(port, WINDOWS["whole run"], ticks, agents)
            figures["start_mib"] = _peak_mib(process)
            started = time.perf_counter()
            while _standing(port)["indexed"] < ticks:
                time.sleep(0.05)
            figures["read_s"] = time.perf_counter() - started
            for _ in range(int(repeat)):
                for name, window in WINDOWS.items():
                    warm.setdefault(name, []).append(_asked_ms(port, window, ticks, agents))
            figures["peak_mib"] = _peak_mib(process)
    for name, found in warm.items():
        found.sort()
        figures |= {
            f"{name}: cold": cold[name],
            f"{name}: p50": found[len(found) // 2],
            f"{name}: worst": found[-1],
        }
    return figures


def _asked_ms(port, window, ticks, agents):
    asked = {"run": "bench.tick", "lanes": agents, **window}
    if "first" in window:
        asked["first"] = int(window["first"] * ticks)
        asked["last"] = int(window["last"] * ticks) if "last" in window else asked["first"] + window["span"]
    asked.pop("span", None)
    return _timed(port, "timeline", asked)[0]


def _standing(port):
    return _timed(port, "run", {"run": "bench.tick"})[1]["standing"]


def _timed(port, path, asked):
    connection = http.client.HTTPConnection("127.0.0.1", port)
    started = time.perf_counter()
    connection.request("GET", f"/api/{path}?{urlencode(asked)}")
    answer = connection.getresponse()
    content = answer.read()
    elapsed = (time.perf_counter() - started) * 1e3
    assert answer.status == 200, content
    connection.close()
    return elapsed, json.loads(content)
