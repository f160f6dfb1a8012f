"""Checks held against run files: of runs with models, of forks, and of files that do not replay."""

from pathlib import Path

from planted_systems import planted, twin

import tickwork
from asking import EVEN, agents, make
from shell_projects import echo_project, plant, tickwork_here
from tickwork.exploration.checks import Check, load_checks
from tickwork.exploration.reproduce import check_file
from tickwork.exploration.view import View

BALANCE = """
def invariant_the_balance_only_grows(view):
    numbers = [one.value for one in view.agent("account").metrics("balance")]
    assert numbers == sorted(numbers)


def goal_every_deposit_arrives(view):
    return view.agent("account").metric("balance") == 8
"""


def test_answers_of_models_are_seen_without_asking_any(tmp_path: Path) -> None:
    asking = make(tmp_path / "p", agents("quick", 2, every=2, times=3), EVEN)
    path = asking.run()
    # Not to be had any more: all that is needed is in the run file.
    (tmp_path / "p" / "tickwork.toml").unlink()
    seen: list[tuple[int, str]] = []

    def invariant_answers_come(view: View) -> None:
        seen.extend((view.tick, one.to) for one in view.messages if one.kind == "completion")

    found = check_file(path, (Check("invariant_answers_come", goal=False, judge=invariant_answers_come),))
    assert found.failure is None
    assert found.divergence is None
    told = {(each.tick, each.agent) for each in asking.of("reply")}
    assert set(seen) == told
    assert len(seen) == 6


def test_a_fork_is_checked_from_its_beginning_on(tmp_path: Path) -> None:
    (tmp_path / "check.py").write_text(BALANCE)
    checks = load_checks(tmp_path / "check.py")
    whole, later = tmp_path / "whole.tick", tmp_path / "later.tick"
    with tickwork.record(twin("duplicate_deposit"), whole) as run:
        run.run_to_end()
    tickwork.fork(whole, 5, later)
    with tickwork.resume(later) as run:
        run.run_to_end()
    for path, ticks in ((whole, 10), (later, 5)):
        found = check_file(path, checks)
        assert (found.failure, found.divergence) == (None, None)
        assert found.ticks == ticks


def test_a_run_that_was_cut_short_is_not_blamed_for_being_busy(tmp_path: Path) -> None:
    path = tmp_path / "x.tick"
    with tickwork.record(planted("duplicate_deposit"), path) as run:
        run.advance(4)
    assert check_file(path, ()).failure is None
    assert check_file(path, ()).ticks == 4


def test_what_does_not_replay_is_not_judged(tmp_path: Path) -> None:
    folder, file = echo_project(tmp_path / "p"), tmp_path / "x.tick"
    assert tickwork_here("run", folder, "--out", file).code == 0
    plant(file, 4)
    found = check_file(file, ())
    assert found.failure is None
    assert found.divergence is not None
    assert (found.ticks, found.divergence.tick) == (4, 4)
    (tmp_path / "check.py").write_text("def goal_never(view):\n    return False\n")
    done = tickwork_here("replay", file, "--check", tmp_path / "check.py", "--json")
    assert done.code == 1
    assert done.json["identical"] is False
    assert done.json["failure"] is None
