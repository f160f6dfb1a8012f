"""What the page on agents in Rust shows builds, and does what it says."""

import subprocess
from pathlib import Path

import pytest
from page_runner import blocks

import tickwork

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"

RUST_PAGE = [
    block.text for block in blocks(DOCS / "how-to/write-an-agent-in-rust.md") if block.language == "rust"
]
# What the page's snippets stand in: where effects are collected, and where a message is read.
RUST_ASKER = """
use tickwork::json::{self, Value};
use tickwork::{Agent, Context, Effect, Identity, Message};
struct Asker;
impl Agent for Asker {
    fn setup(_: Identity) -> Result<Self, String> { Ok(Asker) }
    fn step(&mut self, _: &Context, inbox: &[Message]) -> Result<Vec<Effect>, String> {
        let mut effects = Vec::new();
        ASKING
        for message in inbox {
            READING
            effects.push(Effect::output("said", text.unwrap_or("")));
        }
        Ok(effects)
    }
}
tickwork::export_agent!(Asker);
"""


def build_rust(source: str, folder: Path) -> None:
    """Build FOLDER/tally.wasm; skip the test where that cannot be done."""
    (folder / "tally.rs").write_text(source)
    command = ["sh", ROOT / "sdk/rust/build-agent.sh", folder / "tally.rs", folder / "tally.wasm"]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    if built.returncode == 3:
        pytest.skip("no Rust compiler for WASM")
    assert built.returncode == 0, built.stderr


def test_the_rust_page_asks_a_model_and_reads_its_answer_in_code_that_builds(tmp_path: Path) -> None:
    _, asking, reading = RUST_PAGE
    build_rust(RUST_ASKER.replace("ASKING", asking).replace("READING", reading), tmp_path)


def test_the_rust_page_agent_does_what_the_c_page_agent_does(tmp_path: Path) -> None:
    build_rust(RUST_PAGE[0], tmp_path)
    for block in blocks(DOCS / "how-to/write-an-agent-in-c.md"):
        if block.mark == "file: tickwork.toml":
            (tmp_path / "tickwork.toml").write_text(block.text.replace("tally.c", "tally.wasm"))
    (tmp_path / "sales.jsonl").write_text('{"amount": 5}\n{"amount": 7}\n{"amonut": 1}\n')
    project = tickwork.load(tmp_path).with_paths(
        inputs={}, outputs={"totals": str(tmp_path / "totals.jsonl")}
    )
    with tickwork.record(project, tmp_path / "tally.tick") as run:
        run.run_to_end()
    assert (tmp_path / "totals.jsonl").read_text() == '{"tick":1,"total":105}\n{"tick":2,"total":112}\n'
