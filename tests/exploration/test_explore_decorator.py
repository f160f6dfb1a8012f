"""`@tickwork.explore` as a test of somebody's project, by pytest and by hand."""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from planted_systems import PLANTED, planted, twin

import tickwork
from tickwork.core.errors import InputError
from tickwork.exploration.view import View
from tickwork.testing import assert_replays

CHECK = PLANTED / "double_charge" / "check.py"

TESTS = """
import tickwork


@tickwork.explore({folder!r}, seeds=200, check={check!r})
def test_orders_are_charged_once():
    raise RuntimeError("never reached: exploring fails before")


@tickwork.explore({folder!r}, seeds=20, faults="none")
def test_orders_are_charged(view):
    assert len(view.outputs("charges")) == 4


@tickwork.explore({folder!r}, seeds=5, faults="none")
def test_goes_on_when_nothing_failed():
    raise RuntimeError("reached")
"""


@pytest.fixture(autouse=True)
def _keep_findings_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what a failing test leaves for people be cleared away with the rest."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def test_pytest_shows_the_story_and_where_the_run_is(tmp_path: Path) -> None:
    (tmp_path / "test_shop.py").write_text(
        TESTS.format(folder=str(PLANTED / "double_charge"), check=str(CHECK))
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=short", "test_shop.py"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 1, done.stdout
    assert "2 failed, 1 passed" in done.stdout
    assert "invariant_an_order_is_charged_once failed in tick" in done.stdout
    assert "## What was broken" in done.stdout
    assert "never reached" not in done.stdout.replace('raise RuntimeError("never reached', "")
    assert "RuntimeError: reached" in done.stdout
    found = re.search(r"The run is in (\S+\.tick)", done.stdout)
    assert found
    assert_replays(found[1])


def test_a_function_that_takes_the_view_is_a_check() -> None:
    seen = []

    @tickwork.explore(twin("double_charge"), seeds=9)
    def test_all_is_charged(view: View) -> None:
        seen.append(view.ended)
        assert len(view.outputs("charges")) == 4

    test_all_is_charged()
    assert len(seen) >= 9
    assert all(seen)
    assert test_all_is_charged.__name__ == "test_all_is_charged"


def test_an_invariant_is_asked_in_every_tick() -> None:
    def invariant_young(view: View) -> None:
        assert view.tick < 3, "old"

    @tickwork.explore(planted("double_charge"), seeds=9, check=invariant_young)
    def test_it() -> None:
        raise RuntimeError

    with pytest.raises(AssertionError, match=r"(?s)invariant_young failed in tick 3: old.*The run is in"):
        test_it()


def test_checks_can_be_several() -> None:
    def goal_first(view: View) -> bool:
        return view.tick > 0

    def second(view: View) -> bool:
        return len(view.outputs("charges")) == 3

    @tickwork.explore(PLANTED / "double_charge", seeds=3, check=[goal_first, second], faults="none")
    def test_it() -> None: ...

    with pytest.raises(AssertionError, match="second failed in tick"):
        test_it()


def test_a_check_without_a_name_of_its_own_has_files_all_the_same() -> None:
    @tickwork.explore(PLANTED / "double_charge", seeds=1, check=lambda view: view.tick < 0)
    def test_it() -> None: ...

    with pytest.raises(AssertionError, match=r"(?s)<lambda> failed in tick.*The run is in \S+/lambda\.tick"):
        test_it()


def test_a_file_and_a_function_are_not_both_the_check() -> None:
    @tickwork.explore(PLANTED / "double_charge", check=CHECK)
    def test_it(view: View) -> bool:
        return bool(view)

    with pytest.raises(InputError, match="not both"):
        test_it()


def test_without_a_project_there_must_be_one_above() -> None:
    @tickwork.explore(seeds=1)
    def test_it() -> None: ...

    with pytest.raises(InputError, match=r"no tickwork.toml in the folders above test_explore_decorator.py"):
        test_it()
