from core_worlds import agent, inbox, powerful, started, tick
from tickwork.core.effects import Stop, Timer
from tickwork.core.grants import Capability, Grant
from tickwork.core.limits import Limits
from tickwork.core.timers import NO_TIMERS, PendingTimer, TimersEdit


def timer(owner, request, topic="t"):
    return PendingTimer(owner, request, 0, 0, topic, b"")


def edited(base, *steps):
    edit = TimersEdit(base)
    for name, *arguments in steps:
        getattr(edit, name)(*arguments)
    return edit.done()


def reasons(ticked):
    return [refusal.reason for turn in ticked.settled.entry.turns for refusal in turn.refusals]


def test_an_unchanged_edit_gives_the_very_timers_it_began_with():
    base = edited(NO_TIMERS, ("set", timer(1, 1), 5))
    assert edited(base) is base
    assert edited(base, ("cancel", 1, 2), ("cancel_owned", [2, 3])) is base


def test_an_edit_leaves_its_base_as_it_was():
    base = edited(NO_TIMERS, ("set", timer(1, 1), 5), ("set", timer(1, 2), 5), ("set", timer(2, 1), 6))
    told = repr(base)
    edited(base, ("set", timer(1, 1), 7), ("cancel", 1, 2), ("cancel_owned", [2]), ("set", timer(3, 1), 5))
    assert repr(base) == told


def test_the_same_request_replaces_a_timer_even_within_its_tick():
    timers = edited(NO_TIMERS, ("set", timer(1, 1, "old"), 5), ("set", timer(1, 1, "new"), 5))
    assert [pending.topic for pending in timers.pending[5].values()] == ["new"]
    assert timers.counts == {1: 1}
    moved = edited(timers, ("set", timer(1, 1, "moved"), 6))
    assert list(moved.pending) == [6]


def test_requests_of_different_agents_are_different_timers():
    timers = edited(NO_TIMERS, ("set", timer(1, 1), 5), ("set", timer(2, 1), 5), ("cancel", 1, 1))
    assert timers.due == {(2, 1): 5}


def test_nothing_is_left_of_timers_that_were_all_cancelled():
    timers = edited(NO_TIMERS, ("set", timer(1, 1), 5), ("set", timer(1, 2), 6), ("cancel_owned", [1, 1, 4]))
    assert timers == NO_TIMERS


def test_a_timer_rings_once_after_its_ticks():
    world = tick(started(powerful("a", every_tick=True)), {"a": [Timer("ring", b"x", 3, 8)]}).after
    heard = []
    for _ in range(5):
        heard.append(inbox(world, "a"))
        world = tick(world).after
    assert heard == [[], [], [("a", "ring", b"x")], [], []]


def test_zero_ticks_cancel_and_the_same_request_replaces():
    world = started(powerful("a", every_tick=True))
    world = tick(
        world, {"a": [Timer("one", b"", 2, 1), Timer("two", b"", 2, 2), Timer("three", b"", 2, 3)]}
    ).after
    world = tick(world, {"a": [Timer("", b"", 0, 1), Timer("later", b"", 2, 2)]}).after
    assert inbox(world, "a") == [("a", "three", b"")]
    world = tick(world).after
    assert inbox(world, "a") == [("a", "later", b"")]


def test_a_timer_can_be_set_again_in_the_tick_in_which_it_rings():
    world = tick(started(powerful("a")), {}).after
    world = started(powerful("a", every_tick=True, limits=Limits(timers=1)))
    world = tick(world, {"a": [Timer("t", b"", 1, 1)]}).after
    for _ in range(3):
        assert inbox(world, "a") == [("a", "t", b"")]
        ticked = tick(world, {"a": [Timer("t", b"", 1, 1)]})
        assert reasons(ticked) == []
        world = ticked.after


def test_replacing_is_no_new_timer_for_the_limit():
    world = started(powerful("a", every_tick=True, limits=Limits(timers=1)))
    ticked = tick(world, {"a": [Timer("", b"", 5, 1), Timer("", b"", 6, 1), Timer("", b"", 5, 2)]})
    assert reasons(ticked) == ["over the limit of 1 pending timers"]
    assert ticked.after.timers.due == {(0, 1): 7}


def test_a_timer_beyond_the_last_tick_is_rejected_and_one_at_it_is_not():
    last = (1 << 63) - 1
    world = started(powerful("a", every_tick=True))
    ticked = tick(
        world, {"a": [Timer("", b"", last - 1, 1), Timer("", b"", last, 2), Timer("", b"", (1 << 64) - 1, 3)]}
    )
    assert reasons(ticked) == [f"a timer cannot be due after tick {last}"] * 2
    assert ticked.after.timers.due == {(0, 1): last}


def test_a_refused_replacement_leaves_the_timer_as_it_was():
    world = tick(started(powerful("a", every_tick=True)), {"a": [Timer("t", b"", 2, 1)]}).after
    world = tick(world, {"a": [Timer("t", b"", (1 << 64) - 1, 1)]}).after
    assert ("a", "t", b"") in inbox(world, "a")


def test_timers_end_with_their_owner_and_with_no_other():
    world = started(powerful("a", every_tick=True), powerful("b", every_tick=True))
    alarm = [Timer("t", b"", 5, 1), Timer("t", b"", 6, 2)]
    world = tick(world, {"a": alarm, "b": alarm}).after
    world = tick(world, {"a": [Stop(None, ""), Timer("t", b"", 7, 3)]}).after
    assert world.timers.due == {(1, 1): 6, (1, 2): 7}


def test_a_timer_needs_a_grant_without_a_target():
    world = started(
        agent("a", Grant(Capability.TIMER, "t"), every_tick=True),
        agent("b", Grant(Capability.TIMER), every_tick=True),
    )
    ticked = tick(world, {"a": [Timer("t", b"", 1, 1)], "b": [Timer("t", b"", 1, 1)]})
    assert reasons(ticked) == ["no grant covers 'timer'"]
    assert list(ticked.after.timers.due) == [(1, 1)]
