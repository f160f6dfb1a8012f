"""Forks with edits: each edit does what it says, the fork goes on and replays, and the rest is as it was."""

import shutil
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import travel_worlds
from tickwork.core.digest import content_hash
from tickwork.core.edits import NO_EDITS, AgentEdit, Drop, Edits, Inject, Replace, decode_edits
from tickwork.core.effects import Output
from tickwork.core.errors import EditError
from tickwork.core.grants import Capability, Grant
from tickwork.core.world import Status
from tickwork.journal.reader import RunReader
from tickwork.runtime.fork import fork
from tickwork.runtime.record import Run
from tickwork.runtime.replay import replay
from tickwork.runtime.resume import resume
from tickwork.runtime.schedule import SnapshotSettings
from tickwork.runtime.seek import Recording

LINES = 30
MIX = "hash = hash * STEP + 1;"
AT = 9


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("parent")
    project = travel_worlds.project(folder, lines=LINES, snapshots=SnapshotSettings(every=4))
    with Run(project, folder / "run.tick") as run:
        run.run_to_end()
    return folder / "run.tick"


def rows_of(path):
    with RunReader.open(path) as reader:
        return [(one.tick, one.entry, one.fuel) for one in reader.entries()]


def outputs_of(path, name="told"):
    with RunReader.open(path) as reader:
        return [
            (one.tick, turn.agent, msgspec.json.decode(effect.body))
            for one in reader.entries()
            for turn in one.decode()[0].turns
            for effect in turn.effects
            if isinstance(effect, Output) and effect.name == name
        ]


def forked(parent, folder, edits, *, at=AT, modules=None):
    """Fork with edits, go on to the end, and hold the fork against what every fork must hold."""
    path = folder / "fork.tick"
    fork(parent, path, at, edits=edits, modules=modules or {}, force=True)
    with resume(path) as run:
        images = {}
        while not (run.inputs_exhausted and run.world.idle):
            run.advance()
        for index, agent in enumerate(run.world.agents):
            if agent.status is Status.RUNNING:
                images[agent.spec.id] = run._pool.image(run.world, index).digest()
        run.run_to_end()
    found = replay(path)
    assert found.first_divergence is None
    with RunReader.open(path) as reader, RunReader.open(parent) as original:
        told = reader.header.parent
        assert told is not None
        assert (told.run, told.tick) == (original.header.run, at)
        assert decode_edits(told.edits) == edits
    with Recording.open(path) as recording:
        end = recording.at(recording.end_tick)
        assert {name: end.agent(name).image().digest() for name in images} == images
    return path


def agent_index(parent, name):
    with Recording.open(parent) as recording:
        return recording.at(recording.end_tick).agent(name).index


def at_tick(outputs, tick):
    return sum(row[0] == tick for row in outputs)


@pytest.mark.parametrize("at", [0, 1, AT])
def test_an_injected_message_is_found_by_its_receiver(parent, tmp_path, at):
    path = forked(parent, tmp_path, Edits(inject=(Inject("teller", "line", b'"injected"'),)), at=at)
    # Who is only set up in tick 0 reads its mail in tick 1.
    read = max(at, 1)
    assert at_tick(outputs_of(path), read) == at_tick(outputs_of(parent), read) + 1
    # And one agent alone is given it too.
    with Recording.open(path) as recording, resume(path) as run:
        index = run.world.directory.index["teller"]
        image = recording.at(recording.end_tick).agent("teller").image()
        assert run._pool.image(run.world, index).digest() == image.digest()


def test_what_only_one_agent_keeps_to_itself_is_seen_when_it_is_looked_at_alone(parent, tmp_path):
    # The nanny says nothing of a topic that it does not know, but counts it.
    path = tmp_path / "fork.tick"
    fork(parent, path, 0, edits=Edits(inject=(Inject("frail", "hush", b"quiet"),)))
    live = {}
    with resume(path) as run:
        index = run.world.directory.index["frail"]
        for _ in range(6):
            run.advance()
            live[run.world.tick] = run._pool.image(run.world, index).digest()
    with Recording.open(path) as recording:
        assert {tick: recording.at(tick).agent("frail").image().digest() for tick in live} == live
    with Recording.open(parent) as recording:
        assert recording.at(3).agent("frail").image().digest() != live[3]


def test_a_dropped_message_is_not_found_and_a_replaced_one_is_another(parent, tmp_path):
    with Recording.open(parent) as recording:
        waiting = recording.at(AT).agent("keeper").mailbox
    assert waiting
    dropped = forked(parent, tmp_path, Edits(drop=(Drop("keeper"),)))
    with Recording.open(dropped) as recording:
        assert recording.at(AT).agent("keeper").mailbox == ()
    replaced = forked(parent, tmp_path, Edits(replace=(Replace("keeper", place=0, body=b"other"),)))
    with Recording.open(replaced) as recording:
        found = recording.at(AT).agent("keeper").mailbox
    assert [message.body for message in found] == [b"other", *(message.body for message in waiting[1:])]


def test_another_seed_gives_another_end_of_the_same_beginning(parent, tmp_path):
    path = forked(parent, tmp_path, Edits(seed=8))
    assert [row[0] for row in outputs_of(path)][:1] == [row[0] for row in outputs_of(parent) if row[0] >= AT][
        :1
    ]
    assert [row[2]["hash"] for row in outputs_of(path)] != [
        row[2]["hash"] for row in outputs_of(parent) if row[0] >= AT
    ]


def test_a_grant_taken_away_is_refused_from_there_on(parent, tmp_path):
    path = forked(parent, tmp_path, Edits(agents=(AgentEdit("teller", grants=(Grant(Capability.TIMER),)),)))
    with RunReader.open(path) as reader:
        turns = [turn for one in reader.entries() for turn in one.decode()[0].turns if turn.agent == 0]
    assert {refusal.verdict for turn in turns for refusal in turn.refusals} == {"denied"}


def test_a_lower_limit_holds_from_there_on(parent, tmp_path):
    path = forked(parent, tmp_path, Edits(agents=(AgentEdit("keeper", limits=(("fuel_per_turn", 40),)),)))
    with Recording.open(path) as recording:
        keeper = recording.at(recording.end_tick).agent("keeper")
        assert (keeper.status, keeper.reason) == ("failed", "out-of-fuel")
    with Recording.open(parent) as recording:
        size = recording.at(AT).agent("keeper").image().memories[0].size
    small = Edits(agents=(AgentEdit("keeper", limits=(("memory_bytes", size - 65_536),)),))
    with pytest.raises(EditError, match="the agent has"):
        fork(parent, tmp_path / "no.tick", AT, edits=small)


def test_another_config_needs_a_restart_and_is_read_by_it(parent, tmp_path):
    with pytest.raises(EditError, match="restart"):
        fork(parent, tmp_path / "no.tick", AT, edits=Edits(agents=(AgentEdit("nanny", config=b"teller"),)))
    edit = AgentEdit("nanny", config=b"keeper", restart=True)
    path = forked(parent, tmp_path, Edits(agents=(edit,)))
    with Recording.open(path) as recording:
        assert recording.at(AT).agent("nanny").status == "starting"
        assert recording.at(AT + 1).agent("nanny").status == "running"
        # A keeper keeps what it is sent in memory; a nanny has hardly any.
        was = recording.at(AT + 1).agent("nanny").image()
    with Recording.open(parent) as recording:
        assert recording.at(AT).agent("nanny").image().digest() != was.digest()


def test_an_agent_that_failed_is_set_up_anew(parent, tmp_path):
    with Recording.open(parent) as recording:
        end = recording.end_tick
        assert recording.at(end).agent("frail").status == "failed"
    path = forked(parent, tmp_path, Edits(agents=(AgentEdit("frail", restart=True),)), at=end - 1)
    with Recording.open(path) as recording:
        assert recording.at(recording.end_tick).agent("frail").status == "running"


def swapped(name, code, *, restart=False):
    return Edits(agents=(AgentEdit(name, module=content_hash(code), restart=restart),)), {
        content_hash(code): code
    }


def test_a_new_version_of_a_program_goes_on_with_the_old_ones_memory(parent, tmp_path):
    code = travel_worlds.changed_rover(tmp_path, "#define STEP 31", "#define STEP 37")
    edits, modules = swapped("teller", code)
    path = forked(parent, tmp_path, edits, modules=modules)
    was = [row for row in outputs_of(parent) if row[0] >= AT]
    now = outputs_of(path)
    # It counts on from where the old one was, and mixes as the new one does.
    assert [row[2]["n"] for row in now] == [row[2]["n"] for row in was]
    assert all(a[2]["hash"] != b[2]["hash"] for a, b in zip(now, was, strict=True))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (MIX, "static uint64_t more[512] = {1}; hash = hash * STEP + more[count % 512];"),
        (MIX, "static uint64_t more[512]; more[count % 512]++; hash = hash * STEP + more[0];"),
        (MIX, "static uint64_t more; hash = hash * STEP + more++;"),
        ("static tw_string piles[PILES];", "static tw_string piles[PILES + 1];"),
        ('tw_str("wake")', 'tw_str("rouse")'),
        ("14695981039346656037ull", "14695981039346656039ull"),
    ],
    ids=[
        "an array with a value more",
        "an array more",
        "a variable more",
        "a longer array",
        "another text",
        "another initial value",
    ],
)
def test_a_version_with_another_layout_is_refused_unless_it_is_set_up_anew(parent, tmp_path, old, new):
    code = travel_worlds.changed_rover(tmp_path, old, new)
    edits, modules = swapped("teller", code)
    with pytest.raises(EditError, match=r"its memory does not carry over .* restart = true"):
        fork(parent, tmp_path / "no.tick", AT, edits=edits, modules=modules)
    assert not (tmp_path / "no.tick").exists()
    edits, modules = swapped("teller", code, restart=True)
    path = forked(parent, tmp_path, edits, modules=modules)
    assert [row[2]["n"] for row in outputs_of(path)][:2] == [1, 2]


def test_a_spawned_agent_is_given_a_program_of_its_own(parent, tmp_path):
    with Recording.open(parent) as recording:
        at, name = next(
            (tick, name)
            for tick in range(recording.end_tick)
            for name in recording.at(tick).agents
            if name.startswith("worker/") and recording.at(tick).agent(name).status == "running"
        )
    code = travel_worlds.changed_rover(tmp_path, "#define STEP 31", "#define STEP 37")
    edits, modules = swapped(name, code)
    path = forked(parent, tmp_path, edits, at=at, modules=modules)
    # The fork of a fork, and a resumption from a later snapshot, need it as well.
    fork(path, tmp_path / "again.tick", at + 2)
    with resume(tmp_path / "again.tick") as run:
        run.run_to_end()
    assert rows_of(tmp_path / "again.tick") == rows_of(path)[2:]
    assert replay(tmp_path / "again.tick").identical


edits_of_mail = st.builds(
    Edits,
    seed=st.none() | st.integers(0, 2**64 - 1),
    inject=st.lists(
        st.builds(
            Inject,
            to=st.sampled_from(["teller", "keeper", "nanny"]),
            topic=st.sampled_from(["line", "wake", "fail", ""]),
            body=st.binary(max_size=40),
        ),
        max_size=4,
    ).map(tuple),
    agents=st.dictionaries(
        st.sampled_from(["teller", "keeper", "nanny", "frail"]),
        st.sampled_from([b"teller", b"keeper", b"nanny", b"worker", b""]),
        max_size=2,
    ).map(lambda found: tuple(AgentEdit(name, config=part, restart=True) for name, part in found.items())),
)


@settings(max_examples=10)
@given(edits=edits_of_mail, at=st.integers(0, 15))
def test_any_edits_make_a_run_that_replays_and_is_looked_at_and_gone_on_with(
    parent, tmp_path_factory, edits, at
):
    folder = tmp_path_factory.mktemp("edited")
    path = folder / "fork.tick"
    fork(parent, path, at, edits=edits)
    live = []
    with resume(path) as run:
        for _ in range(8):
            run.advance()
            live.append(
                {
                    agent.spec.id: run._pool.image(run.world, index).digest()
                    for index, agent in enumerate(run.world.agents)
                    if agent.status is Status.RUNNING
                }
            )
    with Recording.open(path) as recording:
        for tick, images in enumerate(live, at + 1):
            moment = recording.at(tick)
            assert {name: moment.agent(name).image().digest() for name in images} == images
    with resume(path, ticks=12) as run:
        run.run_to_end()
    rows = rows_of(path)
    assert replay(path).identical
    # The same edits of the same moment are the same run.
    fork(parent, folder / "again.tick", at, edits=edits)
    with resume(folder / "again.tick") as run:
        run.advance(len(rows))
    assert rows_of(folder / "again.tick") == rows
    if edits == NO_EDITS:
        assert rows == rows_of(parent)[at : at + len(rows)]
    shutil.rmtree(folder)
