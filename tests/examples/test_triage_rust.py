"""The committed Rust agent is what its source says, byte for byte."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from triage_files import EXAMPLE

REPOSITORY = EXAMPLE.parents[1]
RUSTC = "/usr/bin/rustc"
# Debian's build says no more; other builds of 1.63.0 name their commit and give other bytes.
VERSION = "rustc 1.63.0"
INSTALL = "apt-get install rustc libstd-rust-dev-wasm32 lld, on Debian 12"


def debian_rustc() -> None:
    """Skip unless the compiler that made the committed bytes is here."""
    if not Path(RUSTC).exists():
        pytest.skip(f"no {RUSTC}; {INSTALL}")
    found = subprocess.run([RUSTC, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if found != VERSION:
        pytest.skip(f"{RUSTC} is {found!r}, not Debian 12's {VERSION!r}")
    target = [RUSTC, "--print", "target-libdir", "--target", "wasm32-unknown-unknown"]
    libraries = Path(subprocess.run(target, capture_output=True, text=True, check=True).stdout.strip())
    if not list(libraries.glob("libcore-*.rlib")):
        pytest.skip(f"{RUSTC} lacks the target wasm32-unknown-unknown; {INSTALL}")


def build(repository: Path, output: Path) -> bytes:
    script = repository / "examples" / "triage" / "dedup" / "build.sh"
    subprocess.run(
        [str(script), str(output)],
        check=True,
        capture_output=True,
        env={"RUSTC": RUSTC, "PATH": "/usr/bin:/bin"},
    )
    return output.read_bytes()


def test_the_committed_module_is_rebuilt_byte_for_byte(tmp_path):
    debian_rustc()
    assert build(REPOSITORY, tmp_path / "dedup.wasm") == (EXAMPLE / "dedup" / "dedup.wasm").read_bytes()


def test_where_the_sources_lie_leaves_no_trace(tmp_path):
    debian_rustc()
    elsewhere = tmp_path / "quite" / "another place"
    for folder in ("examples/triage/dedup", "sdk/rust/src"):
        shutil.copytree(REPOSITORY / folder, elsewhere / folder)
    built = build(elsewhere, tmp_path / "moved.wasm")
    assert built == (EXAMPLE / "dedup" / "dedup.wasm").read_bytes()
    assert re.search(rb"/(home|root|work|tmp)/", built) is None


def test_the_fingerprint_keeps_its_promises(tmp_path):
    debian_rustc()
    program = tmp_path / "fingerprint"
    source = EXAMPLE / "dedup" / "src" / "fingerprint.rs"
    subprocess.run([RUSTC, "--edition", "2021", "--test", str(source), "-o", str(program)], check=True)
    done = subprocess.run([str(program)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "4 passed" in done.stdout
