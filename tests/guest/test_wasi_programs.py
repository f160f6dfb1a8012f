"""Virtual WASI as a real standard library meets it: a Rust agent for WASI in the real engine."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tickwork.core.effects import Level, Log, Output
from tickwork.core.limits import Limits
from tickwork.core.outcomes import Outcome, OutcomeKind
from tickwork.guest.engine import Engine
from tickwork.guest.instance import Instance
from tickwork.guest.program import Program

SDK = Path(__file__).parents[2] / "sdk" / "rust"
SOURCE = Path(__file__).parent / "agents" / "wasi_std.rs"
SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND


def compiler() -> tuple[str, str]:
    """Return a rustc and its name for WASI preview 1, which changed."""
    for rustc in ("rustc", "/usr/bin/rustc"):
        for target in ("wasm32-wasip1", "wasm32-wasi"):
            if shutil.which(rustc):
                command = [rustc, "--print", "target-libdir", "--target", target]
                found = subprocess.run(command, capture_output=True, text=True, check=False)
                if found.returncode == 0 and any(Path(found.stdout.strip()).glob("libstd-*.rlib")):
                    return rustc, target
    pytest.skip("no rustc with a WASI preview 1 target: apt-get install rustc libstd-rust-dev-wasm32 lld")


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Program:
    rustc, target = compiler()
    scratch = tmp_path_factory.mktemp("wasi")
    library, module = scratch / "libtickwork.rlib", scratch / "agent.wasm"
    common = [rustc, "--edition", "2021", "--target", target, "-C", "opt-level=s", "-C", "panic=abort"]
    crate = ["--crate-name", "tickwork", "--crate-type", "rlib", "-o", library, SDK / "src" / "lib.rs"]
    agent = ["--crate-type", "cdylib", "--extern", f"tickwork={library}", "-o", module, SOURCE]
    for rest in (crate, agent):
        done = subprocess.run([*common, *rest], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    return Program(Engine(), module.read_bytes())


def turns(program: Program, *ticks: int, seed: int = 1) -> list[Outcome]:
    agent = Instance(program, Limits())
    assert agent.setup("asker", b"", now_ns=START, start_ns=START, seed=seed).kind is OutcomeKind.OK
    outcomes = [agent.step(tick, START + tick * SECOND, 0, []) for tick in ticks]
    agent.close()
    return outcomes


def outputs(outcome: Outcome) -> dict[str, str]:
    return {effect.name: effect.body.decode() for effect in outcome.effects if isinstance(effect, Output)}


def test_the_standard_library_finds_a_virtual_world(program: Program) -> None:
    (outcome,) = turns(program, 5)
    assert outcome.kind is OutcomeKind.OK
    found = outputs(outcome)
    assert found.pop("random").isdigit()
    assert found == {
        "before": str(START + 5 * SECOND),
        "after": str(START + 6 * SECOND + SECOND // 2),
        "slept": str(SECOND + SECOND // 2),
        "arguments": "0",
        "environment": "0",
        "input": "0",
        "no such file": "true",
    }
    assert outcome.effects[-2:] == (Log(Level.INFO, "tick 5"), Log(Level.WARN, "oops"))


def test_exit_ends_the_turn_and_keeps_what_was_printed(program: Program) -> None:
    (outcome,) = turns(program, 9)
    assert (outcome.kind, outcome.detail) == (OutcomeKind.EXIT, "exit status 3")
    assert outcome.effects == (Log(Level.INFO, "tick 9"), Log(Level.WARN, "oops"))


def test_equal_seeds_give_equal_turns_and_other_seeds_others(program: Program) -> None:
    first, again, other = (turns(program, 1, 2, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert outputs(first[0])["random"] != outputs(other[0])["random"]
