"""The tiny agents on other runtimes: the same work, shown by the checksum of the last tick's messages."""

import importlib.util
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
TIMEOUT_S = 300
WARM_TICKS = 20
# Speeds differ by two orders; each runs for about half a second.
TICKS = {"node": 400_000, "mesa": 20_000, "extism": 6_000}


class Peer(NamedTuple):
    """One way to run the crowd. `hashes`: whether a chain of hashes over all messages is kept, as ours is."""

    label: str
    tool: str
    threads: int = 1
    hashes: bool = False


PEERS = (
    Peer("Node.js worker_threads, 1 thread, hash chain", "node", 1, hashes=True),
    Peer("Node.js worker_threads, 2 threads, hash chain", "node", 2, hashes=True),
    Peer("Node.js worker_threads, 1 thread, no hashes", "node", 1),
    Peer("Node.js worker_threads, 2 threads, no hashes", "node", 2),
    Peer("Mesa (Python, no sandbox)", "mesa"),
    Peer("Extism Python SDK", "extism"),
)


def missing(tool: str) -> str | None:
    """Return how to get the tool that a peer needs, or None if it is there."""
    if tool == "node":
        return None if shutil.which("node") else "Node.js is missing; on Debian: apt-get install nodejs"
    if importlib.util.find_spec(tool) is None:
        return f"{tool} is missing; install it with: pip install -r bench/peers/requirements.txt"
    return None


@contextmanager
def modules() -> Iterator[dict[str, Path]]:
    """Build the peers' WASM modules, by their tool, for as long as they are needed."""
    with tempfile.TemporaryDirectory() as folder:
        built = {}
        for tool, source in (("node", "tiny_flat.c"), ("extism", "tiny_extism.c")):
            built[tool] = Path(folder) / f"{tool}.wasm"
            command = [sys.executable, "-m", "ziglang", "cc", "-target", "wasm32-freestanding", "-O2",
                       "-nostdlib", "-Wl,--no-entry", str(HERE / source), "-o", str(built[tool])]  # fmt: skip
            subprocess.run(command, check=True, capture_output=True)
        yield built


def run(
    built: dict[str, Path], peer: Peer, *, agents: int, messages: int, ticks: int, warm: int
) -> dict[str, float | str]:
    """Run one peer in a process of its own; return `turns_per_s`, `checksum` and `version`."""
    numbers = [agents, messages, ticks, warm]
    commands = {
        "node": ["node", HERE / "tiny_node.js", built["node"], *numbers, peer.threads, int(peer.hashes)],
        "mesa": [sys.executable, HERE / "tiny_mesa.py", *numbers],
        "extism": [sys.executable, HERE / "tiny_extism_host.py", built["extism"], *numbers],
    }
    done = subprocess.run(
        [str(part) for part in commands[peer.tool]],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(f"the peer {peer.tool} failed:\n{done.stderr}")
    return dict(json.loads(done.stdout))
