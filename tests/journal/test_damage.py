"""A damaged or foreign file gives a clear error or names the first bad tick; never wrong bytes or a crash."""

import os
import sqlite3
from pathlib import Path

import msgspec
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from journal_samples import CODE, MODULES, chain, header, tick_bytes, write

from tickwork.core.digest import content_hash
from tickwork.core.errors import HostError, RunFileError
from tickwork.journal.codec import (
    ENTRY_BYTES_MAX,
    Damage,
    EntryPacker,
    decode,
    pack_module,
    unpack_entry,
    unpack_module,
)
from tickwork.journal.header import KEY_CHECK, check_value
from tickwork.journal.reader import RunReader, StoredEntry
from tickwork.journal.verify import verify
from tickwork.journal.writer import RunWriter

TICKS = 30


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "run.tick"
    write(path, TICKS)
    return path


def edit(path: Path, *statements: str) -> None:
    database = sqlite3.connect(path, isolation_level=None)
    for statement in statements:
        database.execute(statement)
    database.close()


def read_all(path: Path) -> tuple[list[StoredEntry], bool]:
    """All that a reader gives, and whether anything told that the file is not as written."""
    try:
        with RunReader.open(path) as run:
            entries = list(run.entries())
            fault = verify(run)
            told = fault is not None or run.last_tick != TICKS - 1
            # SQLite checks a page when it first reads it; a second pass may succeed where the first did not.
            told = told or any(stored.damage for stored in entries)
            for name in MODULES:
                try:
                    assert run.module(name) == CODE
                except RunFileError:
                    told = True
            assert run.header == header()
            assert run.status == "finished"
            return entries, told
    except RunFileError:
        return [], True


def assert_told_or_unharmed(path: Path) -> bool:
    """Return whether the damage was noticed; fail if it was not and the content differs."""
    entries, told = read_all(path)
    if not told:
        found = [(stored.tick, stored.digests, stored.entry, stored.fuel) for stored in entries]
        assert found == chain(TICKS)
    return told


def test_an_untouched_file_is_not_accused(path: Path) -> None:
    assert not assert_told_or_unharmed(path)


def test_flipped_bits_anywhere_are_told_or_harmless(path: Path) -> None:
    content = path.read_bytes()
    harmful = 0
    positions = [*range(100), *range(100, len(content), 293)]
    for position in positions:
        damaged = bytearray(content)
        damaged[position] ^= 1 << position % 8
        path.write_bytes(damaged)
        harmful += assert_told_or_unharmed(path)
    assert harmful > len(positions) // 20


def test_a_flipped_bit_in_any_entry_names_its_tick(path: Path) -> None:
    packer = EntryPacker()
    content = path.read_bytes()
    for tick in range(TICKS):
        body = packer.pack(*tick_bytes(tick))
        start = content.index(body)
        damaged = bytearray(content)
        damaged[start + len(body) // 2] ^= 4
        path.write_bytes(damaged)
        with RunReader.open(path) as run:
            bad = [stored.tick for stored in run.entries() if stored.damage]
            assert bad == [tick]
            fault = verify(run)
            assert fault is not None
            assert fault.tick == tick


def test_overwritten_pages_are_told(path: Path) -> None:
    content = path.read_bytes()
    for start in range(0, len(content), 4096):
        for filler in (b"\0", b"\xff", b"\x0d\x00"):
            block = (filler * 4096)[:4096]
            path.write_bytes(content[:start] + block + content[start + 4096 :])
            assert_told_or_unharmed(path)


def test_every_truncation_is_told(path: Path) -> None:
    content = path.read_bytes()
    for size in [*range(1, 200, 7), *range(200, len(content), 1999), len(content) - 1]:
        path.write_bytes(content[:size])
        with pytest.raises(RunFileError) as caught:
            RunReader.open(path)
        assert str(path) in str(caught.value)


@pytest.mark.parametrize("tick", [0, 11, TICKS - 1])
def test_a_dropped_entry_is_named(path: Path, tick: int) -> None:
    edit(path, f"DELETE FROM entry WHERE tick = {tick}")
    with RunReader.open(path) as run:
        damage = [(stored.tick, stored.damage) for stored in run.entries() if stored.damage]
        assert damage == [(tick, f"the entry of tick {tick} is missing")]
        assert verify(run) is not None


def test_a_gap_is_one_piece_of_damage(path: Path) -> None:
    edit(path, "DELETE FROM entry WHERE tick BETWEEN 5 AND 9")
    with RunReader.open(path) as run:
        found = [(stored.tick, stored.damage) for stored in run.entries()]
    assert [tick for tick, _ in found] == [0, 1, 2, 3, 4, 5, *range(10, TICKS)]
    assert found[5][1] == "the entries of ticks 5 to 9 are missing"


@pytest.mark.parametrize(
    ("statement", "tick", "reason"),
    [
        ("UPDATE entry SET body = 'text' WHERE tick = 3", 3, "compressed form is broken"),
        ("UPDATE entry SET body = 17 WHERE tick = 3", 3, "not a blob"),
        ("UPDATE entry SET body = x'' WHERE tick = 3", 3, "compressed form is broken"),
        ("UPDATE entry SET body = (SELECT body FROM entry WHERE tick = 4) WHERE tick = 3", 3, "is of tick 4"),
        ("UPDATE entry SET digest = x'00' WHERE tick = 3", 3, "digest is not 32 bytes"),
        ("UPDATE entry SET exact = 1.5 WHERE tick = 3", 3, "exact digest is not 32 bytes"),
        ("UPDATE entry SET digest = zeroblob(32) WHERE tick = 3", 3, "bytes do not have its digest"),
        ("UPDATE entry SET exact = zeroblob(32) WHERE tick = 3", 3, "exact digest"),
        ("UPDATE entry SET tick = -1 WHERE tick = 3", 0, "out of order"),
        ("UPDATE entry SET tick = 9223372036854775807 WHERE tick = 3", 3, "missing"),
        (
            f"INSERT INTO entry SELECT {TICKS}, digest, exact, body FROM entry WHERE tick = 3",
            TICKS,
            "is of tick 3",
        ),
    ],
)
def test_a_planted_change_is_named_by_its_first_tick(
    path: Path, statement: str, tick: int, reason: str
) -> None:
    edit(path, statement)
    with RunReader.open(path) as run:
        fault = verify(run)
    assert fault is not None
    assert fault.tick == tick
    assert reason in fault.reason


def test_an_entry_that_claims_a_huge_size_is_damage(path: Path) -> None:
    # A frame header that claims 2^40 bytes, without content.
    bomb = b"\x28\xb5\x2f\xfd\xe0" + (2**40).to_bytes(8, "little")
    assert zstandard.frame_content_size(bomb) == 2**40
    edit(path, f"UPDATE entry SET body = x'{bomb.hex()}' WHERE tick = 6")
    with RunReader.open(path) as run:
        damage = [stored.damage for stored in run.entries() if stored.damage]
    assert damage == [f"its compressed form claims {2**40} bytes; at most {ENTRY_BYTES_MAX} are accepted"]


def test_a_changed_module_is_reported_by_its_name(path: Path) -> None:
    other = pack_module(b"other")
    edit(path, f"UPDATE module SET bytes = x'{other.hex()}'")
    with RunReader.open(path) as run:
        assert run.modules == (content_hash(CODE),)
        with pytest.raises(RunFileError, match=f"module {content_hash(CODE)} was changed"):
            run.module(content_hash(CODE))


# The head of the file.


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("PRAGMA user_version = 3", r"made by a newer tickwork \(format 3; this one knows 2\); upgrade"),
        ("PRAGMA user_version = 0", "damaged"),
        ("PRAGMA user_version = -1", "damaged"),
        ("PRAGMA application_id = 0", "an SQLite database, but not a tickwork run file"),
        ("DROP TABLE entry", "its tables are not those of a run file"),
        ("CREATE VIEW extra AS SELECT 1", "its tables are not those of a run file"),
        ("CREATE TRIGGER x AFTER INSERT ON run BEGIN SELECT 1; END", "its tables are not"),
        ("ALTER TABLE entry ADD COLUMN more", "its tables are not those of a run file"),
        ("DELETE FROM run", "its checksum does not match"),
        ("DELETE FROM run WHERE key = 'engine'", "its checksum does not match"),
        ("UPDATE run SET value = 'other' WHERE key = 'engine'", "its checksum does not match"),
        ("UPDATE run SET value = CAST(x'ff' AS TEXT) WHERE key = 'engine'", "damaged"),
        ("UPDATE run SET value = 1.5 WHERE key = 'check'", "its checksum does not match"),
        ("UPDATE run SET key = x'ff00' WHERE key = 'engine'", "damaged"),
        ("UPDATE run SET value = zeroblob(300000000) WHERE key = 'engine'", "its header is too large"),
    ],
)
def test_a_wrong_head_is_refused(path: Path, statement: str, words: str) -> None:
    edit(path, statement)
    with pytest.raises(RunFileError, match=words) as caught:
        RunReader.open(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("spec", b"\xc1", "header"),
        ("spec", b"\x80", "header"),
        ("spec", "text", "header"),
        ("engine", None, "missing required field `engine`"),
        ("format", "one", "format"),
        ("run", "00" * 32, "the run's id is not that of its specification"),
        ("end", b"\x90", "header"),
        ("end", msgspec.msgpack.encode(["x", -1, b"", b""]), "not a possible one"),
        ("end", 3, "the end is not a blob"),
    ],
)
def test_a_head_with_a_valid_checksum_is_still_checked(
    path: Path, key: str, value: object, words: str
) -> None:
    database = sqlite3.connect(path, isolation_level=None)
    rows = dict(database.execute("SELECT key, value FROM run"))
    rows[key] = value
    if value is None:
        del rows[key]
    rows[KEY_CHECK] = check_value(rows)
    database.execute("DELETE FROM run")
    database.executemany("INSERT INTO run VALUES (?, ?)", rows.items())
    database.close()
    with pytest.raises(RunFileError, match=words):
        RunReader.open(path)


def test_what_is_not_a_run_file_is_named_as_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("a note\n" * 1000)
    (tmp_path / "short").write_text("a")
    (tmp_path / "empty").write_text("")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    edit(tmp_path / "foreign", "CREATE TABLE t (x)")
    for name, words in (
        ("text", "not a run file"),
        ("short", "not a run file"),
        ("empty", "is empty"),
        ("fifo", "not a regular file"),
        ("absent", "no such file"),
        ("dangling", "no such file"),
        ("foreign", "not a tickwork run file"),
        ("text/below", "cannot be opened"),
        ("nul\0", "cannot be opened"),
        (".", "is a directory"),
    ):
        with pytest.raises(RunFileError, match=words) as caught:
            RunReader.open(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value)


def test_odd_file_names_are_only_names(tmp_path: Path) -> None:
    for name in ("a?mode=rwc", "a#b", "a%20b", "é'\"; --", ":memory:"):
        write(tmp_path / name, 2)
        with RunReader.open(tmp_path / name) as run:
            assert verify(run) is None


# The codec alone.


@given(st.binary(max_size=400))
def test_random_bodies_are_damage(body: bytes) -> None:
    with pytest.raises(Damage):
        unpack_entry(body)
    with pytest.raises(Damage):
        unpack_module(body)


@given(st.binary(max_size=60))
def test_random_frames_unpack_to_their_parts_or_are_damage(content: bytes) -> None:
    frame = zstandard.ZstdCompressor().compress(content)
    try:
        entry, fuel = unpack_entry(frame)
    except Damage:
        return
    assert len(entry).to_bytes(4, "little") + entry + fuel == content


@given(st.binary(max_size=200), st.binary(max_size=20))
def test_random_parts_decode_or_name_the_tick(entry: bytes, fuel: bytes) -> None:
    with pytest.raises(RunFileError, match="the entry of tick 5 is damaged"):
        decode(5, entry, fuel)


@given(st.data())
def test_mutated_entries_decode_or_name_the_tick(data: st.DataObject) -> None:
    entry, fuel = (bytearray(part) for part in tick_bytes(5))
    part = data.draw(st.sampled_from([entry, fuel]))
    for _ in range(data.draw(st.integers(1, 3))):
        part[data.draw(st.integers(0, len(part) - 1))] = data.draw(st.integers(0, 255))
    try:
        decoded, used = decode(5, bytes(entry), bytes(fuel))
    except RunFileError as error:
        told = str(error)
    else:
        told = f"tick {decoded.tick}"
        assert len(used.used) == len(decoded.turns)
    assert "tick 5" in told


def test_an_entry_beyond_the_format_is_refused_when_it_is_appended(tmp_path: Path) -> None:
    (first, *_) = chain(1)
    with RunWriter.create(tmp_path / "run.tick", header(), MODULES) as writer:
        with pytest.raises(HostError, match=r"the entry of tick 0 takes .* more than .*lower"):
            writer.append(first[0], first[1], bytes(ENTRY_BYTES_MAX), b"")
        writer.append(*first)
