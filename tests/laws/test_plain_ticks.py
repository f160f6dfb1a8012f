"""Ticks that the kernel settles are settled as the pure core would have."""

import math

import pytest
from core_strategies import weighted
from hypothesis import given
from hypothesis import strategies as st
from pool_worlds import modules, programs

from guests import Answers, image_guest
from tickwork.core.checkpoint import encode_world
from tickwork.core.digest import content_hash, genesis
from tickwork.core.effects import Effect, Log, Metric, Output, Publish, Send, Timer
from tickwork.core.entry import encode_entry
from tickwork.core.grants import Capability, Grant
from tickwork.core.limits import Limits
from tickwork.core.messages import NO_ARRIVALS
from tickwork.core.quiet import Plain
from tickwork.core.spec import AgentSpec, RunSpec
from tickwork.core.world import World, genesis_world
from tickwork.pool.inline import InlinePool
from tickwork.pool.native import ALONE_NS, kernel_fault
from tickwork.pool.threads import ThreadsPool
from tickwork.runtime.loop import Loop, Ticked

pytestmark = pytest.mark.skipif(kernel_fault() is not None, reason=f"no kernel: {kernel_fault()}")

TICKS = 8
# On both sides of every head's sizes in MessagePack, and of the longest topic that needs no counting.
SIZES = (0, 1, 31, 32, 255, 256, 257, 65_535, 65_536)
NAMES = ("a", "b", "ä" * 16, "d" * 40)
FREE = Grant(Capability.SEND, "*")
NUMBERS = (0, 127, 128, 255, 256, 65_535, 65_536, 2**32 - 1, 2**32, 2**64 - 1)

_topics = st.sampled_from([0, 0, 1, 31, 32, 255, 256, 257]).map(lambda size: "t" * size) | st.just("é" * 200)
_sends = st.builds(
    Send,
    st.sampled_from(NAMES),
    _topics,
    st.sampled_from(SIZES).map(lambda size: b"x" * size),
    st.none() | st.sampled_from(NUMBERS),
)
_bodies = st.sampled_from(SIZES[:-2]).map(lambda size: b"y" * size)
_plain = (
    _sends
    | st.builds(Log, st.integers(0, 3), _topics)
    | st.builds(Metric, _topics, st.floats())
    | st.builds(Output, st.sampled_from(["report", "other"]), _bodies)
    | st.builds(Publish, st.sampled_from(["news", "weather"]), _bodies)
)
_spoiling = st.sampled_from(
    [
        Send("nobody", "t", b""),
        Send("stopped", "t", b""),
        Output("nowhere", b""),
        Publish("to nobody", b""),
        Timer("later", b"", 2, 1),
    ]
)
_lists = st.lists(_plain, max_size=6)


@st.composite
def quiet_runs(draw: st.DrawFn) -> RunSpec:
    """Return a run in which most ticks are plain, and some of the others only just not."""

    def agent(name: str) -> AgentSpec:
        answers = Answers(name, count_max=TICKS)
        for _ in range(TICKS - 1):
            spoilt = draw(weighted((12, st.just(False)), (1, st.just(True))))
            answers.effects(*draw(_lists), *([draw(_spoiling)] if spoilt else []))
        grants = draw(weighted((8, st.just(FREE)), (1, st.just(Grant(Capability.SEND, "*", per_tick=3)))))
        room = draw(weighted((8, st.just(1000)), (1, st.just(2))))
        return AgentSpec(
            id=name,
            kind="told",
            module=content_hash(image_guest()),
            config=answers.config(),
            grants=(
                Grant(Capability.SEND, "a"),
                grants,
                Grant(Capability.TIMER),
                Grant(Capability.OUTPUT, "*"),
                Grant(Capability.PUBLISH, draw(st.sampled_from(["*", "*", "*", "news"]))),
            ),
            subscribe=draw(st.sampled_from([(), ("news",), ("weather", "news")])),
            limits=Limits(mailbox_messages=room, mailbox_bytes=draw(st.sampled_from([1 << 24, 70_000]))),
            every_tick=draw(weighted((4, st.just(True)), (1, st.just(False)))),
        )

    failing = AgentSpec("stopped", "trap", content_hash(modules()["trap"]), b"a", every_tick=True)
    agents = tuple(agent(name) for name in NAMES[: draw(st.integers(1, len(NAMES)))])
    return RunSpec(
        name="quiet", seed=draw(st.integers(0, 2**64 - 1)), start_ns=5, tick_ns=7, floats="portable",
        agents=(*agents, failing) if draw(st.booleans()) else agents, outputs=("report", "other"),
    )  # fmt: skip


def play(spec: RunSpec, pool: InlinePool, ticks: int = TICKS) -> list[Ticked]:
    loop = Loop(genesis_world(spec), pool, genesis(b"plain"))
    try:
        return [loop.tick(NO_ARRIVALS) for _ in range(ticks)]
    finally:
        pool.close()


def impatient(workers: int) -> ThreadsPool:
    """Return a pool that tries every tick whole, whatever came of the last."""
    pool = ThreadsPool(programs(), workers=workers, alone_ns=ALONE_NS if workers == 1 else 0)
    pool.patience_max = 1
    return pool


def assert_same(one: Ticked, other: Ticked) -> None:
    # By bytes, for NaN is not equal to itself.
    assert encode_entry(other.settled.entry) == one.entry
    assert (one.entry, one.fuel, one.digests) == (other.entry, other.fuel, other.digests)
    assert (list(one.agents), one.messages) == (list(other.agents), other.messages)
    assert one.settled.fuel == other.settled.fuel
    assert one.settled.performed == other.settled.performed
    assert encode_world(one.world) == encode_world(other.world)
    assert one.world.idle == other.world.idle


@given(quiet_runs())
def test_random_quiet_runs_are_settled_alike(spec: RunSpec) -> None:
    expected = play(spec, InlinePool(programs()))
    for workers in (1, 3):
        for one, other in zip(expected, play(spec, impatient(workers)), strict=True):
            assert_same(one, other)


def chat(count: int, *grants: Grant, **limits: int) -> RunSpec:
    """Return a run of tiny agents that send one message a tick each."""
    code = content_hash(modules()["tiny"])
    return RunSpec(
        name="chat", seed=3, start_ns=0, tick_ns=1, floats="portable",
        agents=tuple(
            AgentSpec(
                f"a-{place}", "tiny", code, f"{count} 1".encode(), grants or (FREE,), every_tick=True,
                limits=Limits(**limits),
            )
            for place in range(count)
        ),
    )  # fmt: skip


def test_ticks_of_nothing_but_sends_are_plain_from_the_first_on() -> None:
    found = play(chat(300), impatient(2), 20)
    assert [isinstance(tick.result, Plain) for tick in found] == [False] + [True] * 19
    assert [len(tick.agents) for tick in found] == [300] * 20


@pytest.mark.parametrize(
    ("grants", "limits"),
    [
        ((Grant(Capability.SEND, "*", per_run=10_000),), {}),
        ((Grant(Capability.SEND, "a-1"),), {}),
        ((FREE,), {"mailbox_messages": 1}),
        ((FREE,), {"mailbox_bytes": 100}),
    ],
)
def test_what_a_grant_or_a_mailbox_limits_is_left_to_the_core(
    grants: tuple[Grant, ...], limits: dict[str, int]
) -> None:
    spec = chat(60, *grants, **limits)
    found = play(spec, impatient(2))
    assert not all(isinstance(tick.result, Plain) for tick in found[1:])
    for one, other in zip(play(spec, InlinePool(programs())), found, strict=True):
        assert_same(one, other)


def test_after_ticks_that_are_not_plain_fewer_are_tried() -> None:
    spec = chat(60, Grant(Capability.SEND, "*", per_run=10_000))
    pool = ThreadsPool(programs(), workers=1)
    tried: list[int] = []
    loop = Loop(genesis_world(spec), pool, genesis(b"plain"))
    whole = pool.run_quiet

    def noted(world: World) -> object:
        found = whole(world)
        if found is not None:
            tried.append(world.tick)
        return found

    pool.run_quiet = noted  # type: ignore[method-assign, assignment]
    for _ in range(40):
        loop.tick(NO_ARRIVALS)
    pool.close()
    assert tried == [1, 3, 7, 15, 31]


def test_a_world_does_not_keep_those_before_it() -> None:
    pool = impatient(1)
    loop = Loop(genesis_world(chat(20)), pool, genesis(b"plain"))
    for _ in range(3):
        loop.tick(NO_ARRIVALS)
    mail = loop.world.mailboxes
    assert not any(isinstance(held, World) for held in (mail._agents, mail._directory, mail._record))  # type: ignore[attr-defined]
    pool.close()


def test_nan_is_recorded_as_the_one_nan_there_is() -> None:
    answers = Answers("a", count_max=3)
    answers.effects(Metric("m", math.nan))
    agent = AgentSpec("a", "told", content_hash(image_guest()), answers.config(), every_tick=True)
    spec = RunSpec(name="nan", seed=0, start_ns=0, tick_ns=1, floats="portable", agents=(agent,))
    one, other = play(spec, InlinePool(programs()), 2), play(spec, impatient(1), 2)
    assert isinstance(other[1].result, Plain)
    assert one[1].entry == other[1].entry
    effects: tuple[Effect, ...] = other[1].settled.entry.turns[0].effects
    assert isinstance(effects[0], Metric)
