"""Entries reach the file in the background: in order, within bounds, and with their errors."""

import contextlib
import resource
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from blake3 import blake3
from journal_samples import MODULES, chain, header

from tickwork.core.errors import HostError
from tickwork.journal import appender
from tickwork.journal.reader import RunReader
from tickwork.journal.verify import verify
from tickwork.journal.writer import RunWriter


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "tickwork journal"]


def test_a_requested_commit_comes_without_waiting_for_it(tmp_path: Path) -> None:
    with RunWriter.create(tmp_path / "run.tick", header(), MODULES) as writer:
        for row in chain(30):
            writer.append(*row)
        writer.request_commit()
        while writer.committed < 30:
            threading.Event().wait(0.001)
        with RunReader.open(tmp_path / "run.tick") as run:
            assert run.last_tick == 29
    assert threads() == []


def test_a_writer_that_appends_nothing_starts_no_thread(tmp_path: Path) -> None:
    with RunWriter.create(tmp_path / "run.tick", header(), MODULES) as writer:
        writer.commit()
        assert threads() == []
    with RunWriter.create(tmp_path / "each.tick", header(), MODULES, durability="tick") as writer:
        for row in chain(3):
            writer.append(*row)
            assert writer.committed == row[0] + 1
        assert threads() == []


def test_ticks_are_never_further_ahead_than_the_backlog_allows(tmp_path: Path) -> None:
    noise = blake3(b"noise").digest(length=1 << 20)
    digests = chain(1)[0][1]
    largest = 0
    with RunWriter.create(tmp_path / "run.tick", header(), MODULES) as writer:
        for tick in range(40):
            writer.append(tick, digests, noise, b"\x91\x90")
            largest = max(largest, writer.backlog_bytes)
    assert 0 < largest <= appender.BACKLOG_BYTES_MAX
    with RunReader.open(tmp_path / "run.tick") as run:
        assert [stored.entry for stored in run.entries()] == [noise] * 40


def test_it_does_not_show_which_thread_packed_an_entry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bodies = []
    for name, share in (("thread", appender.BACKLOG_BYTES_MAX), ("owner", -1)):
        monkeypatch.setattr(appender, "_SHARE_BYTES", share)
        path = tmp_path / f"{name}.tick"
        with RunWriter.create(path, header(), MODULES) as writer:
            for row in chain(100):
                writer.append(*row)
        with contextlib.closing(sqlite3.connect(path)) as database:
            bodies.append(database.execute("SELECT tick, body FROM entry ORDER BY tick").fetchall())
    assert len(bodies[0]) == 100
    assert bodies[0] == bodies[1]


_FULL = """
import resource, sys
from pathlib import Path
from journal_samples import MODULES, chain, header
from tickwork.core.errors import HostError
from tickwork.journal.writer import RunWriter
writer = RunWriter.create(Path(sys.argv[1]), header(), MODULES, window=64)
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
try:
    for row in chain(100_000):
        writer.append(*row)
    print("no error")
except HostError as error:
    print(error)
try:
    writer.append(*row)
except HostError as error:
    print("again:", error)
try:
    writer.close()
except HostError as error:
    print("closed:", error)
print(writer.committed)
"""


def test_a_full_disk_is_said_at_a_later_append_and_the_file_keeps_what_was_committed(tmp_path: Path) -> None:
    path = tmp_path / "run.tick"
    script = "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)" + _FULL
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)],
        env={"PYTHONPATH": str(Path(__file__).parent)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    first, again, *_, committed = done.stdout.splitlines()
    assert "writing failed" in first
    assert f"it holds the first {committed} ticks" in first
    assert "takes no more entries: writing failed" in again
    with RunReader.open(path) as run:
        assert verify(run) is None
        assert run.last_tick == int(committed) - 1
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY


def test_nothing_is_appended_out_of_order_or_after_the_close(tmp_path: Path) -> None:
    with RunWriter.create(tmp_path / "run.tick", header(), MODULES) as writer:
        writer.append(*chain(1)[0])
        with pytest.raises(ValueError, match="tick 5 was appended where tick 1 is next"):
            writer.append(5, *chain(1)[0][1:])
        writer.close()
        with pytest.raises(HostError, match="takes no more entries: it is closed"):
            writer.append(*chain(2)[1])
