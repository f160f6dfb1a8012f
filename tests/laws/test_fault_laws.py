"""Laws of runs in which things are broken on purpose, and whose agents are restarted and rolled back."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from core_strategies import play_tick, scenarios
from fault_strategies import broken, edges, plans
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from pool_worlds import arrivals, modules, pool_runs, programs

from guests import image_guest
from tickwork.core.checkpoint import decode_world, encode_world
from tickwork.core.digest import content_hash, genesis
from tickwork.core.entry import decode_entry, encode_entry
from tickwork.core.fault_plan import FaultPlan
from tickwork.core.spec import RunSpec, with_faults
from tickwork.core.world import Status, genesis_world
from tickwork.journal.reader import RunReader
from tickwork.pool.inline import InlinePool
from tickwork.pool.native import ALONE_NS, kernel_fault
from tickwork.pool.threads import ThreadsPool
from tickwork.runtime.fork import fork
from tickwork.runtime.loop import Loop, Ticked
from tickwork.runtime.project import Project
from tickwork.runtime.record import Run
from tickwork.runtime.replay import replay
from tickwork.runtime.resume import resume
from tickwork.runtime.schedule import SnapshotSettings
from tickwork.runtime.seek import Recording

TICKS = 7


def play(spec: RunSpec, pool: InlinePool, ticks: int = TICKS) -> Iterator[Ticked]:
    loop = Loop(genesis_world(spec), pool, genesis(b"faults"))
    try:
        for tick in range(ticks):
            yield loop.tick(arrivals(tick))
    finally:
        pool.close()


@pytest.mark.skipif(kernel_fault() is not None, reason=f"no kernel: {kernel_fault()}")
@settings(max_examples=25)
@given(broken(pool_runs(), TICKS))
def test_broken_runs_are_the_same_on_every_pool(spec: RunSpec) -> None:
    expected = list(play(spec, InlinePool(programs())))
    for workers in (1, 2):
        pool = ThreadsPool(programs(), workers=workers, alone_ns=ALONE_NS if workers == 1 else 0)
        for one, other in zip(expected, play(spec, pool), strict=True):
            assert one.settled.entry == other.settled.entry
            assert one.fuel == other.fuel
            assert encode_world(one.world) == encode_world(other.world)
            assert one.digests == other.digests


@settings(max_examples=25)
@given(pool_runs(), st.data())
def test_what_came_by_chance_comes_again_when_it_is_said(spec: RunSpec, data: st.DataObject) -> None:
    names = [agent.id for agent in spec.agents]
    spec = replace(spec, edges=data.draw(edges(spec)))
    by_chance = list(play(with_faults(spec, data.draw(plans(names, TICKS))), InlinePool(programs())))
    applied = [fault.fault for ticked in by_chance for fault in ticked.settled.entry.faults]
    explicit = FaultPlan(tuple(dict.fromkeys(applied)))
    said = list(play(with_faults(spec, explicit), InlinePool(programs())))
    assert [one.entry for one in said] == [one.entry for one in by_chance]


@settings(max_examples=200)
@given(scenarios(), st.data())
def test_a_world_that_was_stored_breaks_as_the_one_that_was_not(scenario, data) -> None:
    run = data.draw(broken(st.just(scenario.run), len(scenario.script)))
    world = stored = genesis_world(run)
    for comes_to, lines in scenario.script:
        one, other = play_tick(world, comes_to, lines), play_tick(stored, comes_to, lines)
        assert encode_entry(one.settled.entry) == encode_entry(other.settled.entry)
        assert (one.settled.restarted, one.settled.rolled_back) == (
            other.settled.restarted,
            other.settled.rolled_back,
        )
        world = one.after
        data_of_world = encode_world(world)
        stored = decode_world(data_of_world, run)
        assert encode_world(stored) == data_of_world == encode_world(other.after)


@settings(max_examples=100)
@given(scenarios(), st.data())
def test_a_broken_run_whose_agents_share_a_wave_is_what_it_is_in_lockstep(scenario, data) -> None:
    run = data.draw(broken(st.just(scenario.run), len(scenario.script), waves=False))
    never = replace(scenario.run.agents[0], id="never")
    run = replace(run, kinds=(*run.kinds, never))
    to_nobody = tuple((name, "never/*") for name in (*(agent.id for agent in run.agents), "k/*", "w/*"))
    lockstep, waves = genesis_world(run), genesis_world(replace(run, edges=to_nobody))
    assert (lockstep.waves.count, waves.waves.count) == (1, 2)
    for comes_to, lines in scenario.script:
        one, other = play_tick(lockstep, comes_to, lines), play_tick(waves, comes_to, lines)
        assert encode_entry(one.settled.entry) == encode_entry(other.settled.entry)
        lockstep, waves = one.after, other.after
        assert encode_world(lockstep) == encode_world(waves)


@given(scenarios(), st.integers(0, 9))
def test_a_plan_of_nothing_changes_no_byte(scenario, seed) -> None:
    encode = msgspec.msgpack.encode
    assert encode(with_faults(scenario.run, FaultPlan(seed=seed))) == encode(scenario.run)


def _project(spec: RunSpec) -> Project:
    codes = {content_hash(code): code for code in (image_guest(), *modules().values())}
    used = dict.fromkeys(agent.module for agent in (*spec.agents, *spec.kinds))
    return Project(
        spec, {name: codes[name] for name in used}, ticks=TICKS, snapshots=SnapshotSettings(every=2)
    )


def _take(run: Run, until: int) -> None:
    while run.world.tick < until:
        for item in arrivals(run.world.tick).inputs if run.world.tick else ():
            run.post("line", item.body.hex().encode().join((b'"', b'"')))
        run.advance()


def _rows(path: Path) -> list[tuple[int, bytes, bytes, object]]:
    with RunReader.open(path) as reader:
        return [(one.tick, one.entry, one.fuel, one.digests) for one in reader.entries()]


def _images(run: Run) -> dict[str, bytes]:
    return {
        agent.spec.id: run._pool.image(run.world, index).digest()
        for index, agent in enumerate(run.world.agents)
        if agent.status is Status.RUNNING
    }


@settings(max_examples=12)
@given(broken(pool_runs(), TICKS), st.integers(0, TICKS), st.integers(0, TICKS))
def test_a_broken_run_replays_resumes_forks_and_can_be_looked_at(spec, killed, forked) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "run.tick"
        images, worlds = [], []
        with Run(_project(spec), path) as run:
            for tick in range(TICKS):
                images.append(_images(run))
                worlds.append(encode_world(run.world))
                _take(run, tick + 1)
            images.append(_images(run))
            worlds.append(encode_world(run.world))
        rows = _rows(path)
        for _, entry, _, _ in rows:
            assert encode_entry(decode_entry(entry)) == entry
        found = replay(path)
        assert found.identical, found.first_divergence
        for tick, world in enumerate(worlds):
            assert encode_world(decode_world(world, spec)) == world, tick
        _look(path, images, worlds)
        again = folder / "again.tick"
        run = Run(_project(spec), again, workers=0)
        _take(run, killed)
        run.close()
        with resume(again) as run:
            _take(run, TICKS)
        assert _rows(again) == rows
        branch = folder / "fork.tick"
        fork(path, branch, forked)
        with resume(branch) as run:
            while run.world.tick < TICKS:
                run.advance()
        assert _rows(branch) == rows[forked:]


def _look(path: Path, images: list[dict[str, bytes]], worlds: list[bytes]) -> None:
    with Recording.open(path) as recording:
        for tick, world in enumerate(worlds):
            moment = recording.at(tick)
            assert encode_world(moment.world) == world
            for name, image in images[tick].items():
                assert moment.agent(name).image().digest() == image, (tick, name)
