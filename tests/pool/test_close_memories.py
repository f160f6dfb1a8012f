"""Memories that reserve less than 4 GiB: on every pool, agents live in them as in the others."""

from pathlib import Path

import pytest

from guests import wat
from tickwork.core.digest import content_hash
from tickwork.core.grants import Capability, Grant
from tickwork.core.limits import Limits, RunLimits
from tickwork.core.spec import AgentSpec, RunSpec
from tickwork.guest.engine import WHOLE_AGENTS_MAX, WHOLE_BYTES
from tickwork.journal.reader import RunReader
from tickwork.pool.choose import Workers
from tickwork.pool.native import kernel_fault
from tickwork.runtime.programs import compile_project
from tickwork.runtime.project import Project
from tickwork.runtime.record import Run

AGENTS, TICKS, CAP_PAGES = 5, 12, 1024
# Grows by up to 255 pages in each step, until it may not; sends how large it is, and what it wrote at its
# very end in the step before.
GROWER = wat(
    memory='(memory (export "memory") 32)',
    step="""(local $end i32)
      (i32.store (i32.const 260) (i32.load (i32.sub (i32.mul (memory.size) (i32.const 65536)) (i32.const 4))))
      (drop (memory.grow (i32.and (i32.wrap_i64 (local.get $seed)) (i32.const 255))))
      (i32.store (i32.const 256) (memory.size))
      (local.set $end (i32.sub (i32.mul (memory.size) (i32.const 65536)) (i32.const 4)))
      (i32.store (local.get $end) (i32.wrap_i64 (local.get $seed)))
      (i32.const 48)""",
    # The inbox comes to lie in the last page, wherever that is.
    realloc="(i32.sub (i32.mul (memory.size) (i32.const 65536)) (i32.const 4096))",
    extra="""
      (data (i32.const 48) "\\00\\00\\00\\00\\40\\00\\00\\00\\01")
      (data (i32.const 72) "\\90\\00\\00\\00\\02\\00\\00\\00") (data (i32.const 144) "g1")
      (data (i32.const 88) "\\00\\01\\00\\00\\08\\00\\00\\00")""",
)


def project(most: int) -> Project:
    module = content_hash(GROWER)
    grants = (Grant(Capability.SEND, "*"),)
    limits = Limits(memory_bytes=CAP_PAGES * 65536)
    agents = tuple(
        AgentSpec(f"g{place}", "g", module, b"", grants, limits=limits, every_tick=True)
        for place in range(AGENTS)
    )
    spec = RunSpec("close", 3, 0, 1, "portable", agents, limits=RunLimits(agents=most))
    return Project(spec, {module: GROWER}, ticks=TICKS)


def recorded(path: Path, most: int, workers: Workers) -> list[tuple[bytes, bytes]]:
    chosen = project(most)
    programs = compile_project(chosen)
    reserved = {program.engine.reserved_bytes for program in programs.values()}
    assert (reserved == {WHOLE_BYTES}) == (most <= WHOLE_AGENTS_MAX)
    with Run(chosen, path, programs=programs, workers=workers) as run:
        run.run_to_end()
    with RunReader.open(path) as reader:
        return [(stored.entry, stored.fuel) for stored in reader.entries()]


kernel = pytest.mark.skipif(kernel_fault() is not None, reason=f"no kernel: {kernel_fault()}")


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=kernel)])
def test_agents_that_grow_to_their_cap_do_the_same_in_close_memories(tmp_path: Path, workers: int) -> None:
    whole = recorded(tmp_path / "whole.tick", WHOLE_AGENTS_MAX, 0)
    close = recorded(tmp_path / "close.tick", WHOLE_AGENTS_MAX + 1, workers)
    assert len(whole) == TICKS
    assert close == whole
    with RunReader.open(tmp_path / "close.tick") as reader:
        turns = [turn for stored in reader.entries(1) for turn in stored.decode()[0].turns]
    assert {(turn.kind, len(turn.effects)) for turn in turns} == {("ok", 1)}
    sizes = {int.from_bytes(effect.body[:4], "little") for turn in turns for effect in turn.effects}
    assert len(sizes) > TICKS
    assert CAP_PAGES - 255 < max(sizes) <= CAP_PAGES
