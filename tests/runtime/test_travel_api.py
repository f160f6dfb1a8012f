"""Moving around in a run from Python: open, at, fork, resume, diff, and what tests of runs need."""

import subprocess
import sys

import pytest

import tickwork
from shell_projects import agent, echo_project, plant, project
from tickwork.testing import assert_forks_equal_prefix, assert_replays


@pytest.fixture
def file(tmp_path):
    with tickwork.record(tickwork.load(echo_project(tmp_path / "p")), tmp_path / "x.tick") as run:
        run.run_to_end()
    return tmp_path / "x.tick"


def test_a_recording_is_looked_at_at_any_tick(file):
    with tickwork.open(str(file)) as recording:
        assert (recording.first_tick, recording.end_tick) == (0, 12)
        moment = recording.at(4)
        assert (moment.tick, moment.agents) == (4, ("echo", "sink"))
        sink = moment.agent("sink")
        assert (sink.id, sink.status, sink.reason) == ("sink", "running", "")
        assert [message.body for message in sink.mailbox] == [b'{"n":2}']
        assert len(sink.memory()) % 65536 == 0
        with pytest.raises(tickwork.InputError, match="not at 13"):
            recording.at(13)


def test_a_moment_is_forked_and_the_fork_resumed(file, tmp_path):
    (tmp_path / "edits.toml").write_text('[[drop]]\nto = "sink"\n')
    with tickwork.open(file) as recording:
        plain = recording.at(5).fork(tmp_path / "plain.tick")
        edited = recording.at(5).fork(str(tmp_path / "edited.tick"), edits=str(tmp_path / "edits.toml"))
    assert (plain, edited) == (tmp_path / "plain.tick", tmp_path / "edited.tick")
    for path in (plain, edited):
        with tickwork.resume(path) as run:
            assert run.world.tick == 5
            assert run.run_to_end() == "idle"
        assert assert_replays(path).ticks == 7
    found = tickwork.diff(file, edited)
    assert found.first.tick == 5
    assert [turn.agent for turn in found.first.turns] == ["sink"]
    assert tickwork.diff(file, plain).identical


def test_a_fork_by_its_tick_is_that_of_the_moment(file, tmp_path):
    one = tickwork.fork(file, 5, tmp_path / "one.tick")
    with tickwork.open(file) as recording:
        other = recording.at(5).fork(tmp_path / "other.tick")
    assert one.read_bytes() == other.read_bytes()
    with pytest.raises(tickwork.RunFileError, match="exists already"):
        tickwork.fork(file, 5, one)
    assert tickwork.fork(file, 6, one, force=True) == one


def test_edits_that_cannot_be_made_are_an_edit_error(file, tmp_path):
    (tmp_path / "edits.toml").write_text('[[drop]]\nto = "nobody"\n')
    with pytest.raises(tickwork.EditError, match=r"drop\[0\]"):
        tickwork.fork(file, 5, tmp_path / "f.tick", edits=tmp_path / "edits.toml")
    assert not (tmp_path / "f.tick").exists()


def test_a_run_goes_on_with_posts_and_ticks(tmp_path):
    project = tickwork.load(echo_project(tmp_path / "p"))
    with tickwork.record(project, tmp_path / "x.tick") as run:
        run.advance(5)
    with tickwork.resume(tmp_path / "x.tick", ticks=3) as run:
        run.post("lines", {"n": "posted"})
        assert run.run_to_end() == "ticks"
        assert run.tally.ticks == 3
    lines = (tmp_path / "p" / "out.jsonl").read_text().splitlines()
    assert lines[4:6] == ['{"n":4}', '{"n":"posted"}']
    assert assert_replays(tmp_path / "x.tick").ticks == 8


def test_forks_of_a_sound_run_equal_it(file, tmp_path):
    before = sorted(tmp_path.iterdir())
    assert_forks_equal_prefix(file)
    for tick in (0, 3, 12):
        assert_forks_equal_prefix(str(file), tick)
    assert_forks_equal_prefix(tickwork.fork(file, 5, tmp_path / "f.tick"))
    assert sorted(tmp_path.iterdir()) == sorted([*before, tmp_path / "f.tick"])


def test_forks_of_a_run_that_draws_randomness_equal_it(tmp_path):
    folder = project(tmp_path / "p", agent("dice", "random", "output:out", every_tick=True))
    with tickwork.record(tickwork.load(folder), tmp_path / "x.tick") as run:
        run.advance(9)
    assert_forks_equal_prefix(tmp_path / "x.tick")


def test_a_fork_that_differs_fails_the_assertion_with_tick_and_agent(file):
    plant(file, 9)
    with pytest.raises(AssertionError, match=r"x\.tick before tick 7 differs from it in tick 9: echo"):
        assert_forks_equal_prefix(file, 7)


def test_the_core_is_imported_without_the_engine():
    script = (
        "import sys, tickwork.core.step, tickwork\n"
        "assert 'wasmtime' not in sys.modules, 'the core loads the engine'\n"
        "assert 'load' in dir(tickwork)\n"
        "tickwork.load\n"
        "assert 'wasmtime' in sys.modules\n"
        "from tickwork import *\n"
        "assert all(name in globals() for name in tickwork.__all__)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
    with pytest.raises(AttributeError, match="has no attribute 'lode'"):
        tickwork.lode  # noqa: B018
