"""A campaign is a function of the project, its checks and its settings: not of processes or interruptions."""

import json
import sqlite3
from pathlib import Path

import pytest
from planted_systems import PLANTED, planted, twin

from tickwork.core.errors import InputError
from tickwork.exploration.campaign import Campaign
from tickwork.exploration.checks import Check
from tickwork.exploration.crew import LAG_CHUNKS
from tickwork.exploration.explorer import CHUNK_CASES
from tickwork.exploration.hunt import CAMPAIGN_NAME, Hunted, Wishes, hunt
from tickwork.exploration.plans import parse_mix

# More than 33 chunks, so that cases are varied from what others found.
CASES = 400


def cases_in(folder: Path) -> list[tuple[object, ...]]:
    with sqlite3.connect(folder / CAMPAIGN_NAME) as database:
        return database.execute("SELECT * FROM cases ORDER BY number").fetchall()


def features_in(folder: Path) -> list[tuple[object, ...]]:
    with sqlite3.connect(folder / CAMPAIGN_NAME) as database:
        return database.execute("SELECT * FROM features ORDER BY feature").fetchall()


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A campaign of one process, from beginning to end."""
    folder = tmp_path_factory.mktemp("whole")
    hunt(twin("leader_split"), Wishes(seeds=CASES, jobs=1), folder)
    return folder


def test_more_processes_explore_the_same_cases(whole: Path, tmp_path: Path) -> None:
    hunted = hunt(twin("leader_split"), Wishes(seeds=CASES, jobs=3), tmp_path)
    assert hunted.ran == CASES
    assert cases_in(tmp_path) == cases_in(whole)
    assert features_in(tmp_path) == features_in(whole)


def test_cases_are_varied_from_those_that_showed_something_new(whole: Path) -> None:
    rows = [
        (row[0], {json.dumps(fault) for fault in json.loads(str(row[2]))}, row[7]) for row in cases_in(whole)
    ]
    inherited = 0
    for number, faults, _ in rows[300:]:
        chunk = int(str(number)) // CHUNK_CASES
        parents = [
            known for at, known, kept in rows if kept and int(str(at)) // CHUNK_CASES < chunk - LAG_CHUNKS
        ]
        inherited += any(faults & known for known in parents)
    # Two draws are hardly ever the same of themselves.
    assert inherited > 15


@pytest.mark.parametrize("at", [1, 8, 261])
def test_an_interrupted_campaign_goes_on_as_if_it_had_not_been(whole: Path, tmp_path: Path, at: int) -> None:
    asked = 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        return asked > at

    wishes = Wishes(seeds=CASES, jobs=1)
    first = hunt(twin("leader_split"), wishes, tmp_path, stop=stop)
    assert first.interrupted
    assert 0 < first.ran < CASES
    assert len(cases_in(tmp_path)) == first.ran
    second = hunt(twin("leader_split"), wishes, tmp_path, resume=True)
    assert first.ran + second.ran == CASES
    assert not second.interrupted
    assert cases_in(tmp_path) == cases_in(whole)
    assert features_in(tmp_path) == features_in(whole)


def test_a_finished_campaign_can_be_made_longer(tmp_path: Path, whole: Path) -> None:
    hunt(twin("leader_split"), Wishes(seeds=100, jobs=1), tmp_path)
    hunted = hunt(twin("leader_split"), Wishes(seeds=120, jobs=1), tmp_path, resume=True)
    assert hunted.ran == 20
    assert cases_in(tmp_path) == cases_in(whole)[:120]


@pytest.mark.parametrize(
    "wishes",
    [
        Wishes(ticks=20),
        Wishes(mix=parse_mix("drop")),
        Wishes(twice=True),
        Wishes(checks=PLANTED / "leader_split" / "check.py"),
    ],
)
def test_what_has_changed_cannot_be_resumed(tmp_path: Path, wishes: Wishes) -> None:
    hunt(twin("leader_split"), Wishes(seeds=1, jobs=1), tmp_path)
    with pytest.raises(InputError, match="is of another campaign"):
        hunt(twin("leader_split"), wishes, tmp_path, resume=True)
    with pytest.raises(InputError, match="is of another campaign"):
        hunt(planted("leader_split"), Wishes(), tmp_path, resume=True)


def test_a_campaign_is_not_overwritten_unasked(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no campaign to resume"):
        hunt(twin("leader_split"), Wishes(seeds=1, jobs=1), tmp_path, resume=True)
    hunt(twin("leader_split"), Wishes(seeds=3, jobs=1), tmp_path)
    with pytest.raises(InputError, match="has a campaign already"):
        hunt(twin("leader_split"), Wishes(seeds=1, jobs=1), tmp_path)
    assert len(cases_in(tmp_path)) == 3
    hunt(twin("leader_split"), Wishes(seeds=2, jobs=1), tmp_path, force=True)
    assert len(cases_in(tmp_path)) == 2


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE cases SET failed_check = 'a', failed_tick = 'b', failed_message = 3 WHERE number = 1",
        "INSERT INTO features VALUES ('x', 1)",
        "INSERT INTO features VALUES (X'00', 1)",
    ],
)
def test_a_campaign_of_other_values_is_refused(tmp_path: Path, damage: str) -> None:
    hunt(twin("leader_split"), Wishes(seeds=2, jobs=1), tmp_path)
    with sqlite3.connect(tmp_path / CAMPAIGN_NAME) as database:
        database.execute(damage)
    with pytest.raises(InputError, match="the campaign file is damaged"):
        hunt(twin("leader_split"), Wishes(seeds=2, jobs=1), tmp_path, resume=True)


def test_a_damaged_campaign_is_refused(tmp_path: Path) -> None:
    hunt(twin("leader_split"), Wishes(seeds=3, jobs=1), tmp_path)
    file = tmp_path / CAMPAIGN_NAME
    with sqlite3.connect(file) as database:
        database.execute("UPDATE cases SET faults = '[[\"drop\"]]' WHERE number = 1")
    with pytest.raises(InputError, match="the campaign file is damaged"):
        hunt(twin("leader_split"), Wishes(seeds=3, jobs=1), tmp_path, resume=True)
    file.write_bytes(b"SQLite format 3\0" + bytes(200))
    with pytest.raises(InputError, match="is no campaign file"):
        hunt(twin("leader_split"), Wishes(seeds=3, jobs=1), tmp_path, resume=True)
    file.unlink()
    with sqlite3.connect(file) as database:
        database.execute("CREATE TABLE t (x)")
    with pytest.raises(InputError, match="is no campaign file of this version"):
        hunt(twin("leader_split"), Wishes(seeds=3, jobs=1), tmp_path, resume=True)


def failing(folder: Path, *, go_on: bool) -> Hunted:
    def goal_nothing(view) -> bool:
        return not view.faults

    def goal_no_pause(view) -> bool:
        return all(type(one.fault).__name__ != "Pause" for _, one in view.faults)

    checks = tuple(Check(judge.__name__, goal=True, judge=judge) for judge in (goal_no_pause, goal_nothing))
    return hunt(twin("leader_split"), Wishes(seeds=60, checks=checks, go_on=go_on), folder)


def test_the_first_failure_ends_a_campaign_unless_it_is_to_go_on(tmp_path: Path) -> None:
    stopped = failing(tmp_path / "stopped", go_on=False)
    assert stopped.campaign.failures == 1
    (first,) = stopped.campaign.findings.values()
    assert stopped.campaign.cases == first.number + 1
    every = failing(tmp_path / "every", go_on=True)
    assert every.campaign.cases == 60
    assert every.campaign.failures > 10
    assert sorted(every.campaign.findings) == ["goal_no_pause", "goal_nothing"]
    assert {len(one.shrunk.case.faults) for one in every.reported if one.shrunk} == {1}
    assert cases_in(tmp_path / "every")[: first.number] == cases_in(tmp_path / "stopped")[: first.number]
    names = sorted(path.name for path in (tmp_path / "every").iterdir())
    assert names == [
        CAMPAIGN_NAME,
        *sorted(f"goal_{n}.{e}" for n in ("no_pause", "nothing") for e in ("md", "tick")),
    ]


def test_seeds_alone_can_be_explored(tmp_path: Path) -> None:
    hunted = hunt(twin("leader_split"), Wishes(seeds=30, jobs=1, mix=parse_mix("none")), tmp_path)
    assert hunted.campaign.cases == 30
    assert {row[2] for row in cases_in(tmp_path)} == {"[]"}
    assert [row[1] for row in cases_in(tmp_path)] == [str(seed) for seed in range(30)]


def test_an_empty_campaign_begins_with_the_project_as_it_is() -> None:
    (chunk,) = Campaign(7).chunks(5)
    assert (chunk.first, chunk.count, chunk.parent.seed, chunk.parent.faults) == (0, 5, 7, ())
