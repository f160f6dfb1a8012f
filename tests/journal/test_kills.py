"""Writers that are killed or run out of disk while they write snapshots leave files that are gone on with."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from journal_samples import MODULES, chain, header, tick_bytes
from snapshot_samples import images_at, world

from tickwork.journal.cursor import InputCursor
from tickwork.journal.reader import RunReader
from tickwork.journal.retention import Thin
from tickwork.journal.verify import verify
from tickwork.journal.writer import RunWriter

KILLS = int(os.environ.get("TICKWORK_KILLS", "30"))
_FOR_EVER = 10**9

# Goes on with the file: entries in small groups, a snapshot every few ticks, old ones removed. With a number
# of steps the process kills itself inside a statement, after so many steps of SQLite's.
_GO_ON = """
import os, signal, sys
from pathlib import Path
from journal_samples import tick_bytes
from snapshot_samples import images_at, world
from tickwork.core.digest import advance
from tickwork.journal.cursor import InputCursor
from tickwork.journal.retention import Thin
from tickwork.journal.writer import RunWriter
path, ticks, steps = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
resumed = RunWriter.resume(path, window=3)
writer, digests = resumed.writer, resumed.digests
count = 0
def step():
    global count
    count += 1
    if count == steps:
        os.kill(os.getpid(), signal.SIGKILL)
    return 0
if steps:
    writer._database.set_progress_handler(step, 50)
print(resumed.next_tick, flush=True)
for tick in range(resumed.next_tick, ticks):
    entry, fuel = tick_bytes(tick)
    digests = advance(digests, entry, fuel)
    writer.note_inputs({0: InputCursor(10 * (tick + 1), tick + 1, exhausted=False)})
    writer.append(tick, digests, entry, fuel)
    if tick % 4 == 3:
        writer.append_snapshot(tick + 1, digests, world(tick + 1), images_at(tick + 1))
        writer.retain(Thin(2))
writer.close()
print("done", flush=True)
"""


def child(script: str, path: Path, *arguments: object) -> "subprocess.Popen[str]":
    here = Path(__file__).parent
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(here), *sys.path])}
    return subprocess.Popen(
        [sys.executable, "-c", script, str(path), *map(str, arguments)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def assert_whole(path: Path, known: int = 0) -> int:
    """Fail unless all that the file has is what was written; return the tick that is next.

    The first `known` ticks are held against the chain only.
    """
    with RunReader.open(path) as run:
        found = list(run.entries())
        assert verify(run) is None
        assert [stored.tick for stored in found] == list(range(len(found)))
        for stored in found[known:]:
            assert (stored.entry, stored.fuel) == tick_bytes(stored.tick)
        snapshots = list(run.usable_snapshots(report=pytest.fail))
        for one in snapshots:
            assert one.digests == (found[one.tick - 1].digests if one.tick else header().start)
            assert (one.world, one.images) == (world(one.tick), dict(images_at(one.tick)))
        assert [info.damage for info in run.snapshots()] == [None] * len(snapshots)
        # Lines and the entries that they came to are committed together.
        reached = {0: InputCursor(10 * len(found), len(found), exhausted=False)}
        assert run.cursors() == (reached if found else {})
        return len(found)


def test_a_killed_run_is_gone_on_with_again_and_again(tmp_path: Path) -> None:
    path = tmp_path / "run.tick"
    draw = chain(KILLS)
    RunWriter.create(path, header(), MODULES).close()
    before = 0
    went_on = 0
    for kill in range(KILLS):
        # Every other one dies inside a statement, the others after some time.
        number = int.from_bytes(draw[kill][1].digest[:4], "little")
        steps = number % 4000 + 1 if kill % 2 else 0
        with child(_GO_ON, path, _FOR_EVER, steps) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            assert process.stdout.readline() == f"{before}\n", process.stderr.read()
            if not steps:
                threading.Event().wait(number % 50 / 1000)
                process.send_signal(signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL, process.stderr.read()
        after = assert_whole(path, before)
        assert after >= before
        went_on += after > before
        before = after
    assert went_on > KILLS // 3
    with child(_GO_ON, path, before + 9, 0) as process:
        out, errors = process.communicate()
    assert (out, errors) == (f"{before}\ndone\n", "")
    assert assert_whole(path) == before + 9


def test_a_log_torn_anywhere_leaves_the_commits_before(tmp_path: Path) -> None:
    path = tmp_path / "run.tick"
    commits = []
    with RunWriter.create(path, header(), MODULES, window=2) as writer:
        for row in chain(12):
            writer.note_inputs({0: InputCursor(10 * (row[0] + 1), row[0] + 1, exhausted=False)})
            writer.append(*row)
            if row[0] % 2 == 1:
                writer.commit()
            commits.append(writer.committed)
            if row[0] % 4 == 3:
                writer.append_snapshot(row[0] + 1, row[1], world(row[0] + 1), images_at(row[0] + 1))
        writer.commit()
        main, log = path.read_bytes(), Path(f"{path}-wal").read_bytes()
    torn = tmp_path / "torn.tick"
    found = set()
    for size in [*range(0, len(log), 7919), len(log) - 1, len(log)]:
        torn.write_bytes(main)
        Path(f"{torn}-wal").write_bytes(log[:size])
        found.add(assert_whole(torn))
        resumed = RunWriter.resume(torn)
        with resumed.writer as writer:
            for row in chain(12)[resumed.next_tick :]:
                writer.note_inputs({0: InputCursor(10 * (row[0] + 1), row[0] + 1, exhausted=False)})
                writer.append(*row)
        assert assert_whole(torn) == 12
    assert found == {0, *commits}


_FILL = """
import resource, sys
from pathlib import Path
from journal_samples import MODULES, chain, header
from snapshot_samples import images_at, world
from tickwork.core.errors import HostError
from tickwork.journal.cursor import InputCursor
from tickwork.journal.writer import RunWriter
path, limit = Path(sys.argv[1]), int(sys.argv[2])
writer = RunWriter.create(path, header(), MODULES, window=1)
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
doing = "entry"
try:
    for row in chain(5000):
        doing = "entry"
        writer.note_inputs({0: InputCursor(10 * (row[0] + 1), row[0] + 1, exhausted=False)})
        writer.append(*row)
        if row[0] % 3 == 2:
            doing = "snapshot"
            tick = row[0] + 1
            writer.append_snapshot(tick, row[1], world(tick), images_at(tick, agents=40, pages=30))
            writer.commit()
except HostError as error:
    print(doing)
    print(error)
    print(writer.committed)
    try:
        writer.retain(None)
    except HostError as again:
        print(again)
    writer.close()
"""


@pytest.mark.parametrize("limit", [1_500_000, 2_000_000])
def test_a_disk_full_during_a_snapshot_leaves_a_whole_file(tmp_path: Path, limit: int) -> None:
    path = tmp_path / "run.tick"
    with child(_FILL, path, limit) as process:
        out, errors = process.communicate()
    assert errors == ""
    doing, failure, committed, again = out.splitlines()
    assert doing == "snapshot"
    assert f"{path}: writing failed" in failure
    assert f"it holds the first {committed} ticks" in failure
    assert "takes no more entries" in again
    with RunReader.open(path) as run:
        assert verify(run) is None
        assert run.last_tick == int(committed) - 1
        for one in run.usable_snapshots(report=pytest.fail):
            assert one.images == dict(images_at(one.tick, agents=40, pages=30))
    resumed = RunWriter.resume(path)
    assert resumed.next_tick == int(committed)
    with resumed.writer as writer:
        writer.append(*chain(resumed.next_tick + 1)[-1])
    with RunReader.open(path) as run:
        assert verify(run) is None


_READ = """
import sys
from pathlib import Path
from journal_samples import chain
from snapshot_samples import assert_is_snapshot_at
from tickwork.journal.reader import RunReader
from tickwork.journal.verify import verify
rows = chain(400)
seen = 0
print("reading", flush=True)
while seen < 400:
    with RunReader.open(Path(sys.argv[1])) as run:
        found = [(stored.tick, stored.digests, stored.entry, stored.fuel) for stored in run.entries()]
        assert len(found) >= seen
        assert found == rows[:len(found)]
        seen = len(found)
        for one in run.usable_snapshots(report=sys.exit):
            assert_is_snapshot_at(one, one.tick)
            break
        for info in run.snapshots():
            assert info.damage is None
print("done", flush=True)
"""


def test_readers_beside_a_writer_see_whole_ticks_and_snapshots_only(tmp_path: Path) -> None:
    path = tmp_path / "run.tick"
    with RunWriter.create(path, header(), MODULES, window=2) as writer:
        readers = [child(_READ, path) for _ in range(2)]
        for reader in readers:
            assert reader.stdout is not None
            assert reader.stdout.readline() == "reading\n"
        for row in chain(400):
            writer.append(*row)
            if row[0] % 9 == 8:
                tick = row[0] + 1
                writer.append_snapshot(tick, row[1], world(tick), images_at(tick))
                writer.retain(Thin(2))
        writer.commit()
        for reader in readers:
            assert reader.communicate() == ("done\n", "")
