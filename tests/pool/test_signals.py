"""Signals that come while guests run: told afterwards, and never within the engine."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import guests
from tickwork.pool.native import kernel_fault
from tickwork.pool.signals import held_back

TESTS = Path(guests.__file__).parent


class Told(Exception):  # noqa: N818 - what a handler of the tests raises
    """Raised by a signal handler."""


@pytest.fixture
def handled() -> Iterator[list[int]]:
    """Let SIGUSR1 be noted and raise `Told`."""
    came: list[int] = []

    def handler(number: int, _frame: object) -> None:
        came.append(number)
        raise Told

    before = signal.signal(signal.SIGUSR1, handler)
    yield came
    signal.signal(signal.SIGUSR1, before)


def strike() -> None:
    os.kill(os.getpid(), signal.SIGUSR1)


def test_a_signal_is_held_back_until_it_is_asked_for(handled: list[int]) -> None:
    with held_back() as deliver:
        strike()
        assert handled == []
        with pytest.raises(Told):
            deliver()
        assert handled == [signal.SIGUSR1]
        deliver()
    assert handled == [signal.SIGUSR1]


def test_a_signal_that_nobody_asked_for_is_told_at_the_end(handled: list[int]) -> None:
    held = held_back()
    held.__enter__()
    strike()
    assert handled == []
    with pytest.raises(Told):
        held.__exit__(None, None, None)
    assert handled == [signal.SIGUSR1]


def test_handlers_are_back_in_place_afterwards(handled: list[int]) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGUSR1, signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(Told), held_back():
        strike()
    with pytest.raises(ValueError, match="inside"), held_back():
        raise ValueError("inside")
    assert before == [signal.getsignal(number) for number in (signal.SIGUSR1, signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(Told):
        strike()
    assert len(handled) == 2


def test_on_another_thread_nothing_is_touched(handled: list[int]) -> None:
    seen: list[object] = []

    def run() -> None:
        with held_back() as deliver:
            seen.append(signal.getsignal(signal.SIGUSR1))
            deliver()

    before = signal.getsignal(signal.SIGUSR1)
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [before]
    assert handled == []


# Rings while the guest counts, so that the handler is due at the first line of the callback.
_SCRIPT = """
import signal
from guests import program, wat
from tickwork.core.digest import genesis
from tickwork.core.messages import NO_ARRIVALS
from tickwork.core.spec import AgentSpec, RunSpec
from tickwork.core.limits import Limits
from tickwork.core.world import genesis_world
from tickwork.pool.inline import InlinePool
from tickwork.pool.threads import ThreadsPool
from tickwork.runtime.loop import Loop

code = wat(
    imports='(import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))',
    step='''(local $i i64)
      (loop $l (local.set $i (i64.add (local.get $i) (i64.const 1)))
        (br_if $l (i64.lt_u (local.get $i) (i64.const 400000000))))
      (drop (call $yield)) (i32.const 16)''',
)
made = program(code)
agent = AgentSpec("a", "a", made.hash, b"", limits=Limits(fuel_per_turn=10**10), every_tick=True)
run = RunSpec("r", 0, 0, 1, "portable", (agent,))
loop = Loop(genesis_world(run), POOL, genesis(b""))
loop.tick(NO_ARRIVALS)
signal.signal(signal.SIGALRM, signal.default_int_handler)
signal.setitimer(signal.ITIMER_REAL, 0.02)
try:
    loop.tick(NO_ARRIVALS)
except KeyboardInterrupt:
    print("interrupted at tick", loop.world.tick)
signal.setitimer(signal.ITIMER_REAL, 0)
"""


@pytest.mark.parametrize(
    "pool",
    [
        "InlinePool({made.hash: made})",
        "ThreadsPool({made.hash: made}, workers=1, alone_ns=0)",
        "ThreadsPool({made.hash: made}, workers=1, alone_ns=1 << 62)",
    ],
    ids=["inline", "a worker", "the caller alone"],
)
def test_an_interrupt_during_a_guests_call_of_the_host_ends_the_tick_and_not_the_process(pool: str) -> None:
    if "Threads" in pool and kernel_fault() is not None:
        pytest.skip(f"no kernel: {kernel_fault()}")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path])}
    script = _SCRIPT.replace("POOL", pool)
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "interrupted at tick 1\n"
