"""`tickwork replay` as it is typed: what it prints, how it exits, and what it takes for no run file."""

import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from shell_projects import TICKER, echo_project, entries_of, plant, project, tickwork, tickwork_here


@pytest.fixture
def recorded(tmp_path):
    file = tmp_path / "x.tick"
    return file, tickwork_here("run", echo_project(tmp_path / "p"), "--out", file, "--json").json


def change(file, statement, *values):
    with closing(sqlite3.connect(file)) as database, database:
        database.execute(statement, values)


def test_json_is_one_object_that_agrees_with_the_run(recorded):
    file, result = recorded
    done = tickwork("replay", file, "--json")
    assert (done.code, done.err) == (0, "")
    assert done.out.count("\n") == 1
    replayed = done.json
    assert list(replayed) == [
        "identical", "ticks", "turns", "first_divergence", "digest", "exact", "status", "warnings",
        "recomputed", "differences", "note", "wall_s",
    ]  # fmt: skip
    assert replayed["identical"] is True
    assert replayed["first_divergence"] is None
    assert replayed["warnings"] == []
    for name in ("ticks", "turns", "digest", "exact", "status"):
        assert replayed[name] == result[name], name


def test_people_are_told_the_same(recorded):
    file, result = recorded
    done = tickwork_here("replay", file)
    assert (done.code, done.err) == (0, "")
    first, *rest = done.out.splitlines()
    assert first.startswith("identical: 12 ticks, 22 turns replayed in ")
    assert rest == [f"  digest {result['digest']}", f"  exact  {result['exact']}"]


def test_replay_needs_nothing_but_the_file_and_changes_nothing(recorded, tmp_path):
    file, result = recorded
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    file.rename(elsewhere / "moved.tick")
    (tmp_path / "p" / "puppet.wasm").unlink()
    before = entries_of(elsewhere)
    done = tickwork("replay", "moved.tick", "--json", cwd=elsewhere)
    assert done.json["digest"] == result["digest"]
    assert entries_of(elsewhere) == before


def test_a_divergence_names_tick_and_agent_and_fails_the_command(recorded):
    file, _ = recorded
    plant(file, 5)
    done = tickwork_here("replay", file)
    assert done.code == 1
    assert done.out.startswith("diverged at tick 5, agent echo: ")
    assert done.out.count("\n") == 1
    replayed = tickwork_here("replay", file, "--json")
    assert replayed.code == 1
    assert replayed.json["identical"] is False
    first = replayed.json["first_divergence"]
    assert (first["tick"], first["agent"]) == (5, "echo")
    assert first["reason"]
    assert replayed.json["ticks"] == 5


def test_a_dropped_tick_is_a_divergence(recorded):
    file, _ = recorded
    change(file, "DELETE FROM entry WHERE tick = 7")
    replayed = tickwork_here("replay", file, "--json")
    assert replayed.code == 1
    assert replayed.json["first_divergence"]["tick"] == 7


def test_a_run_that_was_cut_off_replays_with_a_warning(tmp_path):
    folder, file = project(tmp_path / "p", *TICKER), tmp_path / "x.tick"
    script = (
        "import os, sys, tickwork\n"
        "tickwork.record(tickwork.load(sys.argv[1]), sys.argv[2]).advance(300)\n"
        "os._exit(0)\n"
    )
    subprocess.run([sys.executable, "-c", script, folder, file], check=True)
    done = tickwork_here("replay", file)
    assert done.code == 0
    assert done.out.startswith("identical: ")
    assert done.err == "warning: the run was cut off, or is still being written; what is committed agrees\n"
    assert tickwork_here("replay", file, "--json").json["status"] == "running"


def _text(file):
    file.write_text("# not a run file\n" * 1000)


def _truncated(file):
    file.write_bytes(file.read_bytes()[:-5000])


def _directory(file):
    file.unlink()
    file.mkdir()


def _other_database(file):
    file.unlink()
    change(file, "CREATE TABLE t (x)")


def _future(file):
    change(file, "PRAGMA user_version = 99")


@pytest.mark.parametrize("command", ["replay", "inspect"])
@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda file: file.unlink(), "there is no such file"),
        (lambda file: file.write_bytes(b""), "is empty, not a run file"),
        (lambda file: file.write_bytes(b"tick"), "is not a run file (only 4 bytes)"),
        (_text, "is not a run file (not an SQLite database)"),
        (_truncated, "is truncated"),
        (_directory, "is a directory, not a run file"),
        (_other_database, "is an SQLite database, but not a tickwork run file"),
        (_future, "was made by a newer tickwork"),
    ],
)
def test_what_is_no_run_file_is_one_message(recorded, command, spoil, said):
    file, _ = recorded
    spoil(file)
    for options in ((), ("--json",)):
        done = tickwork_here(command, file, *options)
        assert done.code == 2
        assert str(file) in done.error
        assert said in done.error
