"""`--workers` as it is typed: it changes the speed of a run, and nothing else."""

import pytest

from shell_projects import echo_project, tickwork_here
from tickwork.pool.native import WORKERS_MAX


def test_no_number_of_workers_shows_in_a_run_or_its_replay(tmp_path):
    folder = echo_project(tmp_path / "p")
    results = []
    for workers in ("auto", "0", "1", "3"):
        file = tmp_path / f"{workers}.tick"
        run = tickwork_here("run", folder, "--out", file, "--workers", workers, "--force", "--json")
        assert (run.code, run.err) == (0, "")
        results.append((run.json["digest"], run.json["exact"], run.json["turns"]))
        for other in ("0", "2"):
            again = tickwork_here("replay", file, "--workers", other, "--json")
            assert again.json["identical"] is True
    assert len(set(results)) == 1


def test_a_run_goes_on_with_another_number_of_workers(tmp_path):
    folder = echo_project(tmp_path / "p")
    whole = tickwork_here(
        "run", folder, "--out", tmp_path / "whole.tick", "--ticks", "8", "--force", "--json"
    )
    file = tmp_path / "cut.tick"
    tickwork_here("run", folder, "--out", file, "--ticks", "3", "--workers", "2", "--force", "--json")
    resumed = tickwork_here("resume", file, "--ticks", "5", "--workers", "0", "--json")
    assert resumed.json["exact"] == whole.json["exact"]


@pytest.mark.parametrize("wrong", ["-1", "many", "1.5", str(WORKERS_MAX + 1), "٣"])
def test_what_is_no_number_of_workers_is_a_usage_error(tmp_path, wrong):
    done = tickwork_here("run", echo_project(tmp_path / "p"), f"--workers={wrong}")
    assert done.code == 2
    assert f"`auto` or a number from 0 to {WORKERS_MAX}" in done.err
    assert not list(tmp_path.glob("**/*.tick"))
