"""The kernel's own threads compile for systems that the tests do not run on."""

import subprocess
import sys
from pathlib import Path

import pytest

KERNEL = Path(__file__).parents[2] / "src" / "tickwork" / "pool" / "kernel"
# The files that know nothing of Python, whose headers are only there for this system.
SOURCES = sorted(
    path for path in KERNEL.glob("*.c") if "binding.h" not in path.read_text() and path.name != "module.c"
)
TARGETS = ("x86_64-windows-gnu", "aarch64-macos", "x86_64-macos", "aarch64-linux-gnu")


@pytest.mark.parametrize("target", TARGETS)
def test_the_kernel_compiles_without_a_warning(target: str, tmp_path: Path) -> None:
    assert len(SOURCES) >= 8
    for source in SOURCES:
        done = subprocess.run(
            [sys.executable, "-m", "ziglang", "cc", "-target", target, "-std=c11", "-O2", "-Wall", "-Wextra",
             "-Wno-unknown-pragmas", "-Werror", "-c", str(source), "-o", str(tmp_path / f"{source.stem}.o")],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{source.name}: {done.stderr}"
