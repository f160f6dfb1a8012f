"""`tickwork explore` as it is typed: what it finds can be replayed, and what is interrupted goes on."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import time  # noqa: TID251 - waits for a process
from pathlib import Path

import pytest

from shell_projects import COMMAND, tickwork, tickwork_here

PLANTED = Path(__file__).parents[1] / "exploration" / "planted"
WAIT_S = 60


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Path:
    """A system that charges for an order again where a message comes twice, or a receipt late."""
    folder = tmp_path_factory.mktemp("explore")
    for name in ("double_charge", "start.jsonl", "planted.h"):
        copy = shutil.copytree if (PLANTED / name).is_dir() else shutil.copy
        copy(PLANTED / name, folder / name)
    return folder / "double_charge"


@pytest.fixture(scope="module")
def careful(shop: Path) -> Path:
    """The same without the bug."""
    text = (shop / "tickwork.toml").read_text().replace("careful = 0", "careful = 1")
    path = shop / "careful.toml"
    path.write_text(text)
    return path


@pytest.fixture(scope="module")
def found(shop: Path, tmp_path_factory):
    """A campaign that found the bug, its folder and its result."""
    out = tmp_path_factory.mktemp("out") / "found"
    check = shop / "check.py"
    done = tickwork("explore", shop, "--check", check, "--jobs", 1, "--out", out, "--json")
    assert (done.code, done.err) == (1, "")
    return out, done.json


def cases_in(folder: Path) -> list[tuple[object, ...]]:
    with sqlite3.connect(f"file:{folder / 'campaign.sqlite'}?mode=ro", uri=True) as database:
        return database.execute("SELECT * FROM cases ORDER BY number").fetchall()


def committed(folder: Path) -> int:
    """Return how many cases a campaign that is being explored has committed; 0 also while none can tell."""
    try:
        return len(cases_in(folder))
    except sqlite3.OperationalError:
        return 0


def test_json_says_what_was_found_and_where(found) -> None:
    out, result = found
    assert list(result) == [
        "folder", "runs", "ran_now", "ticks", "behaviours", "kept", "failures", "interrupted", "findings",
        "runs_per_s", "wall_s", "shrink_s",
    ]  # fmt: skip
    assert result["runs"] == result["ran_now"] == len(cases_in(out))
    assert (result["failures"], result["interrupted"]) == (1, False)
    (one,) = result["findings"]
    assert list(one) == [
        "check", "tick", "message", "case", "seed", "faults", "ticks", "agents", "shrink_runs", "file",
        "story",
    ]  # fmt: skip
    assert one["check"] == "invariant_an_order_is_charged_once"
    assert one["message"].startswith("charged: [")
    assert len(one["faults"]) == 1
    assert one["ticks"] == one["tick"] + 1
    assert (one["case"], one["agents"]) == (result["runs"] - 1, 2)
    assert [Path(one[name]).name for name in ("file", "story")] == [
        f"invariant_an_order_is_charged_once.{end}" for end in ("tick", "md")
    ]


def test_replay_shows_it_failing_again_from_nothing_but_the_file(found, shop, tmp_path) -> None:
    out, result = found
    (one,) = result["findings"]
    file = shutil.copy(one["file"], tmp_path / "alone.tick")
    verdict = f"{one['check']} failed in tick {one['tick']}: {one['message']}"
    replayed = tickwork_here("replay", file)
    assert replayed.code == 0
    assert replayed.out.startswith(f"found by exploring: {verdict}\nidentical: {one['ticks']} ticks")
    checked = tickwork_here("replay", file, "--check", shop / "check.py")
    assert checked.code == 1
    assert checked.out.endswith(f"{verdict}\n")
    told = tickwork_here("replay", file, "--check", shop / "check.py", "--json")
    assert told.code == 1
    assert told.json["failure"] == {name: one[name] for name in ("check", "tick", "message")}
    assert told.json["note"] == f"found by exploring: {verdict}"
    workers = tickwork_here("replay", file, "--workers", 2, "--json").json
    assert workers["identical"]
    assert workers["digest"] == told.json["digest"]
    applied = tickwork_here("inspect", file, "faults", "--json").rows
    assert [row["tick"] for row in applied]
    assert out.is_dir()


def test_a_run_that_holds_says_so(careful, shop, tmp_path) -> None:
    file = tmp_path / "x.tick"
    assert tickwork_here("run", careful, "--out", file).code == 0
    checked = tickwork_here("replay", file, "--check", shop / "check.py")
    assert checked.code == 0
    assert checked.out.endswith("all 2 checks hold\n")
    assert tickwork_here("replay", file, "--check", shop / "check.py", "--json").json["failure"] is None


def test_the_story_names_faults_messages_check_and_tick(found) -> None:
    _, result = found
    (one,) = result["findings"]
    story = Path(one["story"]).read_text()
    assert f"# double-charge: {one['check']} fails in tick {one['tick']}" in story
    assert one["message"] in story
    assert one["faults"][0] in story
    for heading in (
        "## What was broken",
        "## What happened",
        "## How the agents stood",
        "## See for yourself",
    ):
        assert f"\n{heading}\n" in story
    assert f"tick {one['tick']:>4}  shop puts out charges:" in story
    kind, _, fields = one["faults"][0].partition(": tick ")
    assert f"tick {int(fields.partition(',')[0]):>4}  broken: {kind}: " in story
    commands = [
        line[2:] for line in story.splitlines() if line.startswith("$ tickwork ") and " ui " not in line
    ]
    assert len(commands) == 2
    for command in commands:
        words = command.split()[1:]
        words = [str(Path(one["file"])) if word.endswith(".tick") else word for word in words]
        assert tickwork_here(*words).code == (1 if words[0] == "replay" else 0), command


def test_people_are_told_the_same(found, shop, tmp_path) -> None:
    _, result = found
    (one,) = result["findings"]
    done = tickwork_here("explore", shop, "--check", shop / "check.py", "--jobs", 2, "--out", tmp_path / "o")
    assert done.code == 1
    first, *lines = done.out.splitlines()
    assert first.startswith(f"explored {result['runs']} runs, {result['ticks']} ticks, ")
    assert lines[0] == f"{one['check']} failed in tick {one['tick']}: {one['message']}"
    assert lines[2].strip() == one["faults"][0]
    assert lines[3].split() == ["run", str(tmp_path / "o" / f"{one['check']}.tick")]


def test_nothing_found_is_told_with_the_exit_code_0(careful, tmp_path) -> None:
    done = tickwork_here("explore", careful, "--seeds", 30, "--jobs", 1, "--out", tmp_path / "o")
    assert (done.code, done.err) == (0, "")
    assert done.out.endswith("\nno failure was found\n")


@pytest.mark.parametrize("jobs", [1, 2])
def test_ctrl_c_stops_cleanly_and_resume_goes_on(careful, shop, tmp_path, jobs) -> None:
    out, check = tmp_path / "o", shop / "check.py"
    command = (
        "explore",
        careful,
        "--check",
        check,
        "--jobs",
        jobs,
        "--seeds",
        100_000,
        "--out",
        out,
        "--json",
    )
    process = subprocess.Popen(
        [*COMMAND, *map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no threads here
    )  # fmt: skip
    try:
        deadline = time.monotonic() + WAIT_S
        while committed(out) < 256:
            assert time.monotonic() < deadline, "waited in vain"
            assert process.poll() is None, process.stderr and process.stderr.read()
            time.sleep(0.05)
        # As a terminal does it: to every process of the group.
        os.killpg(process.pid, signal.SIGINT)
        said, err = process.communicate(timeout=WAIT_S)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130, err
    assert err == "stopping at the end of this run (again to stop at once)\n"
    result = json.loads(said)
    assert result["interrupted"] is True
    assert 256 <= result["runs"] < 100_000
    rows = cases_in(out)
    assert len(rows) == result["runs"]
    more = result["runs"] + 16
    command = ("explore", careful, "--check", check, "--jobs", 1, "--seeds", more, "--out", out, "--json")
    resumed = tickwork_here(*command, "--resume")
    assert (resumed.code, resumed.json["ran_now"], resumed.json["runs"]) == (0, 16, more)
    assert cases_in(out)[: len(rows)] == rows


def test_what_cannot_be_explored_is_refused(careful, tmp_path) -> None:
    out = tmp_path / "o"

    def refused(*options: object) -> str:
        done = tickwork_here("explore", careful, "--seeds", 1, "--jobs", 1, "--out", out, *options)
        assert done.code == 2
        return done.err

    assert "there is no fault 'rain' to draw" in refused("--faults", "rain")
    assert "no Python file with checks" in refused("--check", tmp_path / "none.py")
    assert "standard input" in refused("--input", "start=-")
    assert "no campaign to resume" in refused("--resume")
    assert "one of --resume and --force" in refused("--resume", "--force")
    assert not (out / "campaign.sqlite").exists()
    assert tickwork_here("explore", careful, "--seeds", 1, "--jobs", 1, "--out", out).code == 0
    assert "has a campaign already" in refused()
    assert "is of another campaign" in refused("--resume", "--seed", 5)
