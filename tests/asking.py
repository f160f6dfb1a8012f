"""Small projects whose agents ask models, and what their agents were told.

The models are those of tests/data/models; the one agent program is `shell_agents/asker.py`.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from tamper import tamper
from tickwork import load, record
from tickwork.core.entry import Fuel
from tickwork.core.messages import Completion
from tickwork.runtime.seek import Recording

MODELS = Path(__file__).parent / "data" / "models"
ASKER = Path(__file__).parent / "shell_agents" / "asker.py"
TICKS = 14

EVEN = '[models.even]\npath = "MODELS/llama-fp32"\nlatency_ticks = 2\n'
SLOW = '[models.slow]\npath = "MODELS/qwen2-int4"\ntokens_per_tick = 3\nlatency_ticks = 2\ntokens_max = 40\n'
STREAMED = {"model": "slow", "options": {"max_tokens": 12, "stream": True}, "every": 3}


class Told(msgspec.Struct, frozen=True):
    """One thing that an agent put out: that it `asked`, or what it was told about a request.

    `kind` is `asked`, `reply`, `piece`, `rejected` or `denied`.
    """

    kind: str
    tick: int
    agent: str
    request: int
    body: Any

    @property
    def text(self) -> str:
        """What the model said, in all or in this piece; empty if it failed."""
        if self.code:
            return ""
        (choice,) = self.body["choices"]
        text = choice["message" if self.kind == "reply" else "delta"]["content"]
        assert isinstance(text, str)
        return text

    @property
    def code(self) -> str:
        """Why there is no answer, in a word; empty if there is one."""
        return str(self.body["error"]["code"]) if "error" in self.body else ""

    @property
    def error(self) -> str:
        """Why there is no answer, in words."""
        return str(self.body["error"]["message"])


@dataclass(frozen=True)
class Asking:
    """A project of agents that ask."""

    root: Path

    def run(self, name: str = "a.tick") -> Path:
        """Record the project and return the run file."""
        path = self.root / name
        with record(load(self.root), path, force=True) as run:
            run.run_to_end()
        return path

    @property
    def told(self) -> list[Told]:
        """What the agents put out, in order."""
        lines = (self.root / "told.jsonl").read_bytes().splitlines()
        return [msgspec.json.decode(line, type=Told) for line in lines]

    def of(self, kind: str) -> list[Told]:
        """What the agents put out of one kind."""
        return [each for each in self.told if each.kind == kind]


def make(root: Path, agents: str, models: str, *, ticks: int = TICKS, snapshots: str = "4") -> Asking:
    """Write a project; `MODELS` in its models' paths stands for the tests' own."""
    root.mkdir(exist_ok=True)
    (root / "asker.py").write_text(ASKER.read_text("utf-8"))
    manifest = f"""
[run]
name = "ask"
ticks = {ticks}
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


def last_digest(path: Path) -> str:
    """Return the exact digest of a run file's last tick, in hex."""
    with Recording.open(path) as found:
        return found.at(found.end_tick).digests.exact.hex()


def change_first_answer(path: Path, change: Callable[[Completion], Completion]) -> None:
    """Put another answer in the place of a run file's first, with all the digests that belong to it."""
    with Recording.open(path) as found:
        tick = next(
            stored.tick for stored in found.reader.entries() if stored.decode()[0].arrivals.completions
        )

    def edit(entry: Any, fuel: Fuel) -> Any:
        first, *others = entry.arrivals.completions
        arrivals = msgspec.structs.replace(entry.arrivals, completions=(change(first), *others))
        return msgspec.structs.replace(entry, arrivals=arrivals), fuel

    tamper(path, lambda tampering: tampering.edit(tick, edit), rechain=True)
