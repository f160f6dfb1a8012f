"""Laws of moving around in a run: whoever leaves it at any tick and goes on comes to the same end.

Each holds for an agent of every guest language, and in waves.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import travel_worlds
from shell_projects import tickwork
from tickwork.core.checkpoint import encode_world
from tickwork.core.digest import Digests
from tickwork.core.world import Status
from tickwork.journal.reader import RunReader
from tickwork.journal.retention import KeepAll, KeepLast, Thin
from tickwork.runtime.fork import fork
from tickwork.runtime.record import Run
from tickwork.runtime.replay import replay
from tickwork.runtime.resume import resume
from tickwork.runtime.schedule import SnapshotSettings
from tickwork.runtime.seek import Recording
from travel_worlds import LANGUAGES, WAVES

LINES = 24
IN_EACH_LANGUAGE = pytest.mark.parametrize("language", [*LANGUAGES, WAVES])
# Examples in Python cost ten times as much as in C.
EXAMPLES = {"c": 12, WAVES: 8, "rust": 8, "js": 6, "python": 4, "wat": 8}


@dataclass(frozen=True)
class Lived:
    """A run as it was while it ran: by tick, its world, its chain, and digests of its agents' images."""

    path: Path
    rows: list[tuple[int, bytes, bytes, Digests]]
    worlds: list[bytes]
    chain: list[Digests]
    images: list[dict[str, bytes]]
    outputs: dict[str, bytes]
    status: str

    @property
    def ticks(self) -> int:
        return len(self.rows)


def ended(run: Run) -> bool:
    if run.project.ticks is not None:
        return run.world.tick >= run.project.ticks
    return run.inputs_exhausted and run.world.idle


def images_of(run: Run) -> dict[str, bytes]:
    return {
        agent.spec.id: run._pool.image(run.world, index).digest()
        for index, agent in enumerate(run.world.agents)
        if agent.status is Status.RUNNING
    }


def rows_of(path: Path) -> list[tuple[int, bytes, bytes, Digests]]:
    with RunReader.open(path) as reader:
        return [(one.tick, one.entry, one.fuel, one.digests) for one in reader.entries()]


def status_of(path: Path) -> str:
    with RunReader.open(path) as reader:
        return reader.status


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Lived]:
    """Return the run of a language, lived once, with a snapshot every five ticks."""

    @cache
    def live(language: str) -> Lived:
        folder = tmp_path_factory.mktemp(language)
        project = travel_worlds.project(folder, language, lines=LINES, snapshots=SnapshotSettings(every=5))
        worlds, chain, images = [], [], []
        with Run(project, folder / "run.tick") as run:
            while True:
                worlds.append(encode_world(run.world))
                chain.append(run.digests)
                images.append(images_of(run))
                if ended(run):
                    break
                run.advance()
            status = run.run_to_end()
        path = folder / "run.tick"
        return Lived(path, rows_of(path), worlds, chain, images, travel_worlds.outputs(folder), status)

    return live


def go_on(path: Path) -> str:
    with resume(path) as run:
        return run.run_to_end()


# ---- what was is seen again


@IN_EACH_LANGUAGE
def test_the_world_at_every_tick_is_the_one_that_the_run_had(lived, language):
    was = lived(language)
    with Recording.open(was.path) as recording:
        assert (recording.first_tick, recording.end_tick) == (0, was.ticks)
        for tick in range(was.ticks + 1):
            moment = recording.at(tick)
            assert encode_world(moment.world) == was.worlds[tick]
            assert moment.digests == was.chain[tick]


@IN_EACH_LANGUAGE
def test_an_agent_at_every_tick_is_the_one_that_the_run_had(lived, language):
    was = lived(language)
    before = was.path.read_bytes()
    with Recording.open(was.path) as recording:
        for tick in range(was.ticks + 1):
            moment = recording.at(tick)
            # The others cost as much and are C in every language's run.
            names = moment.agents if language in {"c", WAVES} else (travel_worlds.subject(language),)
            found = {
                name: moment.agent(name).image().digest()
                for name in names
                if moment.agent(name).status is Status.RUNNING
            }
            assert found == {name: was.images[tick][name] for name in names if name in was.images[tick]}
    assert was.path.read_bytes() == before


def test_looking_at_a_python_agents_attributes_shows_them_and_changes_nothing(lived, tmp_path):
    was = lived("python")
    copy = Path(shutil.copy(was.path, tmp_path / "run.tick"))
    with Recording.open(copy) as recording:
        counts = []
        for tick in (1, 2, 9, was.ticks):
            state = recording.at(tick).agent("teller").state()
            told = sum(b'"told"' in row[1] or b"told" in row[1] for row in was.rows[:tick])
            assert (state["id"], state["to"]) == ("teller", "keeper")
            assert sum(state["seen"].values()) == state["count"]
            assert (state["count"] > 0) == (told > 0)
            counts.append((state["count"], state["drawn"]))
        assert [recording.at(9).agent("teller").state()["count"] for _ in range(2)] == [counts[2][0]] * 2
    assert [count for count, _ in counts] == [0, 2, 16, LINES]
    assert len({drawn for _, drawn in counts}) == len(counts)
    assert copy.read_bytes() == was.path.read_bytes()
    # And whoever goes on finds nothing of it either.
    with resume(copy, ticks=1) as run:
        assert images_of(run) == was.images[-1]


# ---- going on


@IN_EACH_LANGUAGE
def test_a_run_gone_on_with_after_any_prefix_is_the_run_that_was_not_cut_off(
    lived, language, tmp_path_factory
):
    was = lived(language)

    @settings(max_examples=EXAMPLES[language])
    @given(
        prefix=st.integers(0, was.ticks),
        every=st.sampled_from([0, 1, 3, None]),
        tidy=st.booleans(),
    )
    def law(prefix: int, every: int | None, tidy: bool) -> None:
        folder = tmp_path_factory.mktemp("prefix")
        project = travel_worlds.project(
            folder, language, lines=LINES, snapshots=SnapshotSettings(every=every)
        )
        run = Run(project, folder / "run.tick")
        for _ in range(prefix):
            run.advance()
        if tidy:
            run.finish()
        run.close()
        assert go_on(folder / "run.tick") == was.status
        assert rows_of(folder / "run.tick") == was.rows
        assert travel_worlds.outputs(folder) == was.outputs
        shutil.rmtree(folder)

    law()


@IN_EACH_LANGUAGE
def test_a_run_goes_on_in_another_process(lived, language, tmp_path):
    was = lived(language)
    project = travel_worlds.project(tmp_path, language, lines=LINES, snapshots=SnapshotSettings(every=4))
    with Run(project, tmp_path / "run.tick") as run:
        run.advance(9)
    done = tickwork("resume", tmp_path / "run.tick")
    assert done.code in {0, 1}, done.err  # 1, because one of the agents is made to fail
    assert rows_of(tmp_path / "run.tick") == was.rows
    assert travel_worlds.outputs(tmp_path) == was.outputs
    assert status_of(tmp_path / "run.tick") == was.status


def test_a_finished_run_gone_on_with_stays_as_it_is(lived, tmp_path):
    was = lived("c")
    copy = Path(shutil.copy(was.path, tmp_path / "run.tick"))
    for _ in range(3):
        assert go_on(copy) == was.status
        assert rows_of(copy) == was.rows


@pytest.mark.parametrize("every", [None, 0, 1, 3])
@pytest.mark.parametrize("keep", [KeepAll(), KeepLast(1), KeepLast(3), Thin(1), Thin(8)])
def test_when_snapshots_are_taken_and_kept_changes_nothing_but_the_time_it_takes(
    lived, tmp_path, every, keep
):
    was = lived("c")
    settings_ = SnapshotSettings(every=every, keep=keep)
    project = travel_worlds.project(tmp_path, lines=LINES, snapshots=settings_)
    path = tmp_path / "run.tick"
    with Run(project, path) as run:
        run.advance(11)
    with resume(path) as run:
        run.run_to_end()
    assert rows_of(path) == was.rows
    assert travel_worlds.outputs(tmp_path) == was.outputs
    assert replay(path).identical
    with Recording.open(path) as recording:
        kept = [info.tick for info in recording.reader.snapshots()]
        assert all(info.damage is None for info in recording.reader.snapshots())
        for tick in (0, 1, 10, 11, 12, was.ticks):
            moment = recording.at(tick)
            assert encode_world(moment.world) == was.worlds[tick]
            for name in was.images[tick]:
                assert moment.agent(name).image().digest() == was.images[tick][name]
    assert len(kept) <= {KeepLast: 3}.get(type(keep), was.ticks)
    fork(path, tmp_path / "fork.tick", 12)
    assert go_on(tmp_path / "fork.tick") == was.status
    assert rows_of(tmp_path / "fork.tick") == was.rows[12:]


# ---- forks


@IN_EACH_LANGUAGE
def test_a_fork_without_edits_is_the_original_from_there_on(lived, language, tmp_path_factory):
    was = lived(language)

    @settings(max_examples=EXAMPLES[language])
    @given(tick=st.integers(0, was.ticks))
    def law(tick: int) -> None:
        folder = tmp_path_factory.mktemp("fork")
        fork(was.path, folder / "fork.tick", tick)
        with resume(folder / "fork.tick") as run:
            assert encode_world(run.world) == was.worlds[tick]
            assert images_of(run) == was.images[tick]
            assert run.run_to_end() == was.status
            assert images_of(run) == was.images[-1]
        assert rows_of(folder / "fork.tick") == was.rows[tick:]
        found = replay(folder / "fork.tick")
        assert (found.identical, found.ticks) == (True, was.ticks - tick)
        with Recording.open(folder / "fork.tick") as recording:
            assert (recording.first_tick, recording.end_tick) == (tick, was.ticks)
            for at in {tick, (tick + was.ticks) // 2, was.ticks}:
                assert encode_world(recording.at(at).world) == was.worlds[at]
        shutil.rmtree(folder)

    law()


def test_a_fork_goes_on_with_inputs_where_the_parent_stopped(lived, tmp_path):
    was = lived("c")
    project = travel_worlds.project(tmp_path, lines=LINES, snapshots=SnapshotSettings(every=4))
    with Run(project, tmp_path / "run.tick") as run:
        run.advance(7)
    fork(tmp_path / "run.tick", tmp_path / "fork.tick", 3)
    assert go_on(tmp_path / "fork.tick") == was.status
    assert rows_of(tmp_path / "fork.tick") == was.rows[3:]


@settings(max_examples=10)
@given(data=st.data())
def test_forks_of_forks_are_the_original_however_far_each_went(data, lived, tmp_path_factory):
    was = lived("c")
    folder = tmp_path_factory.mktemp("forks")
    end = data.draw(st.integers(1, was.ticks), "the parent's end")
    project = travel_worlds.project(folder, lines=LINES, snapshots=SnapshotSettings(every=3))
    with Run(project, folder / "0.tick") as run:
        run.advance(end)
    begin = 0
    for generation in range(1, 4):
        tick = data.draw(st.integers(begin, end), "forked at")
        fork(folder / f"{generation - 1}.tick", folder / f"{generation}.tick", tick)
        far = data.draw(st.integers(0, was.ticks - tick), "and gone on for")
        with resume(folder / f"{generation}.tick") as run:
            for _ in range(far):
                run.advance()
        begin, end = tick, tick + far
    last = folder / "3.tick"
    assert rows_of(last) == was.rows[begin:end]
    assert go_on(last) == was.status
    assert rows_of(last) == was.rows[begin:]
    assert replay(last).identical
    shutil.rmtree(folder)


def test_a_fork_of_a_run_that_goes_on_neither_loses_a_line_nor_doubles_one(lived, tmp_path):
    was = lived("c")
    project = travel_worlds.project(tmp_path, lines=LINES, snapshots=SnapshotSettings(every=4))
    with Run(project, tmp_path / "run.tick") as run:
        run.advance(5)
        run._commit(0)
        fork(tmp_path / "run.tick", tmp_path / "early.tick", 3)
        run.advance(5)
        run._commit(0)
        fork(tmp_path / "run.tick", tmp_path / "late.tick", 3)
    for name in ("early", "late"):
        assert go_on(tmp_path / f"{name}.tick") == was.status
        assert rows_of(tmp_path / f"{name}.tick") == was.rows[3:]


def test_what_a_fork_is_asked_for_is_had_without_its_parent(lived, tmp_path):
    was = lived("c")
    copy = Path(shutil.copy(was.path, tmp_path / "run.tick"))
    fork(copy, tmp_path / "fork.tick", 6)
    copy.unlink()
    assert go_on(tmp_path / "fork.tick") == was.status
    assert rows_of(tmp_path / "fork.tick") == was.rows[6:]


def test_a_projects_end_is_its_forks(lived, tmp_path):
    was = lived("c")
    project = replace(travel_worlds.project(tmp_path, lines=LINES), ticks=10)
    with Run(project, tmp_path / "run.tick") as run:
        assert run.run_to_end() == "ticks"
    fork(tmp_path / "run.tick", tmp_path / "fork.tick", 4)
    assert go_on(tmp_path / "fork.tick") == "ticks"
    assert rows_of(tmp_path / "fork.tick") == was.rows[4:10]
