import os
from pathlib import Path

import pytest
from planted_systems import SYSTEMS, checks_of, is_slow, planted, twin

from tickwork.exploration.hunt import Wishes, hunt
from tickwork.exploration.reproduce import check_file
from tickwork.testing import assert_replays

# As many as `make soak` asks for; otherwise so many that the tests stay short.
SEEDS = int(os.environ.get("TICKWORK_EXPLORE_SEEDS", "0"))
SHRINK_S = 10.0


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_planted_bug_is_found_shrunk_and_recorded(name: str, tmp_path: Path) -> None:
    checks = checks_of(name)
    hunted = hunt(planted(name), Wishes(seeds=2000, checks=checks, jobs=1), tmp_path)
    (found,) = hunted.reported
    assert found.shrunk is not None
    assert found.file is not None
    assert found.story is not None
    assert len(found.shrunk.case.faults) <= 3
    assert hunted.shrink_s < SHRINK_S
    assert found.failure.check in found.story.read_text()
    assert_replays(found.file)
    assert check_file(found.file, checks).failure == found.failure


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_correct_twin_stays_silent(name: str, tmp_path: Path) -> None:
    seeds = SEEDS or (40 if is_slow(name) else 300)
    hunted = hunt(twin(name), Wishes(seeds=seeds, checks=checks_of(name), jobs=1), tmp_path)
    assert hunted.campaign.findings == {}
    assert hunted.campaign.cases == seeds
    assert len(hunted.campaign.behaviours) > 5, "hardly anything was tried"
