"""Lines from files and pipes: what is accepted and reported, and that their way makes no difference."""

import json
import os
import subprocess
import threading

import pytest

from shell_projects import COMMAND, LINES, echo_project, tickwork, tickwork_here

TEXT = "\n".join(LINES) + "\n"


def run(folder, *options, **keys):
    file = folder.parent / "x.tick"
    return tickwork_here("run", folder, "--out", file, "--force", "--json", *options, **keys)


@pytest.fixture
def folder(tmp_path):
    return echo_project(tmp_path / "p")


def test_file_pipe_named_pipe_and_redirection_give_the_same_run(tmp_path, folder):
    by_file = run(folder).json
    assert by_file["messages"] == 20
    other = tmp_path / "other.jsonl"
    other.write_text(TEXT)
    options = ("run", folder, "--out", tmp_path / "y.tick", "--force", "--json")
    runs = [tickwork_here(*options, "--input", f"lines={other}")]
    runs.append(tickwork(*options, "--input", "lines=-", stdin=TEXT))
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_text(TEXT))
    writer.start()
    runs.append(tickwork_here(*options, "--input", f"lines={pipe}"))
    writer.join()
    command = [*COMMAND, *map(str, options), "--input", "lines=-"]
    with other.open() as redirected:
        done = subprocess.run(command, stdin=redirected, capture_output=True, check=True)
    assert done.stderr == b""
    for result in [*(one.json for one in runs), json.loads(done.stdout)]:
        for name in ("run", "ticks", "turns", "messages", "digest", "exact"):
            assert result[name] == by_file[name], name


def test_how_lines_come_in_pieces_makes_no_difference(tmp_path, folder):
    by_file = run(folder).json
    command = [
        *COMMAND,
        "run",
        str(folder),
        "--input",
        "lines=-",
        "--json",
        "--out",
        str(tmp_path / "y.tick"),
    ]
    command += ["--output", f"out={tmp_path}/y.jsonl"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        data = TEXT.encode()
        for at in range(0, len(data), 7):
            os.write(process.stdin.fileno(), data[at : at + 7])
            if at % 5 == 0:
                threading.Event().wait(0.01)
        out, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    result = json.loads(out)
    assert (result["digest"], result["exact"]) == (by_file["digest"], by_file["exact"])


def test_whoever_feeds_a_run_can_read_the_answer_before_the_next_line(folder, tmp_path):
    command = [*COMMAND, "run", str(folder), "--input", "lines=-", "--output", "out=-"]
    command += ["--out", str(tmp_path / "x.tick")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, **pipes) as process:
        for line in (b"1\n", b'"two"\n', b"[3]\n"):
            os.write(process.stdin.fileno(), line)
            assert process.stdout.readline() == line
        process.stdin.close()
        assert process.stdout.read() == b""
    assert process.returncode == 0


def test_bad_lines_are_reported_by_number_and_do_not_stop_the_run(folder):
    (folder / "lines.jsonl").write_bytes(
        b'{"n":0}\n{"n":\n\n   \nnull\n"\xff"\n' + b"[" * 100_000 + b"\nNaN\n1 2\n\x00\n'x'\n7"
    )
    done = run(folder)
    assert done.code == 0
    assert (folder / "out.jsonl").read_text().splitlines() == ['{"n":0}', "null", "7"]
    assert done.json["bad_lines"] == 7
    said = done.err.splitlines()
    numbers = [2, 6, 7, 8, 9, 10, 11]
    assert [line.split(":")[0] for line in said] == [f"skipped input 'lines', line {n}" for n in numbers]
    assert said[0].endswith("is not valid JSON: Input data was truncated")
    assert said[1].endswith("is not valid UTF-8")
    assert all(len(line) < 200 for line in said)


def test_after_ten_bad_lines_the_rest_are_counted(folder):
    (folder / "lines.jsonl").write_text("bad\n" * 25 + "1\n")
    done = run(folder)
    assert done.json["bad_lines"] == 25
    assert done.err.splitlines()[9:] == [
        "skipped input 'lines', line 10: is not valid JSON: JSON is malformed: invalid character (byte 0)",
        "... and 15 more bad lines",
    ]


def test_a_bad_line_stops_a_run_that_wants_it_so(tmp_path):
    folder = echo_project(tmp_path / "p", '1\n2\n{"bad\n3\n', run='on_bad_input = "stop"')
    file = tmp_path / "x.tick"
    done = tickwork_here("run", folder, "--out", file)
    assert done.code == 2
    assert done.error == "input 'lines', line 3: is not valid JSON: Input data was truncated"
    # What was committed before has happened: its outputs are written, and the file replays.
    assert (folder / "out.jsonl").read_text() == "1\n2\n"
    replayed = tickwork_here("replay", file, "--json").json
    assert (replayed["identical"], replayed["ticks"], replayed["status"]) == (True, 3, "failed")
    assert replayed["warnings"] == []


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_a_line_may_be_as_long_as_the_limit_and_no_longer(tmp_path, ending):
    longest, longer, huge = ('"' + "x" * (size - 2) + '"' for size in (64, 65, 100_000))
    for start in ("", "\ufeff"):
        text = start + ending.join([longest, longer, huge, "1", longest]) + ending
        folder = echo_project(tmp_path / "p", text, more="[limits]\ninput_line_bytes = 64")
        done = run(folder)
        assert (folder / "out.jsonl").read_text().splitlines() == [longest, "1", longest]
        assert done.err.splitlines() == [
            f"skipped input 'lines', line {number}: is longer than 64 bytes" for number in (2, 3)
        ]
        piped = tickwork("run", folder, "--input", "lines=-", "--out", tmp_path / "y.tick", "--force",
                         "--json", stdin=text)  # fmt: skip
        assert piped.json["digest"] == done.json["digest"]
        assert piped.err == done.err


@pytest.mark.parametrize(
    "text", [TEXT.replace("\n", "\r\n"), TEXT.rstrip("\n"), "\n\n" + TEXT + "\n \t\n", "\ufeff" + TEXT]
)
def test_line_ends_blank_lines_and_byte_order_marks_make_no_difference(folder, text):
    by_file = run(folder).json
    (folder / "lines.jsonl").write_bytes(text.encode())
    other = run(folder)
    assert other.err == ""
    assert other.json["digest"] == by_file["digest"]


@pytest.mark.parametrize("text", ["", "\n", "\ufeff"])
def test_an_empty_input_is_no_fault(folder, text):
    (folder / "lines.jsonl").write_bytes(text.encode())
    done = run(folder)
    assert (done.code, done.err, done.json["messages"]) == (0, "", 0)
    assert (folder / "out.jsonl").read_bytes() == b""
    piped = tickwork("run", folder, "--input", "lines=-", "--force", "--json", "--out", folder / "y.tick")
    assert piped.json["digest"] == done.json["digest"]


def test_standard_input_serves_one_input_only(tmp_path):
    folder = echo_project(tmp_path / "p", more='[inputs.more]\nto = "echo"\n')
    done = tickwork_here(
        "run", folder, "--input", "lines=-", "--input", "more=-", "--out", tmp_path / "x.tick"
    )
    assert done.code == 2
    assert "input 'lines' and input 'more' both want standard input" in done.error
    assert "--input more=PATH" in done.error


def test_two_inputs_may_read_one_file(tmp_path):
    folder = echo_project(tmp_path / "p", "1\n2\n", more='[inputs.more]\npath = "lines.jsonl"\nto = "echo"\n')
    done = run(folder)
    assert done.code == 0
    senders = [
        row["sender"]
        for row in tickwork_here("inspect", tmp_path / "x.tick", "messages", "--agent", "echo", "--json").rows
        if row["to"] == "echo"
    ]
    assert senders == ["input:more", "input:lines"] * 2


def test_a_closed_standard_input_is_told(folder, tmp_path):
    command = f"exec {' '.join(COMMAND)} run {folder} --out {tmp_path}/x.tick --input lines=- <&-"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "error: input 'lines': standard input is closed\n")
