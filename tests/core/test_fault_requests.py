"""Faults of requests to models, applied to small worlds."""

import msgspec
import pytest

from core_worlds import Tick, powerful, run_of, tick
from tickwork.core.checkpoint import decode_world, encode_world
from tickwork.core.effects import Infer, Log, Stop
from tickwork.core.fault_plan import FaultPlan
from tickwork.core.faults import CrashAfter, FailRequest, Fault, FaultRate, GarbleRequest, SlowRequest
from tickwork.core.messages import Arrivals, Completion
from tickwork.core.quiet import is_quiet
from tickwork.core.requests import arrivals_fault, piece_tokens
from tickwork.core.spec import ModelSpec, with_faults
from tickwork.core.world import World, genesis_world

MODEL = ModelSpec(
    name="m",
    hash="ab" * 32,
    latency_ticks=1,
    tokens_default=10,
    tokens_max=100,
    context_tokens=200,
    requests_max=9,
)
PACED = msgspec.structs.replace(MODEL, name="paced", tokens_per_tick=4)
ASK = Infer("m", b"{}", 5)
STREAM = Infer("paced", b'{"max_tokens":12,"stream":true}', 6)
SAID = b'{"choices":[]}'


def woken(*faults: Fault, rates: tuple[FaultRate, ...] = ()) -> World:
    """Return a world at tick 1 with an agent `a` that has a turn in every tick."""
    run = run_of(powerful("a", every_tick=True), powerful("b"), models=(MODEL, PACED))
    return tick(genesis_world(with_faults(run, FaultPlan(faults, rates)))).after


def answered(world: World, body: bytes = SAID) -> Tick:
    """Take the world's next tick, with what its models answer in it."""
    due = [request for request in world.requests.due(world.tick) if not request.fails]
    arrivals = Arrivals(completions=tuple(Completion(*request.key, body) for request in due))
    assert arrivals_fault(world.requests, world.tick, arrivals) is None
    return tick(world, arrivals=arrivals)


def bodies(ticked: Tick) -> list[bytes]:
    return [message.body for turn in ticked.planned.turns for message in turn.inbox]


def applied(ticked: Tick) -> list[tuple[Fault, int, int]]:
    return [(fault.fault, fault.agent, fault.effect) for fault in ticked.settled.entry.faults]


def test_a_request_that_fails_is_answered_when_it_is_due_and_no_model_is_asked() -> None:
    fail = FailRequest(1, "a", 1)
    made = tick(woken(fail), {"a": [Log(1, "x"), ASK, Infer("m", b"{}", 7)]})
    assert applied(made) == [(fail, 0, 2)]
    assert [request.fails for request in made.settled.asked] == [False, True]
    came = answered(made.after)
    (inbox,) = [turn.inbox for turn in came.planned.turns]
    assert [message.reply_to for message in inbox] == [5, 7]
    assert inbox[0].body == SAID
    error = msgspec.json.decode(inbox[1].body)["error"]
    assert (error["code"], error["type"]) == ("model_failed", "server_error")
    assert (inbox[1].sender, inbox[1].topic) == ("model:m", "reply")
    assert not came.after.requests.pending


def test_an_answer_to_a_request_that_fails_is_none_of_the_run() -> None:
    world = tick(woken(FailRequest(1, "a")), {"a": [ASK]}).after
    (request,) = world.requests.pending.values()
    assert arrivals_fault(world.requests, world.tick, Arrivals()) is None
    wrong = Arrivals(completions=(Completion(*request.key, SAID),))
    assert arrivals_fault(world.requests, world.tick, wrong) is not None


def test_an_agent_that_sleeps_is_woken_by_a_failed_request() -> None:
    world = tick(woken(FailRequest(1, "a")), {"a": [ASK]}).after
    calm = msgspec.structs.replace(world, directory=msgspec.structs.replace(world.directory, every_tick=()))
    assert not is_quiet(calm, Arrivals())
    assert [turn.agent for turn in tick(calm).planned.turns] == [0]


def test_a_slow_request_is_answered_later_and_its_pieces_too() -> None:
    slow = SlowRequest(1, "a", 1, 3)
    made = tick(woken(slow), {"a": [ASK, STREAM]})
    assert applied(made) == [(slow, 0, 1)]
    quick, late = made.after.requests.pending.values()
    assert (quick.due, late.first, late.due) == (2, 2 + 3, 4 + 3)
    assert [piece_tokens(PACED, late, at) for at in (5, 6)] == [4, 8]


def test_of_a_garbled_answer_the_agent_gets_half_and_the_record_has_all() -> None:
    garble = GarbleRequest(1, "a")
    made = tick(woken(garble), {"a": [ASK]})
    assert applied(made) == [(garble, 0, 0)]
    came = answered(made.after)
    assert bodies(came) == [SAID[: len(SAID) // 2]]
    assert came.settled.entry.arrivals.completions[0].body == SAID


def test_what_fails_is_not_garbled_as_well() -> None:
    made = tick(woken(GarbleRequest(1, "a"), FailRequest(1, "a"), SlowRequest(1, "a")), {"a": [ASK]})
    assert [type(fault) for fault, _, _ in applied(made)] == [FailRequest, SlowRequest]
    (request,) = made.after.requests.pending.values()
    assert (request.fails, request.garbled, request.due) == (True, False, 3)


def test_only_requests_that_are_made_count() -> None:
    refused = Infer("none", b"{}", 1)
    made = tick(woken(FailRequest(1, "a")), {"a": [refused, ASK]})
    assert [(request.effect, request.fails) for request in made.settled.asked] == [(1, True)]
    made = tick(woken(FailRequest(1, "a"), CrashAfter(1, "a", 0)), {"a": [ASK]})
    assert [type(fault) for fault, _, _ in applied(made)] == [CrashAfter]


@pytest.mark.parametrize("kind", ["fail-request", "slow-request", "garble-request"])
def test_requests_are_broken_by_chance_too(kind: str) -> None:
    made = tick(woken(rates=(FaultRate(kind, 1.0, ticks=2),)), {"a": [ASK, STREAM]})
    said = FaultPlan(tuple(fault for fault, _, _ in applied(made)))
    assert len(said.explicit) == 2
    again = tick(woken(*said.explicit), {"a": [ASK, STREAM]})
    assert again.settled.entry == made.settled.entry
    assert encode_world(again.after) == encode_world(made.after)
    never = tick(woken(rates=(FaultRate(kind, 0.0),)), {"a": [ASK, STREAM]})
    assert applied(never) == []


def test_a_broken_request_is_cancelled_with_its_agent() -> None:
    world = tick(woken(FailRequest(1, "a")), {"a": [ASK]}).after
    stopped = tick(world, {"a": [Stop(None, "done")]})
    assert not stopped.after.requests.pending


def test_a_world_with_broken_requests_comes_back_from_its_bytes() -> None:
    faults = (FailRequest(1, "a"), SlowRequest(1, "a", 1, 4), GarbleRequest(1, "a", 2))
    world = tick(woken(*faults), {"a": [ASK, STREAM, ASK, ASK]}).after
    again = decode_world(encode_world(world), world.run)
    assert again.requests == world.requests
    assert encode_world(again) == encode_world(world)


def test_requests_that_nothing_befell_have_the_bytes_that_they_always_had() -> None:
    world = tick(woken(), {"a": [ASK]}).after
    (stored,) = msgspec.msgpack.decode(encode_world(world))[5]
    assert len(stored) == 8


@pytest.mark.parametrize("slowed", [-1, 99])
def test_a_world_whose_request_is_slowed_beyond_reason_is_refused(slowed: int) -> None:
    world = tick(woken(SlowRequest(1, "a")), {"a": [ASK]}).after
    (request,) = world.requests.pending.values()
    wrong = msgspec.structs.replace(request, slowed=slowed)
    forged = msgspec.structs.replace(world, requests=type(world.requests)({wrong.key: wrong}))
    with pytest.raises(ValueError, match="slowed by more ticks"):
        decode_world(encode_world(forged), world.run)
