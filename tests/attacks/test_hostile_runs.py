"""Floods through a whole run: bounded, journaled, replayed, and no business of anybody else."""

from collections import Counter
from pathlib import Path

import pytest
import victim

from guests import Answers, chatter, image_guest
from tickwork.core.digest import content_hash
from tickwork.core.effects import Effect, Log, Publish, Send, Spawn, Stop, Timer
from tickwork.core.entry import Entry
from tickwork.core.grants import Capability, Grant
from tickwork.core.limits import Limits, RunLimits
from tickwork.core.spec import AgentSpec, RunSpec
from tickwork.core.world import Status, World
from tickwork.journal.reader import RunReader
from tickwork.runtime.project import Project
from tickwork.runtime.record import Run
from tickwork.runtime.replay import replay

EVIL, SINK = "evil", "sink"
TICKS = 6
EVERYTHING = (
    Grant(Capability.SEND, "sink"),
    Grant(Capability.SEND, "evil"),
    Grant(Capability.PUBLISH, "*"),
    Grant(Capability.TIMER),
    Grant(Capability.SPAWN, "evil"),
    Grant(Capability.STOP, "sink"),
)
MODULES = {content_hash(code): code for code in (image_guest(), chatter())}


def _evil(turns: list[list[Effect]]) -> bytes:
    answers = Answers(EVIL, count_max=16)
    for effects in turns:
        answers.effects(*effects)
    return answers.config()


def _spec(turns: list[list[Effect]], limits: Limits) -> RunSpec:
    good = victim.good_agents()
    image = content_hash(image_guest())
    sink = AgentSpec(SINK, SINK, image, _evil([[]]), limits=Limits(mailbox_messages=5, mailbox_bytes=1000))
    evil = AgentSpec(
        EVIL, EVIL, image, _evil(turns), EVERYTHING, subscribe=("storm",), limits=limits, every_tick=True
    )
    return RunSpec(
        name="floods",
        seed=3,
        start_ns=0,
        tick_ns=1,
        floats="portable",
        agents=(*good, sink, evil),
        kinds=(evil,),
        limits=RunLimits(agents=20),
    )


def _record(path: Path, turns: list[list[Effect]], limits: Limits = Limits()) -> tuple[World, list[Entry]]:  # noqa: B008
    spec = _spec(turns, limits)
    with Run(Project(spec, MODULES, ticks=TICKS), path) as run:
        run.run_to_end()
        world = run.world
    with RunReader.open(path) as reader:
        entries = [stored.decode()[0] for stored in reader.entries()]
    found = replay(path)
    assert (found.identical, found.ticks) == (True, TICKS)
    return world, entries


def _good(entries: list[Entry]) -> list[object]:
    return [[turn for turn in entry.turns if turn.agent < len(victim.GOOD)] for entry in entries]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> list[object]:
    return _good(_record(tmp_path_factory.mktemp("good") / "x.tick", [[]])[1])


def _refusals(entries: list[Entry]) -> Counter[str]:
    return Counter(refusal.reason for entry in entries for turn in entry.turns for refusal in turn.refusals)


def test_a_spawn_bomb_stops_at_the_limit_of_agents(tmp_path: Path, undisturbed: list[object]) -> None:
    # Whoever is spawned spawns as well, by the same config.
    bomb = [Spawn(f"evil/{number}", "evil", b"") for number in range(500)]
    world, entries = _record(tmp_path / "x.tick", [bomb])
    assert len(world.agents) == 20
    assert _refusals(entries)["over the limit of 20 agents"] >= 485
    assert _good(entries) == undisturbed


def test_a_timer_bomb_stops_at_the_limit_of_timers(tmp_path: Path, undisturbed: list[object]) -> None:
    bomb = [[Timer("t", b"x", 1000, 100 * tick + number) for number in range(100)] for tick in range(TICKS)]
    world, entries = _record(tmp_path / "x.tick", bomb, Limits(timers=150))
    assert sum(len(due) for due in world.timers.pending.values()) == 150
    assert _refusals(entries)["over the limit of 150 pending timers"] == 100 * (TICKS - 1) - 150
    assert _good(entries) == undisturbed


def test_timers_that_come_back_every_tick_stay_one_each(tmp_path: Path, undisturbed: list[object]) -> None:
    again = [Timer("t", b"x", 1, number) for number in range(100)]
    world, entries = _record(tmp_path / "x.tick", [again])
    assert len(world.timers.due) == 100
    assert not _refusals(entries)
    assert _good(entries) == undisturbed


@pytest.mark.parametrize(
    ("message", "fit", "why"),
    [(Send(SINK, "t", b"x"), 5, "5 messages"), (Send(SINK, "t", bytes(400)), 2, "1000 bytes")],
)
def test_a_flood_ends_at_the_full_mailbox(
    tmp_path: Path, undisturbed: list[object], message: Send, fit: int, why: str
) -> None:
    world, entries = _record(tmp_path / "x.tick", [[message] * 1000])
    assert _refusals(entries) == {f"mailbox of 'sink' is full ({why})": (1000 - fit) * (TICKS - 1)}
    assert len(world.mailboxes[len(victim.GOOD)]) == fit
    assert _good(entries) == undisturbed


def test_a_flood_of_oneself_and_a_storm_are_bounded_too(tmp_path: Path, undisturbed: list[object]) -> None:
    storm = [Publish("storm", b"x")] * 400 + [Send(EVIL, "t", b"x")] * 600
    world, entries = _record(tmp_path / "x.tick", [storm], Limits(mailbox_messages=50))
    evil = len(victim.GOOD) + 1
    # Rejections are told, at most one for each effect.
    assert 50 <= len(world.mailboxes[evil]) <= 1000
    assert sum(_refusals(entries).values()) == 950 * (TICKS - 1)
    assert _good(entries) == undisturbed


def test_an_agent_that_lacks_a_grant_cannot_reach_the_others(
    tmp_path: Path, undisturbed: list[object]
) -> None:
    evil = [Send("g0", "chat", b"psst"), Stop("g1", "die"), Spawn("g2", "g2", b""), Log(0, "tried")]
    world, entries = _record(tmp_path / "x.tick", [evil])
    assert sum("no grant covers" in reason for reason in _refusals(entries).elements()) == 3 * (TICKS - 1)
    assert all(agent.status is Status.RUNNING for agent in world.agents)
    assert _good(entries) == undisturbed


def test_a_flood_ends_with_its_sender(tmp_path: Path, undisturbed: list[object]) -> None:
    last = [*[Send(SINK, "t", b"x")] * 3, Stop(None, "done"), *[Send(EVIL, "t", b"x")] * 3]
    world, entries = _record(tmp_path / "x.tick", [[], last])
    evil = len(victim.GOOD) + 1
    assert world.agents[evil].status is Status.STOPPED
    assert not any(turn.agent == evil for entry in entries[3:] for turn in entry.turns)
    assert _good(entries) == undisturbed
