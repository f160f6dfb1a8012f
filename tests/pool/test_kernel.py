"""The kernel: what it lifts, what it refuses, and what happens when a thread of it does not come back."""

import json
import math
import os
import re
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import guests
from canonical import STEP_RESULT, Image
from guests import chatter, effect_value, program, wat
from tickwork.core.digest import genesis
from tickwork.core.effects import Effect, Log, Metric, Publish, Send, Stop, Timer
from tickwork.core.errors import HostError
from tickwork.core.limits import Limits
from tickwork.core.messages import NO_ARRIVALS
from tickwork.core.outcomes import OutcomeKind
from tickwork.core.spec import AgentSpec, RunSpec
from tickwork.core.step import plan
from tickwork.core.world import genesis_world
from tickwork.guest import abi
from tickwork.guest.virtual import GuestFault
from tickwork.journal.reader import RunReader
from tickwork.pool import arena, choose, faults, native
from tickwork.pool.choose import Workers, open_pool
from tickwork.pool.inline import InlinePool
from tickwork.pool.native import kernel_fault, open_kernel
from tickwork.pool.threads import ThreadsPool
from tickwork.runtime.loop import Loop
from tickwork.runtime.replay import replay

pytestmark = pytest.mark.skipif(kernel_fault() is not None, reason=f"no kernel: {kernel_fault()}")

TESTS = Path(guests.__file__).parent
SIZE = 1 << 14
LIMITS = Limits(effects_per_turn=40, bytes_per_turn=4000)


class Ram:
    """Bytes as a guest's memory: `abi.GuestMemory`."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    def read(self, pointer: int, length: int) -> bytes:
        if pointer + length > len(self.content):
            raise GuestFault(OutcomeKind.BAD_POINTER)
        return self.content[pointer : pointer + length]

    def write(self, pointer: int, data: bytes) -> None:
        raise AssertionError(f"lifting wrote {len(data)} bytes at {pointer}")

    def window(self, *, grown: bool = False) -> tuple[bytes, int]:
        del grown  # it has one size
        return self.content, len(self.content)


@pytest.fixture(scope="module")
def kernel() -> Iterator[Any]:
    made = open_kernel(1, 10**12, 0)
    yield made
    made.stop()


def lifted(memory: bytes, pointer: int, limits: Limits) -> tuple[Effect, ...] | None:
    """Return what the codec lifts, or None if it finds a fault."""
    try:
        return abi.load_step_result(Ram(memory), pointer, limits)
    except GuestFault:
        return None


def assert_same(kernel: Any, memory: bytes, pointer: int, limits: Limits) -> None:
    found = kernel.lift(memory, pointer, limits.effects_per_turn, limits.bytes_per_turn)
    # By their text: NaN is not equal to itself, and 1 is equal to 1.0.
    assert repr(found) == repr(lifted(memory, pointer, limits))


_text = st.text(max_size=12) | st.sampled_from(["", "\0", "é", "\U0010ffff", "a" * 300])
_bytes = st.binary(max_size=12) | st.just(bytes(500))
_u64 = st.integers(0, 3) | st.integers(0, (1 << 64) - 1)
_effects = st.one_of(
    st.builds(Send, _text, _text, _bytes, st.none() | _u64),
    st.builds(Publish, _text, _bytes),
    st.builds(Timer, _text, _bytes, _u64, _u64),
    st.builds(Log, st.integers(0, 3), _text),
    st.builds(Metric, _text, st.floats(width=32)),
    st.builds(Stop, st.none() | _text, _text),
)


@st.composite
def damaged_results(draw: st.DrawFn) -> tuple[bytes, int]:
    """Return a memory with a step's result in it, some of its bytes overwritten, and where that is."""
    image = Image(64, filler=draw(st.sampled_from([0, 0xCD, 0xFF])))
    values = [effect_value(effect) for effect in draw(st.lists(_effects, max_size=6))]
    at = image.store(STEP_RESULT, (0, values))
    memory = bytearray(64) + image.data
    memory = memory[:SIZE] + bytes(max(0, draw(st.integers(0, SIZE)) - len(memory)))
    for _ in range(draw(st.integers(0, 3))):
        where = draw(st.integers(0, len(memory) - 1))
        patch = draw(st.binary(min_size=1, max_size=8) | st.integers(0, SIZE).map(struct.Struct("<I").pack))
        memory[where : where + len(patch)] = patch[: len(memory) - where]
    return bytes(memory), at


@given(damaged_results())
def test_the_kernel_lifts_what_the_codec_lifts_and_refuses_what_it_refuses(
    kernel: Any, damaged: tuple[bytes, int]
) -> None:
    assert_same(kernel, *damaged, LIMITS)


@given(st.binary(max_size=300), st.integers(0, 400), st.integers(0, 3), st.integers(0, 100))
def test_noise_is_lifted_alike(kernel: Any, memory: bytes, pointer: int, count: int, size: int) -> None:
    assert_same(kernel, memory, pointer, Limits(effects_per_turn=count, bytes_per_turn=size))


@given(st.binary(max_size=12) | st.text(max_size=4).map(str.encode))
def test_the_kernel_takes_for_utf8_what_python_does(kernel: Any, text: bytes) -> None:
    assert_same(kernel, log_of(text), 0, LIMITS)


def log_of(text: bytes) -> bytes:
    record = struct.pack("<B7xB3xII28x", 6, 0, 64, len(text))
    return struct.pack("<B3xII4x", 0, 16, 1) + record + text


def test_every_sequence_that_utf8_forbids_is_refused(kernel: Any) -> None:
    for lead in range(0x80, 0x100):
        for second in range(0x70, 0xD0):
            for tail in (b"", b"\x80", b"\x80\x80", b"\x80A"):
                text = b"abcdefgh" + bytes([lead, second]) + tail
                assert_same(kernel, log_of(text), 0, LIMITS)


def test_nan_is_lifted_as_the_one_nan_there_is(kernel: Any) -> None:
    record = struct.pack("<B7xIIQ24x", 7, 0, 0, 0xFFF8DEADBEEF0001)
    (metric,) = kernel.lift(struct.pack("<B3xII4x", 0, 16, 1) + record, 0, 1, 1)
    assert struct.pack("<d", metric.value) == struct.pack("<d", math.nan)


def test_the_c_header_is_the_table() -> None:
    assert arena.HEADER.read_text() == arena.header(), "python -m tickwork.pool.arena writes it"


def test_the_page_on_shared_memory_is_the_table_and_names_every_atomic() -> None:
    page = (TESTS.parent / "docs" / "reference" / "shared-memory.md").read_text()
    assert page.endswith(arena.tables())
    kernel = arena.HEADER.parent
    atomics = re.findall(r"_Atomic uint32_t (\w+);|tw_word (\w+);", (kernel / "crew.h").read_text())
    atomics += re.findall(r"_Atomic uint32_t (\w+);()", arena.header())
    for name in {first or second for first, second in atomics}:
        assert re.search(rf"^\|.*`{name}`.*\|", page, re.MULTILINE), name


def test_the_faults_are_those_of_the_kernel() -> None:
    header = (arena.HEADER.parent / "turn.h").read_text()
    found = {name: int(value) for name, value in re.findall(r"TW_(\w+) = (\d+),", header)}
    assert found == {"FINE": 0} | {fault.name: fault.value for fault in faults.Fault}


# ---- pools


def crowd(code: bytes, count: int, **fields: Any) -> RunSpec:
    agents = tuple(
        AgentSpec(f"a-{place}", "a", program(code).hash, b"a-0", every_tick=True, **fields)
        for place in range(count)
    )
    return RunSpec("crowd", 0, 0, 1, "portable", agents)


CALLER = wat(imports='(import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))')


def loop_of(spec: RunSpec, pool: InlinePool) -> Loop:
    return Loop(genesis_world(spec), pool, genesis(b""))


def test_a_pool_is_had_by_the_number_of_its_workers() -> None:
    guest, caller = program(chatter()), program(CALLER)
    some = {guest.hash: guest, caller.hash: caller}
    wanted: dict[Workers, type[InlinePool]] = {0: InlinePool, 1: ThreadsPool, "auto": ThreadsPool}
    for workers, kind in wanted.items():
        pool = open_pool(some, workers)
        assert type(pool) is kind
        pool.close()
    for workers in (-1, native.WORKERS_MAX + 1):
        with pytest.raises(HostError, match="workers"):
            open_pool({}, workers)


def test_without_the_kernel_the_inline_pool_takes_over_and_says_so_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(native, "version", lambda _: "999.0.0")
    native._module.cache_clear()
    choose._say_once.cache_clear()
    try:
        for _ in range(2):
            assert type(open_pool({program(chatter()).hash: program(chatter())})) is InlinePool
        with pytest.raises(HostError, match=r"wasmtime 50, and 999\.0\.0 is installed"):
            ThreadsPool({})
    finally:
        native._module.cache_clear()
        choose._say_once.cache_clear()
    assert [record.getMessage() for record in caplog.records] == [
        "turns run without the kernel, several times slower: it was written for wasmtime 50, and 999.0.0 is "
        "installed"
    ]


def test_a_host_failure_in_a_wave_ends_the_wave_and_leaves_the_pool_to_be_closed() -> None:
    code = chatter()
    pool = ThreadsPool({program(code).hash: program(code)}, workers=2, alone_ns=0)
    loop = loop_of(crowd(code, 50), pool)
    loop.tick(NO_ARRIVALS)

    class Broken(Exception):  # noqa: N818 - what a host's own code raises
        pass

    def broken(*_: object) -> None:
        raise Broken

    pool._admit_fresh()
    pool._kernel.dismiss(7)
    with pytest.raises(Broken):
        pool._kernel.run(plan(loop.world, NO_ARRIVALS).turns, 1, 1, broken, broken)
    with pytest.raises(TypeError):
        pool._kernel.run((1, 2), 1, 1, broken, broken)
    loop.tick(NO_ARRIVALS)
    pool.close()
    with pytest.raises(RuntimeError, match="ended"):
        pool._kernel.run((), 1, 1, broken, broken)


def test_a_pool_that_is_dropped_ends_its_threads() -> None:
    before = threads()
    for _ in range(20):
        ThreadsPool({}, workers=3)
    assert threads() == before


def threads() -> int:
    found = re.search(r"^Threads:\s+(\d+)", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found
    return int(found[1])


STUCK = """(if (i64.eq (local.get $tick) (i64.const 2)) (then
  (if (i32.eq (i32.load8_u (i32.const 4096)) (i32.const 51)) (then (loop $l (br $l))))))
  (i32.const 16)"""
REMEMBER_LAST = """(i32.store8 (i32.const 4096) (i32.load8_u (i32.add (local.get 0)
  (i32.sub (local.get 1) (i32.const 1))))) (i32.const 16)"""


_SCRIPT = """
import json, sys
from pathlib import Path
from guests import program, wat
from test_kernel import REMEMBER_LAST, STUCK, crowd
from tickwork.core.errors import HostError
from tickwork.core.limits import Limits
from tickwork.pool import native, threads
from tickwork.runtime.project import Project
from tickwork.runtime.record import Run

threads.STUCK_S = 0.2
threads.ThreadsPool.__init__.__kwdefaults__["alone_ns"] = 0
code = wat(setup=REMEMBER_LAST, step=STUCK)
spec = crowd(code, 5, limits=Limits(fuel_per_turn=10**15))
project = Project(spec, {program(code).hash: code})
try:
    with Run(project, Path(sys.argv[1]), workers=int(sys.argv[2])) as run:
        run.advance(10)
except HostError as error:
    print(json.dumps([str(error), run.world.tick]), flush=True)
"""


@pytest.mark.parametrize("workers", [1, 3])
def test_a_worker_that_is_stuck_is_named_and_the_run_file_stays_valid(tmp_path: Path, workers: int) -> None:
    file = tmp_path / "stuck.tick"
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, file, str(workers)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS / "pool"), *sys.path])},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    message, tick = json.loads(done.stdout)
    assert message.startswith("agent 'a-3' has been in one turn for more than 0.2 s")
    assert tick == 2
    with RunReader.open(file) as reader:
        assert [stored.damage for stored in reader.entries()] == [None, None]
        assert reader.status == "failed"
    assert replay(file).ticks == 2
