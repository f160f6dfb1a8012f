"""What is damaged in a run file is passed over aloud, or located and reported: never silently believed."""

import random  # noqa: TID251 - chooses what to damage, from fixed seeds
import shutil
import sqlite3
from contextlib import closing

import msgspec
import pytest

import travel_worlds
from snapshot_forger import Forger, with_page_changed
from tamper import flipped
from tickwork.core.checkpoint import encode_world
from tickwork.core.digest import Digests
from tickwork.core.errors import RunFileError
from tickwork.journal.reader import RunReader
from tickwork.journal.snapshot_codec import pack_world, unpack_agents
from tickwork.runtime.fork import fork
from tickwork.runtime.record import Run
from tickwork.runtime.replay import replay
from tickwork.runtime.resume import resume
from tickwork.runtime.schedule import SnapshotSettings
from tickwork.runtime.seek import Recording

LINES = 30
EVERY = 5


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Return a whole run: its folder, and by tick its world's bytes and the digests of its agents' images."""
    folder = tmp_path_factory.mktemp("whole")
    project = travel_worlds.project(folder, lines=LINES, snapshots=SnapshotSettings(every=EVERY))
    with Run(project, folder / "run.tick") as run:
        run.run_to_end()
    moments = []
    with Recording.open(folder / "run.tick") as recording:
        for tick in range(recording.end_tick + 1):
            moment = recording.at(tick)
            images = {
                name: moment.agent(name).image().digest()
                for name in moment.agents
                if moment.agent(name).status == "running"
            }
            moments.append((encode_world(moment.world), images))
    return folder, moments


@pytest.fixture
def run_file(whole, tmp_path):
    for name in ("run.tick", "lines.jsonl", "told.jsonl", "late.jsonl"):
        shutil.copy(whole[0] / name, tmp_path / name)
    return tmp_path / "run.tick"


def rows_of(path):
    with RunReader.open(path) as reader:
        return [(one.tick, one.entry, one.fuel, one.digests) for one in reader.entries()]


def ticks_of(path):
    with RunReader.open(path) as reader:
        return sorted(reader.snapshot_ticks())


def change(path, table, column, where, edit):
    with closing(sqlite3.connect(path)) as database:
        (before,) = database.execute(f"SELECT {column} FROM {table} WHERE {where}").fetchone()
        database.execute(f"UPDATE {table} SET {column} = ? WHERE {where}", (edit(before),))
        database.commit()


def resumed(path, whole):
    """Go on with a copy whose outputs are its own; return what was warned of."""
    warned = []
    outputs = {name: str(path.parent / f"{name}.jsonl") for name in travel_worlds.OUTPUTS}
    inputs = {"lines": str(path.parent / "lines.jsonl")}
    with resume(path, inputs=inputs, outputs=outputs, warn=warned.append) as run:
        run.run_to_end()
        found = {
            agent.spec.id: run._pool.image(run.world, index).digest()
            for index, agent in enumerate(run.world.agents)
            if agent.status == "running"
        }
    assert (encode_world(run.world), found) == whole[1][-1]
    assert rows_of(path) == rows_of(whole[0] / "run.tick")
    return warned


def check_moments(path, whole):
    with Recording.open(path) as recording:
        for tick, (world, images) in enumerate(whole[1]):
            moment = recording.at(tick)
            assert encode_world(moment.world) == world
            for name, image in images.items():
                assert moment.agent(name).image().digest() == image


LAST = "tick = (SELECT max(tick) FROM snapshot)"
DAMAGED_SNAPSHOTS = {
    "its world": ("snapshot", "world", LAST, lambda data: flipped(data, len(data) // 2)),
    "its world torn": ("snapshot", "world", LAST, lambda data: data[: len(data) // 2]),
    "its agents": ("snapshot", "agents", LAST, lambda data: flipped(data, len(data) - 6)),
    "its state": ("snapshot", "state", LAST, flipped),
    "its digest": ("snapshot", "digest", LAST, flipped),
    "its exact digest": ("snapshot", "exact", LAST, lambda data: data[:7]),
    "an image": ("image", "bytes", "id = (SELECT max(id) FROM image)", lambda data: flipped(data, 20)),
    "an image's hash": ("image", "hash", "id = (SELECT max(id) FROM image)", flipped),
    "a page": ("page", "bytes", "id = (SELECT max(id) FROM page)", lambda data: flipped(data, len(data) - 9)),
    "a page torn": ("page", "bytes", "id = (SELECT max(id) FROM page)", lambda data: data[:5]),
    "a page that is none": ("page", "bytes", "id = (SELECT max(id) FROM page)", lambda _: "text"),
}


@pytest.mark.parametrize("damage", DAMAGED_SNAPSHOTS)
def test_a_damaged_snapshot_is_passed_over_aloud_and_nothing_comes_of_it(run_file, whole, tmp_path, damage):
    change(run_file, *DAMAGED_SNAPSHOTS[damage])
    last = ticks_of(run_file)[-1]
    end = len(whole[1]) - 1
    check_moments(run_file, whole)
    warned = []
    fork(run_file, tmp_path / "fork.tick", last, warn=warned.append)
    with resume(tmp_path / "fork.tick") as run:
        assert encode_world(run.world) == whole[1][last][0]
    assert any(f"the snapshot of tick {last} is damaged" in text for text in warned)
    # Replay is what reports it, with its place.
    found = replay(run_file)
    assert not found.identical
    assert found.first_divergence.tick == last
    assert f"the snapshot of tick {last} is damaged" in str(found.first_divergence)
    warned = resumed(run_file, whole)
    assert any(f"the snapshot of tick {last} is damaged" in text for text in warned)
    assert last <= end


def test_all_snapshots_damaged_leave_a_run_that_starts_from_its_beginning(run_file, whole):
    with closing(sqlite3.connect(run_file)) as database:
        database.execute("UPDATE page SET bytes = zeroblob(4096)")
        database.commit()
    warned = resumed(run_file, whole)
    assert len(warned) == len(ticks_of(run_file))
    check_moments(run_file, whole)


@pytest.mark.parametrize("tick", [0, 3, 11, -1])
@pytest.mark.parametrize("column", ["body", "digest", "exact"])
def test_a_damaged_entry_is_located_by_whoever_needs_it(run_file, whole, tmp_path, tick, column):
    end = len(whole[1]) - 1
    tick = tick if tick >= 0 else end - 1
    change(run_file, "entry", column, f"tick = {tick}", lambda data: flipped(data, len(data) // 2))
    found = replay(run_file)
    assert not found.identical
    assert found.first_divergence.tick == tick
    before = run_file.read_bytes()
    with pytest.raises(RunFileError, match=rf"tick {tick}\b"):
        resume(run_file)
    assert run_file.read_bytes() == before
    nearest = max([at for at in ticks_of(run_file) if at <= tick], default=0)
    with Recording.open(run_file) as recording:
        for at in range(nearest, tick + 1):
            assert encode_world(recording.at(at).world) == whole[1][at][0]
    if tick % EVERY != EVERY - 1:
        # Else there is a snapshot after it, and nobody has any use for it.
        with pytest.raises(RunFileError, match=rf"tick {tick}\b"):
            fork(run_file, tmp_path / "fork.tick", tick + 1)
        assert not (tmp_path / "fork.tick").exists()


def test_bits_flipped_anywhere_are_never_believed(run_file, whole, tmp_path):
    """Flip bits in the file itself: everything either says so, or gives what it gave before."""
    draw = random.Random(5)
    sound = run_file.read_bytes()
    end = len(whole[1]) - 1
    rows = rows_of(run_file)
    # Most of the file is agents' pages: half of the flips go to where the entries are.
    entries = [sound.index(row[3].exact) for row in rows]
    refused = passed = 0
    for _ in range(60):
        damaged = bytearray(sound)
        for _ in range(draw.choice([1, 1, 8])):
            anywhere = draw.randrange(len(damaged))
            place = draw.choice([anywhere, draw.choice(entries) + draw.randrange(-40, 100)])
            damaged[place] ^= 1 << draw.randrange(8)
        if draw.random() < 0.2:
            at = draw.randrange(len(damaged) // 512) * 512
            damaged[at : at + 512] = bytes(512)
        run_file.write_bytes(damaged)
        tick = draw.randrange(end + 1)
        try:
            with Recording.open(run_file) as recording:
                moment = recording.at(tick)
                assert encode_world(moment.world) == whole[1][tick][0]
                for name in draw.choices(list(whole[1][tick][1]), k=min(tick, 1)):
                    assert moment.agent(name).image().digest() == whole[1][tick][1][name]
            fork(run_file, tmp_path / "fork.tick", tick, force=True)
            with resume(tmp_path / "fork.tick", inputs={"lines": str(tmp_path / "lines.jsonl")}) as run:
                assert encode_world(run.world) == whole[1][tick][0]
                run.run_to_end()
            assert rows_of(tmp_path / "fork.tick") == rows[tick:]
            passed += 1
        except RunFileError:
            refused += 1
    assert refused > 3, passed
    assert passed > 10


# ---- forgeries: changes by somebody who makes every hash anew


@pytest.mark.parametrize("agent", [0, 1, 2])
def test_a_planted_page_is_found_by_replay_with_its_tick_and_agent(run_file, agent):
    tick = ticks_of(run_file)[1]
    with closing(sqlite3.connect(run_file)) as database:
        forger = Forger(database, tick)
        forger.put_image(agent, with_page_changed(forger.image(agent)))
        forger.finish()
    with RunReader.open(run_file) as reader:
        # The journal has nothing against it.
        assert [found.tick for found in reader.usable_snapshots(report=pytest.fail)][::-1] == ticks_of(
            run_file
        )
    found = replay(run_file)
    assert not found.identical
    assert found.first_divergence.tick == tick
    assert found.first_divergence.agent == ("teller", "keeper", "nanny")[agent]
    assert "its memory is not that of the snapshot" in found.first_divergence.reason


def test_a_planted_world_is_found_by_replay(run_file):
    tick = ticks_of(run_file)[1]
    with closing(sqlite3.connect(run_file)) as database:
        forger = Forger(database, tick)
        world = msgspec.msgpack.decode(forger.world)
        agents = list(world[1])
        agents[0] = [agents[0][0], "planted", *agents[0][2:]]
        world[1] = agents
        forger.world = msgspec.msgpack.encode(world)
        forger.finish()
    found = replay(run_file)
    assert not found.identical
    assert found.first_divergence.tick == tick
    assert "another world" in found.first_divergence.reason


def test_a_world_kept_by_itself_is_held_against_the_run(run_file, whole):
    with closing(sqlite3.connect(run_file)) as database:
        digests = database.execute("SELECT digest, exact FROM entry WHERE tick = 7").fetchone()
        database.execute("INSERT INTO mark VALUES (8, ?, ?, ?)", (*digests, pack_world(whole[1][8][0])))
        database.commit()
    assert replay(run_file).identical
    check_moments(run_file, whole)
    world = msgspec.msgpack.decode(whole[1][8][0])
    world[1] = [[world[1][0][0], "planted", *world[1][0][2:]], *world[1][1:]]
    change(run_file, "mark", "world", "tick = 8", lambda _: pack_world(msgspec.msgpack.encode(world)))
    found = replay(run_file)
    assert not found.identical
    assert found.first_divergence.tick == 8
    # A damaged one is passed over: the snapshot before it will do.
    change(run_file, "mark", "world", "tick = 8", lambda data: flipped(data, len(data) // 2))
    check_moments(run_file, whole)
    assert replay(run_file).first_divergence.tick == 8


def test_a_planted_beginning_is_not_what_a_run_begins_with(run_file, whole):
    """A snapshot of tick 0 would let a forged run skip its agents' setup."""
    tick = ticks_of(run_file)[0]
    with closing(sqlite3.connect(run_file)) as database:
        (start,) = database.execute("SELECT value FROM run WHERE key = 'start'").fetchone()
        forger = Forger(database, tick)
        world = msgspec.msgpack.decode(forger.world)
        world[0] = 0
        forger.world = msgspec.msgpack.encode(world)
        database.execute(
            "UPDATE snapshot SET tick = 0, digest = ?, exact = ? WHERE tick = ?",
            (start[:32], start[32:], tick),
        )
        forger.tick, forger.digests = 0, Digests(start[:32], start[32:])
        forger.finish()
    assert replay(run_file).identical
    check_moments(run_file, whole)


def test_planted_limits_of_a_spawned_agent_are_not_taken_over(run_file, whole):
    """A hostile snapshot could give an agent more memory and fuel than any manifest may."""
    tick = next(
        tick for tick in ticks_of(run_file) if len(whole[1][tick][1]) > 3 and b"worker/" in whole[1][tick][0]
    )
    with closing(sqlite3.connect(run_file)) as database:
        for at in [each for each in ticks_of(run_file) if each >= tick]:
            forger = Forger(database, at)
            world = msgspec.msgpack.decode(forger.world)
            agents = list(world[1])
            spec = agents[-1][2]
            assert spec is not None
            spec["limits"] = {"fuel_per_turn": 1 << 63}
            world[1] = agents
            forger.world = msgspec.msgpack.encode(world)
            forger.finish()
    check_moments(run_file, whole)
    # Whoever comes by one sees that it is not what the run had there.
    with pytest.raises(RunFileError, match=rf"tick {tick}, .* another world"):
        resumed(run_file, whole)


def test_a_fork_whose_beginning_is_damaged_says_so_whatever_is_asked_of_it(run_file, tmp_path):
    for tick in (0, 7):
        copy = tmp_path / f"fork-{tick}.tick"
        fork(run_file, copy, tick)
        with resume(copy, inputs={"lines": str(tmp_path / "lines.jsonl")}) as run:
            run.advance(2)
        assert replay(copy).identical
        change(copy, "snapshot", "state", f"tick = {tick}", flipped)
        for ask in (
            lambda copy=copy: replay(copy),
            lambda copy=copy: resume(copy),
            lambda copy=copy, tick=tick: fork(copy, tmp_path / "again.tick", tick + 2),
            lambda copy=copy, tick=tick: Recording.open(copy).at(tick),
        ):
            with pytest.raises(RunFileError, match="the snapshot that this fork begins with is damaged"):
                ask()


def test_an_agent_of_a_fork_whose_memory_is_damaged_is_refused_and_the_others_shown(run_file, tmp_path):
    copy = tmp_path / "fork.tick"
    fork(run_file, copy, 7)
    with resume(copy, inputs={"lines": str(tmp_path / "lines.jsonl")}) as run:
        run.advance(3)
    with closing(sqlite3.connect(copy)) as database:
        keeper = unpack_agents(database.execute("SELECT agents FROM snapshot WHERE tick = 7").fetchone()[0])[
            1
        ][1]
    change(copy, "image", "bytes", f"id = {keeper}", lambda data: flipped(data, 20))
    with Recording.open(copy) as recording:
        for tick in (7, 9):
            assert recording.at(tick).agent("teller").image()
            with pytest.raises(RunFileError, match="begins with is damaged"):
                recording.at(tick).agent("keeper").image()
