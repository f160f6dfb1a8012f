"""Ticks in waves: what is sent along an edge arrives in the same tick, everything else in the next."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core_worlds import advance_world, failed, inbox, notices, ok, powerful, started, tick
from tickwork.core.checkpoint import decode_world, encode_world
from tickwork.core.dag import waves_of
from tickwork.core.effects import Publish, Send, Spawn, Stop, Timer
from tickwork.core.entry import encode
from tickwork.core.limits import Limits
from tickwork.core.messages import Arrivals, Input
from tickwork.core.quiet import is_quiet
from tickwork.core.spec import InputSpec
from tickwork.core.world import Status

EDGES = (("a", "b"), ("b", "c"), ("a", "c"))


def turns(ticked):
    """Return who took a turn and what it found: the agent's id, and (sender, topic) of its messages."""
    agents = ticked.after.agents
    return [
        (agents[turn.agent].spec.id, [(message.sender, message.topic) for message in turn.inbox])
        for turn in ticked.planned.turns
    ]


def world_of(*rest, edges=EDGES, **fields):
    return started(powerful("c"), powerful("a", every_tick=True), powerful("b"), *rest, edges=edges, **fields)


def test_a_chain_of_sends_arrives_within_one_tick():
    done = tick(world_of(), {"a": [Send("b", "one", b"")], "b": [Send("c", "two", b"")], "c": []})
    assert turns(done) == [("a", []), ("b", [("a", "one")]), ("c", [("b", "two")])]
    assert not done.after.mailboxes


def test_turns_are_recorded_in_the_order_in_which_they_were_settled():
    done = tick(
        world_of(), {"a": [Send("b", "one", b""), Send("c", "also", b"")], "b": [Send("c", "two", b"")]}
    )
    assert [turn.agent for turn in done.settled.entry.turns] == [1, 2, 0]
    assert turns(done)[2] == ("c", [("a", "also"), ("b", "two")])


def test_what_is_sent_against_an_edge_or_beside_all_arrives_in_the_next_tick():
    world = world_of(powerful("d"))
    done = tick(world, {"a": [Send("b", "x", b""), Send("d", "beside", b"")], "b": [Send("a", "back", b"")]})
    assert [who for who, _ in turns(done)] == ["a", "b"]
    assert inbox(done.after, "a") == [("b", "back", b"")]
    assert inbox(done.after, "d") == [("a", "beside", b"")]


def test_publishing_reaches_each_subscriber_by_its_own_edge():
    world = world_of(
        powerful("d", subscribe=("news",)), powerful("e", subscribe=("news",)), edges=(("a", "d"),)
    )
    done = tick(world, {"a": [Publish("news", b"")]})
    assert turns(done) == [("a", []), ("d", [("a", "news")])]
    assert inbox(done.after, "e") == [("a", "news", b"")]


def test_an_inbox_has_what_waited_before_what_arrives_in_the_tick_and_timers_last():
    world = world_of(edges=(("a", "b"),), inputs=(InputSpec("lines", "line", ("b",), 1),))
    world = tick(world, {"a": [Send("b", "first", b"")], "b": [Timer("alarm", b"", 1, 0)]}).after
    world = tick(world, {"a": []}).before
    done = advance_world(
        world,
        lambda turn: ok(Send("b", "now", b"")) if turn.agent == 1 else ok(),
        Arrivals((Input(0, b"1"),)),
    )
    assert turns(done)[-1] == ("b", [("input:lines", "line"), ("a", "now"), ("b", "alarm")])


def test_an_agent_that_starts_is_set_up_first_and_finds_its_mail_in_the_next_tick():
    kinds = (powerful("room"),)
    world = world_of(edges=(("a", "room/*"), ("room/*", "c")), kinds=kinds)
    world = tick(world, {"a": [Spawn("room/1", "room", b"")]}).after
    done = tick(world, {"a": [Send("room/1", "early", b"")]})
    assert [(turn.agent, turn.setup) for turn in done.planned.turns] == [(1, False), (3, True)]
    done = tick(done.after, {"a": [Send("room/1", "later", b"")], "room/1": [Send("c", "done", b"")]})
    assert turns(done) == [
        ("a", []),
        ("room/1", [("a", "early"), ("a", "later")]),
        ("c", [("room/1", "done")]),
    ]


def test_a_failure_in_a_late_wave_gives_back_what_waits_for_the_next_tick():
    world = world_of(powerful("d", every_tick=True), edges=(("a", "b"),))
    done = tick(world, {"a": [Send("b", "now", b"")], "d": [Send("b", "next", b"")], "b": failed()})
    assert done.after.agents[2].status is Status.FAILED
    assert notices(done.after, "d")[0]["target"] == "b"
    assert notices(done.after, "a") == []


def test_who_failed_in_an_early_wave_gets_nothing_more():
    world = world_of(edges=(("a", "b"),))
    done = tick(world, {"a": failed()})
    assert [who for who, _ in turns(done)] == ["a"]
    world = world_of(powerful("d", every_tick=True), edges=(("d", "a"), ("a", "b")))
    done = tick(world, {"d": [Send("a", "x", b""), Stop("b", "enough")], "a": [Send("b", "late", b"")]})
    assert done.after.agents[2].status is Status.STOPPED
    assert notices(done.after, "a")[0]["reason"] == "agent 'b' is stopped"


def test_a_mailbox_holds_no_more_than_its_limit_in_one_turn():
    small = Limits(mailbox_messages=3)
    world = started(
        powerful("a", every_tick=True),
        powerful("b", limits=small),
        powerful("c", every_tick=True),
        edges=(("a", "b"),),
    )
    world = tick(world, {"c": [Send("b", "waits", b""), Send("b", "waits", b"")]}).after
    done = tick(world, {"a": [Send("b", "now", b"")] * 2})
    assert len(turns(done)[-1][1]) == 3
    assert "mailbox of 'b' is full (3 messages)" in str(done.settled.entry.turns[0].refusals)


def test_a_tick_with_waves_is_never_quiet_and_its_world_keeps_them():
    world = world_of()
    assert not is_quiet(world, Arrivals())
    assert is_quiet(world_of(edges=()), Arrivals())
    assert decode_world(encode_world(world), world.run) == world
    assert tick(world).after.waves == world.waves


ids = ["a", "b", "c", "d", "e"]
sends = st.lists(st.tuples(st.sampled_from(ids), st.sampled_from(["x", "y"])), max_size=4)
# From lower to higher: there is no cycle among these.
edge = st.tuples(st.integers(0, 3), st.integers(1, 4)).filter(lambda pair: pair[0] < pair[1])


@given(
    st.permutations(ids),
    st.lists(edge, max_size=6),
    st.lists(st.dictionaries(st.sampled_from(ids), sends), min_size=1, max_size=4),
)
def test_every_message_arrives_once_in_the_tick_that_its_edge_says(order, edges, script):
    joined = {(ids[start], ids[end]) for start, end in edges}
    world = started(*(powerful(name, every_tick=True) for name in order), edges=tuple(sorted(joined)))
    waves = waves_of(ids, [], sorted(joined))
    expected: list[tuple[int, str, str, int, int]] = []
    found: list[tuple[int, str, str, int, int]] = []
    for does in [*script, {}]:
        done = tick(world, {who: [Send(to, topic, b"") for to, topic in what] for who, what in does.items()})
        when = done.planned.tick
        for sender, what in does.items():
            for place, (to, _) in enumerate(what):
                expected.append((when + ((sender, to) not in joined), to, sender, when, place))
        for turn in done.planned.turns:
            name = done.after.agents[turn.agent].spec.id
            found += [(when, name, m.sender, m.tick, m.effect) for m in turn.inbox]
        named = [order[turn.agent] for turn in done.planned.turns]
        assert named == sorted(named, key=lambda name: (waves.of(name), order.index(name)))
        world = done.after
    assert sorted(found) == sorted(expected)


@given(st.lists(st.dictionaries(st.sampled_from(ids), sends), min_size=1, max_size=4))
def test_edges_that_nobody_uses_change_nothing(script):
    entries = []
    for edges in ((), (("a", "b"), ("c", "d"))):
        world = started(*(powerful(name, every_tick=True) for name in ["a", "c", "e", "b", "d"]), edges=edges)
        unused = {("a", "b"), ("c", "d")}
        for does in script:
            what = {
                who: [Send(to, topic, b"") for to, topic in what if (who, to) not in unused]
                for who, what in does.items()
            }
            done = tick(world, what)
            entries.append(encode(done.settled.entry))
            world = done.after
    half = len(entries) // 2
    assert entries[:half] == entries[half:]


def test_a_specification_without_edges_is_encoded_as_before_there_were_any():
    assert "edges" not in msgspec.msgpack.decode(msgspec.msgpack.encode(world_of(edges=()).run))
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(world_of().run))["edges"] == [list(e) for e in EDGES]


@pytest.mark.parametrize("wave", ["a", "b", "c"])
def test_every_tick_agents_take_their_turn_in_their_wave(wave):
    world = started(*(powerful(name, every_tick=name == wave) for name in "cab"), edges=EDGES)
    assert turns(tick(world)) == [(wave, [])]
