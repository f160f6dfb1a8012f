import os
import stat
from pathlib import Path

import pytest

from tickwork.core.errors import HostError
from tickwork.guest.cache import cache_dir, read_verified, write_atomic


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def test_the_cache_is_made_for_its_user_alone(base: Path) -> None:
    assert cache_dir() == base / "tickwork"
    assert stat.S_IMODE(cache_dir().stat().st_mode) == 0o700


@pytest.mark.parametrize("value", ["", "relative/path"])
def test_without_an_absolute_setting_the_cache_lies_in_the_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", value)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_dir() == tmp_path / ".cache" / "tickwork"


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o720])
def test_a_cache_that_others_may_write_to_is_refused(base: Path, mode: int) -> None:
    cache_dir().chmod(mode)
    with pytest.raises(HostError, match="chmod go-w") as error:
        cache_dir()
    assert str(base / "tickwork") in str(error.value)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
@pytest.mark.usefixtures("base")
def test_a_cache_of_another_user_is_refused() -> None:
    os.chown(cache_dir(), 12345, 12345)
    with pytest.raises(HostError, match="another user"):
        cache_dir()


def test_where_no_cache_can_be_made_a_temporary_one_serves(base: Path) -> None:
    (base / "tickwork").write_text("in the way")
    assert cache_dir().is_dir()
    assert cache_dir() == cache_dir()
    assert base not in cache_dir().parents


def test_what_was_written_is_read_back(base: Path) -> None:
    path = base / "a" / "b"
    for content in (b"", b"first", bytes(100_000)):
        write_atomic(path, content)
        assert read_verified(path) == content
    assert [found.name for found in path.parent.iterdir()] == ["b"]


def test_an_absent_file_reads_as_none(base: Path) -> None:
    assert read_verified(base / "absent") is None
    assert read_verified(base) is None


def test_any_damage_reads_as_absent(base: Path) -> None:
    path = base / "file"
    write_atomic(path, b"content")
    whole = path.read_bytes()
    damaged = [whole[:size] for size in range(len(whole))] + [whole + b"x"]
    for place in range(len(whole)):
        flipped = bytearray(whole)
        flipped[place] ^= 1
        damaged.append(bytes(flipped))
    for stored in damaged:
        path.write_bytes(stored)
        assert read_verified(path) is None


def test_a_failed_write_leaves_what_was_there(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = base / "file"
    write_atomic(path, b"old")

    def refuse(_self: Path, _target: Path) -> None:
        raise OSError("no")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(OSError, match="no"):
        write_atomic(path, b"new")
    assert read_verified(path) == b"old"
    assert list(base.iterdir()) == [path]
