"""What can be done with a run file of the first format now that one can move around in runs."""

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tickwork.core.effects import Output
from tickwork.journal.reader import RunReader
from tickwork.journal.verify import verify
from tickwork.runtime.fork import fork
from tickwork.runtime.outputs import json_line
from tickwork.runtime.replay import replay
from tickwork.runtime.resume import resume
from tickwork.runtime.seek import Recording

FILE = Path(__file__).parent / "run-format-1.tick"
TOLD = json.loads(FILE.with_suffix(".json").read_text())
TICKS = TOLD["ticks"]


@pytest.fixture
def copy(tmp_path):
    return Path(shutil.copy(FILE, tmp_path / "old.tick"))


def format_of(path):
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database:
        return database.execute("PRAGMA user_version").fetchone()[0]


def digests_of(path):
    with RunReader.open(path) as reader:
        assert verify(reader) is None
        return [[one.digests.digest.hex(), one.digests.exact.hex()] for one in reader.entries()]


def test_it_is_looked_at_at_any_tick_and_stays_what_it_was(copy):
    with Recording.open(copy) as recording:
        for tick in range(TICKS + 1):
            moment = recording.at(tick)
            assert moment.tick == tick
            if tick:
                assert [moment.digests.digest.hex(), moment.digests.exact.hex()] == TOLD["digests"][tick - 1]
                assert moment.agent("tally").image().memories
        assert recording.reader.snapshots() == []
        stands = [[agent["id"], agent["status"], agent["reason"]] for agent in TOLD["agents"]]
        end = recording.at(TICKS)
        assert [[name, end.agent(name).status, end.agent(name).reason] for name in end.agents] == stands
    assert copy.read_bytes() == FILE.read_bytes()


def test_it_is_gone_on_with_and_becomes_a_file_of_this_format(copy):
    with resume(copy, ticks=4) as run:
        assert run.world.tick == TICKS
        run.run_to_end()
    assert format_of(copy) == 2
    found = digests_of(copy)
    assert found[:TICKS] == TOLD["digests"]
    assert len(found) == TICKS + 4
    assert replay(copy).identical
    with RunReader.open(copy) as reader:
        assert reader.header.format == 2
        assert reader.header.run == TOLD["run"]
    with resume(copy, ticks=1) as run:
        run.run_to_end()
    assert digests_of(copy)[: len(found)] == found


def test_going_on_leaves_it_as_it_was_until_there_is_something_new(copy):
    run = resume(copy, ticks=4)
    run.close()
    assert digests_of(copy) == TOLD["digests"]
    assert replay(copy).identical


def test_its_outputs_are_written_whole_when_it_is_gone_on_with(copy, tmp_path):
    report = tmp_path / "report.jsonl"
    with resume(copy, ticks=2, outputs={"report": str(report)}) as run:
        run.run_to_end()
    with RunReader.open(copy) as reader:
        lines = [
            json_line(effect.body)
            for one in reader.entries()
            for turn in one.decode()[0].turns
            for place, effect in enumerate(turn.effects)
            if isinstance(effect, Output)
            and effect.name == "report"
            and place not in {refusal.effect for refusal in turn.refusals}
        ]
    assert lines
    assert report.read_bytes().splitlines() == lines


@pytest.mark.parametrize("tick", [0, 1, 13, TICKS])
def test_it_is_forked(copy, tmp_path, tick):
    path = tmp_path / "fork.tick"
    fork(copy, path, tick)
    with resume(path, ticks=max(TICKS - tick, 1)) as run:
        run.run_to_end()
    assert digests_of(path)[: TICKS - tick] == TOLD["digests"][tick:]
    assert format_of(path) == 2
    assert format_of(copy) == 1
    assert copy.read_bytes() == FILE.read_bytes()
    assert replay(path).identical
