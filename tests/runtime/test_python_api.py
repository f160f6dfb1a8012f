"""The Python interface: what a program that records and replays runs relies on."""

import threading

import pytest

import tickwork
from shell_projects import LINES, TICKER, agent, echo_project, entries_of, plant, project, tickwork_here
from tickwork.runtime.programs import compile_project
from tickwork.runtime.record import Run
from tickwork.testing import assert_replays


@pytest.fixture
def echo(tmp_path):
    return tickwork.load(echo_project(tmp_path / "p"))


@pytest.fixture
def silent(tmp_path):
    """A project whose input takes only what is posted."""
    folder = echo_project(tmp_path / "p")
    manifest = folder / "tickwork.toml"
    manifest.write_text(manifest.read_text().replace('path = "lines.jsonl"', ""))
    return tickwork.load(folder)


def bodies(file):
    rows = tickwork_here("inspect", file, "messages", "--agent", "input:lines", "--json").rows
    return [(row["tick"], row["body"]) for row in rows]


def test_a_run_advances_tick_by_tick_and_replays(echo, tmp_path):
    with tickwork.record(echo, tmp_path / "x.tick") as run:
        assert run.world.tick == 0
        assert run.advance().entry.tick == 0
        assert run.advance(3).entry.tick == 3
        assert (run.tally.ticks, run.world.tick) == (4, 4)
        digests = run.digests
    replayed = tickwork.replay(str(tmp_path / "x.tick"))
    assert replayed.identical
    assert (replayed.ticks, replayed.status) == (4, "closed")
    assert (replayed.digest, replayed.exact) == (digests.digest.hex(), digests.exact.hex())


@pytest.mark.parametrize("ticks", [0, -1])
def test_a_run_advances_by_at_least_one_tick(echo, tmp_path, ticks):
    with tickwork.record(echo, tmp_path / "x.tick") as run, pytest.raises(ValueError, match="at least one"):
        run.advance(ticks)


def test_a_run_ended_by_its_project_tells_how(echo, tmp_path):
    with tickwork.record(echo, tmp_path / "x.tick") as run:
        assert run.run_to_end() == "idle"
        assert run.inputs_exhausted
    by_command = tickwork_here("run", tmp_path / "p", "--out", tmp_path / "y.tick", "--force", "--json").json
    assert (run.digests.digest.hex(), run.id) == (by_command["digest"], by_command["run"])
    assert assert_replays(tmp_path / "x.tick").status == "idle"


def test_a_run_can_be_stopped_between_ticks(echo, tmp_path):
    with tickwork.record(echo, tmp_path / "x.tick") as run:
        assert run.run_to_end(stop=lambda: run.tally.ticks >= 3) == "interrupted"
        assert run.tally.ticks == 3
        assert run.run_to_end() == "idle"
    assert assert_replays(tmp_path / "x.tick").status == "idle"


def test_a_run_that_would_never_end_is_refused_and_can_still_advance(tmp_path):
    restless = tickwork.load(project(tmp_path / "p", *TICKER))
    with tickwork.record(restless, tmp_path / "x.tick") as run:
        with pytest.raises(tickwork.InputError, match="has every_tick"):
            run.run_to_end()
        run.advance(2)
    assert assert_replays(tmp_path / "x.tick").ticks == 2


def test_posted_values_come_with_the_next_tick_after_the_set_up(silent, tmp_path):
    with tickwork.record(silent, tmp_path / "x.tick") as run:
        run.post("lines", {"a": 1})
        run.advance(2)
        run.post("lines", ' "text" ')
        run.post("lines", b"[2]")
        run.post("lines", None)
        assert not run.inputs_exhausted
        run.advance()
        assert run.inputs_exhausted
    assert bodies(tmp_path / "x.tick") == [(1, {"a": 1}), (2, "text"), (2, [2]), (2, None)]
    assert_replays(tmp_path / "x.tick")


def test_posting_lines_gives_the_same_run_as_reading_them(echo, silent, tmp_path):
    with tickwork.record(silent, tmp_path / "x.tick") as posted:
        posted.advance()
        for line in LINES:
            posted.post("lines", f" {line}\r\n")
            posted.advance()
        posted.advance()
    with tickwork.record(echo, tmp_path / "y.tick", force=True) as read:
        read.advance(len(LINES) + 2)
    assert read.digests == posted.digests


def test_posted_lines_come_after_those_of_the_file(echo, tmp_path):
    with tickwork.record(echo, tmp_path / "x.tick") as run:
        run.post("lines", 99)
        run.advance(2)
    assert bodies(tmp_path / "x.tick") == [(1, {"n": 0}), (1, 99)]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("nothing", 1, "there is no input 'nothing'; declared: lines"),
        ("lines", "{", "is not valid JSON"),
        ("lines", "", "is not valid JSON"),
        ("lines", b'"\xff"', "is not valid UTF-8"),
        ("lines", "\ud800", "is not JSON"),
        ("lines", object(), "is not JSON"),
        ("lines", "[" * 100_000, "nested too deeply"),
        ("lines", "x" * 2_000_000, "is not valid JSON"),
        ("lines", {"x": "x" * 2_000_000}, "is longer than 1048576 bytes"),
    ],
)
def test_a_value_that_cannot_be_posted_is_refused_and_leaves_no_trace(silent, tmp_path, name, value, said):
    with tickwork.record(silent, tmp_path / "x.tick") as run:
        with pytest.raises(tickwork.InputError, match=said):
            run.post(name, value)
        assert run.inputs_exhausted
        run.advance(2)
    assert bodies(tmp_path / "x.tick") == []


class OwnError(Exception):
    """Raised by a caller."""


def test_an_exception_in_the_block_leaves_every_tick_before_it(echo, tmp_path):
    with pytest.raises(OwnError), tickwork.record(echo, tmp_path / "x.tick") as run:  # noqa: PT012
        run.advance(5)
        raise OwnError
    replayed = assert_replays(tmp_path / "x.tick")
    assert (replayed.ticks, replayed.status, replayed.warnings) == (5, "failed", ())
    assert (tmp_path / "p" / "out.jsonl").read_text().splitlines() == list(LINES[:4])


def test_an_interrupt_in_the_block_leaves_every_tick_before_it(echo, tmp_path):
    with pytest.raises(KeyboardInterrupt), tickwork.record(echo, tmp_path / "x.tick") as run:  # noqa: PT012
        run.advance(5)
        raise KeyboardInterrupt
    assert assert_replays(tmp_path / "x.tick").ticks == 5


def test_a_run_that_cannot_begin_leaves_nothing(echo, tmp_path):
    (tmp_path / "x.tick").write_text("mine")
    before = entries_of(tmp_path)
    with pytest.raises(tickwork.RunFileError, match="exists already"):
        tickwork.record(echo, tmp_path / "x.tick")
    with pytest.raises(tickwork.InputError, match="there is no file"):
        tickwork.record(
            echo.with_paths(inputs={"lines": str(tmp_path / "gone")}, outputs={}), tmp_path / "y.tick"
        )
    assert entries_of(tmp_path) == before


def test_errors_have_one_base_and_say_what_is_wrong(tmp_path):
    with pytest.raises(tickwork.ManifestError, match=r"tickwork\.toml"):
        tickwork.load(tmp_path)
    with pytest.raises(tickwork.RunFileError, match="there is no such file"):
        tickwork.replay(tmp_path / "gone.tick")
    names = ("HostError", "InputError", "ManifestError", "ModuleError", "RunFileError")
    assert all(issubclass(getattr(tickwork, name), tickwork.TickworkError) for name in names)


def test_a_run_file_that_diverges_fails_the_assertion_with_tick_and_agent(tmp_path):
    with tickwork.record(tickwork.load(echo_project(tmp_path / "p")), tmp_path / "x.tick") as run:
        run.run_to_end()
    plant(tmp_path / "x.tick", 4)
    with pytest.raises(AssertionError, match=r"x\.tick does not replay: tick 4, agent echo: "):
        assert_replays(tmp_path / "x.tick")


def test_two_runs_in_one_process_do_not_touch_each_other(tmp_path):
    paths = [tmp_path / "a.tick", tmp_path / "b.tick", tmp_path / "c.tick"]
    projects = [tickwork.load(echo_project(tmp_path / path.stem)) for path in paths]
    with tickwork.record(projects[0], paths[0]) as alone:
        alone.run_to_end()
    with tickwork.record(projects[1], paths[1]) as one, tickwork.record(projects[2], paths[2]) as other:
        for _ in range(6):
            one.advance(2)
            other.advance(1)
            other.advance(1)
    assert alone.digests == one.digests == other.digests


def test_programs_are_compiled_once_for_many_runs(echo, tmp_path):
    programs = compile_project(echo)
    runs = []
    for name in ("a.tick", "b.tick"):
        with Run(echo, tmp_path / name, force=True, programs=programs) as run:
            run.run_to_end()
        runs.append(run.digests)
    assert runs[0] == runs[1]


def test_runs_in_other_threads_are_the_same(echo, tmp_path):
    digests = {}
    failures = []

    def go(name):
        try:
            one = echo.with_paths(inputs={}, outputs={"out": str(tmp_path / f"{name}.jsonl")})
            with tickwork.record(one, tmp_path / f"{name}.tick") as run:
                run.run_to_end()
            assert_replays(tmp_path / f"{name}.tick")
            digests[name] = run.digests
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=go, args=(name,)) for name in ("a", "b", "c")]
    for thread in threads:
        thread.start()
    go("main")
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(digests) == 4
    assert len(set(digests.values())) == 1


def test_failures_and_refusals_are_counted(tmp_path):
    agents = (agent("frail", "fail"), agent("loud", "shout", "output:out"))
    folder = project(tmp_path / "p", *agents, lines="7\n")
    manifest = folder / "tickwork.toml"
    manifest.write_text(manifest.read_text().replace('to = "frail"', 'to = ["frail", "loud"]'))
    with tickwork.record(tickwork.load(folder), tmp_path / "x.tick") as run:
        run.run_to_end()
    assert run.tally.failed == ["frail"]
    assert run.tally.denied > 0
    effects = tickwork_here("inspect", tmp_path / "x.tick", "effects", "--json").rows
    assert run.tally.denied == sum(row["verdict"] == "denied" for row in effects)
