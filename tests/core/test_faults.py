"""Faults of a plan, applied to small worlds."""

import msgspec
import pytest

from core_worlds import failed, inbox, notices, powerful, run_of, tick
from tickwork.core.checkpoint import decode_world, encode_world
from tickwork.core.effects import Log, Output, Publish, Send, Timer
from tickwork.core.entry import decode_entry, encode_entry
from tickwork.core.fault_plan import FaultPlan, fault_of_plan
from tickwork.core.faults import (
    CrashAfter,
    CrashBefore,
    Delay,
    Drop,
    Duplicate,
    FaultRate,
    LoseTimer,
    Partition,
    Pause,
    RefuseMemory,
    Reorder,
    StarveFuel,
)
from tickwork.core.limits import Limits
from tickwork.core.messages import Arrivals, Input
from tickwork.core.quiet import is_quiet
from tickwork.core.spec import InputSpec, with_faults
from tickwork.core.step import plan
from tickwork.core.world import Status, genesis_world

TRIO = (powerful("a"), powerful("b", subscribe=("news",)), powerful("c", subscribe=("news",)))
HELLO = Send("b", "t", b"hello")


def begun(*faults, agents=TRIO, rates=(), **rest):
    """Return a world at tick 1 in which these faults are to come."""
    run = with_faults(run_of(*agents, outputs=("out",), **rest), FaultPlan(faults, rates))
    return tick(genesis_world(run)).after


def woken(*faults, agents=None, **rest):
    """Return a world at tick 1 with an agent `a` that has a turn in every tick."""
    return begun(*faults, agents=agents or (powerful("a", every_tick=True), *TRIO[1:]), **rest)


def applied(ticked):
    return [(fault.fault, fault.agent, fault.effect, fault.to) for fault in ticked.settled.entry.faults]


def bodies(world, agent):
    return [body for _, _, body in inbox(world, agent)]


def test_a_dropped_message_does_not_come_and_its_sender_hears_nothing():
    drop = Drop(1, "a", nth=1)
    ticked = tick(woken(drop), {"a": [Log(1, "x"), HELLO, Send("b", "t", b"lost"), HELLO]})
    assert bodies(ticked.after, "b") == [b"hello", b"hello"]
    assert applied(ticked) == [(drop, 0, 2, 1)]
    assert notices(ticked.after, "a") == []
    assert ticked.refusals() == {}


def test_a_message_is_named_among_all_of_its_sender_or_among_those_to_one_agent():
    say = [Send("c", "t", b"c0"), Send("b", "t", b"b0"), Send("b", "t", b"b1")]
    ticked = tick(woken(Drop(1, "a", nth=1, to="b")), {"a": say})
    assert (bodies(ticked.after, "b"), bodies(ticked.after, "c")) == ([b"b0"], [b"c0"])
    ticked = tick(woken(Drop(1, "a", nth=1)), {"a": say})
    assert (bodies(ticked.after, "b"), bodies(ticked.after, "c")) == ([b"b1"], [b"c0"])


def test_one_subscriber_can_miss_what_is_published():
    ticked = tick(woken(Drop(1, "a", to="c")), {"a": [Publish("news", b"n")]})
    assert (bodies(ticked.after, "b"), bodies(ticked.after, "c")) == ([b"n"], [])


def test_what_finds_nothing_to_hit_is_not_applied():
    faults = (Drop(1, "a", nth=9), Drop(1, "nobody"), Pause(1, "b"), CrashAfter(1, "b"), LoseTimer(1, "a"))
    ticked = tick(woken(*faults), {"a": [HELLO]})
    assert applied(ticked) == []
    assert bodies(ticked.after, "b") == [b"hello"]


def test_a_delayed_message_comes_later_before_newer_ones_and_keeps_the_run_awake():
    world = tick(begun(agents=TRIO[:2]), {}).after
    assert world.idle
    world = tick(woken(Delay(1, "a", ticks=2)), {"a": [Send("b", "t", b"old")]}).after
    assert not msgspec.structs.replace(world, directory=begun().directory).idle
    assert encode_world(decode_world(encode_world(world), world.run)) == encode_world(world)
    world = tick(world, {"a": [Send("b", "t", b"at 3")]}).after
    assert bodies(world, "b") == [b"at 3"]
    assert not is_quiet(world, Arrivals())
    world = tick(world, {"a": [Send("b", "t", b"at 4")]}).after
    assert bodies(world, "b") == [b"old", b"at 4"]
    assert world.delayed == {}


def test_a_delayed_message_that_finds_no_room_goes_back_to_its_sender():
    small = powerful("b", limits=Limits(mailbox_messages=0))
    world = tick(woken(Delay(1, "a"), agents=(powerful("a", every_tick=True), small)), {"a": [HELLO]}).after
    ticked = tick(world)
    assert [lost.to for lost in ticked.settled.entry.undelivered] == ["b"]
    (notice,) = notices(ticked.after, "a")
    assert (notice["topic"], notice["tick"], notice["effect"]) == ("tickwork.rejected", 1, 0)
    assert "is full" in notice["reason"]


def test_a_delayed_message_for_one_who_ended_meanwhile_goes_back_to_its_sender():
    both = tuple(powerful(name, every_tick=True) for name in "ab")
    world = tick(woken(Delay(1, "a"), agents=both), {"a": [HELLO]}).after
    ticked = tick(world, {"b": failed()})
    assert [lost.reason for lost in ticked.settled.entry.undelivered] == ["agent 'b' is failed"]
    assert len(notices(ticked.after, "a")) == 1


def test_a_doubled_message_comes_twice_at_once_or_later():
    world = tick(woken(Duplicate(1, "a")), {"a": [HELLO, Send("b", "t", b"next")]}).after
    assert bodies(world, "b") == [b"hello", b"hello", b"next"]
    world = tick(woken(Duplicate(1, "a", ticks=1)), {"a": [HELLO]}).after
    assert bodies(world, "b") == [b"hello"]
    assert bodies(tick(world).after, "b") == [b"hello"]


def test_a_second_copy_never_takes_the_senders_own_messages_room():
    small = powerful("b", limits=Limits(mailbox_messages=1))
    ticked = tick(woken(Duplicate(1, "a"), agents=(powerful("a", every_tick=True), small)), {"a": [HELLO]})
    assert bodies(ticked.after, "b") == [b"hello"]
    assert (applied(ticked), ticked.refusals()) == ([], {})


def test_a_reordered_message_comes_behind_the_other_agents_messages_but_not_behind_timers():
    agents = (powerful("a", every_tick=True), powerful("b"))
    world = woken(Reorder(2, "b", nth=0), agents=agents, inputs=(InputSpec("in", "i", ("b",), 1),))
    world = tick(world, {"a": [Send("b", "t", b"%d" % n) for n in range(3)]}).after
    ticked = tick(world, {"b": ()}, arrivals=Arrivals((Input(0, b"line"),)))
    turn = next(turn for turn in ticked.planned.turns if turn.agent == 1)
    assert [message.body for message in turn.inbox] == [b"line", b"1", b"2", b"0"]
    assert applied(ticked) == [(Reorder(2, "b", 0), 0, 0, 1)]


def test_a_partition_lasts_and_cuts_both_ways():
    cut = Partition(2, ("a",), ticks=2)
    agents = tuple(powerful(name, every_tick=True) for name in "abc")
    world = woken(cut, agents=agents)
    got = {}
    for _ in range(4):
        ticked = tick(
            world, {"a": [HELLO], "b": [Send("a", "t", b""), Send("c", "t", b"")], "c": [Send("b", "t", b"")]}
        )
        world = ticked.after
        got[ticked.before.tick] = tuple(len(bodies(world, name)) for name in "abc")
        assert [fault.fault for fault in ticked.settled.entry.faults] == (
            [cut, cut] if ticked.before.tick in {2, 3} else []
        )
    assert got == {1: (1, 2, 1), 2: (0, 1, 1), 3: (0, 1, 1), 4: (1, 2, 1)}


def test_one_who_crashes_before_its_turn_takes_none_and_its_mail_goes_back():
    crash = CrashBefore(2, "b")
    world = tick(woken(crash), {"a": [HELLO]}).after
    ticked = tick(world, {"a": [HELLO]})
    assert [turn.agent for turn in ticked.planned.turns] == [0]
    state = ticked.after.agents[1]
    assert (state.status, state.reason) == (Status.FAILED, "crashed on purpose before it")
    assert ticked.settled.ended == (1,)
    assert [lost.to for lost in ticked.settled.entry.undelivered] == ["b"]
    # What it found, and what was sent to it in the tick.
    assert sorted(notice["tick"] for notice in notices(ticked.after, "a")) == [1, 2]
    assert applied(ticked) == [(crash, 1, -1, -1)]


@pytest.mark.parametrize(("effects", "happened"), [(None, 3), (0, 0), (1, 1), (2, 2), (9, 3)])
def test_of_one_who_crashes_after_its_turn_only_the_first_effects_happen(effects, happened):
    does = [Send("b", "t", b"1"), Output("out", b"2"), Send("c", "t", b"3")]
    ticked = tick(woken(CrashAfter(1, "a", effects)), {"a": does})
    assert ticked.after.agents[0].status is Status.FAILED
    assert len(list(ticked.performed())) == happened
    assert ticked.refusals() == {(0, place): "lost" for place in range(happened, 3)}
    assert len(ticked.settled.performed) == (happened > 1)
    assert bodies(ticked.after, "c") == ([b"3"] if happened > 2 else [])
    assert ticked.settled.entry.turns[0].effects == tuple(does)


def test_a_crash_after_a_turn_that_failed_anyway_is_not_applied():
    ticked = tick(woken(CrashAfter(1, "a")), {"a": failed()})
    assert applied(ticked) == []
    assert ticked.after.agents[0].reason == "unreachable"


def test_fuel_and_memory_are_withheld_by_the_turn():
    world = woken(StarveFuel(1, "a", 5), RefuseMemory(1, "a"), StarveFuel(1, "b", 5))
    (turn,) = plan(world, Arrivals()).turns
    assert (turn.fuel, turn.may_grow, turn.plain) == (5, False, False)
    assert [fault.fault for fault in tick(world).settled.entry.faults] == [
        StarveFuel(1, "a", 5),
        RefuseMemory(1, "a"),
    ]


def test_a_lost_timer_is_gone_and_another_is_not():
    world = woken(LoseTimer(2, "b", 1), agents=(powerful("a"), powerful("b", every_tick=True)))
    world = tick(world, {"b": [Timer("t", b"one", 1, 1), Timer("t", b"two", 1, 2)]}).after
    assert bodies(world, "b") == [b"two"]
    ticked = tick(world)
    assert applied(ticked) == [(LoseTimer(2, "b", 1), 1, -1, -1)]
    assert not ticked.after.timers.due


def test_a_paused_agent_finds_all_that_came_in_order_once_it_goes_on():
    pause = Pause(2, "b", ticks=2)
    agents = (powerful("a", every_tick=True), powerful("b"))
    world = woken(pause, agents=agents, inputs=(InputSpec("in", "i", ("b",), 1),))
    world = tick(world, {"a": [Send("b", "t", b"m1")]}, Arrivals((Input(0, b"l1"),))).after
    for number in (2, 3):
        line = Arrivals((Input(0, b"l%d" % number),))
        ticked = tick(world, {"a": [Send("b", "t", b"m%d" % number)]}, line)
        assert applied(ticked) == [(pause, 1, -1, -1)]
        world = ticked.after
    assert encode_world(decode_world(encode_world(world), world.run)) == encode_world(world)
    assert bodies(world, "b") == [b"l2", b"l3", b"m1", b"m2", b"m3"]


def test_one_who_is_paused_without_anything_to_do_is_not_paused():
    assert applied(tick(woken(Pause(1, "b")), {"a": ()})) == []
    ticked = tick(woken(Pause(1, "a")))
    assert (applied(ticked), ticked.planned.turns) == ([(Pause(1, "a"), 0, -1, -1)], ())


def test_rates_depend_on_nothing_but_seed_tick_agent_and_place():
    rates = (FaultRate("drop", 0.5, agents=("a*",)),)
    say = [Send("b", "t", b"%d" % n) for n in range(64)]
    first = tick(woken(rates=rates), {"a": say})
    assert 16 < len(applied(first)) < 48
    again = tick(woken(rates=rates), {"a": [*say[:32], Log(1, "between"), *say[32:]]})
    assert bodies(again.after, "b") == bodies(first.after, "b")
    others = tick(woken(rates=(FaultRate("drop", 0.5, agents=("c",)),)), {"a": say})
    assert applied(others) == []
    outside = tick(woken(rates=(FaultRate("drop", 1.0, first=2),)), {"a": say})
    assert applied(outside) == []


def test_what_a_rate_did_can_be_said_explicitly():
    rates = (FaultRate("drop", 0.3), FaultRate("duplicate", 0.3), FaultRate("delay", 0.3, ticks=2))
    say = [Send("bc"[n % 2], "t", b"%d" % n) for n in range(32)]
    by_chance = tick(woken(rates=rates), {"a": say})
    explicit = tuple(fault.fault for fault in by_chance.settled.entry.faults)
    assert len({type(fault) for fault in explicit}) == 3
    said = tick(woken(*explicit), {"a": say})
    assert said.settled.entry == by_chance.settled.entry
    assert said.after.mailboxes == by_chance.after.mailboxes
    assert said.after.delayed == by_chance.after.delayed


def test_a_rates_certain_faults_come_to_every_kind_of_thing():
    for kind in ("crash-before", "crash-after", "pause", "starve-fuel", "refuse-memory", "partition"):
        ticked = tick(
            woken(rates=(FaultRate(kind, 1.0, first=1, last=1),)),
            {} if kind in {"crash-before", "pause"} else {"a": [HELLO]},
        )
        assert ticked.settled.entry.faults, kind


def test_an_entry_without_faults_has_the_bytes_that_it_had_before_there_were_any():
    entry = tick(woken(), {"a": [HELLO]}).settled.entry
    assert msgspec.msgpack.decode(encode_entry(entry))[0:1] == [1]
    assert len(msgspec.msgpack.decode(encode_entry(entry))) == 4
    broken = tick(woken(Drop(1, "a")), {"a": [HELLO]}).settled.entry
    assert len(msgspec.msgpack.decode(encode_entry(broken))) == 5
    assert decode_entry(encode_entry(broken)) == broken


def test_a_tick_that_faults_cannot_touch_is_quiet():
    world = woken(Drop(5, "a"), Pause(7, "b", 2))
    quiet = []
    for _ in range(10):
        quiet.append((world.tick, is_quiet(world, Arrivals())))
        world = tick(world).after
    assert [number for number, calm in quiet if not calm] == [5, 7, 8]


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (FaultPlan((Drop(-1, "a"),)), "tick"),
        (FaultPlan((Delay(1, "a", ticks=0),)), "ticks"),
        (FaultPlan((Pause(1, "a", ticks=1 << 62),)), "ticks"),
        (FaultPlan((Partition(1, ()),)), "group"),
        (FaultPlan(rates=(FaultRate("drop", float("nan")),)), "rate"),
        (FaultPlan(rates=(FaultRate("drop", 1.5),)), "rate"),
        (FaultPlan(rates=(FaultRate("melt", 0.5),)), "kind"),
        (FaultPlan(rates=(FaultRate("pause", 0.5, ticks=0),)), "ticks"),
        (FaultPlan(rates=(FaultRate("drop", 0.5, first=3, last=2),)), "first"),
        (FaultPlan(rates=(FaultRate("drop", 0.5, agents=()),)), "agents"),
    ],
)
def test_a_plan_that_cannot_be_says_where_and_why(bad, why):
    found = fault_of_plan(bad)
    assert found is not None
    assert why in found[1]
    assert fault_of_plan(FaultPlan((Drop(1, "a"),), (FaultRate("drop", 0.5),))) is None


def test_a_plan_of_nothing_is_no_plan():
    run = run_of(*TRIO)
    assert with_faults(run, FaultPlan(seed=9)) == run


@pytest.mark.parametrize(
    "faults",
    [
        (Pause(1, "b", 2), Pause(1, "b", 3)),
        (Partition(1, ("b",), 2), Partition(1, ("c", "b"), 2)),
        (LoseTimer(2, "b"), LoseTimer(2, "b", 5)),
    ],
)
def test_which_of_several_faults_is_applied_does_not_depend_on_their_order(faults):
    found = []
    for plan_of in (faults, faults[::-1]):
        world = begun(
            *plan_of, agents=(powerful("a", every_tick=True), powerful("b", every_tick=True), powerful("c"))
        )
        first = tick(
            world,
            {"a": [HELLO]} if isinstance(faults[0], Pause) else {"b": [Timer("t", b"", 1, 5)], "a": [HELLO]},
        )
        found.append([*applied(first), *applied(tick(first.after))])
    assert found[0] == found[1] != []


def test_a_fault_that_is_said_twice_comes_once():
    twice = Duplicate(1, "a", to="b")
    ticked = tick(woken(twice, twice, rates=(FaultRate("duplicate", 1.0, ticks=0),)), {"a": [HELLO]})
    assert bodies(ticked.after, "b") == [b"hello", b"hello"]
    assert applied(ticked) == [(twice, 0, 0, 1)]


def test_no_fault_comes_by_chance_after_the_last_tick_of_its_rate():
    rates = (FaultRate("pause", 1.0, first=1, last=2, agents=("a",), ticks=2),)
    world, turns = woken(rates=rates), []
    for _ in range(5):
        ticked = tick(world)
        turns.append(len(ticked.planned.turns))
        world = ticked.after
    # Begun in ticks 1 and 2, and passed after 3.
    assert turns == [0, 0, 0, 1, 1]
