"""Round trips: what the writer was given is what a reader finds, whole files or none, one file at the end."""

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from journal_samples import CODE, MODULES, SPEC, chain, header, write

from tickwork.core.digest import Digests, content_hash
from tickwork.core.errors import HostError, RunFileError
from tickwork.core.grants import Capability, Grant
from tickwork.core.spec import AgentSpec, InputSpec, RunSpec
from tickwork.journal.reader import RunReader
from tickwork.journal.verify import verify
from tickwork.journal.writer import RunWriter

digests = st.builds(Digests, st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
bodies = st.binary(max_size=3000)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.tick"


def listing(path: Path) -> list[str]:
    return [found.name for found in path.parent.iterdir()]


@given(rows=st.lists(st.tuples(digests, bodies, bodies), max_size=8), window=st.integers(1, 9))
def test_any_bytes_appended_are_read_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[Digests, bytes, bytes]], window: int
) -> None:
    path = tmp_path_factory.mktemp("journal") / "run.tick"
    with RunWriter.create(path, header(), MODULES, window=window) as writer:
        for tick, (digest, entry, fuel) in enumerate(rows):
            writer.append(tick, digest, entry, fuel)
    with RunReader.open(path) as run:
        found = [(stored.tick, stored.digests, stored.entry, stored.fuel) for stored in run.entries()]
        assert [stored.damage for stored in run.entries()] == [None] * len(rows)
        assert run.last_tick == (len(rows) - 1 if rows else None)
    assert found == [(tick, *row) for tick, row in enumerate(rows)]


names = st.from_regex(r"[a-z][a-z0-9]{0,7}", fullmatch=True)
agents = st.builds(
    AgentSpec,
    id=names,
    kind=names,
    module=st.just(content_hash(CODE)),
    config=st.binary(max_size=20),
    grants=st.tuples(st.builds(Grant, st.sampled_from(Capability), names, st.none() | st.integers(0, 9))),
    preamble=st.binary(max_size=20),
    subscribe=st.tuples(names),
)


@given(
    spec=st.builds(
        RunSpec,
        name=names,
        seed=st.integers(0, 2**64 - 1),
        start_ns=st.integers(0, 2**63),
        tick_ns=st.integers(1, 10**12),
        floats=st.just("portable"),
        agents=st.lists(agents, max_size=4, unique_by=lambda a: a.id).map(tuple),
        inputs=st.builds(InputSpec, names, names, st.tuples(names), st.integers(1, 99)).map(lambda x: (x,)),
    )
)
def test_any_specification_is_read_back(tmp_path_factory: pytest.TempPathFactory, spec: RunSpec) -> None:
    path = tmp_path_factory.mktemp("journal") / "run.tick"
    RunWriter.create(path, header(spec), MODULES).close()
    with RunReader.open(path) as run:
        assert run.spec == spec
        assert run.header == header(spec)
        assert run.header.run == run.header.genesis().digest.hex()


def test_a_finished_run_says_how_it_ended_and_verifies(path: Path) -> None:
    write(path, 20)
    with RunReader.open(path) as run:
        assert run.status == "finished"
        assert run.end is not None
        assert run.end.ticks == 20
        assert (run.end.digest, run.end.exact) == chain(20)[-1][1]
        assert verify(run) is None


def test_an_unfinished_run_verifies_and_says_so(path: Path) -> None:
    write(path, 3, finish=False)
    with RunReader.open(path) as run:
        assert run.status == "running"
        assert verify(run) is None
        assert run.last_tick == 2


def test_entries_start_where_asked_across_statement_batches(path: Path) -> None:
    write(path, 600)
    with RunReader.open(path) as run:
        assert [stored.tick for stored in run.entries(250)] == list(range(250, 600))
        assert list(run.entries(600)) == []


def test_an_entry_decodes_to_what_it_says(path: Path) -> None:
    write(path, 2)
    with RunReader.open(path) as run:
        entry, fuel = list(run.entries())[1].decode()
    assert entry.tick == 1
    assert entry.arrivals.inputs[0].body == b"line 1"
    assert fuel.used == (1001, 1002, 1003)


def test_modules_are_stored_under_their_hash(path: Path) -> None:
    write(path, 0)
    with RunReader.open(path) as run:
        assert run.modules == tuple(MODULES)
        assert run.module(content_hash(CODE)) == CODE
        with pytest.raises(RunFileError, match="holds no module abc"):
            run.module("abc")


def test_exactly_one_file_remains_after_close(path: Path) -> None:
    write(path, 5)
    assert listing(path) == ["run.tick"]
    with RunReader.open(path):
        assert listing(path) == ["run.tick"]


def test_a_run_file_is_recognised_by_its_application_id(path: Path) -> None:
    write(path, 1)
    assert path.read_bytes()[68:72] == b"tick"


def test_ticks_must_follow_each_other(path: Path) -> None:
    rows = chain(3)
    with RunWriter.create(path, header(), MODULES) as writer:
        with pytest.raises(ValueError, match="tick 1 was appended where tick 0 is next"):
            writer.append(*rows[1])
        writer.append(*rows[0])
        with pytest.raises(ValueError, match="tick 2 was appended where tick 1 is next"):
            writer.append(*rows[2])


def test_nothing_is_appended_after_the_end(path: Path) -> None:
    rows = chain(2)
    with RunWriter.create(path, header(), MODULES) as writer:
        writer.append(*rows[0])
        writer.finish("finished")
        with pytest.raises(HostError, match="the run is finished"):
            writer.append(*rows[1])


def test_commits_come_by_window_and_on_request(path: Path) -> None:
    rows = chain(10)
    with RunWriter.create(path, header(), MODULES, window=4) as writer, RunReader.open(path) as run:
        seen = []
        for row in rows[:5]:
            writer.append(*row)
            while writer.backlog_bytes:
                threading.Event().wait(0.001)
            seen.append((writer.committed, run.last_tick))
        writer.commit()
        seen.append((writer.committed, run.last_tick))
    assert seen == [(0, None), (0, None), (0, None), (4, 3), (4, 3), (5, 4)]


def test_a_reader_follows_a_live_writer(path: Path) -> None:
    with RunWriter.create(path, header(), MODULES) as writer:
        with RunReader.open(path) as run:
            assert list(run.entries()) == []
            for row in chain(7):
                writer.append(*row)
            writer.commit()
            assert len(list(run.entries())) == 7
            assert verify(run) is None
        writer.finish("finished")
    assert listing(path) == ["run.tick"]


def test_a_viewer_that_stays_open_harms_nothing(path: Path) -> None:
    with RunWriter.create(path, header(), MODULES) as writer:
        viewer = RunReader.open(path)
        for row in chain(3):
            writer.append(*row)
        writer.finish("finished")
    assert len(list(viewer.entries())) == 3
    viewer.close()
    with RunReader.open(path) as run:
        assert verify(run) is None
        assert run.status == "finished"


# What may be at the path already.


def test_an_existing_file_is_never_overwritten_without_force(path: Path) -> None:
    path.write_text("precious")
    with pytest.raises(RunFileError, match=r"run\.tick: exists already.*--force"):
        RunWriter.create(path, header(), MODULES)
    assert path.read_text() == "precious"
    assert listing(path) == ["run.tick"]


def test_force_replaces_any_file(path: Path) -> None:
    path.write_text("not precious")
    write(path, 4, force=True)
    write(path, 2, force=True)
    with RunReader.open(path) as run:
        assert run.last_tick == 1
    assert listing(path) == ["run.tick"]


def test_a_replacement_that_fails_leaves_the_old_file(path: Path) -> None:
    write(path, 4)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="not named by its hash"):
        RunWriter.create(path, header(), {"00" * 32: CODE}, force=True)
    assert path.read_bytes() == before
    assert listing(path) == ["run.tick"]


def test_a_creation_that_fails_leaves_nothing(path: Path) -> None:
    with pytest.raises(ValueError, match="not named by its hash"):
        RunWriter.create(path, header(), {"00" * 32: CODE})
    assert listing(path) == []


def test_a_live_run_is_not_replaced_even_with_force(path: Path) -> None:
    with RunWriter.create(path, header(), MODULES) as writer:
        writer.append(*chain(1)[0])
        with pytest.raises(RunFileError, match="a live run is writing it"):
            RunWriter.create(path, header(), MODULES, force=True)
        writer.finish("finished")
    with RunReader.open(path) as run:
        assert verify(run) is None
        assert run.last_tick == 0


def test_the_log_of_a_file_that_is_gone_does_not_reach_the_new_one(path: Path) -> None:
    with RunWriter.create(path, header(), MODULES) as writer:
        for row in chain(5):
            writer.append(*row)
        writer.commit()
        log = Path(f"{path}-wal").read_bytes()
        assert log
    path.unlink()
    Path(f"{path}-wal").write_bytes(log)
    write(path, 1)
    with RunReader.open(path) as run:
        assert run.last_tick == 0
        assert verify(run) is None


def test_the_log_of_a_cut_off_run_does_not_reach_its_replacement(path: Path) -> None:
    with RunWriter.create(path, header(), MODULES) as writer:
        for row in chain(5):
            writer.append(*row)
        writer.commit()
        main, log = path.read_bytes(), Path(f"{path}-wal").read_bytes()
    path.write_bytes(main)
    Path(f"{path}-wal").write_bytes(log)
    with RunReader.open(path) as cut_off:
        assert cut_off.last_tick == 4
    write(path, 1, force=True)
    with RunReader.open(path) as run:
        assert run.last_tick == 0
        assert verify(run) is None


def test_a_link_is_followed(path: Path, tmp_path: Path) -> None:
    real = tmp_path / "real.tick"
    path.symlink_to(real)
    write(path, 1)
    assert real.is_file()
    assert path.is_symlink()


@contextmanager
def as_an_unprivileged_user() -> Iterator[None]:
    """Root passes every permission check, so the check runs as someone else."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def closed() -> Iterator[Path]:
    """A directory that everybody can reach; the test takes away its write permission."""
    with TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o755)
        yield directory
        directory.chmod(0o755)


def test_places_that_cannot_hold_a_run_file_are_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    for path, words in (
        (tmp_path, "is a directory"),
        (tmp_path / "absent" / "run.tick", "cannot be created"),
        (tmp_path / "file" / "run.tick", "cannot be created"),
        (tmp_path / ("n" * 300), "cannot be created"),
        (fifo, "not a regular file"),
        (loop, "cannot be created"),
        (Path("/dev/null"), "not a regular file"),
        (Path("a\0b"), "cannot be created"),
    ):
        for force in (False, True):
            with pytest.raises(RunFileError, match=words) as caught:
                RunWriter.create(path, header(), MODULES, force=force)
            assert str(path) in str(caught.value)


def test_a_directory_without_write_permission_is_named(closed: Path) -> None:
    write(closed / "old.tick", 2)
    closed.chmod(0o555)
    with as_an_unprivileged_user():
        with pytest.raises(RunFileError, match=r"cannot be created \(Permission denied\)"):
            RunWriter.create(closed / "run.tick", header(), MODULES)
        with pytest.raises(RunFileError, match="cannot be created"):
            RunWriter.create(closed / "old.tick", header(), MODULES, force=True)
        # A finished run can be read from a place that cannot be written.
        with RunReader.open(closed / "old.tick") as run:
            assert verify(run) is None


def test_a_file_left_in_wal_mode_is_read_from_a_closed_directory(closed: Path) -> None:
    path = closed / "old.tick"
    write(path, 2)
    database = sqlite3.connect(path)
    database.execute("PRAGMA journal_mode = WAL")
    database.close()
    closed.chmod(0o555)
    with as_an_unprivileged_user(), RunReader.open(path) as run:
        assert verify(run) is None


def test_a_file_without_read_permission_is_named(closed: Path) -> None:
    path = closed / "old.tick"
    write(path, 2)
    path.chmod(0)
    with as_an_unprivileged_user(), pytest.raises(RunFileError, match=r"old\.tick: cannot be opened; check"):
        RunReader.open(path)


def test_the_specification_in_the_file_is_canonical(path: Path) -> None:
    write(path, 0)
    with RunReader.open(path) as run:
        assert run.header.spec == msgspec.msgpack.encode(SPEC)
