"""Whatever runs the turns, the digests are the same."""

import itertools
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pool_worlds
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from pool_worlds import TICKS, arrivals, pool_runs, programs

import determined_run
from guests import Answers, image_guest, program, wat
from tickwork.core.digest import genesis
from tickwork.core.effects import Log, Send
from tickwork.core.grants import Capability, Grant
from tickwork.core.limits import Limits
from tickwork.core.messages import NO_ARRIVALS, Arrivals, Input
from tickwork.core.spec import AgentSpec, InputSpec, RunSpec
from tickwork.core.world import genesis_world
from tickwork.guest.program import Program
from tickwork.pool.inline import InlinePool
from tickwork.pool.native import ALONE_NS, kernel_fault
from tickwork.pool.threads import ThreadsPool
from tickwork.runtime.assemble import load_project
from tickwork.runtime.loop import Loop, Ticked
from tickwork.runtime.programs import compile_project
from tickwork.runtime.record import Run
from tickwork.runtime.replay import replay

pytestmark = pytest.mark.skipif(kernel_fault() is not None, reason=f"no kernel: {kernel_fault()}")

WORKERS = (1, 2, 3, 7)
EVERYBODY = (Grant(Capability.SEND, "*"),)


def play(
    spec: RunSpec,
    pool: InlinePool,
    ticks: int,
    arriving: Callable[[int], Arrivals] = lambda _: NO_ARRIVALS,
) -> Iterator[Ticked]:
    loop = Loop(genesis_world(spec), pool, genesis(b"pools"))
    try:
        for tick in range(ticks):
            yield loop.tick(arriving(tick))
    finally:
        pool.close()


def assert_agree(
    spec: RunSpec,
    made: dict[str, Program],
    ticks: int,
    arriving: Callable[[int], Arrivals] = lambda _: NO_ARRIVALS,
) -> list[Ticked]:
    """Play the run on every pool; return what the inline pool made of it."""
    expected = list(play(spec, InlinePool(made), ticks, arriving))
    for workers in WORKERS:
        # The first also where waves are small enough for the caller's thread.
        pool = ThreadsPool(made, workers=workers, alone_ns=ALONE_NS if workers == 1 else 0)
        found = play(spec, pool, ticks, arriving)
        for one, other in zip(expected, found, strict=True):
            # First what tells most when it differs.
            assert one.settled.entry == other.settled.entry
            assert one.fuel == other.fuel
            assert one.digests == other.digests
    return expected


@given(pool_runs())
def test_random_runs_are_the_same_on_every_pool(spec: RunSpec) -> None:
    assert_agree(spec, programs(), TICKS, arrivals)


@given(pool_runs(), st.data())
def test_random_runs_in_waves_are_the_same_on_every_pool(spec: RunSpec, data: st.DataObject) -> None:
    order = data.draw(st.permutations([agent.id for agent in spec.agents]))
    places = st.integers(0, len(order) - 1)
    pairs = st.lists(st.tuples(places, places).filter(lambda pair: pair[0] < pair[1]), max_size=8)
    edges = dict.fromkeys((order[start], order[end]) for start, end in data.draw(pairs))
    assert_agree(replace(spec, edges=tuple(edges)), programs(), TICKS, arrivals)


def test_every_way_to_go_wrong_is_the_same_on_every_pool() -> None:
    spec = RunSpec(
        name="wrong",
        seed=5,
        start_ns=0,
        tick_ns=10,
        floats="portable",
        agents=tuple(
            AgentSpec(
                name, name, program(code).hash, b"9 2" if name == "tiny" else name.encode(), every_tick=True
            )
            for name, code in pool_worlds.modules().items()
        ),
        inputs=(InputSpec("line", "line", tuple(pool_worlds.modules()), 2),),
    )
    ticks = assert_agree(spec, programs(), TICKS, arrivals)
    kinds = {str(turn.kind) for tick in ticks for turn in tick.settled.entry.turns}
    assert kinds >= {
        "ok", "unreachable", "integer-divide-by-zero", "out-of-fuel", "bad-pointer", "stack-overflow", "exit",
    }  # fmt: skip
    details = {turn.detail for tick in ticks for turn in tick.settled.entry.turns}
    assert any("tickwork_inbox is not aligned" in detail for detail in details)
    assert any("cabi_realloc is not aligned" in detail for detail in details)
    assert any("reach beyond" in detail for detail in details)


def test_what_guests_get_from_the_host_is_the_same_on_every_pool() -> None:
    """Their turn's time, whatever they slept before; their own random bytes; a log of what they print."""
    made = program(pool_worlds.modules()["worldly"])
    agents = tuple(
        AgentSpec(f"w-{place}", "w", made.hash, f"w-{(place + 1) % 40}".encode(), EVERYBODY, every_tick=True)
        for place in range(40)
    )
    ticks = assert_agree(RunSpec("worldly", 1, 1000, 10, "portable", agents), {made.hash: made}, 12)
    draws = set()
    for number, tick in enumerate(ticks[1:], 1):
        for turn in tick.settled.entry.turns:
            sent, printed = turn.effects
            assert isinstance(sent, Send)
            before, after, drawn = struct.unpack("<3Q", sent.body)
            assert (before, after) == (1000 + 10 * number, 1007 + 10 * number)
            assert printed == Log(1, "chat\nchat")
            draws.add(drawn)
    assert len(draws) == 40 * 11


def test_agents_that_print_now_and_then_are_the_same_on_every_pool() -> None:
    """A tick in which one of many prints is not plain; those before and after it are."""
    made = [
        program(
            wat(
                imports=pool_worlds.WASI,
                step=f"(if (i64.eq (i64.rem_u (local.get $tick) (i64.const 7)) (i64.const {often}))"
                f" (then {pool_worlds.PRINT})) (i32.const 16)",
                extra=pool_worlds.WORLDLY_DATA,
            )
        )
        for often in (3, 99)
    ]
    agents = tuple(
        AgentSpec(f"p-{place}", "p", made[place != 20].hash, b"", every_tick=True) for place in range(40)
    )
    ticks = assert_agree(
        RunSpec("now and then", 1, 0, 1, "portable", agents), {one.hash: one for one in made}, 30
    )
    logged = [len(tick.settled.entry.turns[20].effects) for tick in ticks]
    assert logged == [number % 7 == 3 for number in range(30)]


def test_what_a_guest_finds_in_its_memory_is_the_same_on_every_pool() -> None:
    told = Answers("abcd")
    for number in (None, 1, (1 << 64) - 1):
        told.effects(*(Send(to, "t", b"x", number) for to in ("mirror", "arena-mirror")))
    agents = [
        AgentSpec("abcd", "image", program(image_guest()).hash, told.config(), EVERYBODY, every_tick=True)
    ]
    for name in ("mirror", "arena-mirror"):
        code = program(pool_worlds.modules()[name])
        agents.append(AgentSpec(name, name, code.hash, b"", every_tick=True))
    spec = RunSpec("mirror", 0, 0, 1, "portable", tuple(agents))
    ticks = assert_agree(spec, programs(), 5)
    for index in (1, 2):
        bodies = [tick.settled.entry.turns[index].effects[0].body[24:40] for tick in ticks[2:]]  # type: ignore[union-attr]
        assert bodies == [bytes(16), b"\1" + bytes(7) + b"\1" + bytes(7), b"\1" + bytes(7) + b"\xff" * 8]


def test_an_inbox_at_the_very_end_of_the_address_space_is_the_same_on_every_pool() -> None:
    # 40 bytes of record, 8 of sender and topic: an empty body would begin at 2^32.
    end = program(
        wat(
            setup="(drop (memory.grow (i32.const 0xffe0))) (i32.const 16)",
            extra='(func (export "tickwork_inbox") (param i32) (result i32)'
            " (i32.sub (i32.const 0) (local.get 0)))",
        )
    )
    told = Answers("abcd").effects(Send("end", "chat", b"")).effects(Send("end", "chat", b"eight by"))
    spec = RunSpec(
        "end", 0, 0, 1, "portable",
        (
            AgentSpec("abcd", "i", program(image_guest()).hash, told.config(), EVERYBODY, every_tick=True),
            AgentSpec("end", "end", end.hash, b"", limits=Limits(memory_bytes=1 << 32)),
        ),
    )  # fmt: skip
    ticks = assert_agree(spec, {**programs(), end.hash: end}, 3)
    (turn,) = ticks[2].settled.entry.turns[1:]
    assert turn.detail == "the inbox ends with the address space"


def test_a_run_with_timers_inputs_and_spawns_is_the_same_on_every_pool() -> None:
    made = {name: program(code) for name, code in determined_run.modules().items()}

    def lines(tick: int) -> Arrivals:
        return Arrivals((Input(0, determined_run.LINES[tick]),)) if tick else NO_ARRIVALS

    assert_agree(determined_run.spec(), made, determined_run.TICKS, lines)


@pytest.mark.parametrize(("count", "ticks"), [(3, 20), (500, 6)])
def test_crowds_of_c_agents_are_the_same_on_every_pool(count: int, ticks: int) -> None:
    tiny = program(pool_worlds.modules()["tiny"])
    spec = RunSpec(
        name="crowd",
        seed=1,
        start_ns=0,
        tick_ns=1,
        floats="portable",
        agents=tuple(
            AgentSpec(
                f"a-{place}", "tiny", tiny.hash, f"{count} 0".encode(),
                (Grant(Capability.SEND, "a-*"),), every_tick=True,
            )
            for place in range(count)
        ),
    )  # fmt: skip
    found = assert_agree(spec, {tiny.hash: tiny}, ticks)
    assert sum(tick.messages for tick in itertools.islice(found, 2, None)) > count


def test_agents_that_were_restored_go_on_the_same_on_every_pool() -> None:
    made = {name: program(code) for name, code in determined_run.modules().items()}
    pool = InlinePool(made)
    loop = Loop(genesis_world(determined_run.spec()), pool, genesis(b"pools"))
    for _ in range(3):
        loop.tick(NO_ARRIVALS)
    live = [index for index, agent in enumerate(loop.world.agents) if agent.live]
    images = {index: pool.image(loop.world, index) for index in live}
    pool.close()
    ends = set()
    for again in (InlinePool(made), *(ThreadsPool(made, workers=workers) for workers in WORKERS)):
        again.restore(images)
        later = Loop(loop.world, again, loop.digests)
        for _ in range(3):
            later.tick(NO_ARRIVALS)
        states = [again.image(later.world, index).digest() for index in live]
        ends.add((later.digests, tuple(states)))
        again.close()
    assert len(ends) == 1


EXAMPLES = sorted(path.parent for path in (Path(__file__).parents[2] / "examples").glob("*/tickwork.toml"))


@pytest.mark.parametrize("folder", EXAMPLES, ids=lambda folder: folder.name)
def test_an_example_is_the_same_on_every_pool(folder: Path, tmp_path: Path) -> None:
    project = load_project(folder)
    project = project.with_paths(
        inputs={}, outputs={name: str(tmp_path / name) for name in project.spec.outputs}
    )
    compiled = compile_project(project)
    ends = set()
    for workers in (0, *WORKERS):
        file = tmp_path / "run.tick"
        with Run(project, file, force=True, programs=compiled, workers=workers) as run:
            run.advance(25)
            ends.add(run.digests)
        assert replay(file, workers=(workers + 1) % 3).identical
    assert len(ends) == 1
