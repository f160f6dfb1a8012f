"""`tickwork snapshots` as it is typed, and what a manifest says of snapshots."""

import pytest

from shell_projects import echo_project, entries_of, tickwork, tickwork_here

FIELDS = ["tick", "agents", "own", "shared", "total", "damage"]


def run(folder, table="", **keys):
    """Run the echo project with a table in its manifest; return the run file."""
    file = folder.with_suffix(".tick")
    place = echo_project(folder, more=table, **keys)
    assert tickwork_here("run", place, "--out", file).code == 0
    return file


def listed(file, *options):
    done = tickwork_here("snapshots", file, "--json", *options)
    assert (done.code, done.err) == (0, "")
    return done.json


def ticks(file):
    return [row["tick"] for row in listed(file)["snapshots"]]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    return run(tmp_path_factory.mktemp("snapshots") / "p", "[snapshots]\nevery = 2\n")


def test_every_snapshot_is_listed_with_its_sizes(recorded):
    found = listed(recorded)
    assert found["file"] == str(recorded)
    assert found["bytes"] == recorded.stat().st_size
    rows = found["snapshots"]
    assert [row["tick"] for row in rows] == [2, 4, 6, 8, 10, 12]
    for row in rows:
        assert list(row) == FIELDS
        assert (row["agents"], row["damage"]) == (2, None)
        assert row["total"] == row["own"] + row["shared"]
        assert row["own"] > 0
    assert sum(row["own"] for row in rows) < found["bytes"]


def test_people_get_a_table(recorded):
    done = tickwork("snapshots", recorded)
    assert (done.code, done.err) == (0, "")
    header, *lines, total = done.out.splitlines()
    assert header.split() == FIELDS
    assert [line.split()[:2] for line in lines] == [[str(tick), "2"] for tick in (2, 4, 6, 8, 10, 12)]
    assert total == f"6 snapshots in a file of {recorded.stat().st_size} bytes"


@pytest.mark.parametrize(
    ("keep", "kept"),
    [("all", [2, 4, 6, 8, 10, 12]), ("2", [10, 12]), ("100", [2, 4, 6, 8, 10, 12]), ("1", [12])],
)
def test_what_a_policy_would_keep_is_said_and_nothing_is_changed(recorded, keep, kept):
    before = entries_of(recorded.parent)
    rows = listed(recorded, "--keep", keep)["snapshots"]
    assert [row["tick"] for row in rows if row["kept"]] == kept
    assert list(rows[0]) == [*FIELDS, "kept"]
    assert entries_of(recorded.parent) == before


def test_a_thinned_list_keeps_the_first_and_the_last(recorded):
    kept = [row["tick"] for row in listed(recorded, "--keep", "thin")["snapshots"] if row["kept"]]
    assert kept[0] == 2
    assert kept[-1] == 12


def test_the_beginning_of_a_fork_always_stays(recorded, tmp_path):
    out = tmp_path / "f.tick"
    assert tickwork_here("fork", recorded, "--at", 3, "--out", out).code == 0
    rows = {row["tick"]: row["kept"] for row in listed(out, "--keep", "1")["snapshots"]}
    assert rows[3] is True
    assert list(rows) == [3, 4, 6, 8, 10, 12]
    assert [tick for tick, kept in rows.items() if kept] == [3, 12]


@pytest.mark.parametrize("keep", ["0", "-1", "some", "1.5", ""])
def test_a_policy_that_is_none_is_refused(recorded, keep):
    done = tickwork_here("snapshots", recorded, f"--keep={keep}")
    assert done.code == 2
    assert f"snapshots can be kept: all, thin, or the last N from 1 on; not {keep!r}" in done.error


def test_a_run_without_snapshots_says_so(tmp_path):
    file = run(tmp_path / "p", '[snapshots]\nevery = "never"\n')
    done = tickwork_here("snapshots", file)
    assert (done.code, done.out, done.err) == (0, "", "there are no snapshots\n")
    assert listed(file)["snapshots"] == []


@pytest.mark.parametrize(
    ("table", "expected"),
    [("every = 5\n", [5, 10]), ("every = 3\nkeep = 2\n", [9, 12]), ("every = 100\n", [])],
)
def test_a_manifest_says_which_snapshots_there_are(tmp_path, table, expected):
    assert ticks(run(tmp_path / "p", f"[snapshots]\n{table}")) == expected


def test_no_digest_depends_on_snapshots_or_durability(tmp_path):
    digests = set()
    for number, (table, first) in enumerate(
        [("", ""), ("[snapshots]\nevery = 1\n", ""), ("", 'durability = "tick"'), ("", 'durability = "off"')]
    ):
        summary = tickwork_here("inspect", run(tmp_path / f"p{number}", table, run=first), "--json").json
        digests.add((summary["run"], summary["digest"], summary["exact"]))
    assert len(digests) == 1


def test_a_resumed_run_takes_snapshots_as_its_manifest_said(tmp_path):
    folder, file = echo_project(tmp_path / "p", more="[snapshots]\nevery = 4\n"), tmp_path / "x.tick"
    tickwork_here("run", folder, "--out", file, "--ticks", 5)
    assert ticks(file) == [4]
    assert tickwork_here("resume", file, "--ticks", 5).code == 0
    assert ticks(file) == [4, 8]


def test_what_is_no_run_file_is_one_message(tmp_path):
    done = tickwork_here("snapshots", tmp_path / "none.tick")
    assert done.code == 2
    assert "there is no such file" in done.error
