"""Which snapshots stay: laws of the pure choice, and of a file after it."""

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from journal_samples import MODULES, chain, header
from snapshot_samples import assert_is_snapshot_at, images_at, world, write_with_snapshots

from tickwork.journal.reader import RunReader
from tickwork.journal.retention import KeepAll, KeepLast, Policy, Thin, kept_ticks
from tickwork.journal.writer import RunWriter

ticks_of_snapshots = st.lists(st.integers(0, 100_000), max_size=80, unique=True).map(sorted)
policies = st.one_of(
    st.just(KeepAll()), st.builds(KeepLast, st.integers(1, 9)), st.builds(Thin, st.integers(1, 20))
)


@given(ticks_of_snapshots, policies)
def test_what_is_kept_was_there_and_the_last_is_kept(ticks: list[int], policy: Policy) -> None:
    kept = kept_ticks(ticks, policy)
    assert list(kept) == sorted(set(kept))
    assert set(kept) <= set(ticks)
    assert kept[-1:] == tuple(ticks[-1:])


@given(ticks_of_snapshots, policies)
def test_choosing_twice_changes_nothing(ticks: list[int], policy: Policy) -> None:
    kept = kept_ticks(ticks, policy)
    assert kept_ticks(kept, policy) == kept


@given(ticks_of_snapshots, st.integers(1, 100))
def test_the_last_n_are_the_last_n(ticks: list[int], count: int) -> None:
    assert list(kept_ticks(ticks, KeepLast(count))) == ticks[max(len(ticks) - count, 0) :]


def thinned_as_taken(ticks: list[int], dense: int) -> list[int]:
    """What is left if the policy is applied after every snapshot, as a run does."""
    kept: list[int] = []
    for tick in ticks:
        kept = list(kept_ticks([*kept, tick], Thin(dense)))
    return kept


@given(ticks_of_snapshots, st.integers(1, 20))
def test_thinning_leaves_no_gap_longer_than_its_share_of_its_age(ticks: list[int], dense: int) -> None:
    kept = thinned_as_taken(ticks, dense)
    assert kept[:1] == ticks[:1]
    for older, newer in itertools.pairwise(kept):
        taken_in_a_row = ticks.index(newer) - ticks.index(older) == 1
        assert taken_in_a_row or (newer - older) * dense <= ticks[-1] - newer


@pytest.mark.parametrize(("dense", "kept_max"), [(1, 24), (4, 60), (8, 100)])
def test_thinning_keeps_few_of_very_many(dense: int, kept_max: int) -> None:
    kept = thinned_as_taken(list(range(0, 20_000, 5)), dense)
    assert kept[0] == 0
    assert dense < len(kept) <= kept_max
    assert kept[-1] == 19_995


@pytest.mark.parametrize("policy", [KeepLast(0), KeepLast(-1), Thin(0)])
def test_a_policy_that_keeps_nothing_is_refused(policy: Policy) -> None:
    with pytest.raises(ValueError, match=r"at least one|at most its whole age"):
        kept_ticks([1, 2, 3], policy)


# In a file.


def unused_rows(path: Path) -> tuple[int, int]:
    """Return how many images and pages no snapshot needs, and fail if one is missing that is needed."""
    with RunReader.open(path) as run:
        found = list(run.usable_snapshots(report=pytest.fail))
        images = {image.digest() for one in found for image in one.images.values()}
        pages = {
            content
            for one in found
            for image in one.images.values()
            for memory in image.memories
            for content in memory.pages
        }
        (image_rows,) = run._database.execute("SELECT count(*) FROM image").fetchone()
        (page_rows,) = run._database.execute("SELECT count(*) FROM page").fetchone()
    return image_rows - len(images), page_rows - len(pages)


@given(
    policies=st.lists(policies, min_size=12, max_size=12),
    restarts=st.sets(st.integers(0, 11), max_size=4),
)
def test_retention_never_removes_what_a_kept_snapshot_needs_nor_keeps_more(
    tmp_path_factory: pytest.TempPathFactory, policies: list[Policy], restarts: set[int]
) -> None:
    path = tmp_path_factory.mktemp("journal") / "run.tick"
    rows = chain(12)
    writer = RunWriter.create(path, header(), MODULES)
    for row, policy in zip(rows, policies, strict=True):
        writer.append(*row)
        writer.append_snapshot(row[0] + 1, row[1], world(row[0] + 1), images_at(row[0] + 1))
        writer.retain(policy)
        if row[0] in restarts:
            writer.close()
            writer = RunWriter.resume(path).writer
    writer.close()
    assert unused_rows(path) == (0, 0)
    with RunReader.open(path) as run:
        for info in run.snapshots():
            assert_is_snapshot_at(run.snapshot(info.tick), info.tick)


def test_the_room_of_removed_snapshots_is_used_again(path: Path) -> None:
    rows = chain(60)
    sizes = []
    with RunWriter.create(path, header(), MODULES) as writer:
        for row in rows:
            writer.append(*row)
            writer.append_snapshot(row[0] + 1, row[1], b"", images_at(row[0] + 1, agents=30, pages=20))
            writer.retain(KeepLast(2))
            writer.commit()
            sizes.append(writer._database.execute("PRAGMA page_count").fetchone()[0])
    assert sizes[59] <= 1.3 * sizes[9]


def test_a_damaged_snapshot_stops_the_removal_of_pages_and_not_the_run(path: Path) -> None:
    write_with_snapshots(path, 6, [2, 4, 6])
    with RunWriter.resume(path).writer as writer:
        writer._database.execute("UPDATE snapshot SET agents = x'00' WHERE tick = 4")
        writer.commit()
        assert writer.retain(KeepLast(2)) == (2,)
        assert writer.retain(KeepLast(1)) == (4,)
    with RunReader.open(path) as run:
        assert_is_snapshot_at(run.snapshot(6), 6)
    assert unused_rows(path) > (0, 0)
    # The next session can count again, and clears away what was left.
    with RunWriter.resume(path).writer as writer:
        writer.append_snapshot(6, writer._digests, world(6), images_at(6))
    assert unused_rows(path) == (0, 0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.tick"
