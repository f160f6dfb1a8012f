"""Damaged snapshots are told with tick, agent and page, leave others alone, and never give wrong bytes."""

import contextlib
import re
import sqlite3
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from journal_samples import chain
from snapshot_samples import assert_is_snapshot_at, images_at, world, write_with_snapshots

from tickwork.core.errors import RunFileError
from tickwork.core.image import PAGE_BYTES, page_hash
from tickwork.journal.codec import Damage
from tickwork.journal.image_codec import REST_BYTES_MAX, ImagePacker, ImageUnpacker, unpack_image
from tickwork.journal.reader import RunReader
from tickwork.journal.retention import KeepLast, Thin
from tickwork.journal.snapshot_codec import WORLD_BYTES_MAX, pack_agents, unpack_agents
from tickwork.journal.verify import verify
from tickwork.journal.writer import RunWriter

TICKS = 12
AT = (0, 4, 8, 12)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "run.tick"
    write_with_snapshots(path, TICKS, AT)
    return path


def edit(path: Path, *statements: str) -> None:
    database = sqlite3.connect(path, isolation_level=None)
    for statement in statements:
        database.execute(statement)
    database.close()


def usable(path: Path) -> tuple[list[int], list[str]]:
    """The ticks of the usable snapshots, checked against what was written, and what is told of the rest."""
    told: list[str] = []
    with RunReader.open(path) as run:
        found = list(run.usable_snapshots(report=told.append))
    for one in found:
        assert_is_snapshot_at(one, one.tick)
    return [one.tick for one in found], told


def test_untouched_snapshots_are_not_accused(path: Path) -> None:
    assert usable(path) == ([12, 8, 4, 0], [])


def test_flipped_bits_anywhere_never_give_wrong_bytes(path: Path) -> None:
    content = path.read_bytes()
    harmful = 0
    positions = range(100, len(content), 331)
    for position in positions:
        damaged = bytearray(content)
        damaged[position] ^= 1 << position % 8
        path.write_bytes(damaged)
        try:
            found, told = usable(path)
            with RunReader.open(path) as run:
                run.snapshots()
        except RunFileError:
            harmful += 1
        else:
            harmful += found != [12, 8, 4, 0]
            assert told or found == [12, 8, 4, 0]
    assert harmful > len(positions) // 20


def test_overwritten_blocks_never_give_wrong_bytes_and_are_resumed_or_refused(path: Path) -> None:
    content = path.read_bytes()
    refused = 0
    for start in range(0, len(content), 8192):
        for filler in (b"\0", b"\xff"):
            path.write_bytes(content[:start] + filler * 4096 + content[start + 4096 :])
            try:
                usable(path)
                resumed = RunWriter.resume(path)
            except RunFileError:
                refused += 1
                continue
            with resumed.writer as writer:
                assert resumed.digests == chain(TICKS)[-1][1]
                writer.append_snapshot(TICKS, resumed.digests, world(TICKS), images_at(TICKS))
            with RunReader.open(path) as run:
                assert_is_snapshot_at(run.snapshot(TICKS), TICKS)
    assert refused > 2


@given(st.lists(st.tuples(st.integers(0, 2**30), st.integers(0, 255)), min_size=1, max_size=3))
def test_whatever_is_damaged_a_file_is_refused_or_goes_on_soundly(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, int]]
) -> None:
    path = tmp_path_factory.mktemp("journal") / "run.tick"
    write_with_snapshots(path, TICKS, AT)
    content = bytearray(path.read_bytes())
    # Most of a small file is zeros, where nothing is.
    places = [place for place, byte in enumerate(content) if byte]
    for place, byte in changes:
        content[places[place % len(places)]] = byte
    path.write_bytes(content)
    with contextlib.suppress(RunFileError):
        usable(path)
    try:
        resumed = RunWriter.resume(path)
    except RunFileError:
        assert path.read_bytes() == content
        return
    with resumed.writer as writer:
        assert (resumed.next_tick, resumed.digests) == (TICKS, chain(TICKS)[-1][1])
        writer.append_snapshot(TICKS, resumed.digests, world(TICKS), images_at(TICKS))
        writer.retain(KeepLast(2))
        writer.retain(Thin(1))
    with RunReader.open(path) as run:
        assert_is_snapshot_at(run.snapshot(TICKS), TICKS)


def test_an_index_that_is_wrong_is_made_again(path: Path) -> None:
    digest = page_hash(images_at(12)[1][1].memories[0].pages[2])
    content = path.read_bytes()
    in_table, in_index = (at.start() for at in re.finditer(re.escape(digest), content))
    for place, mended in ((in_index, [12, 8, 4, 0]), (in_table, [12, 8, 4, 0])):
        damaged = bytearray(content)
        damaged[place + 5] ^= 1
        path.write_bytes(damaged)
        resumed = RunWriter.resume(path)
        with resumed.writer as writer:
            writer.append_snapshot(TICKS, resumed.digests, world(TICKS), images_at(TICKS))
        assert usable(path) == (mended, [])
        with contextlib.closing(sqlite3.connect(path)) as database:
            assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_a_snapshot_that_replaces_one_keeps_what_both_use_although_others_are_damaged(path: Path) -> None:
    agents = "SELECT agents FROM snapshot WHERE tick = 12"
    with RunReader.open(path) as run:
        rows = dict(unpack_agents(run._database.execute(agents).fetchone()[0]))
    edit(path, f"UPDATE image SET bytes = x'00' WHERE id = {rows[0]}")
    resumed = RunWriter.resume(path)
    with resumed.writer as writer:
        writer.append_snapshot(TICKS, resumed.digests, world(TICKS), images_at(TICKS))
        writer.retain(KeepLast(3))
        writer.append_snapshot(TICKS, resumed.digests, world(TICKS), images_at(TICKS))
    assert usable(path) == ([12, 8, 4], [])


def page_of(path: Path, agent: int, number: int, tick: int) -> int:
    """The row of a page."""
    with RunReader.open(path) as run:
        (agents,) = run._database.execute("SELECT agents FROM snapshot WHERE tick = ?", (tick,)).fetchone()
        row = dict(unpack_agents(agents))[agent]
        (stored,) = run._database.execute("SELECT bytes FROM image WHERE id = ?", (row,)).fetchone()
        image = unpack_image(stored)
        return int(image.ids[0][image.numbers[0].index(number)])


def test_a_flipped_bit_in_a_page_names_tick_agent_and_page(path: Path) -> None:
    # Agent 2's page 7 is of this snapshot alone; 3 is shared by all agents and snapshots.
    packer = ImagePacker()
    for agent, number, bad in ((2, 7, [8]), (0, 3, [12, 8, 4, 0])):
        content = path.read_bytes()
        memory = images_at(8)[agent][1].memories[0]
        packed = packer.pack_page(memory.pages[memory.numbers.index(number)])
        at = content.index(packed)
        damaged = bytearray(content)
        damaged[at + len(packed) // 2] ^= 16
        path.write_bytes(damaged)
        found, told = usable(path)
        path.write_bytes(content)
        assert found == [tick for tick in (12, 8, 4, 0) if tick not in bad]
        expected = (
            f"the snapshot of tick {bad[0]} is damaged: agent {agent} (a{agent}): page {number} of memory 0"
        )
        assert expected in told[0]


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        (
            "UPDATE page SET bytes = x'00' WHERE id = {page}",
            "page 7 of memory 0: its compressed form is broken",
        ),
        ("UPDATE page SET bytes = 5 WHERE id = {page}", "page 7 of memory 0: it is not a blob"),
        (
            "UPDATE page SET bytes = zeroblob(4096) WHERE id = {page}",
            "page 7 of memory 0 does not have its hash",
        ),
        ("DELETE FROM page WHERE id = {page}", "page 7 of memory 0 is missing"),
        ("DELETE FROM image WHERE id = {image}", r"agent 2 \(a2\): its image is missing"),
        ("UPDATE image SET bytes = x'00' WHERE id = {image}", r"agent 2 \(a2\): its image: its compressed"),
        ("UPDATE image SET hash = zeroblob(32) WHERE id = {image}", "do not have its state digest"),
        ("UPDATE image SET hash = x'00' WHERE id = {image}", "digest is not 32 bytes"),
        ("UPDATE snapshot SET world = x'00' WHERE tick = 8", "its world: its compressed form is broken"),
        (
            "UPDATE snapshot SET world = (SELECT world FROM snapshot WHERE tick = 4) WHERE tick = 8",
            "state digest",
        ),
        (
            "UPDATE snapshot SET agents = x'00' WHERE tick = 8",
            "its list of agents: its compressed form is broken",
        ),
        ("UPDATE snapshot SET state = zeroblob(32) WHERE tick = 8", "do not have its state digest"),
        ("UPDATE snapshot SET state = 'x' WHERE tick = 8", "one of its digests is not 32 bytes"),
        ("UPDATE snapshot SET exact = zeroblob(32) WHERE tick = 8", "not those of the entry before it"),
        ("UPDATE entry SET digest = zeroblob(32) WHERE tick = 7", "not those of the entry before it"),
    ],
)
def test_a_planted_change_is_named_and_the_other_snapshots_stay_usable(
    path: Path, statement: str, words: str
) -> None:
    page = page_of(path, 2, 7, 8)
    with RunReader.open(path) as run:
        (agents,) = run._database.execute("SELECT agents FROM snapshot WHERE tick = 8").fetchone()
    edit(path, statement.format(page=page, image=dict(unpack_agents(agents))[2]))
    with RunReader.open(path) as run:
        with pytest.raises(RunFileError, match=words) as caught:
            run.snapshot(8)
        assert f"{path}: the snapshot of tick 8 is damaged" in str(caught.value)
        assert [info.tick for info in run.snapshots()] == [0, 4, 8, 12]
    assert usable(path)[0] == [12, 4, 0]


def test_sizes_are_listed_although_columns_are_of_other_kinds(path: Path) -> None:
    edit(
        path,
        "UPDATE snapshot SET world = 5, agents = 7 WHERE tick = 4",
        "UPDATE image SET bytes = 1.5",
        "UPDATE page SET bytes = 'text'",
    )
    with RunReader.open(path) as run:
        infos = run.snapshots()
    assert [info.tick for info in infos] == [0, 4, 8, 12]
    assert all(info.damage for info in infos)


def test_damage_to_one_agent_is_no_damage_to_the_others(path: Path) -> None:
    edit(path, f"DELETE FROM page WHERE id = {page_of(path, 2, 7, 8)}")
    with RunReader.open(path) as run:
        for agent in (0, 1, 3):
            assert run.snapshot(8, [agent]).images == {agent: images_at(8)[agent][1]}
        assert [one.tick for one in run.usable_snapshots(agents=[1])] == [12, 8, 4, 0]


def test_a_page_that_two_memories_swap_is_told(path: Path) -> None:
    first, second = page_of(path, 2, 7, 8), page_of(path, 3, 7, 8)
    edit(
        path,
        f"UPDATE page SET hash = x'00' WHERE id = {first}",
        f"UPDATE page SET bytes = (SELECT bytes FROM page WHERE id = {second}) WHERE id = {first}",
    )
    assert usable(path)[0] == [12, 4, 0]


def test_a_snapshot_taken_again_mends_the_pages_that_it_meets(path: Path) -> None:
    edit(
        path,
        "UPDATE page SET bytes = zeroblob(4096)",
        "UPDATE image SET bytes = x'00'",
    )
    assert usable(path)[0] == []
    resumed = RunWriter.resume(path)
    with resumed.writer as writer:
        writer.append_snapshot(TICKS, resumed.digests, world(TICKS), images_at(TICKS))
    found, told = usable(path)
    assert found == [12]
    assert len(told) == 3
    with RunReader.open(path) as run:
        assert verify(run) is None


def test_frames_that_claim_huge_sizes_are_damage(path: Path) -> None:
    bomb = b"\x28\xb5\x2f\xfd\xe0" + (2**40).to_bytes(8, "little")
    assert zstandard.frame_content_size(bomb) == 2**40
    with pytest.raises(Damage, match="page's size"):
        ImageUnpacker().unpack_page(bomb)
    with pytest.raises(Damage, match=f"at most {REST_BYTES_MAX}"):
        unpack_image(bomb)
    edit(path, f"UPDATE snapshot SET world = x'{bomb.hex()}' WHERE tick = 4")
    with RunReader.open(path) as run, pytest.raises(RunFileError, match=f"at most {WORLD_BYTES_MAX}"):
        run.snapshot(4)


# The codec alone.


@given(st.binary(max_size=300))
def test_random_rows_are_damage(stored: bytes) -> None:
    for unpack in (ImageUnpacker().unpack_page, unpack_image, unpack_agents):
        with pytest.raises(Damage):
            unpack(stored)


@given(st.data())
def test_mutated_images_unpack_or_are_damage(data: st.DataObject) -> None:
    image = images_at(3)[1][1]
    packed = ImagePacker().pack_image(image, [list(range(1, 7))])
    rest = bytearray(zstandard.ZstdDecompressor().decompress(packed))
    for _ in range(data.draw(st.integers(1, 3))):
        rest[data.draw(st.integers(0, len(rest) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = unpack_image(zstandard.ZstdCompressor().compress(bytes(rest)))
    except Damage:
        return
    assert len(found.page_ids) == sum(map(len, found.numbers))
    for numbers, memory in zip(found.numbers, found.rest.memories, strict=True):
        assert list(numbers) == sorted(set(numbers))
        assert all(0 <= number < memory.size // PAGE_BYTES for number in numbers)


@pytest.mark.parametrize("pairs", [((1, 1), (0, 1)), ((1, 1), (1, 2)), ((0, 0),), ((-1, 1),), ((0, -4),)])
def test_impossible_lists_of_agents_are_damage(pairs: tuple[tuple[int, int], ...]) -> None:
    with pytest.raises(Damage, match="out of order, or have impossible images"):
        unpack_agents(pack_agents(pairs))
