"""What becomes of agents that fail, by what their supervision says."""

import msgspec
import pytest

from core_worlds import failed, inbox, notices, powerful, run_of, tick
from tickwork.core.checkpoint import decode_world, encode_world
from tickwork.core.effects import Send, Stop, Timer
from tickwork.core.fault_plan import FaultPlan
from tickwork.core.faults import CrashAfter, CrashBefore
from tickwork.core.spec import with_faults
from tickwork.core.step import plan
from tickwork.core.supervision import OnExhausted, OnFailure, Supervision
from tickwork.core.world import Status, genesis_world

GOES_ON = (OnFailure.RESTART, OnFailure.ROLLBACK)
MAIL = Send("b", "t", b"mail", 7)


def supervised(on_failure, *faults, every_tick=False, **rest):
    """Return a world at tick 1: `a` has a turn in every tick, `b` is supervised."""
    supervision = Supervision(on_failure, **rest)
    agents = (powerful("a", every_tick=True), powerful("b", supervision=supervision, every_tick=every_tick))
    return tick(genesis_world(with_faults(run_of(*agents), FaultPlan(faults)))).after


def with_mail(world):
    return tick(world, {"a": [MAIL]}).after


def test_without_supervision_a_failure_ends_the_agent_and_is_told_to_nobody():
    ticked = tick(with_mail(supervised(OnFailure.STOP)), {"b": failed()})
    assert ticked.after.agents[1].status is Status.FAILED
    assert (ticked.settled.ended, ticked.settled.restarted, ticked.settled.rolled_back) == ((1,), (), ())
    assert ticked.settled.entry.undelivered == ()
    assert ticked.after.restarts == {}


def test_a_restarted_agent_is_set_up_in_the_next_tick_and_keeps_what_came_for_it():
    world = with_mail(supervised(OnFailure.RESTART))
    ticked = tick(world, {"a": [Send("b", "t", b"meanwhile")], "b": failed()})
    assert ticked.after.agents[1].status is Status.STARTING
    assert (ticked.settled.ended, ticked.settled.restarted) == ((), (1,))
    turns = plan(ticked.after, ticked.arrivals).turns
    assert [(turn.agent, turn.setup) for turn in turns] == [(0, False), (1, True)]
    again = tick(ticked.after)
    assert again.after.agents[1].status is Status.RUNNING
    assert [body for _, _, body in inbox(again.after, "b")] == [b"meanwhile"]


def test_one_who_is_rolled_back_goes_on_running():
    ticked = tick(with_mail(supervised(OnFailure.ROLLBACK)), {"b": failed()})
    assert ticked.after.agents[1].status is Status.RUNNING
    assert (ticked.settled.ended, ticked.settled.restarted, ticked.settled.rolled_back) == ((), (), (1,))


@pytest.mark.parametrize("how", GOES_ON)
def test_the_inbox_of_the_turn_that_failed_goes_back_to_its_senders(how):
    ticked = tick(with_mail(supervised(how)), {"b": failed()})
    done = "restarted" if how is OnFailure.RESTART else "rolled back"
    (lost,) = ticked.settled.entry.undelivered
    assert (lost.tick, lost.agent, lost.effect, lost.to) == (1, 0, 0, "b")
    assert lost.reason == f"agent failed and was {done}"
    (notice,) = notices(ticked.after, "a")
    assert (notice["topic"], notice["target"], notice["tick"]) == ("tickwork.rejected", "b", 1)
    assert notice["reason"] == f"agent 'b' failed and was {done}"


def test_a_restart_cancels_timers_and_a_rollback_keeps_them():
    for how, left in ((OnFailure.RESTART, []), (OnFailure.ROLLBACK, [3])):
        world = with_mail(supervised(how))
        world = tick(world, {"a": [MAIL], "b": [Timer("t", b"", 9, 3)]}).after
        after = tick(world, {"b": failed()}).after
        assert [request for _, request in after.timers.due] == left


@pytest.mark.parametrize("how", GOES_ON)
def test_one_failure_too_many_within_the_window_ends_the_agent(how):
    world = supervised(how, every_tick=True, max_restarts=2, restart_window_ticks=100)
    failures = 0
    while world.agents[1].status is not Status.FAILED:
        if world.agents[1].status is Status.RUNNING:
            failures += 1
            world = tick(world, {"b": failed()}).after
        else:
            world = tick(world).after
        assert encode_world(decode_world(encode_world(world), world.run)) == encode_world(world)
    assert failures == 3
    assert world.restarts == {}


def test_failures_that_are_far_enough_apart_are_forgotten():
    world = supervised(OnFailure.ROLLBACK, every_tick=True, max_restarts=1, restart_window_ticks=3)
    for _ in range(4):
        world = tick(world, {"b": failed()}).after
        world = tick(tick(world).after).after
    assert world.agents[1].status is Status.RUNNING
    world = tick(tick(world, {"b": failed()}).after).after
    assert tick(world, {"b": failed()}).after.agents[1].status is Status.FAILED


@pytest.mark.parametrize("how", GOES_ON)
def test_a_failed_setup_is_tried_again(how):
    agents = (powerful("a"), powerful("b", supervision=Supervision(how, max_restarts=1)))
    ticked = tick(genesis_world(run_of(*agents)), {"b": failed()})
    assert (ticked.after.agents[1].status, ticked.settled.restarted) == (Status.STARTING, (1,))
    assert tick(ticked.after, {"b": failed()}).after.agents[1].status is Status.FAILED


def test_a_run_is_to_end_with_an_agent_that_says_so():
    for how in OnFailure:
        world = supervised(how, max_restarts=0, on_exhausted=OnExhausted.STOP_RUN)
        assert world.fatal is None
        after = tick(with_mail(world), {"b": failed()}).after
        assert after.fatal is not None
        assert after.fatal.spec.id == "b"
        restored = decode_world(encode_world(after), after.run)
        assert restored.fatal == after.fatal


@pytest.mark.parametrize("how", GOES_ON)
def test_one_who_is_stopped_as_it_fails_is_stopped(how):
    ticked = tick(with_mail(supervised(how)), {"a": [Stop("b", "enough")], "b": failed()})
    assert ticked.after.agents[1] == msgspec.structs.replace(
        ticked.before.agents[1], status=Status.STOPPED, reason="enough"
    )
    assert (ticked.settled.ended, ticked.settled.restarted, ticked.settled.rolled_back) == ((1,), (), ())


@pytest.mark.parametrize("how", GOES_ON)
@pytest.mark.parametrize("fault", [CrashBefore(2, "b"), CrashAfter(2, "b", 0)])
def test_a_crash_on_purpose_is_a_failure_like_any_other(how, fault):
    world = with_mail(supervised(how, fault))
    ticked = tick(world, {"a": [Send("b", "t", b"next")]})
    assert len(ticked.settled.entry.undelivered) == 1
    assert ticked.after.agents[1].live
    assert ticked.after.restarts == {1: (2,)}
    after = tick(ticked.after).after if how is OnFailure.RESTART else ticked.after
    assert [body for _, _, body in inbox(after, "b")] == [b"next"]


def test_one_who_crashes_before_its_setup_keeps_what_waits_for_it():
    agents = (powerful("a", every_tick=True), powerful("b", supervision=Supervision(OnFailure.RESTART)))
    run = with_faults(run_of(*agents), FaultPlan((CrashBefore(0, "b"), CrashBefore(1, "b"))))
    world = tick(genesis_world(run)).after
    ticked = tick(world, {"a": [MAIL]})
    assert ticked.after.agents[1].status is Status.STARTING
    assert [body for _, _, body in inbox(tick(ticked.after).after, "b")] == [b"mail"]


def test_one_who_is_stopped_and_crashes_after_its_turn_is_stopped():
    ticked = tick(with_mail(supervised(OnFailure.STOP, CrashAfter(2, "b"))), {"a": [Stop("b", "enough")]})
    assert ticked.settled.ended == (1,)
    assert ticked.after.agents[1].status is Status.STOPPED
