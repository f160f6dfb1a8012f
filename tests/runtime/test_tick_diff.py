"""How two records of one tick are held against each other: by names, by bytes, effects aligned."""

import pytest

from core_worlds import run_of
from tickwork.core.effects import Log, Metric, Send
from tickwork.core.entry import Entry, Fuel, Refusal, TurnEntry
from tickwork.core.messages import Arrivals, Input
from tickwork.core.outcomes import OutcomeKind
from tickwork.runtime.tick_diff import Change, Names, named, parted, tick_diff


def _tick(*effects, refusals=(), kind=OutcomeKind.OK, arrivals=(), fuel=1):
    names = Names(run_of(*()))
    names.ids = ["a"]
    names.inputs = ["lines"]
    entry = Entry(4, Arrivals(arrivals), (TurnEntry(0, kind, effects, refusals),))
    return named(entry, Fuel((fuel,)), names, None)


def test_nan_equals_itself_and_the_two_zeroes_differ():
    nan = float("nan")
    assert parted(_tick(Metric("m", nan)), _tick(Metric("m", nan))).turns == ()
    assert parted(_tick(Metric("m", 0.0)), _tick(Metric("m", -0.0))).turns == ("a",)


def test_an_effect_that_was_judged_otherwise_is_changed():
    effect = Send("b", "t", b"")
    a, b = _tick(effect), _tick(effect, refusals=(Refusal(0, "denied", "no grant"),))
    found = tick_diff(a, b, parted(a, b))
    (pair,) = found.turns[0].effects
    assert pair.change is Change.CHANGED
    assert pair.b is not None
    assert (pair.b.verdict, pair.b.reason) == ("denied", "no grant")


def test_effects_of_different_aims_are_not_one_changed():
    a, b = _tick(Send("b", "t", b"x")), _tick(Send("c", "t", b"x"), Log(1, "x"))
    changes = [pair.change for pair in tick_diff(a, b, parted(a, b)).turns[0].effects]
    assert changes == [Change.ONLY_A, Change.ONLY_B, Change.ONLY_B]


@pytest.mark.parametrize("count", [10, 250, 1_000])
def test_one_effect_inserted_in_a_long_turn_is_the_only_one(count):
    logs = [Log(1, str(place)) for place in range(count)]
    a, b = _tick(*logs), _tick(*logs[: count // 2], Log(1, "new"), *logs[count // 2 :])
    pairs = tick_diff(a, b, parted(a, b)).turns[0].effects
    assert [pair.b and pair.b.effect for pair in pairs if pair.change is not Change.EQUAL] == [Log(1, "new")]
    assert len(pairs) == count + 1


def test_long_turns_with_nothing_in_common_are_paired_by_place():
    a = _tick(*(Log(1, f"a{place}") for place in range(2_000)))
    b = _tick(*(Log(1, f"b{place}") for place in range(1_500)))
    pairs = tick_diff(a, b, parted(a, b)).turns[0].effects
    changes = [pair.change for pair in pairs]
    assert (changes.count(Change.CHANGED), changes.count(Change.ONLY_A)) == (1_500, 500)


def test_arrivals_of_no_input_are_shown_by_their_index():
    tick = _tick(arrivals=(Input(7, b"x"),))
    assert tick.arrivals[0].name == "#7"
