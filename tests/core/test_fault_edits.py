"""Edits of what a fork breaks on purpose."""

import msgspec
import pytest

from core_worlds import inbox, powerful, run_of, tick
from tickwork.core.editing import apply_edits
from tickwork.core.edits import Edits, decode_edits, encode_edits
from tickwork.core.effects import Send
from tickwork.core.errors import EditError
from tickwork.core.fault_plan import NO_FAULTS, FaultPlan
from tickwork.core.faults import Delay, Drop, FaultRate, Pause
from tickwork.core.spec import with_faults
from tickwork.core.world import World, genesis_world

PLAN = FaultPlan((Drop(2, "a"),), (FaultRate("delay", 0.5),), 9)


def world_of(plan: FaultPlan) -> World:
    """Return a world before tick 1, whose agent `a` has a turn in every tick."""
    return tick(genesis_world(with_faults(run_of(powerful("a", every_tick=True), powerful("b")), plan))).after


def test_a_fork_breaks_what_its_edits_say_and_nothing_else() -> None:
    before = world_of(FaultPlan((Pause(1, "b"),)))
    after = apply_edits(before, Edits(faults=PLAN))
    assert after.run.faults == PLAN
    assert before.run.faults == FaultPlan((Pause(1, "b"),))
    assert apply_edits(before, Edits(seed=4)).run.faults == before.run.faults


def test_a_fork_that_breaks_nothing_is_the_run_that_never_did() -> None:
    healed = apply_edits(world_of(FaultPlan((Drop(1, "a"),))), Edits(faults=NO_FAULTS))
    assert healed.run == world_of(NO_FAULTS).run
    ticked = tick(healed, {"a": [Send("b", "t", b"x")]})
    assert inbox(ticked.after, "b") == [("a", "t", b"x")]
    assert ticked.settled.entry.faults == ()


def test_what_was_delayed_before_comes_all_the_same() -> None:
    delayed = tick(world_of(FaultPlan((Delay(1, "a", ticks=1),))), {"a": [Send("b", "t", b"x")]}).after
    healed = apply_edits(delayed, Edits(faults=NO_FAULTS))
    assert inbox(healed, "b") == []
    assert inbox(tick(healed).after, "b") == [("a", "t", b"x")]


def test_a_plan_that_cannot_be_is_refused() -> None:
    with pytest.raises(EditError, match="faults: ticks must be between 1 and"):
        apply_edits(world_of(NO_FAULTS), Edits(faults=FaultPlan((Pause(1, "a", 0),))))


def test_edits_of_faults_come_back_from_their_bytes_and_others_have_those_that_they_always_had() -> None:
    for edits in (Edits(faults=PLAN), Edits(faults=NO_FAULTS), Edits(seed=1)):
        assert decode_edits(encode_edits(edits)) == edits
    assert len(msgspec.msgpack.decode(encode_edits(Edits(seed=1)))) == 5
    assert encode_edits(Edits()) == b""
