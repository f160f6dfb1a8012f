"""Runs whose agents ask models: recorded, resumed, killed, forked, on any machine, and always the same."""

import os
import random  # noqa: TID251 - seeded
import signal
import subprocess
import sys
import time  # noqa: TID251 - how long ticks take is what is tested, and a process is killed after a while
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar

import pytest

from asking import EVEN, MODELS, SLOW, STREAMED, TICKS, Asking, agents, last_digest, make
from tickwork import fork, load, record, replay, resume
from tickwork.inference.language.load import LoadSettings, estimate
from tickwork.inference.residency import Residency
from tickwork.runtime.seek import Recording


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Asking:
    both = agents("quick", 3, every=2, times=4) + agents("slow", 2, **STREAMED)
    return make(tmp_path_factory.mktemp("mixed"), both, EVEN + SLOW)


@pytest.fixture(scope="module")
def recorded(mixed: Asking) -> Path:
    return mixed.run("whole.tick")


def pending_at(path: Path, tick: int) -> int:
    with Recording.open(path) as found:
        return len(found.at(tick).world.requests.pending)


# ---- when answers come


def test_every_request_is_answered_in_the_tick_that_its_model_says(mixed: Asking, recorded: Path) -> None:
    assert recorded.exists()
    asked = {(each.agent, each.request): each.tick for each in mixed.of("asked")}
    answered = {(each.agent, each.request): each.tick for each in mixed.of("reply")}
    assert len(asked) == len(answered) == 3 * 4 + 2 * 3
    # 12 tokens at 3 in a tick.
    took = {"quick": 2, "slow": 4}
    assert answered == {key: tick + took[key[0][:-2]] for key, tick in asked.items()}
    assert all(each.code == "" for each in mixed.of("reply"))


def test_streamed_pieces_are_the_beginning_of_the_answer(mixed: Asking, recorded: Path) -> None:
    assert recorded.exists()
    replies = [each for each in mixed.of("reply") if each.agent.startswith("slow")]
    assert len(replies) == 6
    for reply in replies:
        pieces = [
            each for each in mixed.of("piece") if (each.agent, each.request) == (reply.agent, reply.request)
        ]
        # From latency_ticks on, and before the answer.
        assert [piece.tick for piece in pieces] == [reply.tick - 2, reply.tick - 1]
        assert reply.text.startswith("".join(piece.text for piece in pieces))


def test_ticks_go_on_while_a_model_works_and_a_model_while_no_tick_runs(tmp_path: Path) -> None:
    # So hot that an answer hardly ever ends by itself.
    options = {"max_tokens": 400, "temperature": 100}
    models = EVEN.replace("latency_ticks = 2", "latency_ticks = 6")
    asking = make(tmp_path / "p", agents("a", 24, options=options, times=1), models, snapshots='"never"')

    def timed(path: Path, pause_s: float) -> tuple[float, float]:
        """Return how long the ticks took that ran beside the model, and the one that needed its answers."""
        with record(load(asking.root).without_outputs(), path) as run:
            while not run.world.requests.pending:
                run.advance()
            began = time.monotonic()
            run.advance(4)
            beside = time.monotonic() - began
            time.sleep(pause_s)
            began = time.monotonic()
            while run.world.requests.pending:
                run.advance()
            return beside, time.monotonic() - began

    timed(tmp_path / "warm.tick", 0)  # the load-time check is made once
    beside, waited = timed(tmp_path / "a.tick", 0)
    assert beside < waited / 2
    _, waited_less = timed(tmp_path / "b.tick", 3 * (beside + waited))
    assert waited_less < waited / 2


# ---- what no result depends on


@contextmanager
def on_one_processor() -> Iterator[None]:
    here = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(here)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, here)


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_no_number_of_workers_and_no_processor_count_changes_a_digest(
    mixed: Asking, recorded: Path, tmp_path: Path, workers: int
) -> None:
    project = load(mixed.root).without_outputs()
    with on_one_processor(), record(project, tmp_path / "again.tick", workers=workers) as run:
        run.run_to_end()
        assert run.digests.exact.hex() == last_digest(recorded)


def test_models_that_take_turns_in_memory_change_no_digest(
    mixed: Asking, recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a budget in which only one of the two has room at a time."""
    needs = [
        estimate(MODELS / name, LoadSettings(context_tokens=4096)) for name in ("llama-fp32", "qwen2-int4")
    ]
    budget = max(need.weights + need.engine for need in needs) + 1000
    assert budget < sum(need.weights + need.engine for need in needs)
    monkeypatch.setenv("TICKWORK_MODEL_BYTES", f"cpu={budget}")
    monkeypatch.setattr("tickwork.runtime.serving.Residency", _Watched)
    with record(load(mixed.root).without_outputs(), tmp_path / "narrow.tick") as run:
        run.run_to_end()
        assert run.digests.exact.hex() == last_digest(recorded)
        assert [len(each.residents()) for each in _Watched.made if each.residents()] == [1]


class _Watched(Residency):
    """Can be asked what is in memory while a run has it."""

    made: ClassVar[list[Residency]] = []

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.made.append(self)


# ---- resumed, killed, forked


@pytest.mark.parametrize("tick", range(1, TICKS - 1, 3))
def test_a_run_goes_on_with_requests_in_flight(
    mixed: Asking, recorded: Path, tmp_path: Path, tick: int
) -> None:
    path = tmp_path / "part.tick"
    with record(load(mixed.root).without_outputs(), path) as run:
        run.advance(tick)
    with resume(path, ticks=TICKS - tick) as run:
        run.run_to_end()
        assert run.digests.exact.hex() == last_digest(recorded)
    assert replay(path).identical


def test_a_run_that_is_asked_to_stop_while_it_waits_can_be_taken_further(
    mixed: Asking, recorded: Path, tmp_path: Path
) -> None:
    with record(load(mixed.root).without_outputs(), tmp_path / "stopped.tick") as run:
        for patience in range(200):
            asked = 0

            def stop(patience: int = patience) -> bool:
                nonlocal asked
                asked += 1
                return asked > patience % 3

            run.run_to_end(stop=stop)
            if run.status == "ticks":
                break
        assert run.digests.exact.hex() == last_digest(recorded)


_KILLED = """
import os, signal, sys
from tickwork import load, record
with record(load(sys.argv[1]).without_outputs(), sys.argv[2]) as run:
    run.advance(int(sys.argv[3]))
    print(len(run.world.requests.pending), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("tick", [4, 9])
def test_a_run_killed_with_requests_in_flight_gives_the_same_bytes_when_resumed(
    mixed: Asking, recorded: Path, tmp_path: Path, tick: int
) -> None:
    path = tmp_path / "killed.tick"
    command = [sys.executable, "-c", _KILLED, str(mixed.root), str(path), str(tick)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert int(done.stdout) >= 2
    with resume(path, ticks=TICKS) as run:
        while run.world.tick < TICKS:
            run.advance()
        assert run.digests.exact.hex() == last_digest(recorded)
    assert replay(path).identical


def test_a_run_killed_at_any_moment_gives_the_same_bytes_when_resumed(
    mixed: Asking, recorded: Path, tmp_path: Path
) -> None:
    drawn = random.Random(5)
    path = tmp_path / "killed.tick"
    command = [sys.executable, "-m", "tickwork"]
    args = ["run", str(mixed.root), "--out", str(path), "--force"]
    for attempt in range(3):
        process = subprocess.Popen([*command, *args], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while not path.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        with suppress(subprocess.TimeoutExpired):
            process.wait(drawn.uniform(0, 0.4))
        process.send_signal(signal.SIGKILL)
        process.wait()
        if attempt == 0 and not path.exists():
            pytest.fail("the run made no file")
        args = ["resume", str(path), "--output", f"told={mixed.root / 'told.jsonl'}"]
    done = subprocess.run([*command, *args], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert last_digest(path) == last_digest(recorded)
    assert replay(path).identical


@pytest.mark.parametrize("tick", [3, 6])
def test_a_fork_without_edits_is_its_parents_continuation(recorded: Path, tmp_path: Path, tick: int) -> None:
    assert pending_at(recorded, tick) >= 2
    out = fork(recorded, tick, tmp_path / "fork.tick")
    with resume(out, ticks=TICKS - tick) as run:
        run.run_to_end()
        assert run.digests.exact.hex() == last_digest(recorded)
    assert replay(out).identical


def test_any_moment_and_any_agent_can_be_looked_at(recorded: Path) -> None:
    with Recording.open(recorded) as found:
        seen = {len(found.at(tick).world.requests.pending) for tick in range(TICKS)}
        assert max(seen) >= 5
        state = found.at(TICKS).agent("quick-0").state()
    assert isinstance(state, dict)
    assert state["times"] == 0


def test_requests_of_an_agent_that_stops_are_cancelled(tmp_path: Path) -> None:
    asking = make(tmp_path / "p", agents("a", 2, stop_at=3) + agents("b", 1), EVEN)
    path = asking.run()
    assert {each.agent for each in asking.of("asked")} == {"a-0", "a-1", "b-0"}
    assert {each.agent for each in asking.of("reply")} == {"b-0"}
    assert replay(path).identical
    with Recording.open(path) as found:
        assert {request.agent for request in found.at(4).world.requests.pending.values()} == {2}
