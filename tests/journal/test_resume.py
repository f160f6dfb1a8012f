"""Going on with a run file: from its last tick, with nothing changed before there is something to add."""

import os
import shutil
import sqlite3
import threading
from pathlib import Path

import pytest
from journal_samples import MODULES, SPEC, chain, header, write
from snapshot_samples import assert_is_snapshot_at, images_at, world, write_with_snapshots

from tickwork.core.digest import Digests
from tickwork.core.errors import RunFileError
from tickwork.core.spec import InputSpec
from tickwork.journal.cursor import InputCursor
from tickwork.journal.reader import RunReader
from tickwork.journal.resume import CHECKED_ENTRIES
from tickwork.journal.verify import verify
from tickwork.journal.writer import Durability, RunWriter

GOLDEN = Path(__file__).parents[1] / "golden" / "run-format-1.tick"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.tick"


def edit(path: Path, *statements: str) -> None:
    database = sqlite3.connect(path, isolation_level=None)
    for statement in statements:
        database.execute(statement)
    database.close()


def cut_off(path: Path, ticks: int) -> None:
    """Leave a file as a killed writer does, with its log beside it."""
    other = path.with_name("other.tick")
    writer = RunWriter.create(other, header(), MODULES)
    for row in chain(ticks):
        writer.append(*row)
    writer.commit()
    writer.append(*chain(ticks + 1)[-1])
    shutil.copy(other, path)
    shutil.copy(f"{other}-wal", f"{path}-wal")
    writer.close()
    other.unlink()


@pytest.mark.parametrize("first", [0, 1, 5, CHECKED_ENTRIES, CHECKED_ENTRIES + 1, 600])
@pytest.mark.parametrize("durability", Durability)
def test_a_finished_run_goes_on_where_it_ended(path: Path, first: int, durability: str) -> None:
    write(path, first)
    rows = chain(first + 4)
    resumed = RunWriter.resume(path, durability=durability)
    assert resumed.next_tick == first
    assert resumed.digests == (rows[first - 1][1] if first else header().start)
    with resumed.writer as writer:
        assert writer.committed == first
        for row in rows[first:]:
            writer.append(*row)
        writer.finish("later")
    with RunReader.open(path) as run:
        assert verify(run) is None
        assert (run.status, run.last_tick) == ("later", first + 3)
    assert [found.name for found in path.parent.iterdir()] == ["run.tick"]


def test_a_run_resumed_many_times_is_the_run_that_was_never_interrupted(path: Path) -> None:
    rows = chain(40)
    write(path, 0, finish=False)
    for first in range(0, 40, 4):
        with RunWriter.resume(path).writer as writer:
            for row in rows[first : first + 4]:
                writer.append(*row)
    with RunReader.open(path) as run:
        assert [(s.tick, s.digests, s.entry, s.fuel) for s in run.entries()] == rows


def test_a_cut_off_run_goes_on_after_its_last_commit(path: Path) -> None:
    cut_off(path, 7)
    resumed = RunWriter.resume(path)
    assert resumed.next_tick == 7
    with resumed.writer as writer:
        writer.append(*chain(8)[7])
    with RunReader.open(path) as run:
        assert verify(run) is None
        assert run.last_tick == 7


def test_a_resumed_run_to_which_nothing_is_added_is_as_it_was(path: Path) -> None:
    write_with_snapshots(path, 5, [3])
    with RunReader.open(path) as run:
        before = run._database.execute("SELECT * FROM run ORDER BY key").fetchall()
    RunWriter.resume(path).writer.close()
    with RunReader.open(path) as run:
        assert run._database.execute("SELECT * FROM run ORDER BY key").fetchall() == before
        assert run.status == "finished"
        assert_is_snapshot_at(run.snapshot(3), 3)


def test_the_end_is_gone_with_the_first_commit(path: Path) -> None:
    write(path, 3)
    with RunWriter.resume(path).writer as writer:
        writer.append(*chain(4)[3])
        with RunReader.open(path) as run:
            assert run.status == "finished"
        writer.commit()
        with RunReader.open(path) as run:
            assert run.status == "running"
            assert verify(run) is None


def test_a_file_of_format_1_goes_on_as_one_of_format_2(path: Path) -> None:
    shutil.copy(GOLDEN, path)
    with RunReader.open(path) as run:
        end = run.end
        before = [(stored.digests, stored.entry) for stored in run.entries()]
        assert run.snapshots() == []
        assert run.nearest_snapshot(99) is None
        assert list(run.usable_snapshots()) == []
        assert run.cursors() == {}
        with pytest.raises(RunFileError, match="its format has none"):
            run.snapshot(0)
    assert end is not None
    resumed = RunWriter.resume(path)
    assert (resumed.next_tick, resumed.digests) == (end.ticks, Digests(end.digest, end.exact))
    with resumed.writer as writer:
        writer.append_snapshot(end.ticks, resumed.digests, world(end.ticks), images_at(end.ticks))
    with RunReader.open(path) as run:
        assert run.header.format == 2
        assert run.snapshot(end.ticks).images == dict(images_at(end.ticks))
        assert [(stored.digests, stored.entry) for stored in run.entries()] == before
        assert verify(run) is None


# Inputs.

LINES = SPEC.__class__(
    **{name: getattr(SPEC, name) for name in SPEC.__struct_fields__ if name != "inputs"},
    inputs=(InputSpec("one", "t", ("a0",), 1), InputSpec("two", "t", ("a1",), 1)),
)


def test_how_far_inputs_were_read_is_committed_with_the_entries(path: Path) -> None:
    rows = chain(3)
    digests = header(LINES).start
    with RunWriter.create(path, header(LINES), MODULES) as writer, RunReader.open(path) as run:
        writer.note_inputs({0: InputCursor(10, 1, exhausted=False)})
        writer.append(0, digests, *rows[0][2:])
        assert run.cursors() == {}
        writer.commit()
        assert run.cursors() == {0: InputCursor(10, 1, exhausted=False)}
        writer.note_inputs({0: InputCursor(20, 2, exhausted=False), 1: InputCursor(5, 3, exhausted=True)})
        assert run.cursors() == {0: InputCursor(10, 1, exhausted=False)}
        writer.append(1, digests, *rows[1][2:])
    with RunReader.open(path) as run:
        expected = {0: InputCursor(20, 2, exhausted=False), 1: InputCursor(5, 3, exhausted=True)}
        assert run.cursors() == expected


@pytest.mark.parametrize(
    "row",
    ["(2, 0, 0, 0)", "(-1, 0, 0, 0)", "(0, -1, 0, 0)", "(0, 0, -1, 0)", "(0, 0, 0, 2)", "(0, 'x', 0, 0)"],
)
def test_an_impossible_place_in_an_input_is_told(path: Path, row: str) -> None:
    RunWriter.create(path, header(LINES), MODULES).close()
    edit(path, f"INSERT INTO input VALUES {row}")
    with RunReader.open(path) as run, pytest.raises(RunFileError, match="the place reached in"):
        run.cursors()
    with pytest.raises(RunFileError, match="the place reached in"):
        RunWriter.resume(path)


# What cannot be gone on with.


def test_a_live_run_is_not_resumed(path: Path) -> None:
    with RunWriter.create(path, header(), MODULES) as writer:
        writer.append(*chain(1)[0])
        with pytest.raises(RunFileError, match="a live run is writing it"):
            RunWriter.resume(path)
        writer.append(*chain(2)[1])
        writer.finish("finished")
    with RunWriter.resume(path).writer, pytest.raises(RunFileError, match="a live run is writing it"):
        RunWriter.resume(path)
    with RunReader.open(path) as run:
        assert verify(run) is None
        assert run.status == "finished"


def test_a_run_that_commits_all_the_time_is_neither_stopped_nor_resumed(path: Path) -> None:
    rows = chain(4000)
    failures: list[BaseException] = []
    begun = threading.Event()

    def record() -> None:
        try:
            with RunWriter.create(path, header(), MODULES, window=1, durability="off") as writer:
                for row in rows:
                    writer.append(*row)
                    begun.set()
                writer.finish("finished")
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=record)
    thread.start()
    begun.wait()
    refused = 0
    while thread.is_alive():
        try:
            RunWriter.resume(path).writer.close()
        except RunFileError:
            refused += 1
        else:
            break
    thread.join()
    assert failures == []
    assert refused > 0
    with RunReader.open(path) as run:
        assert run.last_tick == 3999
        assert verify(run) is None


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("DELETE FROM entry WHERE tick = 4", "tick 4: the entry of tick 4 is missing"),
        ("DELETE FROM entry WHERE tick = 0", "tick 0: the entry of tick 0 is missing"),
        ("DELETE FROM entry WHERE tick = 9", "the end of the run is not that of its last tick"),
        ("UPDATE entry SET tick = -3 WHERE tick = 0", "tick 0: the file's entries are out of order"),
        ("UPDATE entry SET digest = zeroblob(32) WHERE tick = 7", "tick 7: its bytes do not have its digest"),
        ("UPDATE entry SET exact = zeroblob(32) WHERE tick = 0", "tick 0: its fuel does not have its exact"),
        ("UPDATE entry SET body = x'00' WHERE tick = 8", "tick 8: its compressed form is broken"),
        ("DROP TABLE page", "its tables are not those of a run file"),
    ],
)
def test_a_damaged_run_is_refused_and_left_as_it_is(path: Path, statement: str, words: str) -> None:
    write(path, 10)
    edit(path, statement)
    before = path.read_bytes()
    with pytest.raises(RunFileError, match=words) as caught:
        RunWriter.resume(path)
    assert str(path) in str(caught.value)
    assert path.read_bytes() == before
    assert [found.name for found in path.parent.iterdir()] == ["run.tick"]


def test_a_broken_structure_is_refused_before_anything_is_written(path: Path) -> None:
    write_with_snapshots(path, 300, [100, 200])
    content = path.read_bytes()
    refused = []
    for start in range(16384, len(content), 16384):
        damaged = bytearray(content)
        damaged[start : start + 8] = b"\xff" * 8
        path.write_bytes(damaged)
        try:
            RunWriter.resume(path).writer.close()
        except RunFileError as error:
            refused.append(str(error))
            assert path.read_bytes() == damaged
    # A page without structure, such as one of a long value, may pass: its content is checked when it is read.
    assert len(refused) > 5
    assert all("damaged" in words for words in refused)


def test_what_is_no_run_file_is_named_as_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("a note\n" * 1000)
    for name, words in (("text", "not a run file"), ("absent", "no such file"), (".", "is a directory")):
        with pytest.raises(RunFileError, match=words):
            RunWriter.resume(tmp_path / name)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to become another user")
def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents[:3]:
        parent.chmod(0o755)
    path = tmp_path / "run.tick"
    write(path, 2)
    path.chmod(0o444)
    os.seteuid(65534)
    try:
        with pytest.raises(RunFileError, match=r"run\.tick: cannot be (written|opened|read)"):
            RunWriter.resume(path)
    finally:
        os.seteuid(0)


def test_an_unknown_durability_is_refused(path: Path) -> None:
    with pytest.raises(ValueError, match="sometimes"):
        RunWriter.create(path, header(), MODULES, durability="sometimes")
    assert not path.exists()


@pytest.mark.parametrize(
    ("durability", "synchronous", "committed"),
    [("tick", 2, [1, 2, 3]), ("group", 1, [0, 0, 0]), ("off", 0, [0, 0, 0])],
)
def test_a_durability_is_what_sqlite_is_told(
    path: Path, durability: str, synchronous: int, committed: list[int]
) -> None:
    found = []
    with RunWriter.create(path, header(), MODULES, durability=durability) as writer:
        assert writer._database.execute("PRAGMA synchronous").fetchone() == (synchronous,)
        for row in chain(3):
            writer.append(*row)
            found.append(writer.committed)
    assert found == committed
    with RunWriter.resume(path, durability=durability).writer as writer:
        assert writer._database.execute("PRAGMA synchronous").fetchone() == (synchronous,)
        writer.append(*chain(4)[3])
        assert writer.committed == 3 + committed[0]
