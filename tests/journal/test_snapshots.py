"""Snapshots: what was added is what is read, shared where it is equal, and never seen half written."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from journal_samples import MODULES, chain, header
from snapshot_samples import (
    agent_images,
    assert_is_snapshot_at,
    image,
    images_at,
    page,
    world,
    write_with_snapshots,
)

from tickwork.core.checkpoint import state_digest
from tickwork.core.errors import HostError, RunFileError
from tickwork.core.image import AgentImage, MemoryImage
from tickwork.journal import page_index, writer
from tickwork.journal.reader import RunReader
from tickwork.journal.retention import KeepLast
from tickwork.journal.verify import verify
from tickwork.journal.writer import RunWriter

START = header().start


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.tick"


def rows_of(path: Path) -> tuple[int, int]:
    """The number of images and of pages in a file."""
    with RunReader.open(path) as run:
        counts = [run._database.execute(f"SELECT count(*) FROM {table}") for table in ("image", "page")]
        return counts[0].fetchone()[0], counts[1].fetchone()[0]


@given(
    st.lists(
        st.tuples(st.binary(max_size=200), st.dictionaries(st.integers(0, 10**6), agent_images, max_size=4)),
        min_size=1,
        max_size=4,
    )
)
def test_any_snapshots_are_read_back(
    tmp_path_factory: pytest.TempPathFactory, taken: list[tuple[bytes, dict[int, AgentImage]]]
) -> None:
    path = tmp_path_factory.mktemp("journal") / "run.tick"
    rows = chain(len(taken))
    states = []
    with RunWriter.create(path, header(), MODULES) as run:
        for row, (content, images) in zip(rows, taken, strict=True):
            run.append(*row)
            states.append(run.append_snapshot(row[0] + 1, row[1], content, sorted(images.items())))
    with RunReader.open(path) as reader:
        for row, (content, images), state in zip(rows, taken, states, strict=True):
            found = reader.snapshot(row[0] + 1)
            assert (found.digests, found.world, found.images) == (row[1], content, images)
            digests = tuple((agent, images[agent].digest()) for agent in sorted(images))
            assert found.state == state == state_digest(row[1], content, digests)
            for agent in images:
                one = reader.snapshot(row[0] + 1, [agent])
                assert one.images == {agent: images[agent]}
                assert one.agents == tuple(sorted(images))
        assert verify(reader) is None


def test_snapshots_are_found_by_tick(path: Path) -> None:
    write_with_snapshots(path, 20, [0, 6, 13, 20])
    with RunReader.open(path) as run:
        assert [info.tick for info in run.snapshots()] == [0, 6, 13, 20]
        nearest = {tick: run.nearest_snapshot(tick) for tick in (-1, 0, 5, 6, 12, 13, 20, 99)}
        assert nearest == {-1: None, 0: 0, 5: 0, 6: 6, 12: 6, 13: 13, 20: 20, 99: 20}
        for tick in (0, 6, 13, 20):
            assert_is_snapshot_at(run.snapshot(tick), tick)
        assert [found.tick for found in run.usable_snapshots()] == [20, 13, 6, 0]
        assert [found.tick for found in run.usable_snapshots(last=13)] == [13, 6, 0]
        with pytest.raises(RunFileError, match="holds no snapshot of tick 7"):
            run.snapshot(7)
        with pytest.raises(RunFileError, match="the snapshot of tick 6 has no agent 9"):
            run.snapshot(6, [9])


def test_a_snapshot_without_agents_asked_for_has_the_world_alone(path: Path) -> None:
    write_with_snapshots(path, 3, [3])
    with RunReader.open(path) as run:
        found = run.snapshot(3, [])
    assert found.images == {}
    assert found.agents == (0, 1, 2, 3)
    assert found.world == world(3)


def test_equal_images_and_pages_are_stored_once(path: Path) -> None:
    same = image([page(1), page(2), page(1)])
    other = image([page(2), page(3)])
    rows = chain(2)
    with RunWriter.create(path, header(), MODULES) as run:
        run.append(*rows[0])
        run.append_snapshot(1, rows[0][1], b"", [(0, same), (1, same), (2, other)])
        run.append(*rows[1])
        run.append_snapshot(2, rows[1][1], b"", [(0, same), (1, other), (2, other)])
    assert rows_of(path) == (2, 3)


def test_an_agent_given_as_unchanged_is_as_in_the_last_snapshot(path: Path) -> None:
    rows = chain(2)
    first = images_at(1)
    with RunWriter.create(path, header(), MODULES) as run:
        with pytest.raises(ValueError, match="agent 0 has no image in a snapshot before"):
            run.append_snapshot(0, START, b"", [(0, None)])
        run.append(*rows[0])
        run.append_snapshot(1, rows[0][1], b"", first)
        run.append(*rows[1])
        run.append_snapshot(2, rows[1][1], b"", [(0, None), (1, first[0][1]), (3, None)])
    with RunReader.open(path) as reader:
        assert reader.snapshot(2).images == {0: first[0][1], 1: first[0][1], 3: first[3][1]}


def test_a_page_that_was_forgotten_is_found_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_index.KnownPages.__init__, "__kwdefaults__", {"generation": 3})
    rows = chain(8)
    with RunWriter.create(path, header(), MODULES) as run:
        for row in rows:
            run.append(*row)
            run.append_snapshot(
                row[0] + 1,
                row[1],
                b"",
                [(0, image([page(n) for n in range(8)], drawn=row[0])), (1, image([page(9)]))],
            )
    assert rows_of(path) == (9, 9)
    with RunReader.open(path) as reader:
        assert len(list(reader.usable_snapshots())) == 8


def test_pages_that_do_not_compress_are_stored_as_they_are(path: Path) -> None:
    noise = b"".join(digests.digest for _, digests, _, _ in chain(128))
    with RunWriter.create(path, header(), MODULES) as run:
        run.append_snapshot(0, START, b"", [(0, image([noise]))])
    with RunReader.open(path) as reader:
        assert reader._database.execute("SELECT bytes FROM page").fetchone() == (noise,)
        assert reader.snapshot(0).images[0].memories[0].pages == (noise,)


def test_sizes_say_what_removing_a_snapshot_frees(path: Path) -> None:
    write_with_snapshots(path, 9, [2, 5, 9])
    with RunReader.open(path) as run:
        infos = run.snapshots()
        assert [info.agents for info in infos] == [4, 4, 4]
        assert all(info.bytes_own > 0 and info.bytes_shared > 0 and info.damage is None for info in infos)
        lengths = "SELECT (SELECT total(length(bytes)) FROM image) + (SELECT total(length(bytes)) FROM page)"
        (before,) = run._database.execute(lengths).fetchone()
        (rest,) = run._database.execute(
            "SELECT total(length(digest) + length(exact) + length(state) + length(world) + length(agents))"
            " FROM snapshot WHERE tick < 9"
        ).fetchone()
    resumed = RunWriter.resume(path)
    assert resumed.writer.retain(KeepLast(1)) == (2, 5)
    resumed.writer.close()
    with RunReader.open(path) as run:
        (after,) = run._database.execute(lengths).fetchone()
        (last,) = run.snapshots()
    assert last.bytes_shared == 0
    assert last.bytes_own == infos[2].bytes_own + infos[2].bytes_shared
    # Pages that only the two removed ones shared were nobody's own, but went with both.
    assert before + rest - after >= infos[0].bytes_own + infos[1].bytes_own


# What is not in order.


def test_what_is_not_in_order_is_refused_and_leaves_nothing(path: Path) -> None:
    good = images_at(0)
    bad = AgentImage((MemoryImage(65536, (3, 2), (page(1), page(2))),), (), b"", 0, 0)
    beyond = AgentImage((MemoryImage(65536, (16,), (page(1),)),), (), b"", 0, 0)
    short = AgentImage((MemoryImage(65536, (1,), (b"short",)),), (), b"", 0, 0)
    with RunWriter.create(path, header(), MODULES) as run:
        for images, words in (
            ([good[0], good[0]], "agent 0 comes after agent 0"),
            ([good[1], good[0]], "agent 0 comes after agent 1"),
            ([good[0], (1, bad)], "out of order"),
            ([good[0], (1, beyond)], "beyond its memory"),
            ([good[0], (1, short)], "not 4096 bytes"),
        ):
            with pytest.raises(ValueError, match=words):
                run.append_snapshot(0, START, b"", images)
        with pytest.raises(ValueError, match="a snapshot of tick 1 was appended where tick 0 is next"):
            run.append_snapshot(1, START, b"", good)
        with pytest.raises(ValueError, match="state digest"):
            run.append_snapshot(0, START, b"", good, state=b"x" * 32)
        run.commit()
        assert rows_of(path) == (0, 0)
        state = run.append_snapshot(0, START, b"", good)
        assert run.append_snapshot(0, START, b"", good, state) == state
    with RunReader.open(path) as reader:
        assert reader.snapshot(0).images == dict(good)


def test_a_source_of_images_that_fails_leaves_the_writer_usable(path: Path) -> None:
    def failing():
        yield images_at(0)[0]
        raise HostError("no more memory")

    row = chain(1)[0]
    with RunWriter.create(path, header(), MODULES) as run:
        with pytest.raises(HostError, match="no more memory"):
            run.append_snapshot(0, START, b"", failing())
        run.append(*row)
        run.append_snapshot(1, row[1], world(1), images_at(1))
    with RunReader.open(path) as reader:
        assert_is_snapshot_at(reader.snapshot(1), 1)
        assert [info.tick for info in reader.snapshots()] == [1]


def test_a_world_beyond_the_format_is_refused_and_the_run_goes_on(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "WORLD_BYTES_MAX", 100)
    with RunWriter.create(path, header(), MODULES) as run:
        with pytest.raises(HostError, match=r"world of tick 0 takes 101 bytes.*mailbox_bytes"):
            run.append_snapshot(0, START, bytes(101), [])
        run.append(*chain(1)[0])
    with RunReader.open(path) as reader:
        assert reader.last_tick == 0


# Beside a live writer.


def test_a_snapshot_is_seen_when_it_is_committed_and_its_entries_before(path: Path) -> None:
    rows = chain(3)
    with RunWriter.create(path, header(), MODULES) as run, RunReader.open(path) as reader:
        for row in rows:
            run.append(*row)
        assert reader.last_tick is None
        run.append_snapshot(3, rows[2][1], world(3), images_at(3))
        assert run.committed == 3
        assert reader.last_tick == 2
        assert reader.snapshots() == []
        run.commit()
        assert_is_snapshot_at(reader.snapshot(3), 3)


def test_a_snapshot_is_read_whole_between_entries_that_are_being_read(path: Path) -> None:
    write_with_snapshots(path, 600, [300])
    with RunReader.open(path) as run:
        seen = []
        for stored in run.entries():
            seen.append(stored.tick)
            if stored.tick % 100 == 7:
                assert_is_snapshot_at(run.snapshot(300), 300)
        assert seen == list(range(600))


def test_a_replaced_snapshot_is_the_newer_one(path: Path) -> None:
    write_with_snapshots(path, 4, [2, 4])
    resumed = RunWriter.resume(path)
    resumed.writer.append_snapshot(4, resumed.digests, b"other", [(1, image([page(77)]))])
    resumed.writer.close()
    with RunReader.open(path) as run:
        found = run.snapshot(4)
        assert (found.world, found.agents) == (b"other", (1,))
        assert_is_snapshot_at(run.snapshot(2), 2)
        images, pages = rows_of(path)
    assert images == len(images_at(2)) + 1
    assert pages == len({content for _, one in images_at(2) for content in one.memories[0].pages}) + 1
