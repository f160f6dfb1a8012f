"""What reaches a terminal and what a pipe: progress, closed and full streams, nothing raw from a guest."""

import os
import pty
import re
import select
import subprocess
import sys

import pytest

from shell_projects import (
    COMMAND,
    LINES,
    SLOW,
    agent,
    echo_project,
    environment,
    project,
    tickwork,
    tickwork_here,
)

VIEWS = ("summary", "agents", "ticks", "messages", "effects", "logs")
RED = b"\x1b[31m"


def on_terminal(*arguments, stdout=True):
    """Return the exit code, and what a terminal gets of standard error, and with `stdout` of that too."""
    master, slave = pty.openpty()
    out = slave if stdout else subprocess.DEVNULL
    command = [*COMMAND, *map(str, arguments)]
    variables = environment(TERM="xterm", COLUMNS="60", NO_COLOR=None)
    shown = b""
    with subprocess.Popen(command, stdin=slave, stdout=out, stderr=slave, env=variables) as process:
        os.close(slave)
        while True:
            if select.select([master], [], [], 30)[0]:
                try:
                    piece = os.read(master, 65_536)
                except OSError:  # how a terminal ends on Linux
                    break
                if not piece:
                    break
                shown += piece
    os.close(master)
    return process.returncode, shown


@pytest.fixture
def loud(tmp_path):
    """A run file of an agent that says everything in escape sequences."""
    agents = (agent("loud", "shout", "output:out", "send:sink"), agent("sink", "sink"))
    folder = project(tmp_path / "p", *agents, lines="1\n")
    assert tickwork_here("run", folder, "--out", tmp_path / "x.tick").code == 0
    return tmp_path / "x.tick"


def test_progress_is_shown_on_a_terminal_and_gone_at_the_end(tmp_path):
    folder = project(tmp_path / "p", *SLOW)
    code, shown = on_terminal("run", folder, "--ticks", 40, "--out", tmp_path / "x.tick", stdout=False)
    assert code == 0
    text = shown.decode()
    assert "recording" in text
    assert re.search(r"[1-9]/40\b", text)
    # The cursor is shown again, and the bar's line erased last.
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")
    assert text.rindex("\x1b[2K") > text.rindex("40")
    code, shown = on_terminal("replay", tmp_path / "x.tick", stdout=False)
    assert code == 0
    assert b"replaying" in shown


def test_nothing_but_the_result_comes_through_a_pipe(tmp_path):
    folder = project(tmp_path / "p", *SLOW)
    done = tickwork("run", folder, "--ticks", 20, "--out", tmp_path / "x.tick")
    assert done.err == ""
    assert len(done.out.splitlines()) == 4
    assert tickwork("replay", tmp_path / "x.tick").err == ""


def test_no_progress_is_shown_with_json(tmp_path):
    folder = project(tmp_path / "p", *SLOW)
    code, shown = on_terminal("run", folder, "--ticks", 20, "--out", tmp_path / "x.tick", "--json")
    assert code == 0
    assert shown.startswith(b'{"run":')
    assert b"\x1b" not in shown


def test_a_message_longer_than_the_terminal_is_wide_is_not_broken(tmp_path):
    place = tmp_path / ("long-" * 30)
    code, shown = on_terminal("run", place)
    assert code == 2
    assert shown.count(b"\n") == 1
    assert str(place).encode() in shown


@pytest.mark.parametrize("view", VIEWS)
def test_nothing_raw_from_a_guest_reaches_a_terminal(loud, view):
    for options in ((), ("--json",)) if view == "effects" else ((),):
        code, shown = on_terminal("inspect", loud, view, *options)
        assert code == 0
        text = shown.decode().replace("\x1b[1m", "").replace("\x1b[0m", "")
        assert all(char.isprintable() or char in "\r\n" for char in text), text
    lines = tickwork_here("inspect", loud, view).out.splitlines()
    assert not [line for line in lines if line.startswith("fake line")]


def test_an_output_on_a_terminal_is_escaped_and_in_a_pipe_as_it_is(tmp_path):
    line = '"\u009b31m\u202e\x7f\U000e0001é"'
    folder = echo_project(tmp_path / "p", line + "\n")
    code, shown = on_terminal("run", folder, "--out", tmp_path / "x.tick", "--output", "out=-")
    assert code == 0
    assert '"\\u009b31m\\u202e\\u007f\\udb40\\udc01é"\r\n'.encode() in shown
    piped = tickwork("run", folder, "--out", tmp_path / "x.tick", "--output", "out=-", "--force")
    assert piped.out == line + "\n"


@pytest.mark.parametrize("arguments", [("run", "\x1b[31m"), ("replay", "\x1b[31m"), ("inspect", "\x1b[31m")])
def test_what_was_typed_is_echoed_without_its_escapes(tmp_path, arguments):
    done = tickwork(*arguments, cwd=tmp_path)
    assert done.code == 2
    assert "\\x1b[31m" in done.error


@pytest.mark.parametrize(
    "arguments", [("inspect", "{file}", "messages"), ("inspect", "{file}", "ticks", "--json")]
)
def test_a_reader_that_has_enough_gets_what_it_wanted_and_no_traceback(tmp_path, arguments):
    folder = echo_project(tmp_path / "p", "\n".join(LINES * 500) + "\n")
    file = tmp_path / "x.tick"
    assert tickwork_here("run", folder, "--out", file).code == 0
    command = " ".join([*COMMAND, *(part.format(file=file) for part in arguments)])
    script = f"{command} | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""
    assert done.returncode == 1


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("doctor", "--json"), ("new", "{tmp}/n")])
def test_a_full_disk_under_standard_output_is_told(tmp_path, arguments):
    command = [*COMMAND, *(part.format(tmp=tmp_path) for part in arguments)]
    with open("/dev/full", "w") as full:  # noqa: PTH123 - a device
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "error: standard output: No space left on device\n")


def test_closed_streams_change_nothing_but_what_is_seen(tmp_path):
    folder = echo_project(tmp_path / "p")
    command = f"exec {sys.executable} -m tickwork run {folder} --out {tmp_path}/x.tick"
    done = subprocess.run(["bash", "-c", f"{command} <&- >&- 2>&-"], check=False)
    assert done.returncode == 0
    assert (folder / "out.jsonl").read_text().splitlines() == list(LINES)
    assert tickwork_here("replay", tmp_path / "x.tick").code == 0
