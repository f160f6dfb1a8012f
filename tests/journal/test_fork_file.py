"""Forks: files that begin in the middle, with a snapshot, and say where they come from."""

import sqlite3
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from journal_samples import MODULES, SPEC, chain, header, tick_bytes, write
from snapshot_samples import images_at, world, write_with_snapshots

from tickwork.core.digest import Digests, advance, fork_digests
from tickwork.core.errors import HostError, RunFileError
from tickwork.journal.create import ForkStart
from tickwork.journal.cursor import InputCursor
from tickwork.journal.header import KEY_CHECK, Header, Parent, check_value, header_of
from tickwork.journal.reader import RunReader
from tickwork.journal.retention import KeepLast
from tickwork.journal.verify import verify
from tickwork.journal.writer import RunWriter

AT = 7
digests = st.builds(Digests, st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "fork.tick"


def fork_header(edits: bytes = b"", tick: int = AT) -> Header:
    parent = header()
    before = chain(tick)[-1][1] if tick else parent.start
    return header_of(
        SPEC,
        tickwork=parent.tickwork,
        engine=parent.engine,
        engine_config=parent.engine_config,
        isa=parent.isa,
        os=parent.os,
        parent=Parent(parent.run, tick, before.digest, before.exact, edits),
    )


def fork_rows(start: Digests, ticks: int, tick: int = AT) -> list[tuple[int, Digests, bytes, bytes]]:
    rows = []
    for at in range(tick, tick + ticks):
        entry, fuel = tick_bytes(at)
        start = advance(start, entry, fuel)
        rows.append((at, start, entry, fuel))
    return rows


def write_fork(path: Path, edits: bytes = b"", ticks: int = 5, tick: int = AT) -> None:
    fork = ForkStart(world(tick), images_at(tick))
    made = fork_header(edits, tick)
    with RunWriter.create(path, made, MODULES, fork=fork) as writer:
        assert writer.committed == tick
        for row in fork_rows(made.start, ticks, tick):
            writer.append(*row)
        writer.finish("finished")


# The chain.


@given(digests, st.binary(min_size=1))
def test_edits_start_another_chain_and_their_absence_goes_on_with_it(parent: Digests, edits: bytes) -> None:
    assert fork_digests(parent, b"") == parent
    forked = fork_digests(parent, edits)
    assert forked.digest != parent.digest
    assert forked.exact not in {parent.exact, forked.digest}
    # An entry with the same bytes leads elsewhere.
    assert forked != advance(parent, edits, b"")
    assert forked != fork_digests(parent, edits + b"\0")
    # The portable digest does not depend on fuel.
    assert fork_digests(parent._replace(exact=b"x" * 32), edits).digest == forked.digest


# The file.


@pytest.mark.parametrize("edits", [b"", b"an edit"])
@pytest.mark.parametrize("tick", [0, AT])
def test_a_fork_begins_where_it_left_its_parent(path: Path, edits: bytes, tick: int) -> None:
    write_fork(path, edits, tick=tick)
    with RunReader.open(path) as run:
        before = chain(tick)[-1][1] if tick else header().start
        assert run.header.parent == Parent(header().run, tick, before.digest, before.exact, edits)
        assert run.header == fork_header(edits, tick)
        assert (run.header.start == before) == (edits == b"")
        assert [stored.tick for stored in run.entries()] == list(range(tick, tick + 5))
        assert [stored.tick for stored in run.entries(tick + 3)] == [tick + 3, tick + 4]
        assert verify(run) is None
        assert run.end is not None
        assert run.end.ticks == tick + 5
        start = run.snapshot(tick)
        assert (start.digests, start.world, start.images) == (
            run.header.start,
            world(tick),
            dict(images_at(tick)),
        )
        assert run.nearest_snapshot(tick - 1) is None


def test_a_fork_without_edits_has_its_parents_entries_and_digests(path: Path) -> None:
    write_fork(path)
    with RunReader.open(path) as run:
        found = [(stored.tick, stored.digests, stored.entry, stored.fuel) for stored in run.entries()]
    assert found == chain(AT + 5)[AT:]


def test_a_fork_has_its_first_snapshot_from_the_moment_it_exists(path: Path) -> None:
    start = ForkStart(world(AT), images_at(AT))
    with RunWriter.create(path, fork_header(), MODULES, fork=start), RunReader.open(path) as run:
        assert run.snapshot(AT).images == dict(images_at(AT))


def test_a_fork_whose_images_fail_leaves_no_file_and_replaces_none(path: Path) -> None:
    def failing():
        yield images_at(AT)[0]
        raise HostError("no more memory")

    for force in (False, True):
        before = path.read_bytes() if path.exists() else None
        with pytest.raises(HostError, match="no more memory"):
            RunWriter.create(path, fork_header(), MODULES, force=force, fork=ForkStart(b"", failing()))
        assert (path.read_bytes() if path.exists() else None) == before
        assert len(list(path.parent.iterdir())) == (0 if before is None else 1)
        write(path, 3, force=True)


def test_a_fork_is_resumed_and_keeps_its_first_snapshot(path: Path) -> None:
    write_fork(path)
    resumed = RunWriter.resume(path)
    assert (resumed.next_tick, resumed.digests) == (AT + 5, fork_rows(fork_header().start, 5)[-1][1])
    with resumed.writer as writer:
        for row in fork_rows(resumed.digests, 3, AT + 5):
            writer.append(*row)
            writer.append_snapshot(row[0] + 1, row[1], b"", images_at(row[0] + 1))
        assert writer.retain(KeepLast(1)) == (AT + 6, AT + 7)
    with RunReader.open(path) as run:
        assert [info.tick for info in run.snapshots()] == [AT, AT + 8]
        assert [found.tick for found in run.usable_snapshots(report=pytest.fail)] == [AT + 8, AT]
        assert verify(run) is None


def test_a_fork_to_which_nothing_was_added_is_resumed_at_its_start(path: Path) -> None:
    start = ForkStart(world(AT), images_at(AT), {1: InputCursor(3, 1, exhausted=False)})
    RunWriter.create(path, fork_header(b"edit"), MODULES, fork=start).close()
    with pytest.raises(RunFileError, match="the place reached in input 1"):
        RunWriter.resume(path)
    sound = ForkStart(world(AT), images_at(AT), {0: InputCursor(3, 1, exhausted=False)})
    RunWriter.create(path, fork_header(b"edit"), MODULES, force=True, fork=sound).close()
    resumed = RunWriter.resume(path)
    resumed.writer.close()
    assert (resumed.next_tick, resumed.digests) == (AT, fork_header(b"edit").start)
    assert resumed.cursors == {0: InputCursor(3, 1, exhausted=False)}


def test_a_fork_has_a_parent_and_a_start_and_other_runs_have_neither(path: Path) -> None:
    with pytest.raises(ValueError, match="a fork has a parent"):
        RunWriter.create(path, fork_header(), MODULES)
    with pytest.raises(ValueError, match="a fork has a parent"):
        RunWriter.create(path, header(), MODULES, fork=ForkStart(b"", ()))
    assert not path.exists()


def replace_rows(path: Path, **changes: object) -> None:
    """Change rows of the header, with a checksum that holds."""
    database = sqlite3.connect(path, isolation_level=None)
    rows = {**dict(database.execute("SELECT key, value FROM run")), **changes}
    rows = {key: value for key, value in rows.items() if value is not None}
    rows[KEY_CHECK] = check_value(rows)
    database.execute("DELETE FROM run")
    database.executemany("INSERT INTO run VALUES (?, ?)", rows.items())
    database.close()


ELSEWHERE = msgspec.msgpack.encode(Parent("00" * 32, AT + 1, b"d" * 32, b"e" * 32))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"start_tick": AT + 1}, "does not begin where it left its parent"),
        ({"start": b"x" * 64}, "does not begin where it left its parent"),
        ({"parent": ELSEWHERE}, "does not begin where it left its parent"),
        ({"parent": None}, "does not begin at its genesis"),
        ({"parent": b"\xc1"}, "header"),
        ({"parent": 7}, "the parent is not a blob"),
        ({"parent": msgspec.msgpack.encode(Parent("", -1, b"d" * 32, b"e" * 32))}, "not a possible one"),
        ({"parent": msgspec.msgpack.encode(Parent("", 3, b"d", b"e" * 32))}, "not a possible one"),
        ({"start": b"x"}, "not two digests"),
        ({"start": None}, "not two digests"),
        ({"format": 1}, "header"),
        ({"start_tick": "seven"}, "header"),
    ],
)
def test_a_start_that_contradicts_the_parent_is_refused(
    path: Path, changes: dict[str, object], words: str
) -> None:
    write_fork(path)
    replace_rows(path, **changes)
    with pytest.raises(RunFileError, match=words):
        RunReader.open(path)


def test_an_entry_from_before_the_fork_is_told(path: Path) -> None:
    write_fork(path)
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("INSERT INTO entry SELECT tick - 6, digest, exact, body FROM entry WHERE tick = 8")
    database.close()
    with RunReader.open(path) as run:
        fault = verify(run)
    assert fault is not None
    assert (fault.tick, "out of order" in fault.reason) == (AT, True)


def test_a_forks_first_snapshot_must_have_its_start(path: Path) -> None:
    write_fork(path)
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("UPDATE snapshot SET digest = zeroblob(32)")
    database.close()
    with RunReader.open(path) as run, pytest.raises(RunFileError, match="of the entry before it"):
        run.snapshot(AT)


def test_the_snapshots_of_a_fork_are_its_own(path: Path, tmp_path: Path) -> None:
    write_with_snapshots(tmp_path / "parent.tick", 12, [3, AT])
    write_fork(path)
    with RunReader.open(tmp_path / "parent.tick") as parent, RunReader.open(path) as fork:
        assert fork.snapshot(AT).images == parent.snapshot(AT).images
        assert [info.tick for info in fork.snapshots()] == [AT]
