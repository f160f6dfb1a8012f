"""The triage example on a bad morning: its own file of faults, which it comes through."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from triage_files import EXAMPLE

from tickwork import load, record, replay
from tickwork.core.faults import kind_of
from tickwork.manifest.fault_plan import load_faults
from tickwork.runtime.seek import Recording

TICKETS = len((EXAMPLE / "tickets.jsonl").read_text("utf-8").splitlines())


@pytest.fixture(scope="module")
def morning(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run under faults: its report, and its run file."""
    folder = tmp_path_factory.mktemp("bad")
    outputs = {name: str(folder / f"{name}.jsonl") for name in ("report", "status")}
    project = replace(load(EXAMPLE), outputs=outputs)
    project = project.with_faults(load_faults(EXAMPLE / "faults.toml", project.spec))
    with record(project, folder / "bad.tick") as run:
        assert run.run_to_end() == "idle"
        assert run.tally.failed == []
    return folder


def test_every_ticket_is_accounted_for_and_no_incident_stays_open(morning: Path) -> None:
    summary = json.loads((morning / "report.jsonl").read_text("utf-8").splitlines()[0])
    settled = summary["incidents"] + summary["merged"] + sum(summary["returned"].values())
    assert summary["tickets"] == TICKETS == settled
    assert summary["unresolved"] == 0


def test_every_kind_of_fault_in_the_file_hits_and_the_run_replays(morning: Path) -> None:
    with Recording.open(morning / "bad.tick") as found:
        hit = Counter(
            kind_of(each.fault) for stored in found.reader.entries() for each in stored.decode()[0].faults
        )
    assert hit["pause"] > 25
    assert hit["lose-timer"] > 3
    assert hit["delay"] > 30
    assert replay(morning / "bad.tick").identical
