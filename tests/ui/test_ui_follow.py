"""A run that is being written is followed, and does not notice."""

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any

import msgspec
import pytest
from viewer_runs import MODULES, plain_header, plain_ticks
from viewer_server import Server, all_read, viewer

from diff_runs import change
from shell_projects import SLOW, TICKER, entries_of, project
from tamper import tamper
from tickwork.core.entry import Entry, Fuel
from tickwork.core.errors import RunFileError
from tickwork.journal.reader import RunReader
from tickwork.journal.writer import RunWriter
from tickwork.runtime.clock import monotonic_s


@contextmanager
def recording(folder: Path, out: Path, *options: object) -> Iterator["subprocess.Popen[bytes]"]:
    """Record a run in a process of its own, until it ends or the block does."""
    command = [sys.executable, "-m", "tickwork", "run", str(folder), "--out", str(out), *map(str, options)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.wait(30)


def wait_for(path: Path) -> None:
    for _ in range(400):
        try:
            with RunReader.open(path) as reader:
                if reader.last_tick is not None:
                    return
        except RunFileError:
            pass  # it is only just being made
        Event().wait(0.05)
    pytest.fail(f"{path} never came")


def standings(served: Server, run: str) -> Iterator[Any]:
    with served.events("events", run=run) as events:
        for kind, standing in events:
            assert kind == "standing"
            yield standing


def test_every_committed_tick_is_told_within_a_second(tmp_path: Path) -> None:
    rows = list(plain_ticks(30))
    file = tmp_path / "live.tick"
    with RunWriter.create(file, plain_header(), MODULES) as writer:
        writer.append(*rows[0])
        writer.commit()
        with viewer(file) as served:
            heard = standings(served, "live.tick")
            assert next(heard)["end_tick"] == 1
            for number, row in enumerate(rows[1:6], start=1):
                writer.append(*row)
                writer.commit()
                begin = monotonic_s()
                standing = next(found for found in heard if found["end_tick"] == number + 1)
                assert monotonic_s() - begin < 1
                assert standing["status"] == "running"
            for row in rows[6:]:
                writer.append(*row)
            writer.finish("finished")
            ends = (found for found in heard if found["status"] == "finished" and found["indexed"] == 30)
            assert next(ends)["end_tick"] == 30


def test_a_run_is_followed_while_it_is_recorded(tmp_path: Path) -> None:
    made = project(tmp_path / "p", *SLOW)
    file = tmp_path / "live.tick"
    with recording(made, file, "--ticks", 20_000), viewer(tmp_path) as served:
        wait_for(file)
        seen = []
        for standing in standings(served, "live.tick"):
            seen.append(standing["end_tick"])
            if len(seen) == 6:
                break
        assert seen == sorted(seen)
        assert len(set(seen)) >= 5
        row = served.ask("runs")["runs"][0]
        assert (row["status"], row["error"]) == ("running", None)


def test_another_run_in_the_same_place_is_another_generation(tmp_path: Path) -> None:
    made = project(tmp_path / "p", *TICKER)
    file = tmp_path / "again.tick"
    with recording(made, file, "--ticks", 20) as process:
        assert process.wait(30) == 0
    with viewer(tmp_path) as served:
        heard = standings(served, "again.tick")
        first = next(found for found in heard if found["indexed"] == 20)
        with recording(made, file, "--ticks", 7, "--seed", 5, "--force") as process:
            assert process.wait(30) == 0
        second = next(found for found in heard if found["indexed"] == 7 and found["status"] == "ticks")
        assert second["generation"] > first["generation"]
        assert sum(served.ask("timeline", run="again.tick")["density"]["turns"]) == 7


def test_a_file_that_goes_and_comes_back_is_followed_again(tmp_path: Path, runs: Path) -> None:
    file = tmp_path / "moved.tick"
    shutil.copy(runs / "usual.tick", file)
    with viewer(tmp_path) as served:
        heard = standings(served, "moved.tick")
        assert next(heard)["error"] is None
        file.rename(tmp_path / "elsewhere")
        assert next(found for found in heard if found["error"])["error"] == "there is no such file any more"
        (tmp_path / "elsewhere").rename(file)
        assert next(found for found in heard if not found["error"])["end_tick"] > 5


def test_a_viewer_that_is_started_again_goes_on(tmp_path: Path, runs: Path) -> None:
    shutil.copy(runs / "usual.tick", tmp_path / "kept.tick")
    with viewer(tmp_path) as served:
        all_read(served, "kept.tick")
        port, before = served.port, _window(served)
    with viewer(tmp_path, "--port", port) as served:
        assert served.port == port
        all_read(served, "kept.tick")
        assert _window(served) == before


def test_a_viewer_ends_without_a_word_while_a_page_listens(
    runs: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with ExitStack() as listening:
        with viewer(runs) as served:
            events = listening.enter_context(served.events("events", run="usual.tick"))
            assert next(events)[0] == "standing"
        assert capfd.readouterr().err == ""


@pytest.mark.parametrize("where", [0.2, 0.5, 0.8])
def test_what_can_be_read_of_a_damaged_file_is_shown(tmp_path: Path, runs: Path, where: float) -> None:
    """Flip a byte somewhere: the viewer answers with what is left, or in words, and never with nonsense."""
    content = bytearray((runs / "usual.tick").read_bytes())
    content[int(len(content) * where)] ^= 0xFF
    (tmp_path / "flipped.tick").write_bytes(content)
    with viewer(tmp_path) as served:
        for path in (
            "runs",
            "timeline?run=flipped.tick",
            "tick?run=flipped.tick&tick=3",
            "search?run=flipped.tick&text=e",
        ):
            reply = served.request(f"/api/{path}")
            assert reply.status in {200, 404, 422}
            assert reply.json


def test_an_entry_that_is_missing_is_named_and_the_others_are_shown(tmp_path: Path, runs: Path) -> None:
    file = tmp_path / "holed.tick"
    shutil.copy(runs / "usual.tick", file)
    change(file, "DELETE FROM entry WHERE tick = ?", 3)
    with viewer(tmp_path) as served:
        found = next(standing for standing in standings(served, "holed.tick") if standing["missing"])
        assert [damage["tick"] for damage in found["damage"]] == [3]
        shown = served.ask("timeline", run="holed.tick")
        assert shown["damaged"] == [3]
        assert sum(shown["density"]["turns"]) > 10
        assert served.ask("tick", run="holed.tick", tick=2)["tick"] == 2
        assert served.refused("tick", run="holed.tick", tick=4)[0] == 422


@pytest.mark.parametrize("stranger", [1_000_000, -1_000_000])
def test_turns_of_agents_that_do_not_exist_are_named_and_the_others_are_shown(
    tmp_path: Path, runs: Path, stranger: int
) -> None:
    file = tmp_path / "strange.tick"
    shutil.copy(runs / "usual.tick", file)

    def estrange(entry: Entry, fuel: Fuel) -> tuple[Entry, Fuel]:
        turns = tuple(msgspec.structs.replace(turn, agent=stranger) for turn in entry.turns)
        return msgspec.structs.replace(entry, turns=turns), fuel

    tamper(file, lambda tampered: tampered.edit(3, estrange))
    with viewer(tmp_path) as served:
        found = next(standing for standing in standings(served, "strange.tick") if standing["missing"])
        assert found["error"] is None
        assert found["damage"][0]["tick"] == 3
        assert f"agent #{stranger}, which does not exist" in found["damage"][0]["reason"]
        shown = served.ask("timeline", run="strange.tick", detail="true", last=8)
        assert {turn[0] for turn in shown["detail"]["turns"]} >= {2, 4}


def test_five_viewers_change_no_digest(tmp_path: Path) -> None:
    """All that five watchers do, while the run is recorded: its record is the one it has alone."""
    made = project(tmp_path / "p", *SLOW, *TICKER)
    alone, watched = tmp_path / "alone.tick", tmp_path / "watched.tick"
    with recording(made, alone, "--ticks", 60) as process:
        assert process.wait(60) == 0
    (made / "out.jsonl").rename(tmp_path / "alone.jsonl")
    with ExitStack() as stack:
        process = stack.enter_context(recording(made, watched, "--ticks", 60))
        wait_for(watched)
        over = Event()
        for _ in range(5):
            served = stack.enter_context(viewer(tmp_path))
            watcher = Thread(target=_watch, args=(served, over))
            watcher.start()
            stack.callback(watcher.join)
        stack.callback(over.set)
        assert process.wait(60) == 0
    assert entries_of(watched) == entries_of(alone)
    with RunReader.open(watched) as one, RunReader.open(alone) as two:
        assert one.end == two.end
    assert (made / "out.jsonl").read_bytes() == (tmp_path / "alone.jsonl").read_bytes()


def _watch(served: Server, over: Event) -> None:
    while not over.is_set():
        for path in (
            "runs",
            "timeline?run=watched.tick&detail=true",
            "tick?run=watched.tick&tick=1",
            "search?run=watched.tick&text=tick",
        ):
            served.request(f"/api/{path}")


def _window(served: Server) -> Any:
    return served.ask("timeline", run="kept.tick", detail=True)
