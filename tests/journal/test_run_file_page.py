"""The page on the run file shows the tables and numbers that the code has."""

from pathlib import Path

from journal_samples import header, write

from tickwork.journal.codec import ENTRY_BYTES_MAX, MODULE_BYTES_MAX
from tickwork.journal.header import KEY_CHECK, KEY_END
from tickwork.journal.resume import CHECKED_ENTRIES
from tickwork.journal.schema import APPLICATION_ID, FORMAT, TABLES
from tickwork.journal.snapshot_codec import WORLD_BYTES_MAX
from tickwork.journal.writer import WINDOW_ENTRIES
from tickwork.manifest.bounds import LIMIT_BOUNDS

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "run-file.md").read_text()


def test_the_tables_are_as_shown() -> None:
    for statement in TABLES.values():
        assert f"{statement};\n" in PAGE


def test_the_numbers_are_as_shown() -> None:
    assert f"0x{APPLICATION_ID:X}" in PAGE
    assert f"format {FORMAT}," in PAGE
    assert f"last {CHECKED_ENTRIES} entries" in PAGE
    assert f"after {WINDOW_ENTRIES} ticks" in PAGE
    assert ENTRY_BYTES_MAX == MODULE_BYTES_MAX == WORLD_BYTES_MAX == 256 * 2**20


def test_every_row_of_the_header_is_named() -> None:
    for key in (*header().__struct_fields__, KEY_CHECK, KEY_END):
        assert f"`{key}`" in PAGE


def test_what_a_manifest_allows_fits_the_file(tmp_path: Path) -> None:
    assert LIMIT_BOUNDS["module_bytes"][1] <= MODULE_BYTES_MAX
    assert LIMIT_BOUNDS["bytes_per_turn"][1] < ENTRY_BYTES_MAX
    write(tmp_path / "run.tick", 1)
    assert (tmp_path / "run.tick").stat().st_size < 250_000
