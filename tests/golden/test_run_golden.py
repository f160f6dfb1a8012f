"""A run file as the first format had it, with what it said when it was made; it is never regenerated.

The run has inputs, timers, a spawn, outputs, denied and rejected effects, and two agents that fail. Whoever
has such a file must go on being able to open, inspect and replay it.
"""

import hashlib
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tickwork.journal.reader import RunReader
from tickwork.journal.verify import verify
from tickwork.runtime.replay import replay
from tickwork.runtime.views import VIEWS, Filter

FILE = Path(__file__).parent / "run-format-1.tick"
TOLD: dict[str, Any] = json.loads(FILE.with_suffix(".json").read_text())


def test_the_file_is_of_format_1():
    with closing(sqlite3.connect(f"{FILE.as_uri()}?mode=ro", uri=True)) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (1,)
    with RunReader.open(FILE) as run:
        assert run.header.format == 1


def test_it_opens_and_its_entries_verify():
    with RunReader.open(FILE) as run:
        assert run.header.run == TOLD["run"]
        assert run.status == TOLD["status"]
        assert run.end is not None
        assert run.end.ticks == TOLD["ticks"]
        found = [[stored.digests.digest.hex(), stored.digests.exact.hex()] for stored in run.entries()]
        assert found == TOLD["digests"]
        assert verify(run) is None


def test_it_replays_identically():
    result = replay(FILE)
    assert result.first_divergence is None
    assert result.identical
    assert result.ticks == TOLD["ticks"]
    assert result.digest == TOLD["digests"][-1][0]


def test_its_agents_are_shown_as_they_were():
    with RunReader.open(FILE) as run:
        assert list(VIEWS["agents"](run, Filter())) == TOLD["agents"]


@pytest.mark.parametrize("view", TOLD["counts"])
def test_every_view_shows_as_many_rows_as_it_did(view: str):
    with RunReader.open(FILE) as run:
        assert len(list(VIEWS[view](run, Filter()))) == TOLD["counts"][view]


def test_views_that_are_younger_than_the_file_show_it_too():
    with RunReader.open(FILE) as run:
        undelivered = sum(row["undelivered"] for row in VIEWS["ticks"](run, Filter()))
        assert len(list(VIEWS["undelivered"](run, Filter()))) == undelivered
        assert list(VIEWS["faults"](run, Filter())) == []


def test_reading_leaves_it_as_it_was():
    before = hashlib.sha256(FILE.read_bytes()).digest()
    with RunReader.open(FILE) as run:
        assert verify(run) is None
    assert hashlib.sha256(FILE.read_bytes()).digest() == before
    assert [found.name for found in FILE.parent.glob("run-format-1.tick*")] == [FILE.name]
