"""Runs that are stopped from outside: the file holds what happened, and the outputs no more than the file."""

import json
import os
import random  # noqa: TID251 - seeded
import shutil
import signal
import subprocess
import time  # noqa: TID251 - waits for a process
from pathlib import Path

import pytest
from wasmtime import wat2wasm

from shell_projects import (
    COMMAND,
    LINES,
    SLOW,
    TICKER,
    agent,
    echo_project,
    entries_of,
    environment,
    project,
    tickwork_here,
)

WAIT_S = 30


def start(*arguments, **options):
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    # In a session of its own, so that only the test sends it signals; and not deaf to them, which it would
    # be from a shell that runs the tests in the background.
    return subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        **{**pipes, **options},
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no threads here
    )


def wait_until(condition):
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


def has_content(path):
    return lambda: path.exists() and path.stat().st_size > 0


def has_open(process, path):
    """Whether the process has come as far as to open a file: how long that takes is the machine's affair."""
    opened = Path(f"/proc/{process.pid}/fd")

    def found():
        try:
            return any(link.readlink() == path for link in opened.iterdir())
        except OSError:
            return False

    return found


def check_replays(file, *, status, at_least=1):
    replayed = tickwork_here("replay", file, "--json").json
    assert replayed["identical"], replayed
    assert replayed["status"] == status
    assert replayed["ticks"] >= at_least
    assert bool(replayed["warnings"]) == (status == "running")
    return replayed


def outputs_in(file):
    """Return what a run file says that was put out."""
    rows = tickwork_here("inspect", file, "effects", "--json").rows
    return [row["fields"]["body"] for row in rows if row["kind"] == "output"]


def lines_of(path):
    text = path.read_text()
    assert text == "" or text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("agents", [SLOW, TICKER])
def test_a_run_in_the_middle_ends_at_a_tick_boundary(tmp_path, number, agents):
    folder, file = project(tmp_path / "p", *agents), tmp_path / "x.tick"
    with start("run", folder, "--ticks", 10**9, "--out", file, "--json") as process:
        wait_until(has_content(folder / "out.jsonl"))
        process.send_signal(number)
        out, err = process.communicate(timeout=WAIT_S)
    assert process.returncode == 130, err
    assert err == "stopping at the end of this tick (again to stop at once)\n"
    result = json.loads(out)
    assert result["status"] == "interrupted"
    replayed = check_replays(file, status="interrupted")
    assert [replayed[name] for name in ("ticks", "turns", "digest", "exact")] == [
        result[name] for name in ("ticks", "turns", "digest", "exact")
    ]
    assert lines_of(folder / "out.jsonl") == outputs_in(file)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["p", "x.tick"]


@pytest.mark.parametrize("sent", ["", '{"n":0}\n', '{"n":0}\n{"n":'])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_waits_for_a_silent_pipe_ends_at_once(tmp_path, number, sent):
    folder, file = echo_project(tmp_path / "p"), tmp_path / "x.tick"
    with start("run", folder, "--input", "lines=-", "--out", file) as process:
        process.stdin.write(sent)
        process.stdin.flush()
        wait_until(has_content(folder / "out.jsonl") if sent else file.exists)
        if not sent:
            time.sleep(0.3)
        started = time.monotonic()
        process.send_signal(number)
        # Not closed: whoever holds the other end may never write again.
        assert process.wait(WAIT_S) == 130
        assert time.monotonic() - started < 5
        assert process.stderr.read() == "stopping at the end of this tick (again to stop at once)\n"
    check_replays(file, status="interrupted")
    assert lines_of(folder / "out.jsonl") == outputs_in(file) == ([{"n": 0}] if sent else [])


def test_a_run_that_waits_for_a_named_pipe_nobody_opens_ends_at_once(tmp_path):
    folder, file, pipe = echo_project(tmp_path / "p"), tmp_path / "x.tick", tmp_path / "pipe"
    os.mkfifo(pipe)
    with start("run", folder, "--input", f"lines={pipe}", "--out", file) as process:
        wait_until(file.exists)
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        assert process.wait(WAIT_S) == 130
    check_replays(file, status="interrupted")


def slow_to_compile():
    work = (
        "(func (param i64) (result i64) local.get 0 " + "i64.const 3 i64.mul local.get 0 i64.div_u " * 4_000
    )
    return bytes(
        wat2wasm(f"""(module
            (memory (export "memory") 1)
            (func (export "setup") (param i32 i32 i32 i32 i32 i32) (result i32) (i32.const 16))
            (func (export "step") (param i64 i64 i64 i64 i32 i32) (result i32) (i32.const 32))
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
            {f"{work})" * 100})""")
    )


def test_an_interrupt_while_the_agents_are_prepared_leaves_nothing(tmp_path):
    folder = project(tmp_path / "p", *SLOW)
    (folder / "puppet.wasm").write_bytes(slow_to_compile())
    before = entries_of(tmp_path)
    cache = environment(XDG_CACHE_HOME=str(tmp_path / "cache"))
    with start("run", folder, "--ticks", 9, "--out", tmp_path / "x.tick", env=cache) as process:
        # Made when it is about to look for compiled code.
        wait_until((tmp_path / "cache").exists)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=WAIT_S)
    assert (process.returncode, out, err) == (130, "", "")
    shutil.rmtree(tmp_path / "cache", ignore_errors=True)
    assert entries_of(tmp_path) == before


def test_a_second_interrupt_stops_at_once_and_the_file_holds_what_was_committed(tmp_path):
    folder, file = project(tmp_path / "p", *SLOW), tmp_path / "x.tick"
    with start("run", folder, "--ticks", 10**9, "--out", file) as process:
        wait_until(has_content(folder / "out.jsonl"))
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=WAIT_S)
    assert process.returncode == 130
    assert "Traceback" not in err
    status = tickwork_here("inspect", file, "--json").json["status"]
    # The first may have been enough by the time at which the second came.
    assert status in {"running", "interrupted"}
    check_replays(file, status=status)
    written = lines_of(folder / "out.jsonl")
    assert written == outputs_in(file)[: len(written)]


def test_a_killed_run_leaves_a_prefix_and_no_output_beyond_it(tmp_path):
    folder, file = project(tmp_path / "p", *TICKER), tmp_path / "x.tick"
    chance = random.Random(4)
    for _ in range(4):
        (folder / "out.jsonl").unlink(missing_ok=True)
        with start("run", folder, "--ticks", 10**9, "--out", file, "--force") as process:
            wait_until(has_content(folder / "out.jsonl"))
            time.sleep(chance.random() / 4)
            process.kill()
        assert process.returncode == -signal.SIGKILL
        text = (folder / "out.jsonl").read_text()
        recorded = outputs_in(file)
        whole = text.splitlines(keepends=True)
        # The last line may be cut in the middle: a pipe's worth of bytes is written at a time.
        written = [json.loads(line) for line in whole if line.endswith("\n")]
        assert written
        assert written == recorded[: len(written)]
        assert len(whole) <= len(recorded)
    check_replays(file, status="running")
    assert tickwork_here("run", folder, "--ticks", 3, "--out", file, "--force").code == 0
    check_replays(file, status="ticks", at_least=3)


def test_an_interrupted_replay_says_nothing_and_changes_nothing(tmp_path):
    folder, file = project(tmp_path / "p", *SLOW), tmp_path / "x.tick"
    assert tickwork_here("run", folder, "--ticks", 1000, "--out", file).code == 0
    content = file.read_bytes()
    with start("replay", file) as process:
        wait_until(has_open(process, file))
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=WAIT_S)
    assert (process.returncode, out, err) == (130, "", "")
    assert file.read_bytes() == content


def test_python_agents_are_interrupted_between_turns(tmp_path):
    folder = tmp_path / "p"
    source = (
        "from tickwork_agent import Agent\n"
        "class Busy(Agent):\n"
        "    def step(self, now, inbox):\n"
        "        sum(range(20_000))\n"
        "        self.output('out', now.tick)\n"
    )
    project(folder, agent("busy", "", "output:out", every_tick=True))
    (folder / "busy.py").write_text(source)
    manifest = folder / "tickwork.toml"
    manifest.write_text(manifest.read_text().replace("puppet.wasm", "busy.py"))
    file = tmp_path / "x.tick"
    with start("run", folder, "--ticks", 10**9, "--out", file, "--json") as process:
        wait_until(has_content(folder / "out.jsonl"))
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=WAIT_S)
    assert process.returncode == 130, err
    assert json.loads(out)["failed"] == []
    check_replays(file, status="interrupted")


def test_closing_the_reader_of_an_output_is_told_and_leaves_a_file_that_replays(tmp_path):
    folder, file = echo_project(tmp_path / "p"), tmp_path / "x.tick"
    with start("run", folder, "--input", "lines=-", "--output", "out=-", "--out", file) as process:
        process.stdin.write(f"{LINES[0]}\n")
        process.stdin.flush()
        assert process.stdout.readline() == f"{LINES[0]}\n"
        process.stdout.close()
        process.stdin.write(f"{LINES[1]}\n")
        process.stdin.flush()
        assert process.wait(WAIT_S) == 1
        assert process.stderr.read() == "error: output 'out' cannot be written: Broken pipe\n"
    check_replays(file, status="failed")


def test_an_interrupted_demo_ends_as_a_run_does(tmp_path):
    with start("demo", "--out", tmp_path / "demo") as process:
        wait_until((tmp_path / "demo" / "triage.tick").exists)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=WAIT_S)
    assert process.returncode == 130, err
    assert "ended: interrupted" in out
    assert "Traceback" not in err
    check_replays(tmp_path / "demo" / "triage.tick", status="interrupted", at_least=0)
