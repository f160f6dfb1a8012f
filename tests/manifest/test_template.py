"""The project that `tickwork new` makes is whole, valid and tested."""

import subprocess
import sys
from pathlib import Path

import pytest

from tickwork.core.errors import ManifestError
from tickwork.manifest.load import load_manifest
from tickwork.manifest.template import scaffold


def test_the_scaffold_is_a_valid_project_named_after_its_folder(tmp_path: Path) -> None:
    made = scaffold(tmp_path / "new" / "shop")
    assert all(path.is_file() for path in made)
    found = load_manifest(tmp_path / "new" / "shop")
    assert found.name == "shop"
    assert [agent.id for agent in found.agents] == ["till", "ledger"]
    assert all(Path(source.path or "").is_file() for source in found.inputs)
    assert "PROJECT-NAME" not in "".join(path.read_text() for path in made)


def test_the_scaffold_passes_its_own_tests_in_plain_python(tmp_path: Path) -> None:
    scaffold(tmp_path / "shop")
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-m", "unittest", "-v"],
        cwd=tmp_path / "shop",
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert "Ran 3 tests" in ran.stderr


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    assert scaffold(tmp_path / "shop")[0] == tmp_path / "shop" / "tickwork.toml"


def test_nothing_is_ever_overwritten(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "mine").write_text("precious")
    with pytest.raises(ManifestError, match="is not an empty directory; nothing was written"):
        scaffold(tmp_path / "shop")
    assert [path.name for path in (tmp_path / "shop").iterdir()] == ["mine"]
    with pytest.raises(ManifestError, match="is not an empty directory"):
        scaffold(tmp_path / "shop" / "mine")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a b", "'a b' may hold only letters"),
        ("tickwork", "is reserved"),
        ("x" * 200, "longer than 128 bytes"),
    ],
)
def test_a_folder_whose_name_no_run_can_have_is_refused(tmp_path: Path, name: str, words: str) -> None:
    with pytest.raises(ManifestError, match=words):
        scaffold(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file" / "shop", Path("/proc/shop"), tmp_path / "a\0b"):
        with pytest.raises(ManifestError, match=r"cannot be written|may hold only") as caught:
            scaffold(place)
        assert str(place) in str(caught.value)
