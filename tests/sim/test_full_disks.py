"""A disk that is full ends a run with an error that says so, in a file that is sound and gone on with.

The limit on the size of files stands for the disk: every write beyond it fails, whoever writes.
"""

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

import travel_worlds
from tickwork.core.errors import HostError
from tickwork.journal.reader import RunReader
from tickwork.journal.verify import verify
from tickwork.runtime.fork import fork
from tickwork.runtime.record import Run
from tickwork.runtime.replay import replay
from tickwork.runtime.resume import resume
from tickwork.runtime.schedule import SnapshotSettings

LINES = 160
SIZES = [1 << 18, 1 << 19, 3 << 18, 1 << 20, 5 << 18]


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    # Python ignores the signal that the kernel sends besides the error; make sure of it.
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)


def rows_of(path: Path) -> list[tuple[object, ...]]:
    with RunReader.open(path) as reader:
        assert verify(reader) is None
        for snapshot in reader.usable_snapshots(report=pytest.fail):
            assert snapshot.tick > 0
        return [(one.tick, one.entry, one.fuel, *one.digests) for one in reader.entries()]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    with Run(travel_worlds.project(folder, lines=LINES), folder / "run.tick") as run:
        run.run_to_end()
    return rows_of(folder / "run.tick"), travel_worlds.outputs(folder)


def assert_is_a_beginning(folder, whole):
    rows, outputs = whole
    found = rows_of(folder / "run.tick")
    assert found == rows[: len(found)]
    for name, content in travel_worlds.outputs(folder).items():
        assert outputs[name].startswith(content)
    assert replay(folder / "run.tick").identical
    return len(found)


def assert_goes_on_to_the_end(folder, whole):
    with resume(folder / "run.tick") as run:
        run.run_to_end()
    assert rows_of(folder / "run.tick") == whole[0]
    assert travel_worlds.outputs(folder) == whole[1]
    assert replay(folder / "run.tick").identical


def commit_every_tick(run, end=10**6):
    """Advance with every tick written to the disk at once, so that the disk is full in the midst of it."""
    while run.world.tick < end:
        run.advance()
        run._commit(0)


@pytest.mark.parametrize("every", [0, 1, 4])
@pytest.mark.parametrize("size", SIZES)
def test_a_full_disk_while_recording_leaves_a_run_that_goes_on_when_there_is_room(
    tmp_path, whole, size, every
):
    project = travel_worlds.project(tmp_path, lines=LINES, snapshots=SnapshotSettings(every=every))
    run = Run(project, tmp_path / "run.tick")
    failed = None
    with files_of_at_most(size):
        try:
            with run:
                commit_every_tick(run, len(whole[0]))
        except HostError as error:
            failed = str(error)
    if failed is None:
        assert every == 0
    else:
        assert "run.tick: writing failed" in failed
        assert "it holds the first" in failed
    assert_is_a_beginning(tmp_path, whole)
    assert_goes_on_to_the_end(tmp_path, whole)


@pytest.mark.parametrize("more", [0, 1 << 16, 1 << 18, 1 << 19])
def test_a_full_disk_while_going_on_leaves_the_run_as_far_as_it_came(tmp_path, whole, more):
    project = travel_worlds.project(tmp_path, lines=LINES, snapshots=SnapshotSettings(every=2))
    with Run(project, tmp_path / "run.tick") as run:
        run.advance(20)
    size = (tmp_path / "run.tick").stat().st_size // 2 + more
    with (
        files_of_at_most(size),
        pytest.raises(HostError) as caught,
        resume(tmp_path / "run.tick") as run,
    ):
        commit_every_tick(run)
    assert "run.tick" in str(caught.value)
    assert assert_is_a_beginning(tmp_path, whole) >= 20
    assert_goes_on_to_the_end(tmp_path, whole)


@pytest.mark.parametrize("size", [1, 100, 1000, 3000])
def test_a_full_disk_under_the_outputs_ends_the_run_and_each_line_is_there_once_when_it_goes_on(
    tmp_path, whole, size
):
    project = travel_worlds.project(tmp_path, lines=LINES)
    run = Run(project, tmp_path / "run.tick")

    class Full:
        """An output's file on a disk that is full after `size` bytes, and has room again later."""

        def __init__(self, file):
            self.file, self.left, self.tried = file, size, 0

        def write(self, data):
            self.tried += 1
            written = data[: self.left]
            self.left -= len(written)
            self.file.write(written)
            if len(written) < len(data) and self.tried < 10_000:
                self.left = 1 << 30
                raise OSError(28, "No space left on device")
            return len(data)

        def __getattr__(self, name):
            return getattr(self.file, name)

    full = Full(run._outputs._files["told"])
    run._outputs._files["told"] = run._outputs._owned["told"] = full
    with pytest.raises(HostError, match=r"output 'told' cannot be written: No space left"), run:
        commit_every_tick(run)
    assert whole[1]["told"].startswith((tmp_path / "told.jsonl").read_bytes())
    assert_is_a_beginning(tmp_path, whole)
    assert_goes_on_to_the_end(tmp_path, whole)


@pytest.mark.parametrize("size", [1 << 14, 1 << 16, 1 << 17])
def test_a_fork_that_has_no_room_is_not_made(tmp_path, size):
    project = travel_worlds.project(tmp_path, lines=LINES, snapshots=SnapshotSettings(every=9))
    with Run(project, tmp_path / "run.tick") as run:
        run.advance(60)
    with files_of_at_most(size), pytest.raises(HostError, match=r"fork\.tick: cannot be written"):
        fork(tmp_path / "run.tick", tmp_path / "fork.tick", 50)
    assert {path.name for path in tmp_path.iterdir()} == {
        "run.tick",
        "lines.jsonl",
        *(f"{name}.jsonl" for name in travel_worlds.OUTPUTS),
    }
    with pytest.raises(HostError), files_of_at_most(min(size, 1 << 16)):
        Run(replace(project, outputs={}), tmp_path / "other.tick")
    assert not (tmp_path / "other.tick").exists()
