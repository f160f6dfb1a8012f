"""The peers that the benchmarks compare with do the same work: the same messages, tick by tick."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "bench"
sys.path.insert(0, str(BENCH / "peers"))

import crowds  # noqa: E402

AGENTS, TICKS = 60, 12


@pytest.fixture(scope="module")
def ours() -> dict[int, str]:
    found = {}
    for messages in (0, 2):
        command = [sys.executable, BENCH / "measure.py", "tiny-sum", *map(str, (AGENTS, messages, TICKS))]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found[messages] = json.loads(done.stdout)["checksum"]
    return found


@pytest.mark.parametrize("peer", crowds.PEERS, ids=lambda peer: peer.label)
def test_a_peer_comes_to_the_same_messages(peer: crowds.Peer, ours: dict[int, str]) -> None:
    reason = crowds.missing(peer.tool)
    if reason is not None:
        pytest.skip(f"{peer.label}: {reason}")
    with crowds.modules() as built:
        for messages, checksum in ours.items():
            found = crowds.run(built, peer, agents=AGENTS, messages=messages, ticks=TICKS - 2, warm=2)
            assert found["checksum"] == checksum
    assert len(set(ours.values())) == len(ours)


def test_a_long_run_keeps_its_memory() -> None:
    command = [sys.executable, BENCH / "measure.py", "million", "300000"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    # Queues and caches may still fill up, but nothing may be kept of each message.
    assert found["pss_mib_at_100%"] - found["pss_mib_at_20%"] < 40, found
