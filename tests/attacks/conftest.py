"""The process under attack, started once and again after a crash."""

import json
import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hostile_code import Attack

from tickwork.pool.native import kernel_fault

HERE = Path(__file__).parent
# Far above what any attack takes on a slow machine; a hang must not outlast the test run.
ANSWER_S = 120


class Victim:
    """Talks to `victim.py`. A crash or a hang of that process fails the test that caused it."""

    def __init__(self, workers: int) -> None:
        self._workers = str(workers)
        self._process: subprocess.Popen[bytes] | None = None
        # Compiled attacks have no place in the user's cache.
        self.cache = tempfile.TemporaryDirectory()

    def _start(self) -> subprocess.Popen[bytes]:
        path = os.pathsep.join([str(HERE.parent), str(HERE), *sys.path])
        return subprocess.Popen(
            [sys.executable, HERE / "victim.py"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={
                **os.environ,
                "PYTHONPATH": path,
                "XDG_CACHE_HOME": self.cache.name,
                "VICTIM_WORKERS": self._workers,
            },
        )

    def ask(self, do: str, attack: Attack, **more: object) -> dict[str, Any]:
        if self._process is None:
            self._process = self._start()
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        order = {
            "do": do,
            "code": attack.code.hex(),
            "config": attack.config.hex(),
            "limits": msgspec.to_builtins(attack.limits),
            **more,
        }
        try:
            process.stdin.write(json.dumps(order).encode() + b"\n")
            process.stdin.flush()
        except BrokenPipeError:
            pass
        ready, _, _ = select.select([process.stdout], [], [], ANSWER_S)
        line = process.stdout.readline() if ready else b""
        if not line:
            self.close()
            pytest.fail(f"the process under attack {'hung' if not ready else 'died'}: {process.returncode}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


_POOLS = {"inline": 0} | ({"kernel": 2} if kernel_fault() is None else {})


@pytest.fixture(scope="session", params=_POOLS.values(), ids=_POOLS.keys())
def victim(request: pytest.FixtureRequest) -> Iterator[Victim]:
    victim = Victim(request.param)
    yield victim
    victim.close()
    victim.cache.cleanup()
