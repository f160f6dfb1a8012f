"""Agents in C ask models too, on the kernel's pool and on the inline one, and read what is said."""

import json
from pathlib import Path
from typing import Any

import pytest

from asking import MODELS
from tickwork import load, record, replay
from tickwork.runtime.seek import Recording

CALLER = Path(__file__).parents[1] / "shell_agents" / "caller.c"
MANIFEST = f"""
[run]
name = "calling"
ticks = 7
[outputs.told]
path = "told.jsonl"
[models.even]
path = "{MODELS / "llama-fp32"}"
latency_ticks = 2
tokens_per_tick = 2
tokens_default = 6
[[agents]]
id = "caller"
module = "caller.c"
every_tick = true
config = {{ model = "even" }}
grants = ["infer:even", "output:told"]
"""


def answers_in(path: Path) -> dict[str, Any]:
    """Return the answers that a run file has, by the `id` in them."""
    with Recording.open(path) as found:
        bodies = [
            json.loads(each.body)
            for stored in found.reader.entries()
            for each in stored.decode()[0].arrivals.completions
            if each.last
        ]
    return {body.get("id", "failed"): body for body in bodies}


@pytest.mark.parametrize("workers", [0, 2])
def test_a_c_agent_asks_and_reads_the_answer_its_pieces_and_its_failure(tmp_path: Path, workers: int) -> None:
    (tmp_path / "caller.c").write_bytes(CALLER.read_bytes())
    (tmp_path / "tickwork.toml").write_text(MANIFEST)
    path = tmp_path / "a.tick"
    with record(load(tmp_path), path, workers=workers) as run:
        run.run_to_end()
    lines = [json.loads(line) for line in (tmp_path / "told.jsonl").read_bytes().splitlines()]
    answers = answers_in(path)
    said = {
        request: answers[f"chatcmpl-1-0-{effect}"]["choices"][0]["message"]["content"]
        for request, effect in ((7, 0), (9, 2))
    }
    told = [(line["kind"], line["request"], line["text"]) for line in lines]
    assert [each for each in told if each[1] == 7] == [("reply", 7, said[7])]
    assert ("error", 8, "invalid_request") in told
    streamed = [each for each in told if each[1] == 9]
    assert [kind for kind, _, _ in streamed] == ["piece", "reply"]
    assert streamed[-1] == ("reply", 9, said[9])
    assert said[9].startswith(streamed[0][2])
    assert len(told) == 4
    assert replay(path).identical
