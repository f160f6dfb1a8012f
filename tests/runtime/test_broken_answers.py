"""Runs whose models answer late, wrongly or not at all, because a file of faults says so."""

import json
from pathlib import Path
from typing import Any

import pytest

from tickwork import fork, load, record, replay, resume
from tickwork.manifest.fault_plan import load_faults
from tickwork.runtime.seek import Recording

MODELS = Path(__file__).parents[1] / "data" / "models"
TICKS = 12
# Fails over an answer that is none.
ASKER = """
from tickwork_agent import Agent, Reply

class Asker(Agent):
    def setup(self, config):
        self.model, self.times, self.options = config["model"], config["times"], config["options"]

    def step(self, now, inbox):
        super().step(now, inbox)
        if now.tick == 1:
            self.timer("ask", after_ticks=1)

    def on_ask(self, message):
        self.chat(self.model, f"{self.id} at {self.now.tick}", **self.options)
        self.times -= 1
        if self.times:
            self.timer("ask", after_ticks=2)

    def told(self, kind, message):
        said = Reply.of(message)
        told = {"kind": kind, "tick": self.now.tick, "agent": self.id, "text": said.text, "code": said.code}
        self.output("told", told)

    def on_reply(self, message):
        self.told("reply", message)

    def on_reply_piece(self, message):
        self.told("piece", message)
"""
MANIFEST = f"""
[run]
name = "ask"
ticks = {TICKS}
[snapshots]
every = 3
[outputs.told]
path = "told.jsonl"
[models.even]
path = "{MODELS}/llama-fp32"
latency_ticks = 2
[models.slow]
path = "{MODELS}/qwen2-int4"
tokens_per_tick = 3
latency_ticks = 2
tokens_max = 40
[[agents]]
id = "quick"
module = "asker.py"
grants = ["infer:*", "timer", "output:told"]
every_tick = true
on_failure = "rollback"
config = {{ model = "even", times = 4, options = {{ max_tokens = 6, temperature = 0 }} }}
[[agents]]
id = "streamer"
module = "asker.py"
grants = ["infer:*", "timer", "output:told"]
every_tick = true
config = {{ model = "slow", times = 1, options = {{ max_tokens = 9, stream = true }} }}
"""
# `quick` asks in ticks 2, 4, 6 and 8, `streamer` in tick 2.
FAULTS = """
[[faults]]
kind = "fail-request"
tick = 2
agent = "quick"
[[faults]]
kind = "slow-request"
tick = 4
agent = "quick"
ticks = 3
[[faults]]
kind = "garble-request"
tick = 8
agent = "quick"
[[faults]]
kind = "slow-request"
tick = 2
agent = "streamer"
ticks = 4
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("ask")
    (root / "asker.py").write_text(ASKER)
    (root / "tickwork.toml").write_text(MANIFEST)
    (root / "faults.toml").write_text(FAULTS)
    return root


def run(root: Path, out: Path, *, broken: bool = True, **options: Any) -> list[dict[str, Any]]:
    """Record a run, and return what its agents put out."""
    found = load(root)
    if broken:
        found = found.with_faults(load_faults(root / "faults.toml", found.spec))
    with record(found, out, force=True, **options) as recording:
        recording.run_to_end()
        assert recording.tally.faults == (4 if broken else 0)
        assert recording.tally.rolled_back == (1 if broken else 0)
    return [json.loads(line) for line in (root / "told.jsonl").read_text("utf-8").splitlines()]


@pytest.fixture(scope="module")
def sound(project: Path) -> list[dict[str, Any]]:
    return run(project, project / "sound.tick", broken=False)


@pytest.fixture(scope="module")
def told(project: Path) -> list[dict[str, Any]]:
    return run(project, project / "broken.tick")


def of(lines: list[dict[str, Any]], agent: str, kind: str = "reply") -> dict[int, dict[str, Any]]:
    """Return an agent's answers by the tick in which they came."""
    return {each["tick"]: each for each in lines if (each["agent"], each["kind"]) == (agent, kind)}


def exact(path: Path) -> str:
    with Recording.open(path) as found:
        return found.at(TICKS).digests.exact.hex()


def test_answers_fail_and_come_late_and_the_others_are_as_ever(
    sound: list[dict[str, Any]], told: list[dict[str, Any]]
) -> None:
    before, after = of(sound, "quick"), of(told, "quick")
    assert list(before) == [4, 6, 8, 10]
    # The second one comes three ticks late; of the last the agent could not make anything.
    assert list(after) == [4, 8, 9]
    assert (after[4]["code"], after[4]["text"]) == ("model_failed", "")
    assert after[9]["text"] == before[6]["text"] != ""
    assert after[8]["text"] == before[8]["text"] != ""


def test_a_slow_stream_says_the_same_later(sound: list[dict[str, Any]], told: list[dict[str, Any]]) -> None:
    for kind in ("piece", "reply"):
        before, after = of(sound, "streamer", kind), of(told, "streamer", kind)
        assert before
        assert {tick + 4: each["text"] for tick, each in before.items()} == {
            tick: each["text"] for tick, each in after.items()
        }


@pytest.mark.usefixtures("told")
def test_such_runs_replay_with_all_that_models_were_asked_computed_again(project: Path) -> None:
    found = replay(project / "broken.tick")
    assert found.identical, found.first_divergence
    assert found.recomputed > 3
    assert found.warnings == found.differences == ()


@pytest.mark.usefixtures("told")
@pytest.mark.parametrize("workers", [0, 2])
def test_no_pool_changes_them(project: Path, tmp_path: Path, workers: int) -> None:
    run(project, tmp_path / "again.tick", workers=workers)
    assert exact(tmp_path / "again.tick") == exact(project / "broken.tick")


@pytest.mark.usefixtures("told")
@pytest.mark.parametrize("tick", [3, 5, 7])
def test_they_go_on_and_fork_while_answers_are_due(project: Path, tmp_path: Path, tick: int) -> None:
    found = load(project).without_outputs()
    part = tmp_path / "part.tick"
    plan = load_faults(project / "faults.toml", found.spec)
    with record(found.with_faults(plan), part) as recording:
        recording.advance(tick)
    branch = fork(project / "broken.tick", tick, tmp_path / "fork.tick")
    for path in (part, branch):
        with resume(path, ticks=TICKS - tick) as recording:
            recording.run_to_end()
        assert exact(path) == exact(project / "broken.tick")
        assert replay(path).identical


@pytest.mark.usefixtures("told")
def test_each_moment_of_each_agent_can_be_looked_at(project: Path) -> None:
    with Recording.open(project / "broken.tick") as found:
        for tick in range(1, TICKS + 1):
            assert isinstance(found.at(tick).agent("quick").state(), dict)
            assert isinstance(found.at(tick).agent("streamer").state(), dict)
        assert found.at(TICKS).agent("quick").state()["times"] == 0
