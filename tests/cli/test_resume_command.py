"""`tickwork resume` as it is typed: it ends as the run that was never interrupted, or says why not."""

import os
import signal
import subprocess
import sys
import time  # noqa: TID251 - waits for a process

import pytest

import tickwork as tw
from shell_projects import (
    COMMAND,
    LINES,
    SLOW,
    TICKER,
    agent,
    echo_project,
    entries_of,
    plant,
    project,
    tickwork,
    tickwork_here,
)


@pytest.fixture
def whole(tmp_path):
    """The result of the run that is never interrupted, and its output."""
    folder = echo_project(tmp_path / "whole")
    result = tickwork_here("run", folder, "--out", tmp_path / "whole.tick", "--json").json
    return result, (folder / "out.jsonl").read_bytes()


@pytest.fixture
def part(tmp_path):
    """The same run, ended after five ticks."""
    folder, file = echo_project(tmp_path / "part"), tmp_path / "part.tick"
    assert tickwork_here("run", folder, "--out", file, "--ticks", 5, "--json").json["ticks"] == 5
    return file, folder / "out.jsonl"


def test_a_resumed_run_ends_as_the_one_that_was_never_interrupted(whole, part):
    result, lines = whole
    file, out = part
    done = tickwork("resume", file, "--ticks", 100, "--json")
    assert (done.code, done.err) == (0, "")
    resumed = done.json
    assert list(resumed) == [*result, "resumed_at"]
    assert (resumed["resumed_at"], resumed["ticks"], resumed["status"]) == (5, result["ticks"] - 5, "idle")
    for name in ("run", "digest", "exact", "agents"):
        assert resumed[name] == result[name], name
    assert out.read_bytes() == lines
    assert tickwork_here("replay", file, "--json").json["identical"]


def test_only_the_user_lets_a_run_file_write_elsewhere_than_beside_itself(part, tmp_path):
    given = tmp_path / "given" / "part.tick"
    given.parent.mkdir()
    file, out = part
    file.rename(given)
    out.unlink()
    refused = tickwork_here("resume", given)
    assert refused.code == 2
    assert f"would write to {out}" in refused.err.replace("\n", " ")
    assert not out.exists()
    assert tickwork_here("resume", given, "--output", f"out={out}").code == 0
    assert out.exists()


def test_ticks_are_so_many_more(part):
    file, out = part
    for expected in (7, 9):
        resumed = tickwork_here("resume", file, "--ticks", 2, "--json").json
        assert (resumed["resumed_at"], resumed["ticks"], resumed["status"]) == (expected - 2, 2, "ticks")
        assert tickwork_here("inspect", file, "--json").json["ticks"] == expected
    assert out.read_text().splitlines() == list(LINES[:8])


def test_people_are_told_where_it_went_on(part):
    file, _ = part
    done = tickwork_here("resume", file, "--ticks", 1)
    assert (done.code, done.err) == (0, "")
    first, second, *_ = done.out.splitlines()
    assert first == "went on from tick 5"
    assert second.startswith("small: 1 ticks, 2 turns of 2 agents, ")


def test_a_run_that_has_come_to_its_last_tick_says_how_to_take_it_further(part):
    file, _ = part
    done = tickwork_here("resume", file)
    assert done.code == 0
    assert "small: 0 ticks, " in done.out
    assert done.err == "the run had come to its last tick already; --ticks N takes it further\n"


def test_a_finished_run_goes_on_with_nothing(whole, tmp_path):
    result, _ = whole
    resumed = tickwork_here("resume", tmp_path / "whole.tick", "--json").json
    assert (resumed["ticks"], resumed["status"]) == (0, "idle")
    assert (resumed["digest"], resumed["resumed_at"]) == (result["digest"], result["ticks"])


def test_a_run_that_was_cut_off_is_completed(whole, tmp_path):
    result, lines = whole
    folder, file = echo_project(tmp_path / "cut"), tmp_path / "cut.tick"
    script = (
        "import os, sys, tickwork\n"
        "run = tickwork.record(tickwork.load(sys.argv[1]), sys.argv[2])\n"
        "run.advance(6); run._while_waiting(); run.advance(2)\n"
        "os._exit(0)\n"
    )
    subprocess.run([sys.executable, "-c", script, folder, file], check=True)
    resumed = tickwork("resume", file, "--json").json
    assert resumed["resumed_at"] in {6, 7, 8}  # what was committed: more than 50 ms may have passed
    assert resumed["status"] == "idle"
    assert (resumed["digest"], resumed["exact"]) == (result["digest"], result["exact"])
    assert (folder / "out.jsonl").read_bytes() == lines


def test_ctrl_c_ends_a_resumed_run_at_the_end_of_a_tick(tmp_path):
    folder, file = project(tmp_path / "p", *SLOW), tmp_path / "x.tick"
    tickwork_here("run", folder, "--out", file, "--ticks", 2)
    process = subprocess.Popen(
        [*COMMAND, "resume", str(file), "--ticks", "100000"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 30
    while len((folder / "out.jsonl").read_text().splitlines()) < 5:
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (130, "stopping at the end of this tick (again to stop at once)\n")
    assert "; ended: interrupted" in out
    replayed = tickwork_here("replay", file, "--json").json
    assert (replayed["identical"], replayed["status"]) == (True, "interrupted")


def test_a_torn_output_is_mended(whole, part):
    _, lines = whole
    file, out = part
    os.truncate(out, out.stat().st_size - 3)
    assert tickwork_here("resume", file, "--ticks", 100).code == 0
    assert out.read_bytes() == lines


def test_outputs_may_move(whole, part, tmp_path):
    _, lines = whole
    file, out = part
    before = out.read_bytes()
    moved = tmp_path / "moved.jsonl"
    assert tickwork_here("resume", file, "--ticks", 100, "--output", f"out={moved}").code == 0
    assert moved.read_bytes() == lines
    assert out.read_bytes() == before


def test_an_output_on_standard_output_gets_what_comes_from_now_on(whole, part):
    _, lines = whole
    file, _ = part
    done = tickwork("resume", file, "--ticks", 100, "--output", "out=-")
    assert done.code == 0
    assert done.out.splitlines() == lines.decode().splitlines()[4:]
    assert done.err.startswith("went on from tick 5\nsmall: ")


def test_inputs_may_move_and_are_read_on(whole, part, tmp_path):
    result, _ = whole
    file, _ = part
    (tmp_path / "part" / "lines.jsonl").rename(tmp_path / "elsewhere.jsonl")
    refused = tickwork_here("resume", file, "--ticks", 100)
    assert refused.code == 2
    assert "input 'lines': there is no file" in refused.error
    more = ("--input", f"lines={tmp_path / 'elsewhere.jsonl'}", "--json")
    assert tickwork_here("resume", file, "--ticks", 100, *more).json["digest"] == result["digest"]


def refused(file, *options):
    """Return why resuming is refused, having seen that it changed nothing."""
    before = tickwork_here("inspect", file, "--json").json
    done = tickwork_here("resume", file, *options)
    assert done.code == 2
    after = tickwork_here("inspect", file, "--json").json
    assert {**after, "bytes": 0} == {**before, "bytes": 0}
    return done.error


def test_an_output_that_is_not_the_run_s_is_refused(part):
    file, out = part
    out.write_text('{"n":0}\n{"n":"mine"}\n')
    said = refused(file, "--ticks", 3)
    assert said.startswith("output 'out': line 2 of ")
    assert said.endswith("is not what the run wrote; give another file with --output out=PATH")
    assert out.read_text() == '{"n":0}\n{"n":"mine"}\n'


def test_a_file_with_content_is_not_emptied_for_an_output_without_lines(tmp_path):
    folder, file = echo_project(tmp_path / "p"), tmp_path / "x.tick"
    tickwork_here("run", folder, "--out", file, "--ticks", 1)
    (folder / "out.jsonl").write_text("precious\n")
    said = refused(file, "--ticks", 3)
    assert "has content, and the run has written nothing to it yet" in said
    assert (folder / "out.jsonl").read_text() == "precious\n"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--output", "report=x"), "there is no output 'report'; declared: out"),
        (("--input", "tickets=x"), "there is no input 'tickets'; declared: lines"),
        (("--input", "lines"), "--input takes NAME=PATH, not 'lines'"),
        (("--output", "out=a", "--output", "out=b"), "--output names 'out' twice"),
        (("--until", "never"), "--until takes idle or ticks, not 'never'"),
        (("--json", "--output", "out=-"), "--json and output 'out' both want standard output"),
    ],
)
def test_what_cannot_be_done_is_one_message_and_changes_nothing(part, options, said):
    assert said in refused(part[0], *options)


def test_a_run_without_an_end_is_refused_before_anything_happens(tmp_path):
    restless = tw.load(project(tmp_path / "p", *TICKER))
    with tw.record(restless, tmp_path / "x.tick") as run:
        run.advance(3)
    assert "agent 'ticker' has every_tick, so the run never goes idle" in refused(tmp_path / "x.tick")
    assert tickwork_here("resume", tmp_path / "x.tick", "--ticks", 2, "--json").json["ticks"] == 2


def test_a_live_run_is_refused(tmp_path):
    with tw.record(tw.load(echo_project(tmp_path / "p")), tmp_path / "x.tick") as run:
        run.advance(3)
        done = tickwork("resume", tmp_path / "x.tick")
        assert done.code == 2
        assert done.error.endswith("a live run is writing it; stop that run, or fork it into another file")
        run.run_to_end()
    assert tickwork_here("replay", tmp_path / "x.tick").code == 0


def test_a_record_that_does_not_replay_is_not_gone_on_with(part):
    file, _ = part
    plant(file, 3)
    done = tickwork_here("resume", file, "--ticks", 2)
    assert done.code == 2
    assert "does not replay, so it cannot be gone on with: tick 3, agent echo: " in done.error


def test_what_is_no_run_file_is_one_message(tmp_path):
    (tmp_path / "x.tick").write_text("nothing")
    before = entries_of(tmp_path)
    for name in ("x.tick", "none.tick"):
        done = tickwork_here("resume", tmp_path / name)
        assert done.code == 2
        assert name in done.error
    assert entries_of(tmp_path) == before


def test_agents_that_fail_fail_the_command(tmp_path):
    folder = project(tmp_path / "p", agent("frail", "fail"), lines="7\n8\n")
    for name, options, code in (("a", (), 1), ("b", ("--allow-failures",), 0)):
        file = tmp_path / f"{name}.tick"
        tickwork_here("run", folder, "--out", file, "--ticks", 1, "--force")
        done = tickwork_here("resume", file, "--ticks", 5, *options)
        assert done.code == code
        assert "1 of 1 agents failed:\nfrail: guest-error: 7\n" in done.err
