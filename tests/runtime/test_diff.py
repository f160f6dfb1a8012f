"""What two run files have in common and where they part, by runs that were really recorded."""

import tracemalloc

import msgspec
import pytest

from diff_runs import (
    TICKER,
    burning,
    change,
    compared,
    forked,
    overwrite,
    recorded,
    rewritten,
    saying,
    tampered,
    untouched,
)
from shell_projects import agent
from tickwork.core.edits import Edits
from tickwork.core.effects import Output
from tickwork.core.entry import Fuel
from tickwork.core.errors import InputError, RunFileError
from tickwork.journal.codec import EntryPacker
from tickwork.journal.reader import RunReader
from tickwork.runtime.diff import Verdict, diff
from tickwork.runtime.diff_result import DAMAGE_MAX, RANGES_MAX, Ticks
from tickwork.runtime.tick_diff import Change

# In tick 2 the boss spawns `worker/1`, which is agent 1 from then on.
BOSS = agent("boss", "spawner", "spawn:worker", every_tick=True)
WORKER = '[kinds.worker]\nmodule = "puppet.wasm"\nconfig = "sink"\nevery_tick = true\n'


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A run of six ticks: `ticker` is agent 0, `dice` agent 1."""
    return recorded(tmp_path_factory.mktemp("base") / "base")


def _changes(turn):
    return [(pair.change, pair.a and pair.a.effect, pair.b and pair.b.effect) for pair in turn.effects]


def test_two_recordings_of_one_project_are_identical(base, tmp_path):
    found = compared(base, recorded(tmp_path / "again"))
    assert found.identical
    assert (found.verdict, found.common, found.differing) == (Verdict.IDENTICAL, 6, 0)
    assert (found.first, found.first_fuel, found.agents) == (None, None, ())
    assert (found.a.digest, found.a.exact) == (found.b.digest, found.b.exact)
    assert (found.a.ticks, found.a.first_tick, found.a.last_tick) == (6, 0, 5)
    with RunReader.open(base) as reader:
        assert reader.end is not None
        assert found.a.digest == reader.end.digest.hex()


def test_another_seed_is_named_and_shows_where_it_is_used(base, tmp_path):
    found = compared(base, recorded(tmp_path / "seeded", run="seed = 99"))
    assert found.verdict is Verdict.DIFFERENT
    assert [(item.part, item.b) for item in found.spec] == [("seed", "99")]
    assert not found.same_spec
    assert found.first is not None
    # Tick 0 sets up; `ticker` does the same with any seed.
    assert (found.first.tick, [turn.agent for turn in found.first.turns]) == (1, ["dice"])
    (turn,) = found.first.turns
    ((how, was, now),) = _changes(turn)
    assert how is Change.CHANGED
    assert isinstance(was, Output)
    assert isinstance(now, Output)
    assert was.body != now.body
    assert [(seen.agent, seen.first, seen.turns) for seen in found.agents] == [("dice", 1, 5)]


def test_a_seed_that_nobody_uses_leaves_every_tick_equal(tmp_path):
    a = recorded(tmp_path / "a", TICKER)
    b = recorded(tmp_path / "b", TICKER, run="seed = 99")
    found = compared(a, b)
    assert (found.verdict, found.identical) == (Verdict.ORIGIN_DIFFERS, False)
    assert (found.common, found.differing) == (6, 0)


def test_a_shorter_run_is_a_prefix(base, tmp_path):
    short = recorded(tmp_path / "short", ticks=4)
    found = diff(short, base)
    assert found.verdict is Verdict.A_PREFIX_OF_B
    assert (found.common, found.only_b.ranges, found.only_a.count) == (4, [(4, 5)], 0)
    assert diff(base, short).verdict is Verdict.B_PREFIX_OF_A


def test_a_run_that_was_cut_off_is_a_prefix_too(base, tmp_path):
    cut = rewritten(base, tmp_path / "cut.tick", untouched, finish=False)
    change(cut, "DELETE FROM entry WHERE tick >= 3")
    found = compared(cut, base)
    assert found.verdict is Verdict.A_PREFIX_OF_B
    assert found.a.status == "running"
    assert found.damage == ()


def test_a_run_without_ticks_is_a_prefix_of_any(base, tmp_path):
    empty = rewritten(base, tmp_path / "empty.tick", untouched, finish=False)
    change(empty, "DELETE FROM entry")
    assert diff(empty, base).verdict is Verdict.A_PREFIX_OF_B
    assert diff(empty, empty).verdict is Verdict.IDENTICAL


def test_runs_without_a_common_agent_are_unrelated(base, tmp_path):
    found = compared(base, recorded(tmp_path / "other", agent("else", "ticker", every_tick=True)))
    assert (found.verdict, found.common) == (Verdict.UNRELATED, 0)


def test_what_is_no_run_file_is_refused(base, tmp_path):
    (tmp_path / "x.tick").write_text("not a database")
    with pytest.raises(RunFileError, match=r"x\.tick"):
        diff(base, tmp_path / "x.tick")
    with pytest.raises(RunFileError, match=r"nowhere\.tick"):
        diff(tmp_path / "nowhere.tick", base)


def test_the_first_tick_that_differs_is_found_and_effects_are_aligned(base, tmp_path):
    a = rewritten(base, tmp_path / "a.tick", saying(1, 3, b"one", b"two", b"three"))
    b = rewritten(base, tmp_path / "b.tick", saying(1, 3, b"zero", b"one", b"two", b"four"))
    found = compared(a, b)
    assert found.first is not None
    assert found.first.tick == 3
    (turn,) = found.first.turns
    assert turn.agent == "dice"
    assert [(how, was and was.body, now and now.body) for how, was, now in _changes(turn)] == [
        (Change.ONLY_B, None, b"zero"),
        (Change.EQUAL, b"one", b"one"),
        (Change.EQUAL, b"two", b"two"),
        (Change.CHANGED, b"three", b"four"),
    ]
    assert [(pair.a and pair.a.place, pair.b and pair.b.place) for pair in turn.effects] == [
        (None, 0), (0, 1), (1, 2), (2, 3),
    ]  # fmt: skip
    assert (found.common, found.differing) == (6, 3)
    assert [(seen.agent, seen.first, seen.turns) for seen in found.agents] == [("dice", 3, 3)]
    assert found.damage == ()


def test_fuel_alone_is_told_apart(base, tmp_path):
    found = compared(base, rewritten(base, tmp_path / "b.tick", burning(7, 4)))
    assert (found.verdict, found.first, found.differing) == (Verdict.FUEL_DIFFERS, None, 0)
    assert found.first_fuel is not None
    assert found.first_fuel.tick == 4
    assert [(who, now - was) for who, was, now in found.first_fuel.turns] == [("ticker", 7), ("dice", 7)]
    assert found.a.digest == found.b.digest
    assert found.a.exact != found.b.exact
    assert [(seen.agent, seen.turns, seen.fuel_first, seen.fuel_turns) for seen in found.agents] == [
        ("ticker", 0, 4, 2), ("dice", 0, 4, 2),
    ]  # fmt: skip


def test_fuel_that_differed_before_the_range_is_not_forgotten(base, tmp_path):
    found = compared(base, rewritten(base, tmp_path / "b.tick", _only_in(2, burning(7, 2))), first=4)
    assert (found.verdict, found.first_fuel) == (Verdict.FUEL_DIFFERS, None)


def _only_in(only, edit):
    return lambda tick, entry, fuel: edit(tick, entry, fuel) if tick == only else (entry, fuel)


def test_a_flipped_effect_under_an_old_digest_is_found_and_the_changed_file_named(base, tmp_path):
    b = tampered(rewritten(base, tmp_path / "b.tick", untouched), 2, saying(0, 2, b"flipped"))
    found = diff(base, b)
    assert found.verdict is Verdict.DIFFERENT
    assert found.first is not None
    assert (found.first.tick, found.first.turns[0].agent) == (2, "ticker")
    assert [(item.file, item.tick) for item in found.damage] == [("B", 2)]
    assert "its bytes do not have its digest" in found.damage[0].reason
    # The digests at the end are those of the file that it was.
    assert found.a.digest == found.b.digest


def test_a_changed_digest_over_the_same_bytes_is_found(base, tmp_path):
    b = rewritten(base, tmp_path / "b.tick", untouched)
    change(b, "UPDATE entry SET digest = zeroblob(32) WHERE tick = 3")
    found = diff(base, b)
    assert (found.verdict, found.differing) == (Verdict.DAMAGED, 0)
    assert [(item.file, item.tick) for item in found.damage] == [("B", 3)]


def test_damaged_entries_are_named_and_the_others_compared(base, tmp_path):
    b = rewritten(base, tmp_path / "b.tick", saying(0, 5, b"last"))
    overwrite(b, 1, b"no frame")
    overwrite(b, 2, EntryPacker().pack(b"\xc1", b"\xc1"))
    change(b, "DELETE FROM entry WHERE tick = 3")
    found = compared(base, b)
    assert found.first is not None
    assert (found.first.tick, found.common) == (5, 3)
    told = [(item.file, item.tick, item.reason) for item in diff(base, b).damage]
    assert [(file, tick) for file, tick, _ in told] == [("B", 1), ("B", 2), ("B", 3)]
    assert "missing" in told[-1][2]


def test_damage_alone_is_no_agreement(base, tmp_path):
    b = rewritten(base, tmp_path / "b.tick", untouched)
    overwrite(b, 1, b"no frame")
    found = compared(base, b)
    assert (found.verdict, found.identical, found.common) == (Verdict.DAMAGED, False, 5)


def test_the_list_of_damage_is_bounded(tmp_path):
    a = recorded(tmp_path / "a", TICKER, ticks=DAMAGE_MAX + 20)
    b = rewritten(a, tmp_path / "b.tick", untouched)
    change(b, "UPDATE entry SET body = x'00'")
    found = diff(a, b)
    assert (len(found.damage), found.damage_count) == (DAMAGE_MAX, DAMAGE_MAX + 20)


def test_nothing_is_decoded_where_both_have_the_same_bytes(base, tmp_path):
    # Neither file could be decoded in tick 2, yet nothing is said about it.
    a, b = (rewritten(base, tmp_path / name, untouched) for name in ("a.tick", "b.tick"))
    for file in (a, b):
        overwrite(file, 2, EntryPacker().pack(b"\xc1", b"\xc1"))
    found = compared(a, b)
    assert (found.verdict, found.common, found.damage) == (Verdict.IDENTICAL, 6, ())


def test_an_agent_keeps_its_name_where_another_one_was_declared_before_it(tmp_path):
    a = recorded(tmp_path / "a", TICKER)
    b = recorded(tmp_path / "b", agent("new", "sink", every_tick=True), TICKER)
    found = compared(a, b)
    # Only the new agent's turns differ: there are none in A.
    assert [(seen.agent, seen.first, seen.turns) for seen in found.agents] == [("new", 0, 6)]
    assert [(item.noun, item.names, item.a, item.b) for item in found.spec] == [
        ("agent", ("new",), None, "declared")
    ]


def test_spawned_agents_go_by_their_names_wherever_the_comparison_begins(tmp_path):
    a = recorded(tmp_path / "a", BOSS, lines='{"n":1}\n', more=WORKER)
    b = rewritten(a, tmp_path / "b.tick", saying(1, 4, b"worked"))
    for first in (0, 4, 5):
        found = compared(a, b, first=first)
        assert [seen.agent for seen in found.agents] == ["worker/1"], first
        assert found.first is not None
        assert found.first.tick == max(4, first)
    only = compared(a, b, agent="worker/1")
    assert [seen.agent for seen in only.agents] == ["worker/1"]
    assert compared(a, b, agent="boss").identical


def test_what_arrived_is_compared_and_who_was_given_it(tmp_path):
    echo = (agent("echo", "echo", "output:out", "send:sink"), agent("sink", "sink"))
    a = recorded(tmp_path / "a", *echo, ticks=None, lines='{"n":1}\n{"n":2}\n{"n":3}\n')
    b = recorded(tmp_path / "b", *echo, ticks=None, lines='{"n":1}\n{"n":9}\n{"n":3}\n')
    found = compared(a, b)
    assert found.first is not None
    assert [
        (pair.change, pair.a and pair.a.body, pair.b and pair.b.body) for pair in found.first.arrivals
    ] == [(Change.CHANGED, b'{"n":2}', b'{"n":9}')]
    assert [turn.agent for turn in found.first.turns] == ["echo"]
    assert compared(a, b, agent="sink").identical


def test_what_could_not_be_delivered_is_compared(tmp_path):
    stops = agent("frail", "fail")
    a = recorded(tmp_path / "a", stops, ticks=5, lines='{"n":1}\n{"n":2}\n')
    b = recorded(tmp_path / "b", stops, ticks=5, lines='{"n":1}\n')
    found = compared(a, b)
    assert found.first is not None
    assert found.first.turns == ()
    (late,) = found.first.undelivered
    assert (late.change, late.a and (late.a.kind, late.a.origin, late.a.to)) == (
        Change.ONLY_A, ("input", "lines", "frail"),
    )  # fmt: skip


def test_one_agent_and_a_range_narrow_it_down(base, tmp_path):
    b = rewritten(base, tmp_path / "b.tick", saying(1, 3, b"other"))
    assert compared(base, b, agent="ticker").identical
    assert not compared(base, b, agent="dice").identical
    assert compared(base, b, last=2).identical
    late = compared(base, b, first=4)
    assert late.first is not None
    assert (late.first.tick, late.common, late.a.first_tick, late.a.ticks) == (4, 2, 4, 2)
    (seen,) = late.agents
    assert (seen.first, seen.turns) == (4, 2)


def test_a_range_after_a_difference_is_not_called_identical(base, tmp_path):
    b = rewritten(base, tmp_path / "b.tick", _only_in(2, saying(1, 2, b"other")))
    found = compared(base, b, first=4)
    assert (found.verdict, found.same_spec, found.differing) == (Verdict.ORIGIN_DIFFERS, True, 0)


def test_an_agent_that_is_in_neither_file_is_refused_with_a_near_name(base):
    with pytest.raises(InputError, match=r"no agent 'tickr' in either file; did you mean ticker\?"):
        diff(base, base, agent="tickr")


def test_a_range_without_ticks_is_refused(base):
    with pytest.raises(InputError, match="neither file has a tick in the range"):
        diff(base, base, first=100)


def test_the_same_turns_in_another_order_are_a_difference(base, tmp_path):
    def reversed_turns(_, entry, fuel):
        return msgspec.structs.replace(entry, turns=entry.turns[::-1]), Fuel(fuel.used[::-1])

    found = compared(base, rewritten(base, tmp_path / "b.tick", _only_in(3, reversed_turns)))
    assert found.verdict is Verdict.DIFFERENT
    assert found.first is not None
    assert (found.first.tick, found.first.turns) == (3, ())


def test_memory_does_not_grow_with_the_length_of_the_runs(tmp_path):
    peaks = []
    for ticks in (300, 1_500):
        a = recorded(tmp_path / f"a{ticks}", TICKER, ticks=ticks)
        b = rewritten(a, tmp_path / f"b{ticks}.tick", saying(0, 10, b"other"))
        tracemalloc.start()
        diff(a, b)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0], peaks


def test_a_fork_without_edits_is_identical_from_its_tick_on(base, tmp_path):
    fork = forked(base, tmp_path / "fork.tick", 3)
    found = diff(base, fork)
    assert (found.verdict, found.fork, found.common) == (Verdict.IDENTICAL, "B", 3)
    # What the fork has not is its history, not a difference.
    assert found.only_a.count == 0
    assert (found.a.first_tick, found.b.first_tick) == (3, 3)
    assert diff(fork, base).fork == "A"


def test_a_fork_that_went_another_way_is_compared_from_its_tick_on(base, tmp_path):
    edits = Edits(seed=5)
    found = compared(base, forked(base, tmp_path / "f.tick", 3, edits=edits, edit=saying(1, 4, b"other")))
    assert (found.verdict, found.same_spec, found.common) == (Verdict.DIFFERENT, True, 3)
    assert found.first is not None
    assert (found.first.tick, [turn.agent for turn in found.first.turns]) == (4, ["dice"])
    assert found.damage == ()


def test_a_fork_whose_edits_changed_nothing_is_not_called_identical(base, tmp_path):
    found = compared(base, forked(base, tmp_path / "f.tick", 3, edits=Edits(seed=5)))
    assert (found.verdict, found.differing) == (Verdict.ORIGIN_DIFFERS, 0)


def test_forks_of_one_run_at_different_ticks_are_compared_where_both_are(base, tmp_path):
    early = forked(base, tmp_path / "early.tick", 2)
    late = forked(base, tmp_path / "late.tick", 4)
    found = compared(early, late)
    assert (found.verdict, found.common, found.fork) == (Verdict.IDENTICAL, 2, "B")
    assert compared(early, forked(base, tmp_path / "same.tick", 2)).fork is None


def test_a_fork_of_another_history_is_not_taken_for_the_runs_own(base, tmp_path):
    other = rewritten(base, tmp_path / "other.tick", saying(1, 1, b"other"))
    found = compared(base, forked(other, tmp_path / "fork.tick", 3))
    assert found.fork is None
    assert found.verdict is Verdict.DIFFERENT


def test_files_that_share_no_tick_are_different(base, tmp_path):
    short = rewritten(base, tmp_path / "short.tick", untouched, finish=False)
    change(short, "DELETE FROM entry WHERE tick >= 2")
    found = compared(short, forked(base, tmp_path / "fork.tick", 4))
    assert (found.identical, found.common) == (False, 0)


def test_a_fork_knows_the_agents_that_were_spawned_before_it(tmp_path):
    a = recorded(tmp_path / "a", BOSS, lines='{"n":1}\n', more=WORKER)
    fork = forked(a, tmp_path / "fork.tick", 4, edit=saying(1, 5, b"worked"))
    found = compared(a, fork)
    assert [(seen.agent, seen.first) for seen in found.agents] == [("worker/1", 5)]
    assert [seen.agent for seen in compared(a, fork, agent="worker/1").agents] == ["worker/1"]


def test_ticks_are_kept_as_ranges_and_only_counted_beyond_the_bound():
    ticks = Ticks()
    for tick in (1, 2, 3, 7):
        ticks.add(tick)
    assert (ticks.ranges, ticks.count) == ([(1, 3), (7, 7)], 4)
    for tick in range(10, 10 + 4 * RANGES_MAX, 2):
        ticks.add(tick)
    assert (len(ticks.ranges), ticks.count) == (RANGES_MAX, 4 + 2 * RANGES_MAX)
