"""Runs whose agents ask models: recorded, replayed, resumed, forked, and always the same."""

import contextlib
import json
import os
import random  # noqa: TID251 - seeded
import signal
import subprocess
import sys
import time  # noqa: TID251 - a process is killed after a while
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tamper import tamper
from tickwork import fork, load, record, replay, resume
from tickwork.core.errors import ManifestError, RunFileError, TickworkError
from tickwork.core.messages import Completion
from tickwork.runtime.seek import Recording

MODELS = Path(__file__).parents[1] / "data" / "models"
ASKER = Path(__file__).parents[1] / "shell_agents" / "asker.py"
TICKS = 14


@dataclass(frozen=True)
class Asking:
    """A project of agents that ask: `told` is its output's file."""

    root: Path

    @property
    def told(self) -> list[dict[str, Any]]:
        lines = (self.root / "told.jsonl").read_text("utf-8").splitlines()
        return [json.loads(line) for line in lines]


def make(root: Path, agents: str, models: str, snapshots: str = "4") -> Asking:
    root.mkdir(exist_ok=True)
    (root / "asker.py").write_text(ASKER.read_text("utf-8"))
    manifest = f"""
[run]
name = "ask"
ticks = {TICKS}
[snapshots]
every = {snapshots}
[outputs.told]
path = "told.jsonl"
{models}
{agents}
"""
    (root / "tickwork.toml").write_text(manifest.replace("MODELS", str(MODELS)))
    return Asking(root)


def agents(name: str, count: int, grant: str = '"infer:*"', **config: Any) -> str:
    """Return the manifest's entry of some askers."""
    text = f'''
[[agents]]
id = "{name}"
count = {count}
module = "asker.py"
every_tick = true
grants = [{grant}, "timer", "output:told"]
config = '''
    # A JSON text is an agent's config as well as a table is, and in TOML a literal string holds any.
    return f"{text}'''{json.dumps(config)}'''\n"


FAST = '[models.even]\npath = "MODELS/llama-fp32"\nlatency_ticks = 2\n'
SLOW = '[models.slow]\npath = "MODELS/qwen2-int4"\ntokens_per_tick = 3\nlatency_ticks = 2\ntokens_max = 40\n'
STREAMED = {"model": "slow", "options": {"max_tokens": 12, "stream": True}, "every": 3}


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Asking:
    both = agents("quick", 3, every=2, times=4) + agents("slow", 2, **STREAMED)
    return make(tmp_path_factory.mktemp("mixed"), both, FAST + SLOW)


@pytest.fixture(scope="module")
def recorded(mixed: Asking) -> Path:
    path = mixed.root / "whole.tick"
    with record(load(mixed.root), path, force=True) as run:
        run.run_to_end()
    return path


def last_digest(path: Path) -> str:
    with Recording.open(path) as found:
        return found.at(found.end_tick).digests.exact.hex()


def test_answers_come_and_a_replay_computes_them_again(mixed: Asking, recorded: Path) -> None:
    kinds = [each["kind"] for each in mixed.told]
    assert kinds.count("reply") == 3 * 4 + 2 * 3
    assert "piece" in kinds
    assert all(each["error"] == "" for each in mixed.told)
    found = replay(recorded)
    assert found.identical
    assert found.recomputed == kinds.count("reply") + kinds.count("piece")
    assert found.warnings == found.differences == ()


def test_streamed_pieces_are_the_beginning_of_the_answer(mixed: Asking, recorded: Path) -> None:
    assert recorded.exists()
    replies = [each for each in mixed.told if each["kind"] == "reply" and each["from"] == "model:slow"]
    assert replies
    for reply in replies:
        pieces = [
            each
            for each in mixed.told
            if each["kind"] == "piece"
            and (each["agent"], each["request"]) == (reply["agent"], reply["request"])
        ]
        assert pieces
        assert reply["text"].startswith("".join(piece["text"] for piece in pieces))
        assert all(piece["tick"] < reply["tick"] for piece in pieces)
        assert len({piece["tick"] for piece in pieces}) == len(pieces)


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_no_number_of_workers_and_no_processor_count_changes_a_digest(
    mixed: Asking, recorded: Path, tmp_path: Path, workers: int
) -> None:
    here = os.sched_getaffinity(0)
    os.sched_setaffinity(0, here if workers == 1 else {min(here)})
    try:
        with record(load(mixed.root).without_outputs(), tmp_path / "again.tick", workers=workers) as run:
            run.run_to_end()
            assert run.digests.exact.hex() == last_digest(recorded)
    finally:
        os.sched_setaffinity(0, here)


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


def test_a_killed_run_gives_the_same_bytes_when_resumed(
    mixed: Asking, recorded: Path, tmp_path: Path
) -> None:
    drawn = random.Random(5)
    path = tmp_path / "killed.tick"
    command = [sys.executable, "-m", "tickwork"]
    args = ["run", str(mixed.root), "--out", str(path), "--force"]
    for attempt in range(4):
        process = subprocess.Popen([*command, *args], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while not path.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(drawn.uniform(0, 0.4))
        process.send_signal(signal.SIGKILL)
        process.wait()
        if attempt == 0 and not path.exists():
            pytest.fail("the run made no file")
        args = ["resume", str(path)]
    done = subprocess.run([*command, *args], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert last_digest(path) == last_digest(recorded)
    assert replay(path).identical


def test_a_fork_without_edits_is_its_parents_continuation(recorded: Path, tmp_path: Path) -> None:
    for tick in (3, 6):
        out = fork(recorded, tick, tmp_path / f"fork{tick}.tick")
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


def changed(path: Path, change: Any, *, rechain: bool = True) -> None:
    """Change the first recorded answer."""
    with Recording.open(path) as found:
        tick = next(
            stored.tick for stored in found.reader.entries() if stored.decode()[0].arrivals.completions
        )

    def edit(entry: Any, fuel: Any) -> Any:
        first, *others = entry.arrivals.completions
        arrivals = msgspec.structs.replace(entry.arrivals, completions=(change(first), *others))
        return msgspec.structs.replace(entry, arrivals=arrivals), fuel

    tamper(path, lambda tampering: tampering.edit(tick, edit), rechain=rechain)


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run without snapshots, which would tell of a change before anything else does."""
    root = tmp_path_factory.mktemp("bare")
    asking = make(root, agents("quick", 2, every=2, times=2), FAST, snapshots='"never"')
    with record(load(asking.root), root / "bare.tick") as run:
        run.run_to_end()
    return root / "bare.tick"


def copy_of(path: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "copy.tick"
    copy.write_bytes(path.read_bytes())
    return copy


def test_a_forged_answer_is_found_by_asking_again(bare: Path, tmp_path: Path) -> None:
    copy = copy_of(bare, tmp_path)
    changed(copy, lambda first: msgspec.structs.replace(first, body=first.body + b" "))
    found = replay(copy)
    assert found.first_divergence is not None
    assert found.first_divergence.agent == "quick-0"
    assert "model even gives another answer to the request of tick" in found.first_divergence.reason


def test_an_answer_of_another_provider_is_used_and_its_difference_reported_on_demand(
    bare: Path, tmp_path: Path
) -> None:
    copy = copy_of(bare, tmp_path)
    # White space after the JSON: another answer, of which the agent makes the same.
    changed(copy, lambda first: msgspec.structs.replace(first, provider="cuda", body=first.body + b" "))
    found = replay(copy)
    # The agent's inbox is longer by a byte, and so is its fuel.
    again = replay(copy, recompute=True)
    assert again.recomputed == found.recomputed + 1
    assert found.differences == ()
    (difference,) = again.differences
    assert "agent quick-0: model even gives another answer" in difference
    for each in (found, again):
        assert each.first_divergence is None or "fuel" in each.first_divergence.reason


def test_an_entry_with_an_answer_that_nobody_asked_for_is_refused(bare: Path, tmp_path: Path) -> None:
    copy = copy_of(bare, tmp_path)
    changed(copy, lambda first: Completion(0, 0, 0, first.body))
    found = replay(copy)
    assert found.first_divergence is not None
    assert found.first_divergence.reason == "the entry does not belong to this run"


def test_answers_are_used_as_recorded_where_the_model_is_gone(tmp_path: Path) -> None:
    asking = make(tmp_path / "p", agents("a", 1), '[models.even]\npath = "model"\n')
    (tmp_path / "p" / "model").mkdir()
    for file in (MODELS / "llama-fp32").iterdir():
        (tmp_path / "p" / "model" / file.name).write_bytes(file.read_bytes())
    with record(load(asking.root), tmp_path / "a.tick") as run:
        run.run_to_end()
    (tmp_path / "p" / "model" / "model.onnx").unlink()
    found = replay(tmp_path / "a.tick")
    assert found.identical
    assert found.recomputed == 0
    assert "the answers of models are used as they were recorded: the model even" in found.warnings[0]
    with pytest.raises(RunFileError, match=r"the model even .* is not at .* any more, nor in the cache"):
        resume(tmp_path / "a.tick", ticks=2)
    with pytest.raises(ManifestError, match=r"models\.even"):
        load(asking.root)


def test_what_is_over_budget_is_refused_and_the_agent_told(tmp_path: Path) -> None:
    grant = '{ capability = "infer:even", tokens_per_run = 13 }'
    asking = make(tmp_path / "p", agents("a", 1, grant, times=4), FAST)
    with record(load(asking.root), tmp_path / "a.tick") as run:
        run.run_to_end()
    kinds = [each["kind"] for each in asking.told]
    assert kinds.count("reply") == kinds.count("rejected") == 2
    assert asking.told[-1]["kind"] in {"reply", "rejected"}
    assert any("it may cost 6, and 1 are left" in each.get("reason", "") for each in asking.told)


def test_requests_of_an_agent_that_stops_are_cancelled(tmp_path: Path) -> None:
    asking = make(tmp_path / "p", agents("a", 2, stop_at=3) + agents("b", 1), FAST)
    with record(load(asking.root), tmp_path / "a.tick") as run:
        run.run_to_end()
    assert {each["agent"] for each in asking.told} == {"b-0"}
    assert replay(tmp_path / "a.tick").identical
    with Recording.open(tmp_path / "a.tick") as found:
        assert {request.agent for request in found.at(4).world.requests.pending.values()} == {2}


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ({"max_tokens": 2, "temperature": -1}, "invalid_request", "temperature"),
        ({"max_tokens": 2, "colour": "red"}, "invalid_request", "colour"),
        ({"max_tokens": 4000}, "context_length_exceeded", "4000 more are asked for"),
        ({"max_tokens": 3, "response_format": {"type": "regex", "regex": "("}}, "unmeetable_format", ""),
    ],
)
def test_a_request_that_fails_is_answered_by_its_error_and_nobody_elses_is_touched(
    tmp_path: Path, options: dict[str, Any], code: str, words: str
) -> None:
    both = agents("bad", 1, options=options, times=1) + agents("good", 1, times=1)
    models = FAST + "context_tokens = 256\n"
    asking = make(tmp_path / "p", both, models)
    with record(load(asking.root), tmp_path / "a.tick") as run:
        run.run_to_end()
    bad, good = sorted(asking.told, key=lambda each: str(each["agent"]))
    assert (bad["code"], good["code"]) == (code, "")
    assert words in bad["error"]
    assert good["finish"] in {"stop", "length"}
    assert replay(tmp_path / "a.tick").identical


def test_a_model_that_cannot_be_served_fails_its_own_requests_alone(tmp_path: Path) -> None:
    models = FAST + '[models.broken]\npath = "MODELS/llama-faulty"\n'
    both = agents("a", 1, model="broken", times=2) + agents("b", 1, times=1)
    asking = make(tmp_path / "p", both, models)
    with record(load(asking.root), tmp_path / "a.tick") as run:
        run.run_to_end()
    failed = [each for each in asking.told if each["agent"] == "a-0"]
    assert [each["code"] for each in failed] == ["model_failed", "model_failed"]
    assert failed[0]["error"].startswith("the model cannot be served: ")
    assert str(MODELS) not in failed[0]["error"]
    assert [each["code"] for each in asking.told if each["agent"] == "b-0"] == [""]
    assert replay(tmp_path / "a.tick").identical


def test_an_absurd_number_of_tokens_is_rejected(tmp_path: Path) -> None:
    asking = make(tmp_path / "p", agents("a", 1, options={"max_tokens": 10**15}, times=1), FAST)
    with record(load(asking.root), tmp_path / "a.tick") as run:
        run.run_to_end()
    (told,) = asking.told
    assert told["reason"] == f"it asks for {10**15} tokens; tokens_max of the model is 4096"


@pytest.fixture
def without_onnxruntime(monkeypatch: pytest.MonkeyPatch) -> None:
    needing = (
        "onnxruntime",
        "tickwork.inference",
        "tickwork.runtime.serving",
        "tickwork.runtime.model_cache",
    )
    for name in [name for name in sys.modules if name.startswith(needing)]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.delattr("tickwork.runtime.serving", raising=False)


@pytest.mark.usefixtures("without_onnxruntime")
def test_without_onnxruntime_the_error_names_what_to_install(mixed: Asking, recorded: Path) -> None:
    with pytest.raises(TickworkError, match=r"pip install 'tickwork\[inference\]'"):
        load(mixed.root)
    found = replay(recorded)
    assert found.identical
    assert found.recomputed == 0
    assert "pip install 'tickwork[inference]'" in found.warnings[0]
