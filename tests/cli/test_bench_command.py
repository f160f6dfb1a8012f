"""`tickwork bench` on small sizes: what it prints, and what it says of mistakes."""

import json
import subprocess
import sys


def bench(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "tickwork", "bench", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_one_benchmark_is_printed_as_data() -> None:
    done = bench("turns", "--agents", "20", "--ticks", "5", "--repeat", "1", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert found["machine"]["wasmtime"]
    assert found["machine"]["processors"] >= 1
    assert {row["benchmark"] for row in found["rows"]} == {"turns"}
    assert {row["unit"] for row in found["rows"]} == {"turns/s"}
    assert all(row["case"].startswith("20 C agents") and row["value"] > 0 for row in found["rows"])


def test_every_benchmark_prints_a_line_for_each_figure() -> None:
    done = bench("--agents", "4", "--ticks", "3", "--repeat", "1")
    assert (done.returncode, done.stderr) == (0, "")
    assert {line.split()[0] for line in done.stdout.splitlines()} == {"turns", "python", "start", "explore"}


def test_explored_runs_are_counted_by_the_clock_and_by_the_processor() -> None:
    done = bench("explore", "--agents", "3", "--ticks", "4", "--repeat", "1", "--json")
    rows = json.loads(done.stdout)["rows"]
    cases = [
        f"3 {language} agents, 4 ticks{by}"
        for language in ("C", "Python")
        for by in ("", ", of processor time")
    ]
    assert [row["case"] for row in rows] == cases
    assert {row["unit"] for row in rows} == {"runs/s"}
    assert all(row["value"] > 1 for row in rows)


def test_an_unknown_benchmark_is_named_with_those_that_there_are() -> None:
    done = bench("speed")
    assert done.returncode == 2
    assert done.stderr == "error: there is no benchmark 'speed'; there are: turns, python, start, explore\n"
