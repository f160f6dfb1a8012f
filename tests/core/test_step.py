import json

import pytest

from core_worlds import agent, failed, inbox, notices, ok, powerful, run_of, started, tick
from tickwork.core.effects import Log, Output, Publish, Send, Spawn, Stop, Timer
from tickwork.core.errors import HostError
from tickwork.core.grants import Capability, Grant
from tickwork.core.limits import Limits, RunLimits
from tickwork.core.messages import NO_ARRIVALS, Arrivals, Input, MessageClass
from tickwork.core.outcomes import Outcome, OutcomeKind
from tickwork.core.settling import ROUTES_MAX
from tickwork.core.spec import InputSpec
from tickwork.core.step import plan, settle
from tickwork.core.world import Status, genesis_world


def reasons(ticked):
    return [refusal.reason for turn in ticked.settled.entry.turns for refusal in turn.refusals]


def test_every_declared_agent_is_set_up_in_tick_0_and_steps_only_later():
    world = genesis_world(run_of(powerful("a", every_tick=True), powerful("b")))
    planned = plan(world, NO_ARRIVALS)
    assert [(turn.agent, turn.setup, turn.inbox) for turn in planned.turns] == [(0, True, ()), (1, True, ())]
    after = tick(world).after
    assert [(turn.agent, turn.setup) for turn in plan(after, NO_ARRIVALS).turns] == [(0, False)]


def test_an_agent_without_mail_takes_no_turn_unless_marked_every_tick():
    world = started(powerful("sleeper"), powerful("walker", every_tick=True))
    assert [turn.agent for turn in plan(world, NO_ARRIVALS).turns] == [1]


def test_a_send_arrives_in_the_next_tick_with_its_origin():
    world = started(powerful("a", every_tick=True), powerful("b"))
    after = tick(world, {"a": [Log(0, ""), Send("b", "hello", b"x", 9)]}).after
    (message,) = plan(after, NO_ARRIVALS).turns[1].inbox
    assert (message.kind, message.tick, message.agent, message.effect) == (MessageClass.MESSAGE, 1, 0, 1)
    assert (message.sender, message.topic, message.body, message.reply_to) == ("a", "hello", b"x", 9)


def test_an_agent_can_send_to_itself():
    world = tick(started(powerful("a", every_tick=True)), {"a": [Send("a", "me", b"")]}).after
    assert inbox(world, "a") == [("a", "me", b"")]


def test_an_inbox_holds_inputs_then_messages_then_timers():
    line = InputSpec("lines", "line", ("b",), 1)
    world = started(powerful("a", every_tick=True), powerful("b", every_tick=True), inputs=(line,))
    world = tick(world, {"b": [Timer("alarm", b"", 1, 0)], "a": [Send("b", "mail", b"")]}).after
    assert inbox(world, "b", Arrivals((Input(0, b"row"),))) == [
        ("input:lines", "line", b"row"),
        ("a", "mail", b""),
        ("b", "alarm", b""),
    ]


def test_messages_are_ordered_by_sender_and_effect_within_their_tick():
    world = started(*(powerful(name, every_tick=True) for name in ("c", "a", "b")))
    sends = [Send("b", "1", b""), Send("b", "2", b"")]
    world = tick(world, {"a": sends, "b": sends[:1], "c": sends}).after
    assert [(sender, topic) for sender, topic, _ in inbox(world, "b")] == [
        ("c", "1"), ("c", "2"), ("a", "1"), ("a", "2"), ("b", "1"),
    ]  # fmt: skip


def test_an_input_goes_to_each_of_its_readers_and_is_listed_for_those_who_ended():
    line = InputSpec("lines", "line", ("a", "b"), 1)
    world = started(powerful("a"), powerful("b", every_tick=True), inputs=(line,))
    world = tick(world, {"b": failed()}).after
    arrivals = Arrivals((Input(0, b"row"),))
    assert inbox(world, "a", arrivals) == [("input:lines", "line", b"row")]
    (lost,) = plan(world, arrivals).undelivered
    assert (lost.kind, lost.tick, lost.to, lost.reason) == (MessageClass.INPUT, 2, "b", "agent is failed")
    assert tick(world, arrivals=arrivals).settled.entry.undelivered == (lost,)


def test_a_publish_reaches_each_subscriber_once():
    world = started(
        powerful("a", every_tick=True, subscribe=("news", "news")),
        powerful("b", subscribe=("news",)),
        powerful("c", subscribe=("other",)),
    )
    world = tick(world, {"a": [Publish("news", b"!")]}).after
    assert [inbox(world, name) for name in "abc"] == [[("a", "news", b"!")], [("a", "news", b"!")], []]


def test_a_publish_names_whom_it_did_not_reach_and_reaches_the_others():
    full = Limits(mailbox_messages=0)
    world = started(
        powerful("a", every_tick=True),
        agent("b", subscribe=("t",), limits=full),
        agent("c", subscribe=("t",)),
    )
    ticked = tick(world, {"a": [Publish("t", b"")]})
    assert reasons(ticked) == ["not everybody was reached: mailbox of 'b' is full (0 messages)"]
    assert inbox(ticked.after, "c") == [("a", "t", b"")]
    assert notices(ticked.after, "a")[0]["target"] == "t"


def test_a_publish_to_a_crowd_that_is_full_has_a_short_reason():
    full = Limits(mailbox_messages=0)
    crowd = [agent(f"s{number}", subscribe=("t",), limits=full) for number in range(500)]
    ticked = tick(started(powerful("a", every_tick=True), *crowd), {"a": [Publish("t", b"")]})
    (reason,) = reasons(ticked)
    assert reason.endswith("and 492 more")
    assert len(reason) < 1_000


def test_a_failed_turn_ends_the_agent_before_any_effect_is_looked_at():
    world = started(powerful("a", every_tick=True), powerful("b", every_tick=True))
    ticked = tick(world, {"a": [Send("b", "t", b"")], "b": failed(OutcomeKind.GUEST_ERROR, "no")})
    assert reasons(ticked) == ["agent 'b' is failed"]
    assert ticked.after.agents[1].status is Status.FAILED
    assert ticked.after.agents[1].reason == "guest-error: no"
    assert ticked.settled.ended == (1,)


def test_effects_of_a_failed_turn_are_a_broken_pool():
    world = started(powerful("a", every_tick=True))
    broken = Outcome(OutcomeKind.UNREACHABLE, (Send("a", "t", b""),), 1)
    with pytest.raises(HostError, match="unreachable, agent 0"):
        tick(world, {"a": broken})
    logged = tick(world, {"a": Outcome(OutcomeKind.UNREACHABLE, (Log(0, "last words"),), 1)})
    assert logged.settled.entry.turns[0].effects == (Log(0, "last words"),)


def test_as_many_outcomes_as_turns_are_wanted():
    world = started(powerful("a", every_tick=True))
    planned = plan(world, NO_ARRIVALS)
    with pytest.raises(ValueError, match="zip"):
        settle(world, planned, [])
    with pytest.raises(ValueError, match="zip"):
        settle(world, planned, [ok(), ok()])


def test_a_failed_setup_ends_the_agent_and_returns_what_waited_for_it():
    world = started(powerful("a", every_tick=True), kinds=(agent("k"),))
    world = tick(world, {"a": [Spawn("k/1", "k", b""), Send("k/1", "hi", b"", 3)]}).after
    ticked = tick(world, {"k/1": failed()})
    assert [(item.tick, item.effect, item.to) for item in ticked.settled.entry.undelivered] == [(1, 1, "k/1")]
    # The send was made a tick before the setup failed; the notice must name that tick.
    assert notices(ticked.after, "a") == [
        {
            "topic": "tickwork.rejected", "tick": 1, "effect": 1, "kind": "send", "target": "k/1",
            "reason": "agent 'k/1' is failed",
        }
    ]  # fmt: skip
    (message,) = ticked.after.mailboxes[0]
    assert (message.tick, message.effect, message.reply_to) == (1, 1, 3)


def test_a_spawned_agent_is_set_up_in_the_next_tick_and_reads_its_mail_after_that():
    world = started(powerful("a", every_tick=True), kinds=(agent("k"),))
    ticked = tick(world, {"a": [Spawn("k/1", "k", b"own"), Send("k/1", "early", b"")]})
    assert ticked.settled.started == (1,)
    assert ticked.after.agents[1].spec.config == b"own"
    setup = plan(ticked.after, NO_ARRIVALS).turns[1]
    assert (setup.agent, setup.setup, setup.inbox) == (1, True, ())
    ticked = tick(ticked.after, {"a": [Send("k/1", "late", b"")]})
    assert inbox(ticked.after, "k/1") == [("a", "early", b""), ("a", "late", b"")]


def test_mail_that_waits_through_a_setup_counts_towards_the_mailbox():
    world = started(powerful("a", every_tick=True), kinds=(agent("k", limits=Limits(mailbox_messages=1)),))
    world = tick(world, {"a": [Spawn("k/1", "k", b""), Send("k/1", "early", b"")]}).after
    assert reasons(tick(world, {"a": [Send("k/1", "late", b"")]})) == [
        "mailbox of 'k/1' is full (1 messages)"
    ]


def test_bytes_that_wait_through_a_setup_count_towards_the_mailbox():
    world = started(powerful("a", every_tick=True), kinds=(agent("k", limits=Limits(mailbox_bytes=5)),))
    world = tick(world, {"a": [Spawn("k/1", "k", b""), Send("k/1", "early", b"123")]}).after
    ticked = tick(world, {"a": [Send("k/1", "late", b"456"), Send("k/1", "late", b"45")]})
    assert reasons(ticked) == ["mailbox of 'k/1' is full (5 bytes)"]


def test_nothing_is_sent_to_an_agent_whose_setup_fails_in_the_same_tick():
    world = started(powerful("a", every_tick=True), kinds=(agent("k"),))
    world = tick(world, {"a": [Spawn("k/1", "k", b""), Send("k/1", "early", b"")]}).after
    ticked = tick(world, {"a": [Send("k/1", "late", b"")], "k/1": failed()})
    assert reasons(ticked) == ["agent 'k/1' is failed"]
    assert [item.tick for item in ticked.settled.entry.undelivered] == [1]
    assert [notice["tick"] for notice in notices(ticked.after, "a")] == [1, 2]


def test_a_kind_gives_its_own_config_when_the_spawn_brings_none():
    kind = agent("k")
    world = started(powerful("a", every_tick=True), kinds=(kind,))
    world = tick(world, {"a": [Spawn("k/1", "k", b"")]}).after
    assert world.agents[1].spec.config == kind.config
    assert world.agents[1].spec.id == "k/1"


@pytest.mark.parametrize(
    ("spawn", "reason"),
    [
        (Spawn("no/1", "no", b""), "there is no kind 'no'"),
        (Spawn("x", "k", b""), "the id 'x' must begin with 'k/'"),
        (Spawn("k/", "k", b""), "the id 'k/' has a last part that is empty"),
        (Spawn("k/0", "k", b""), "there is already an agent 'k/0'"),
        (Spawn("k/3", "k", b""), "over the limit of 3 agents"),
    ],
)
def test_a_spawn_that_cannot_be_is_rejected(spawn, reason):
    world = started(powerful("a", every_tick=True), kinds=(agent("k"),), limits=RunLimits(agents=3))
    ticked = tick(world, {"a": [Spawn("k/0", "k", b""), Spawn("k/1", "k", b""), spawn]})
    assert reasons(ticked) == [reason]
    assert len(ticked.after.agents) == 3


def test_an_ended_agent_keeps_its_place_its_id_and_its_share_of_the_limit():
    world = started(powerful("a", every_tick=True), kinds=(agent("k"),), limits=RunLimits(agents=2))
    world = tick(world, {"a": [Spawn("k/1", "k", b""), Stop("k/1", "enough")]}).after
    assert world.agents[1].status is Status.STOPPED
    ticked = tick(world, {"a": [Spawn("k/1", "k", b""), Spawn("k/2", "k", b"")]})
    assert reasons(ticked) == ["there is already an agent 'k/1'", "over the limit of 2 agents"]


def test_an_agent_spawned_and_stopped_in_one_tick_started_and_ended():
    world = started(powerful("a", every_tick=True), kinds=(agent("k"),))
    settled = tick(world, {"a": [Spawn("k/1", "k", b""), Stop("k/1", "")]}).settled
    assert (settled.started, settled.ended) == ((1,), (1,))


def test_a_stopped_agent_keeps_its_turn_and_gives_back_what_waited_for_it():
    world = started(powerful("a", every_tick=True), powerful("b", every_tick=True))
    stop = [Send("b", "before", b""), Stop("b", "enough"), Send("b", "after", b"")]
    ticked = tick(world, {"a": stop, "b": [Send("a", "bye", b"")]})
    assert reasons(ticked) == ["agent 'b' is stopped"]
    assert ticked.after.agents[1].reason == "enough"
    assert [(notice["effect"], notice["reason"]) for notice in notices(ticked.after, "a")] == [
        (0, "agent 'b' is stopped"),
        (2, "agent 'b' is stopped"),
    ]
    assert ("b", "bye", b"") in inbox(ticked.after, "a")


def test_of_several_reasons_to_stop_the_first_is_kept():
    world = started(powerful("a", every_tick=True), powerful("b", every_tick=True))
    world = tick(world, {"a": [Stop("b", "first"), Stop("b", "second")], "b": [Stop(None, "third")]}).after
    assert world.agents[1].reason == "first"


def test_agents_that_stop_and_fail_in_one_tick_are_each_told_of_by_name():
    world = started(*(powerful(name, every_tick=True) for name in "abc"))
    sends = [Send("b", "", b""), Send("c", "", b""), Stop("c", ""), Stop("b", "")]
    ticked = tick(world, {"a": sends})
    assert [(item.to, item.effect) for item in ticked.settled.entry.undelivered] == [("b", 0), ("c", 1)]
    assert [notice["target"] for notice in notices(ticked.after, "a")] == ["b", "c"]


def test_what_comes_back_from_ended_agents_is_in_agent_order_however_they_ended():
    world = started(powerful("a", every_tick=True), agent("b"), kinds=(agent("k"),))
    world = tick(world, {"a": [Spawn("k/1", "k", b""), Send("k/1", "t", b"")]}).after
    ticked = tick(world, {"a": [Send("b", "t", b""), Stop("b", "")], "k/1": failed()})
    assert [(item.to, item.reason) for item in ticked.settled.entry.undelivered] == [
        ("b", "agent is stopped"),
        ("k/1", "agent is failed"),
    ]
    # Its own inbox is in the order of the sends.
    assert [notice["target"] for notice in notices(ticked.after, "a")] == ["k/1", "b"]


def test_remembered_routes_are_bounded_and_forgotten_ones_still_work():
    crowd = [agent(f"s{number}") for number in range(ROUTES_MAX + 9)]
    world = started(powerful("a", every_tick=True), *crowd)
    sends = [Send(spec.id, "t", b"") for spec in crowd]
    for _ in range(2):
        ticked = tick(world, {"a": sends})
        assert reasons(ticked) == []
        assert len(ticked.after.mailboxes) == len(crowd)
        assert len(world.directory.routes[0]) == ROUTES_MAX


def test_stopping_oneself_needs_no_grant_by_either_name():
    for name in (None, "a"):
        world = started(agent("a", every_tick=True))
        ticked = tick(world, {"a": [Stop(name, "done")]})
        assert reasons(ticked) == []
        assert ticked.after.agents[0].status is Status.STOPPED
        assert ticked.after.idle


def test_a_refusal_does_not_tell_the_ungranted_whether_an_agent_exists():
    world = started(agent("a", every_tick=True), agent("b"))
    ticked = tick(
        world, {"a": [Stop("b", ""), Stop("nobody", ""), Send("b", "", b""), Send("nobody", "", b"")]}
    )
    stop, stop_nobody, send, send_nobody = reasons(ticked)
    assert (stop, send) == ("no grant covers 'stop:b'", "no grant covers 'send:b'")
    assert (stop_nobody, send_nobody) == (stop.replace("b'", "nobody'"), send.replace("b'", "nobody'"))


def test_the_sender_of_a_denied_effect_is_told_in_the_next_tick():
    world = started(agent("a", every_tick=True))
    ticked = tick(world, {"a": [Log(1, "x"), Output("report", b"")]})
    (refusal,) = ticked.settled.entry.turns[0].refusals
    assert (refusal.effect, refusal.verdict) == (1, "denied")
    assert ticked.settled.performed == ()
    assert notices(ticked.after, "a") == [
        {
            "topic": "tickwork.denied", "tick": 1, "effect": 1, "kind": "output", "target": "report",
            "reason": "no grant covers 'output:report'",
        }
    ]  # fmt: skip


def test_a_rejected_request_is_told_with_its_number():
    world = started(agent("a", every_tick=True))
    world = tick(world, {"a": [Timer("t", b"", 1, 77), Send("b", "", b"", 78)]}).after
    assert [message.reply_to for message in world.mailboxes[0]] == [77, 78]


def test_notices_are_told_although_the_mailbox_is_full_and_take_no_room_in_it():
    world = started(powerful("a", every_tick=True, limits=Limits(mailbox_messages=1, mailbox_bytes=4)))
    world = tick(
        world,
        {"a": [Send("nobody", "", b""), Send("a", "1", b"four"), Send("a", "2", b""), Send("a", "3", b"")]},
    ).after
    assert [topic for _, topic, _ in inbox(world, "a")] == [
        "tickwork.rejected", "1", "tickwork.rejected", "tickwork.rejected",
    ]  # fmt: skip


def test_a_mailbox_is_full_at_its_cap_of_bytes():
    world = started(powerful("a", every_tick=True), agent("b", limits=Limits(mailbox_bytes=3)))
    ticked = tick(world, {"a": [Send("b", "1", b"123"), Send("b", "2", b"4"), Send("b", "3", b"")]})
    assert reasons(ticked) == ["mailbox of 'b' is full (3 bytes)"]
    assert [topic for _, topic, _ in inbox(ticked.after, "b")] == ["1", "3"]


def test_an_output_is_handed_on_in_settle_order_and_only_if_declared():
    world = started(powerful("b", every_tick=True), powerful("a", every_tick=True), outputs=("report",))
    row = Output("report", b"row")
    ticked = tick(world, {"a": [row], "b": [Log(0, ""), row, Output("elsewhere", b"")]})
    assert ticked.settled.performed == ((0, 1, row), (1, 0, row))
    assert reasons(ticked) == ["there is no output 'elsewhere'"]


def test_the_first_grant_that_covers_an_effect_is_the_one_charged():
    grants = (Grant(Capability.SEND, "b", per_tick=1), Grant(Capability.SEND, "*"))
    world = started(agent("a", *grants, every_tick=True), agent("b"), agent("c"))
    ticked = tick(world, {"a": [Send(to, "", b"") for to in "bbcc"]})
    assert reasons(ticked) == ["over the limit of 1 per tick of grant send:b"]


def test_a_limit_per_tick_starts_again_and_one_per_run_does_not():
    grants = (Grant(Capability.SEND, "a", per_tick=1), Grant(Capability.TIMER, per_run=1))
    world = started(agent("a", *grants, every_tick=True))
    effects = [Send("a", "", b""), Timer("t", b"", 9, 0)]
    first = tick(world, {"a": effects})
    second = tick(first.after, {"a": effects})
    assert reasons(first) == []
    assert reasons(second) == ["over the limit of 1 per run of grant timer"]
    assert second.after.spent == {(0, 1): 1}


def test_a_reason_holds_a_hostile_name_in_printable_ascii_and_cut():
    name = "\x1b[2J\u0378\U0001fae9" * 20_000  # an escape sequence, and characters some Pythons do not know
    ticked = tick(started(powerful("a", every_tick=True)), {"a": [Send(name, "", b"")]})
    (reason,) = reasons(ticked)
    assert reason.isascii()
    assert reason.isprintable()
    assert len(reason) < 4_000
    (message,) = ticked.after.mailboxes[0]
    assert len(message.body) < 8_000
    assert json.loads(message.body)["target"] == name[:300] + "..."


def test_a_tick_in_which_nobody_starts_or_ends_copies_no_agents():
    world = started(powerful("a", every_tick=True))
    after = tick(world, {"a": [Log(0, "")]}).after
    assert after.agents is world.agents
    assert after.directory is world.directory


def test_a_topic_cannot_be_a_way_around_the_limit_on_a_mailboxs_bytes():
    world = started(powerful("a", every_tick=True), powerful("b"))
    long, longest = "t" * 257, "t" * 256
    effects = [Send("b", long, b""), Send("b", longest, b""), Timer(long, b"", 1, 0)]
    ticked = tick(world, {"a": effects})
    assert [refusal.effect for refusal in ticked.settled.entry.turns[0].refusals] == [0, 2]
    assert set(reasons(ticked)) == {"its topic is longer than 256 characters"}
