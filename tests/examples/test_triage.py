"""The triage example as a user runs it, against a report that was computed without tickwork."""

import json
import random  # noqa: TID251 - seeded
import subprocess
import sys
import tomllib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import triage_oracle
from triage_crowds import CROSSING_SEEDS, crowded_morning
from triage_files import EXAMPLE

TICKETS = EXAMPLE / "tickets.jsonl"
LINES = TICKETS.read_text(encoding="utf-8").splitlines()


DIGEST = "6d5e8acb55566f0cfb68b038b23fe72f913d2e53b3d260a7b9346a1532a4dd82"
EXACT = "f15f90a15cd49dc3a9e9b0a3c828f271e5fe22ba727a9faf2af575f8e0e78400"


@dataclass
class Done:
    """One finished run: its JSON result, its outputs, its run file and what it said on standard error."""

    result: dict[str, Any]
    report: list[dict[str, Any]]
    status: list[dict[str, Any]]
    file: Path
    said: str


def tickwork(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tickwork", *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, encoding="utf-8", check=False)


def run(folder: Path, *options: str, stdin: str = "") -> Done:
    folder.mkdir()
    outputs = {name: folder / f"{name}.jsonl" for name in ("report", "status")}
    paths = [part for name, path in outputs.items() for part in ("--output", f"{name}={path}")]
    file = folder / "x.tick"
    done = tickwork("run", str(EXAMPLE), "--out", str(file), "--json", *paths, *options, stdin=stdin)
    assert done.returncode == 0, done.stderr
    report, status = (
        [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        for path in outputs.values()
    )
    return Done(json.loads(done.stdout), report, status, file, done.stderr)


@pytest.fixture(scope="module")
def morning(tmp_path_factory: pytest.TempPathFactory) -> Done:
    return run(tmp_path_factory.mktemp("triage") / "morning")


def test_the_report_is_the_one_computed_without_agents(morning):
    assert morning.report == triage_oracle.triage([json.loads(line) for line in LINES])


def test_twenty_agents_in_three_languages_and_war_rooms_take_part(morning):
    manifest = tomllib.loads((EXAMPLE / "tickwork.toml").read_text(encoding="utf-8"))
    modules = [agent["module"] for agent in manifest["agents"] for _ in range(agent.get("count", 1))]
    assert len(modules) >= 20
    assert len(set(modules)) >= 5
    assert {Path(module).suffix for module in modules} == {".py", ".c", ".wasm"}
    assert morning.result["agents"] == len(modules) + morning.report[0]["majors"]


def test_in_waves_the_same_tickets_are_resolved_two_ticks_sooner(morning, tmp_path_factory):
    folder = tmp_path_factory.mktemp("waves")
    waves = run(folder / "waves", "--schedule", "dag", "--ticks", "2000")
    assert waves.result["status"] == "idle"
    assert tickwork("replay", str(waves.file)).returncode == 0
    was, now = morning.report[0], waves.report[0]
    for name in ("tickets", "incidents", "merged", "returned", "rerouted", "majors", "unresolved"):
        assert now[name] == was[name]
    assert now["median_wait"] == was["median_wait"] - 2
    assert waves.result["ticks"] < morning.result["ticks"]


def test_the_run_has_the_digests_that_every_machine_gives_it(morning):
    """A change of an agent, the Python guest or the core changes these on purpose, and nothing else may."""
    assert morning.result["digest"] == DIGEST
    assert morning.result["exact"] == EXACT


def test_nothing_fails_and_nothing_is_refused(morning):
    assert morning.result["failed"] == []
    assert [morning.result[key] for key in ("denied", "rejected", "bad_lines")] == [0, 0, 0]


def test_the_status_page_has_the_updates_that_the_report_counts(morning):
    posted = Counter(update["incident"] for update in morning.status)
    majors = [record for record in morning.report if record["record"] == "major"]
    assert posted == {major["incident"]: major["updates"] for major in majors}
    last = {update["incident"]: update["state"] for update in morning.status}
    assert set(last.values()) == {"resolved"}


def test_the_run_replays(morning):
    done = tickwork("replay", str(morning.file), "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["identical"] is True


def test_standard_input_gives_the_same_run_as_the_file(morning, tmp_path):
    piped = run(tmp_path / "piped", "--input", "tickets=-", stdin=TICKETS.read_text(encoding="utf-8"))
    assert piped.report == morning.report
    assert piped.result["digest"] == morning.result["digest"]


def test_another_seed_gives_the_same_report(morning, tmp_path):
    other = run(tmp_path / "other", "--seed", "99")
    assert other.report == morning.report
    assert other.result["digest"] != morning.result["digest"]


@pytest.mark.parametrize("seed", [1, 2])
def test_tickets_in_any_order_are_triaged_as_the_spec_says(seed, tmp_path):
    lines = list(LINES)
    random.Random(seed).shuffle(lines)
    shuffled = tmp_path / "shuffled.jsonl"
    shuffled.write_text("\n".join(lines) + "\n", encoding="utf-8")
    done = run(tmp_path / "run", "--input", f"tickets={shuffled}")
    assert done.report == triage_oracle.triage([json.loads(line) for line in lines])


@pytest.mark.parametrize("seed", CROSSING_SEEDS)
def test_what_crosses_on_its_way_has_the_outcome_that_the_spec_gives_it(seed, tmp_path):
    tickets = crowded_morning(seed)
    crowd = tmp_path / "crowd.jsonl"
    crowd.write_text("".join(json.dumps(ticket) + "\n" for ticket in tickets), encoding="utf-8")
    done = run(tmp_path / "run", "--input", f"tickets={crowd}")
    assert done.report == triage_oracle.triage(tickets)


def test_bad_lines_are_named_and_the_others_are_triaged(tmp_path):
    done = run(tmp_path / "bad", "--input", f"tickets={EXAMPLE / 'bad.jsonl'}")
    good, bad = [], []
    for number, line in enumerate((EXAMPLE / "bad.jsonl").read_text(encoding="utf-8").splitlines(), 1):
        try:
            good += [json.loads(line)] if line else []
        except ValueError:
            bad.append(number)
    assert done.report == triage_oracle.triage(good)
    assert done.report[0]["returned"] == {"malformed": 4}
    assert done.result["bad_lines"] == len(bad) == 2
    assert all(f"line {number}:" in done.said for number in bad)
