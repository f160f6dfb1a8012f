"""No file of a run is read and written, or written twice, under whatever names it is given."""

import os

import pytest

from tickwork.core.errors import InputError
from tickwork.core.spec import RunSpec
from tickwork.runtime.places import check_places
from tickwork.runtime.project import Project

SPEC = RunSpec("small", 0, 0, 1, "portable", ())


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a").write_text("a")
    (tmp_path / "linked").symlink_to("a")
    os.link(tmp_path / "a", tmp_path / "hard")
    (tmp_path / "dangling").symlink_to("new")
    (tmp_path / "folder").mkdir()
    return tmp_path


@pytest.mark.parametrize("one", ["a", "./a", "folder/../a", "linked", "hard"])
@pytest.mark.parametrize("other", ["a", "linked", "hard"])
def test_one_file_under_two_names_is_found(here, one, other):
    for inputs, outputs, file in (
        ({"i": one}, {"o": other}, "x"),
        ({"i": one}, {}, other),
        ({}, {"o": one}, other),
        ({}, {"o": one, "p": other}, "x"),
    ):
        with pytest.raises(InputError, match="are the same file"):
            check_places(Project(SPEC, {}, inputs, outputs), here / file)


@pytest.mark.parametrize(("one", "other"), [("new", "new"), ("new", "dangling"), ("folder/../new", "./new")])
def test_one_file_that_is_not_there_yet_is_found(here, one, other):
    with pytest.raises(InputError, match="output 'o' and the run file are the same file"):
        check_places(Project(SPEC, {}, {}, {"o": one}), here / other)


def test_files_of_their_own_streams_and_devices_are_fine(here):
    check_places(Project(SPEC, {}, {"i": "a", "j": "linked"}, {"o": "new"}), here / "x")
    check_places(Project(SPEC, {}, {"i": "-"}, {"o": "-", "p": "-"}), here / "x")
    check_places(Project(SPEC, {}, {"i": "/dev/null"}, {"o": "/dev/null", "p": "/dev/null"}), here / "x")


def test_only_one_input_reads_standard_input(here):
    with pytest.raises(InputError, match="input 'i' and input 'j' both want standard input"):
        check_places(Project(SPEC, {}, {"i": "-", "j": "-"}, {}), here / "x")
