"""One fixed run through every rule of the core, for tests that compare its digests.

Its digests are constants in tests/golden: change nothing here.
"""

from functools import partial

from core_worlds import ALL_GRANTS, Tick, advance_world, agent, failed, ok, powerful, run_of
from tickwork.core.digest import advance, genesis
from tickwork.core.effects import (
    Call,
    Effect,
    Infer,
    Log,
    Metric,
    Output,
    Publish,
    Send,
    Spawn,
    Stop,
    Timer,
)
from tickwork.core.entry import Fuel, encode, encode_entry
from tickwork.core.grants import Capability, Grant
from tickwork.core.limits import Limits
from tickwork.core.messages import Arrivals, Input
from tickwork.core.outcomes import Outcome, OutcomeKind
from tickwork.core.spec import InputSpec, RunSpec
from tickwork.core.step import Turn
from tickwork.core.world import genesis_world

TICKS = 12


def run() -> RunSpec:
    return run_of(
        powerful("hub", subscribe=("news",), every_tick=True),
        agent("reader", Grant(Capability.SEND, "hub", per_tick=1), subscribe=("news",)),
        agent(
            "small",
            Grant(Capability.SEND, "reader"),
            Grant(Capability.TIMER, per_run=2),
            limits=Limits(mailbox_messages=1),
        ),
        agent("frail", subscribe=("news",)),
        kinds=(agent("worker", *ALL_GRANTS, every_tick=True),),
        inputs=(InputSpec("lines", "line", ("hub", "reader", "frail"), 2),),
        outputs=("report",),
    )


def _hub(tick: int) -> tuple[Effect, ...]:
    by_tick: dict[int, tuple[Effect, ...]] = {
        1: (Send("small", "t", b"one"), Send("small", "t", b"two", 5), Spawn("worker/1", "worker", b"")),
        2: (
            Publish("news", b"all"),
            Timer("wake", b"", 3, 1),
            Send("nobody", "t", b""),
            Send("\u00e9", "", b""),
        ),
        3: (Timer("wake", b"later", 4, 1), Metric("m", 0.5), Log(1, "h\u00e9")),
        4: (Output("report", b"row"), Output("missing", b""), Infer("m", b"", 1), Call("t", b"", 2)),
        5: (Spawn("worker/2", "worker", b"cfg"), Send("worker/2", "hi", b"x"), Stop("worker/1", "done")),
        6: (Stop("worker/2", "early"), Send("worker/2", "hi", b"y")),
        8: (Publish("news", b"again"), Timer("far", b"", (1 << 64) - 1, 9)),
    }
    return by_tick.get(tick, (Log(0, str(tick)),))


def _outcome(ids: list[str], tick: int, turn: Turn) -> Outcome:
    who = ids[turn.agent]
    if turn.setup:
        return ok(fuel=3)
    if who == "hub":
        return ok(*_hub(tick), fuel=100 + tick)
    if who == "reader":
        return ok(Send("hub", "re", b"".join(m.body for m in turn.inbox)), Send("hub", "re", b""), fuel=7)
    if who == "small":
        return ok(Timer("t", b"", 1, 0), Send("hub", "no", b""), fuel=len(turn.inbox))
    if who == "frail" and tick >= 4:
        return failed(OutcomeKind.GUEST_ERROR, "gave up")
    return ok(
        Send("hub", "seed", turn.seed.to_bytes(8, "little")) if who != "frail" else Log(2, "still here")
    )


def history() -> list[Tick]:
    """Return the run's ticks."""
    world = genesis_world(run())
    ticks: list[Tick] = []
    for number in range(TICKS):
        lines = (Input(0, b"line %d" % number),) if number in (0, 3, 4, 9) else ()
        ids = [state.spec.id for state in world.agents]
        ticks.append(advance_world(world, partial(_outcome, ids, number), Arrivals(lines)))
        world = ticks[-1].after
    return ticks


def record() -> list[tuple[str, str, str, str]]:
    """Return each tick's canonical entry and fuel and the two digests after it, in hex.

    The chain starts from fixed bytes, not from the run's specification: a new manifest key with a default
    changes that, and no old run.
    """
    digests = genesis(b"golden")
    lines = []
    for ticked in history():
        entry, fuel = encode_entry(ticked.settled.entry), encode(Fuel(ticked.settled.fuel))
        digests = advance(digests, entry, fuel)
        lines.append((entry.hex(), fuel.hex(), digests.digest.hex(), digests.exact.hex()))
    return lines
