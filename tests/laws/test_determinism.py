import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import determined_run
from determined_run import TICKS, idler
from guests import program
from tickwork.core.digest import content_hash, genesis
from tickwork.core.messages import Arrivals, Input
from tickwork.core.world import genesis_world
from tickwork.journal.reader import RunReader
from tickwork.pool.inline import InlinePool
from tickwork.runtime.loop import Loop
from tickwork.runtime.record import Run
from tickwork.runtime.replay import replay

TESTS = Path(determined_run.__file__).parent


def in_another_process(
    folder: Path, hash_seed: str, *more: str, cache: Path | None = None
) -> tuple[str, str]:
    folder.mkdir()
    environment = {
        **os.environ,
        "PYTHONHASHSEED": hash_seed,
        "PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path]),
    }
    if cache is not None:
        environment["XDG_CACHE_HOME"] = str(cache)
    done = subprocess.run(
        [sys.executable, determined_run.__file__, folder, *more],
        env=environment,
        capture_output=True,
        check=True,
    )
    digest, exact = json.loads(done.stdout)
    return digest, exact


def test_a_run_gives_the_same_digests_twice_in_one_process_and_in_others(tmp_path: Path) -> None:
    first = determined_run.record(tmp_path)
    assert determined_run.record(tmp_path) == first
    assert determined_run.record(tmp_path, backwards=True) == first
    assert in_another_process(tmp_path / "a", "0") == first
    # Its first process compiles, its second maps what was compiled.
    cold = tmp_path / "cold"
    assert in_another_process(tmp_path / "b", "12345", "backwards", cache=cold) == first
    assert in_another_process(tmp_path / "c", "random", cache=cold) == first


def test_its_replay_is_identical(tmp_path: Path) -> None:
    digest, exact = determined_run.record(tmp_path)
    found = replay(tmp_path / "run.tick")
    assert found.identical
    assert found.first_divergence is None
    assert (found.digest, found.exact, found.ticks) == (digest, exact, TICKS)


def test_a_run_file_is_the_same_bytes_of_entries_wherever_it_is_made(tmp_path: Path) -> None:
    determined_run.record(tmp_path)
    in_another_process(tmp_path / "other", "7")
    contents = []
    for path in (tmp_path / "run.tick", tmp_path / "other" / "run.tick"):
        with RunReader.open(path) as reader:
            contents.append([(stored.entry, stored.fuel, stored.digests) for stored in reader.entries()])
    assert contents[0] == contents[1]
    assert len(contents[0]) == TICKS


def _chain(idle_work: int) -> list[tuple[str, str]]:
    """Return the digests of the run where the idle agents run as if their module had done `idle_work`."""
    programs = {name: program(code) for name, code in determined_run.modules().items()}
    programs[content_hash(idler())] = program(idler(idle_work))
    pool = InlinePool(programs)
    loop = Loop(genesis_world(determined_run.spec()), pool, genesis(b"fuel"))
    links = []
    try:
        for tick in range(TICKS):
            lines = (Input(0, determined_run.LINES[tick]),) if tick else ()
            digests = loop.tick(Arrivals(lines)).digests
            links.append((digests.digest.hex(), digests.exact.hex()))
    finally:
        pool.close()
    return links


def test_the_portable_digest_does_not_depend_on_fuel_and_the_exact_one_does() -> None:
    lean, wasteful = _chain(0), _chain(1000)
    assert [digest for digest, _ in lean] == [digest for digest, _ in wasteful]
    # Nobody is idle before the first line, in tick 1.
    assert [a[1] == b[1] for a, b in zip(lean, wasteful, strict=True)] == [True] + [False] * (TICKS - 1)
    assert _chain(0) == lean


@pytest.mark.parametrize("ticks", [1, 3])
def test_a_run_that_is_cut_off_replays_as_far_as_it_goes(tmp_path: Path, ticks: int) -> None:
    run = Run(determined_run.project(tmp_path), tmp_path / "run.tick")
    run.advance(ticks)
    run.close()
    shutil.copy(tmp_path / "run.tick", tmp_path / "copy.tick")
    found = replay(tmp_path / "copy.tick")
    assert (found.identical, found.ticks, found.status) == (True, ticks, "running")
    assert any("cut off" in warning for warning in found.warnings)
