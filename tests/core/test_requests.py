"""Requests to models: judged, scheduled, answered and cancelled by the core alone."""

import itertools
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core_worlds import agent, failed, powerful, started, tick
from tickwork.core.checkpoint import decode_world, encode_world
from tickwork.core.effects import Infer, Send, Stop, Timer
from tickwork.core.entropy import request_seed
from tickwork.core.entry import decode_entry, encode_arrivals, encode_entry
from tickwork.core.grants import Capability, Grant
from tickwork.core.messages import Arrivals, Completion, Input, MessageClass
from tickwork.core.nesting import NESTING_MAX, nests_too_deep
from tickwork.core.quiet import is_quiet
from tickwork.core.requests import Asked, arrivals_fault, asked, schedule
from tickwork.core.spec import ModelSpec
from tickwork.core.step import plan
from tickwork.core.supervision import OnFailure, Supervision
from tickwork.core.world import World

MODEL = ModelSpec(
    name="m",
    hash="ab" * 32,
    latency_ticks=2,
    tokens_default=10,
    tokens_max=100,
    context_tokens=200,
    requests_max=3,
)
PACED = msgspec.structs.replace(MODEL, name="paced", tokens_per_tick=4)


def ask(model: str = "m", request: int = 1, **body: object) -> Infer:
    return Infer(model, msgspec.json.encode(body), request)


def world_of(*agents: object, **rest: object) -> World:
    return started(*agents, models=(MODEL, PACED), **rest)


def answers(world: World, body: bytes = b"{}") -> Arrivals:
    """Return the completions that the world's tick must bring."""
    due = world.requests.due(world.tick)
    return Arrivals(completions=tuple(Completion(*request.key, body) for request in due))


def test_an_answer_comes_in_the_tick_that_was_fixed_with_the_number_of_its_request() -> None:
    world = world_of(powerful("a", every_tick=True))
    asked_in = world.tick
    world = tick(world, {"a": [Send("a", "x", b""), ask(request=9)]}).after
    assert [request.due for request in world.requests.pending.values()] == [asked_in + 2]
    world = tick(world).after
    ticked = tick(world, {"a": []}, answers(world, b"said"))
    (message,) = ticked.planned.turns[0].inbox
    assert (message.kind, message.sender, message.topic) == (MessageClass.COMPLETION, "model:m", "reply")
    assert (message.body, message.reply_to) == (b"said", 9)
    assert (message.tick, message.agent, message.effect) == (asked_in, 0, 1)
    assert not ticked.after.requests.pending


def test_completions_come_after_messages_and_before_timers() -> None:
    world = world_of(powerful("a", every_tick=True))
    world = tick(world, {"a": [ask(), Timer("t", b"", 2, 5)]}).after
    world = tick(world, {"a": [Send("a", "x", b"")]}).after
    inbox = tick(world, {"a": []}, answers(world)).planned.turns[0].inbox
    assert [message.kind for message in inbox] == [2 - 1, MessageClass.COMPLETION, MessageClass.TIMER]


@pytest.mark.parametrize(
    ("body", "tokens", "stream"),
    [
        (b'{"max_tokens":7}', 7, False),
        (b'{"max_tokens":7,"max_completion_tokens":8,"stream":true}', 8, True),
        (b"{}", 10, False),
        (b'{"max_tokens":null,"stream":1}', 10, False),
        (b'{"max_tokens":true}', 10, False),
        (b'{"max_tokens":-3}', 10, False),
        (b'{"max_tokens":1.5}', 10, False),
        (b'{"max_tokens":"7"}', 10, False),
        (b'{"max_tokens":[[[[]]]]}', 10, False),
        (b"[]", 10, False),
        (b'"x"', 10, False),
        (b"\xff\xfe", 10, False),
        (b"", 10, False),
        (b"[" * 5000, 10, False),
    ],
)
def test_what_a_body_asks_for_is_read_and_what_cannot_be_read_says_nothing(
    body: bytes, tokens: int, stream: bool
) -> None:
    assert asked(MODEL, body) == (tokens, stream)


def test_a_plain_model_costs_no_tokens_and_does_not_stream() -> None:
    plain = msgspec.structs.replace(PACED, kind="plain")
    what = asked(plain, b'{"max_tokens":50,"stream":true}')
    assert what == (0, False)
    assert schedule(plain, 5, what) == (7, 7)


@given(st.integers(1, 100), st.integers(1, 50), st.integers(1, 50), st.booleans(), st.integers(0, 10**6))
def test_an_answer_is_due_when_its_tokens_have_had_their_ticks(
    tokens: int, per_tick: int, latency: int, stream: bool, now: int
) -> None:
    model = msgspec.structs.replace(MODEL, latency_ticks=latency, tokens_per_tick=per_tick)
    body = msgspec.json.encode({"max_tokens": tokens, "stream": stream})
    due, first = schedule(model, now, asked(model, body))
    assert due >= now + latency
    assert (due - now) * per_tick >= tokens
    assert due == now + latency or (due - now - 1) * per_tick < tokens
    assert first == (now + latency if stream else due)


def test_tokens_are_charged_with_the_most_that_an_answer_may_take() -> None:
    grant = Grant(Capability.INFER, "m", tokens_per_tick=25, tokens_per_run=40)
    roomy = msgspec.structs.replace(MODEL, requests_max=9)
    world = started(agent("a", grant, every_tick=True), models=(roomy,))
    ticked = tick(world, {"a": [ask(max_tokens=20), ask(max_tokens=6), ask(max_tokens=5)]})
    (refusal,) = ticked.settled.entry.turns[0].refusals
    assert refusal.effect == 1
    assert refusal.reason == (
        "over the limit of 25 tokens per tick of grant infer:m: it may cost 6, and 5 are left"
    )
    ticked = tick(ticked.after, {"a": [ask(), ask(max_tokens=6), ask(max_tokens=5)]})
    assert [refusal.reason for refusal in ticked.settled.entry.turns[0].refusals] == [
        "over the limit of 40 tokens per run of grant infer:m: it may cost 6, and 5 are left"
    ]
    assert ticked.after.tokens_spent == {(0, 0): 40}


@pytest.mark.parametrize(
    ("effect", "verdict", "reason"),
    [
        (ask("other"), "denied", "no grant covers 'infer:other'"),
        (ask("gone"), "rejected", "nothing serves the model 'gone' in this run"),
        (ask(max_tokens=101), "rejected", "it asks for 101 tokens; tokens_max of the model is 100"),
    ],
)
def test_what_is_refused_is_journaled_and_the_sender_told(effect: Infer, verdict: str, reason: str) -> None:
    grants = (Grant(Capability.INFER, "m"), Grant(Capability.INFER, "gone"))
    ticked = tick(world_of(agent("a", *grants, every_tick=True)), {"a": [effect]})
    (refusal,) = ticked.settled.entry.turns[0].refusals
    assert (refusal.verdict, refusal.reason) == (verdict, reason)
    (notice,) = ticked.after.mailboxes[0]
    assert (notice.topic, notice.reply_to) == (f"tickwork.{verdict}", 1)
    assert not ticked.settled.asked


def test_what_is_rejected_for_another_reason_costs_no_tokens() -> None:
    grant = Grant(Capability.INFER, "m", per_run=4, tokens_per_run=100)
    world = world_of(agent("a", grant, every_tick=True), powerful("b", every_tick=True))
    # Four are asked for, of which one asks for too much and one finds the model full.
    does = {"a": [ask(max_tokens=101), ask(), ask()], "b": [ask(), ask()]}
    ticked = tick(world, does)
    assert ticked.refusals() == {(0, 0): "rejected", (1, 1): "rejected"}
    assert ticked.after.tokens_spent == {(0, 0): 20}
    ticked = tick(ticked.after, {"a": [ask()]})
    assert ticked.refusals() == {(0, 0): "rejected"}
    assert ticked.after.tokens_spent == {(0, 0): 20}
    assert ticked.after.spent == {(0, 0): 4}


def test_pending_requests_of_a_model_are_bounded() -> None:
    world = world_of(powerful("a", every_tick=True), powerful("b", every_tick=True))
    ticked = tick(world, {"a": [ask(), ask()], "b": [ask(), ask(), ask("paced")]})
    assert ticked.refusals() == {(1, 1): "rejected"}
    assert len(ticked.settled.asked) == 4


@pytest.mark.parametrize("end", ["stops", "is stopped", "fails"])
def test_requests_of_an_agent_that_ends_are_cancelled(end: str) -> None:
    world = world_of(powerful("a", every_tick=True), powerful("b", every_tick=True))
    world = tick(world, {"a": [ask()], "b": [ask()]}).after
    does = {
        "stops": {"a": [ask(), Stop(None, "done")]},
        "is stopped": {"b": [Stop("a", "enough")]},
        "fails": {"a": failed()},
    }[end]
    ticked = tick(world, does)
    assert ticked.settled.cancelled == ((1, 0, 0),)
    assert ticked.settled.asked == ()
    assert [request.agent for request in ticked.after.requests.pending.values()] == [1]
    assert arrivals_fault(ticked.after.requests, ticked.after.tick, answers(ticked.after)) is None


@pytest.mark.parametrize(("how", "cancelled"), [(OnFailure.RESTART, ((1, 0, 0),)), (OnFailure.ROLLBACK, ())])
def test_a_restart_cancels_requests_and_a_rollback_keeps_those_that_the_old_memory_knows(
    how: OnFailure, cancelled: tuple[object, ...]
) -> None:
    world = world_of(powerful("a", supervision=Supervision(how), every_tick=True))
    world = tick(world, {"a": [ask(request=4)]}).after
    ticked = tick(world, {"a": failed()})
    assert ticked.settled.cancelled == cancelled
    assert len(ticked.after.requests.pending) == 1 - len(cancelled)
    due = ticked.after
    inbox = tick(due, {"a": []}, answers(due)).planned.turns[0].inbox
    assert [message.reply_to for message in inbox if message.topic == "reply"] == [4] * (1 - len(cancelled))


def test_a_world_that_waits_for_an_answer_is_not_idle_and_its_tick_is_not_quiet() -> None:
    world = world_of(powerful("a"))
    assert world.idle
    world = tick(world, arrivals=Arrivals()).after
    woken = started(powerful("a", every_tick=True), models=(MODEL,))
    waiting = tick(woken, {"a": [ask()]}).after
    assert waiting.requests.pending
    calm = msgspec.structs.replace(waiting, directory=world.directory)
    assert not calm.idle
    assert is_quiet(calm, Arrivals())
    later = tick(calm).after
    assert not is_quiet(later, answers(later))


def test_arrivals_must_be_those_that_are_due() -> None:
    world = world_of(powerful("a", every_tick=True))
    world = tick(world, {"a": [ask(), ask("paced", max_tokens=20, stream=True)]}).after
    first, second = world.requests.pending.values()
    early = Completion(*first.key, b"")
    assert arrivals_fault(world.requests, world.tick, Arrivals()) is None
    for wrong in ((early,), (Completion(0, 0, 0, b""),), (Completion(*second.key, b"", last=False),)):
        assert arrivals_fault(world.requests, world.tick, Arrivals(completions=wrong)) is not None
    world = tick(world).after
    answer, piece = Completion(*first.key, b""), Completion(*second.key, b"", last=False)
    for right in ((answer, piece), (answer,)):
        assert arrivals_fault(world.requests, world.tick, Arrivals(completions=right)) is None
    for wrong in ((), (piece,), (piece, answer), (answer, answer), (answer, Completion(*second.key, b""))):
        assert arrivals_fault(world.requests, world.tick, Arrivals(completions=wrong)) is not None
    topics = [message.topic for message in plan(world, Arrivals(completions=(answer, piece))).turns[0].inbox]
    assert topics == ["reply", "reply.piece"]


def test_a_world_with_requests_comes_back_from_its_bytes() -> None:
    grant = Grant(Capability.INFER, "*", tokens_per_run=500)
    world = world_of(agent("a", grant, every_tick=True))
    world = tick(world, {"a": [ask(), ask("paced", stream=True)]}).after
    again = decode_world(encode_world(world), world.run)
    assert again.requests == world.requests
    assert list(again.requests.pending) == list(world.requests.pending)
    assert again.tokens_spent == world.tokens_spent == {(0, 0): 20}
    assert encode_world(again) == encode_world(world)


def test_a_world_whose_requests_are_impossible_is_refused() -> None:
    world = tick(world_of(powerful("a", every_tick=True)), {"a": [ask()]}).after
    (request,) = world.requests.pending.values()
    for change in ({"agent": 5}, {"model": 2}, {"model": -1}, {"due": 0}):
        wrong = msgspec.structs.replace(request, **change)
        forged = msgspec.structs.replace(world, requests=type(world.requests)({wrong.key: wrong}))
        with pytest.raises(ValueError, match="a request has no owner or no model"):
            decode_world(encode_world(forged), world.run)


def test_entries_without_completions_have_the_bytes_that_they_always_had() -> None:
    world = world_of(powerful("a", every_tick=True))
    plain = tick(world).settled.entry
    assert msgspec.msgpack.decode(encode_entry(plain))[1] == [[]]
    assert msgspec.msgpack.decode(encode_arrivals(Arrivals((Input(0, b"1"),)))) == [[[0, b"1"]]]
    world = tick(tick(world, {"a": [ask()]}).after).after
    full = tick(world, {"a": []}, answers(world)).settled.entry
    assert decode_entry(encode_entry(full)) == full


def test_seeds_of_requests_are_told_apart_by_everything_that_names_them() -> None:
    origins = list(itertools.product((0, 1), (1, 2), (0, 1), (0, 1)))
    seeds = [request_seed(*origin) for origin in origins]
    assert len(dict.fromkeys(seeds)) == len(seeds)
    assert seeds == [request_seed(*origin) for origin in origins]
    assert all(0 <= seed < 2**63 for seed in seeds)


def _at_depth(depth: int, asking: Callable[[], Asked]) -> Asked:
    return asking() if depth == 0 else _at_depth(depth - 1, asking)


@pytest.mark.parametrize("nesting", [100, 500, 900, 2_000])
def test_what_a_request_asks_for_does_not_depend_on_the_callers_stack(nesting: int) -> None:
    body = b'{"deep":' + b'{"a":' * nesting + b"{}" + b"}" * nesting + b',"max_tokens":7}'
    found = [_at_depth(depth, lambda: asked(MODEL, body)) for depth in (0, 200, 400)]
    tokens = 7 if nesting < NESTING_MAX else MODEL.tokens_default
    assert found == [Asked(tokens, stream=False)] * 3


@pytest.mark.parametrize(
    ("body", "deep"),
    [
        (b"[" * NESTING_MAX + b"]" * NESTING_MAX, False),
        (b"[" * (NESTING_MAX + 1), True),
        (b'{"a":' * (NESTING_MAX + 1), True),
        (b"[]" * 1000, False),
        (b'"' + b"[" * 1000 + b'"', False),
        (b'["\\"' + b"[" * 1000 + b'"]', False),
        (b'["\\\\"' + b"[" * 1000, True),
        (b'"' + b'\\"' * 100_000 + b"[" * 1000, False),
    ],
)
def test_brackets_count_as_nesting_outside_of_strings(body: bytes, deep: bool) -> None:
    assert nests_too_deep(body) is deep
