import msgspec
import pytest

from core_worlds import agent, failed, inbox, notices, powerful, run_of, started, tick
from tickwork.core.checkpoint import decode_world, encode_world
from tickwork.core.editing import apply_edits
from tickwork.core.edits import (
    FORK_ORIGIN,
    NO_EDITS,
    AgentEdit,
    Drop,
    Edits,
    Inject,
    Replace,
    decode_edits,
    encode_edits,
)
from tickwork.core.effects import Publish, Send, Spawn, Stop, Timer
from tickwork.core.errors import EditError
from tickwork.core.grants import Capability, Grant
from tickwork.core.limits import Limits
from tickwork.core.messages import NO_ARRIVALS, Arrivals, Input
from tickwork.core.order import inbox_order
from tickwork.core.spec import InputSpec
from tickwork.core.step import plan
from tickwork.core.world import Status, genesis_world

LETTERS = [Send("b", "hello", b"0"), Send("b", "bye", b"1"), Send("b", "hello", b"22")]
SEND_ALL = Grant(Capability.SEND, "*")


def agents_edit(agent_id="b", **changes):
    return Edits(agents=(AgentEdit(agent_id, **changes),))


def waiting(**rest):
    """A world at tick 2 in which three messages of `a` wait for `b`."""
    world = started(powerful("a", every_tick=True), powerful("b", **rest), agent("c", every_tick=True))
    return tick(world, {"a": LETTERS}).after


def refused(world, edits, **rest):
    with pytest.raises(EditError) as caught:
        apply_edits(world, edits, **rest)
    message = str(caught.value)
    assert "\n" not in message
    return message


# Their bytes.


def test_no_edits_have_no_bytes():
    assert encode_edits(NO_EDITS) == b""
    assert decode_edits(b"") == NO_EDITS


def test_edits_survive_their_bytes():
    edits = Edits(
        seed=(1 << 64) - 1,
        inject=(Inject("b", "t", b"\xff", "a", 7), Inject("b", "t")),
        drop=(Drop("b"), Drop("b", "a", "t", 0)),
        replace=(Replace("b", body=b""), Replace("b", new_topic="u")),
        agents=(
            AgentEdit("b", (), (("timers", 3),), b"", b"", "00" * 32, restart=True),
            AgentEdit("c", (Grant(Capability.SEND, "x", 1, 2),)),
        ),
    )
    assert decode_edits(encode_edits(edits)) == edits


@pytest.mark.parametrize(
    "data",
    [
        b"\xc0",
        b"\x95",
        b"\x93\xc0\x90\x90",
        msgspec.msgpack.encode(Edits()),
        msgspec.msgpack.encode([1, [], [], [], [], "more"]),
        msgspec.msgpack.encode([1, [], [], [], [["b", None, [], None, None, None, 1]]]),
        msgspec.msgpack.encode([1, [], [], [], []]) + b"\x00",
        b"\x95\x01" + b"\x91" * 5000,
    ],
    ids=["nil", "cut", "short", "empty", "long", "number as boolean", "trailing", "deep"],
)
def test_other_bytes_are_no_edits(data):
    with pytest.raises(ValueError, match=r"^no edits: "):
        decode_edits(data)


# The run.


def test_no_edits_leave_the_very_world():
    world = waiting()
    assert apply_edits(world, NO_EDITS) is world


def test_a_seed_changes_every_seed_to_come_and_nothing_else():
    world = waiting()
    edited = apply_edits(world, Edits(seed=8))
    assert edited.run == msgspec.structs.replace(world.run, seed=8)
    before, after = plan(world, NO_ARRIVALS).turns, plan(edited, NO_ARRIVALS).turns
    assert [turn.inbox for turn in before] == [turn.inbox for turn in after]
    assert all(one.seed != other.seed for one, other in zip(before, after, strict=True))
    assert "seed: is -1; it must be between 0 and" in refused(world, Edits(seed=-1))


# What waits.


def test_an_injected_message_comes_after_what_waits_and_in_its_list_order():
    edits = Edits(inject=(Inject("b", "x", b"8"), Inject("b", "y", b"9", sender="a", reply_to=4)))
    world = apply_edits(waiting(), edits)
    assert inbox(world, "b")[3:] == [("fork", "x", b"8"), ("a", "y", b"9")]
    box = world.mailboxes[1]
    assert list(box) == sorted(box, key=inbox_order)
    assert [(message.tick, message.agent, message.effect, message.reply_to) for message in box[3:]] == [
        (1, FORK_ORIGIN, 0, None),
        (1, FORK_ORIGIN, 1, 4),
    ]


def test_an_injected_message_comes_before_what_is_sent_from_now_on():
    world = started(powerful("a", every_tick=True), powerful("b"))
    world = apply_edits(world, Edits(inject=(Inject("b", "x"),), agents=(AgentEdit("b", restart=True),)))
    world = tick(world, {"a": [Send("b", "later", b"")]}).after
    assert [topic for _, topic, _ in inbox(world, "b")] == ["x", "later"]
    assert list(world.mailboxes[1]) == sorted(world.mailboxes[1], key=inbox_order)


@pytest.mark.parametrize("outcome", [failed(), [Stop(None, "")]])
def test_what_is_injected_for_an_agent_that_does_not_come_up_is_listed_and_nobody_told(outcome):
    edits = Edits(inject=(Inject("b", "x", sender="a"),), agents=(AgentEdit("b", restart=True),))
    world = apply_edits(started(powerful("a"), powerful("b")), edits)
    ticked = tick(world, {"b": outcome})
    assert [(lost.agent, lost.effect, lost.to) for lost in ticked.settled.entry.undelivered] == [
        (FORK_ORIGIN, 0, "b")
    ]
    assert ticked.after.mailboxes == {}


def test_messages_of_two_forks_of_one_tick_keep_their_order():
    edits = Edits(inject=(Inject("b", "x"),))
    world = apply_edits(apply_edits(waiting(), edits), edits)
    assert [message.effect for message in world.mailboxes[1][3:]] == [0, 1]


def test_a_message_can_be_injected_before_anything_has_run():
    world = genesis_world(run_of(powerful("a")))
    world = apply_edits(world, Edits(inject=(Inject("a", "x"),)))
    assert inbox(tick(world).after, "a") == [("fork", "x", b"")]


def test_an_input_can_be_the_sender_and_its_lines_come_first():
    line = InputSpec("lines", "line", ("a",), 1)
    world = started(powerful("a"), inputs=(line,))
    world = apply_edits(world, Edits(inject=(Inject("a", "line", b"extra", "input:lines"),)))
    assert inbox(world, "a", Arrivals((Input(0, b"own"),))) == [
        ("input:lines", "line", b"own"),
        ("input:lines", "line", b"extra"),
    ]


@pytest.mark.parametrize("sender", ["nobody", "tickwork", "input:none", ""])
def test_a_sender_must_exist(sender):
    told = refused(waiting(), Edits(inject=(Inject("b", "x"), Inject("b", "x", sender=sender))))
    assert told.startswith(
        f"inject[1]: the sender '{sender}' is no agent at tick 2, no input (there are: none)"
    )


def test_nothing_is_injected_for_who_is_not_there():
    assert refused(waiting(), Edits(inject=(Inject("x", "t"),))) == (
        "inject[0]: there is no agent 'x' at tick 2 (there are: 'a', 'b', 'c')"
    )
    world = tick(waiting(), {"b": failed()}).after
    told = refused(world, Edits(inject=(Inject("b", "t"),)))
    assert "agent 'b' is failed, and nothing reaches it; restart = true in [agents.b]" in told


def test_a_mailbox_limit_holds_for_what_is_injected():
    one, two = Inject("b", "x", b"12"), Inject("b", "x", b"")
    limits = Limits(mailbox_messages=5)
    apply_edits(waiting(limits=limits), Edits(inject=(one, two)))
    told = refused(waiting(limits=limits), Edits(inject=(one, two, two)))
    assert told.startswith("inject[2]: the mailbox of 'b' is full (5 messages); drop something, or raise ")
    limits = Limits(mailbox_bytes=6)
    apply_edits(waiting(limits=limits), Edits(inject=(one, two)))
    told = refused(waiting(limits=limits), Edits(inject=(one, one)))
    assert told.startswith("inject[1]: the mailbox of 'b' would hold 8 bytes, and its limit is 6; raise ")


def test_what_is_dropped_makes_room():
    limits = Limits(mailbox_messages=3, mailbox_bytes=4)
    edits = Edits(drop=(Drop("b", place=2),), inject=(Inject("b", "x", b"12"),))
    world = apply_edits(waiting(limits=limits), edits)
    assert [body for _, _, body in inbox(world, "b")] == [b"0", b"1", b"12"]


def test_notices_take_no_room_from_what_is_injected():
    world = started(agent("a", every_tick=True, limits=Limits(mailbox_messages=1)))
    world = tick(world, {"a": [Send("x", "", b""), Send("y", "", b"")]}).after
    edited = apply_edits(world, Edits(inject=(Inject("a", "x"),)))
    assert (len(notices(edited, "a")), len(inbox(edited, "a"))) == (2, 3)


@pytest.mark.parametrize(
    ("drop", "left"),
    [
        (Drop("b"), []),
        (Drop("b", topic="hello"), [b"1"]),
        (Drop("b", place=0), [b"1", b"22"]),
        (Drop("b", "a", "hello", 2), [b"0", b"1"]),
    ],
)
def test_a_drop_removes_all_that_matches(drop, left):
    assert [body for _, _, body in inbox(apply_edits(waiting(), Edits(drop=(drop,))), "b")] == left


def test_an_emptied_mailbox_is_none_at_all():
    world = apply_edits(waiting(), Edits(drop=(Drop("b"),)))
    assert world.mailboxes == {}
    assert [turn.agent for turn in plan(world, NO_ARRIVALS).turns] == [0, 2]


def test_places_are_those_before_any_edit():
    edits = Edits(
        drop=(Drop("b", place=0), Drop("b", place=1)),
        replace=(Replace("b", topic="hello", body=b"new"),),
    )
    assert inbox(apply_edits(waiting(), edits), "b") == [("a", "hello", b"new")]


@pytest.mark.parametrize(
    "edit",
    [
        Drop("b", topic="x"),
        Drop("b", sender="b"),
        Drop("b", "a", "bye", 0),
        Drop("b", place=3),
        Drop("b", place=-1),
    ],
)
def test_a_drop_that_matches_nothing_is_told_what_waits(edit):
    assert refused(waiting(), Edits(drop=(Drop("b", place=0), edit))) == (
        "drop[1]: matches nothing that waits for 'b' at tick 2; there waits 0: 'hello' from 'a' (1 bytes),"
        " 1: 'bye' from 'a' (1 bytes), 2: 'hello' from 'a' (2 bytes)"
    )


def test_a_long_mailbox_and_a_long_name_are_told_shortened():
    world = started(powerful("a", every_tick=True), powerful("b"))
    world = tick(world, {"a": [Send("b", "\n" * 250, b"")] * 20}).after
    told = refused(world, Edits(drop=(Drop("b", place=20),)))
    assert told.endswith("and 12 more")
    assert len(told) < 1000
    assert refused(world, Edits(drop=(Drop("c" * 9000),))).startswith("drop[0]: there is no agent 'ccc")
    assert refused(world, Edits(drop=(Drop("a"),))).endswith("there waits nothing")


def test_a_replaced_message_keeps_its_place_and_its_origin():
    world = waiting()
    edited = apply_edits(world, Edits(replace=(Replace("b", place=1, body=b"new", new_topic="hi"),)))
    assert inbox(edited, "b") == [("a", "hello", b"0"), ("a", "hi", b"new"), ("a", "hello", b"22")]
    assert [inbox_order(m) for m in edited.mailboxes[1]] == [inbox_order(m) for m in world.mailboxes[1]]


def test_a_replace_must_change_something_that_stays():
    assert refused(waiting(), Edits(replace=(Replace("b"),))).startswith("replace[0]: changes nothing")
    edits = Edits(drop=(Drop("b", place=1),), replace=(Replace("b", topic="bye", body=b""),))
    assert refused(waiting(), edits).startswith("replace[0]: all that it matches is dropped")
    told = refused(waiting(), Edits(replace=(Replace("b", topic="x", body=b""),)))
    assert told.startswith("replace[0]: matches nothing that waits for 'b'")


def test_a_replacement_may_not_outgrow_the_mailbox_but_may_always_shrink():
    limits = Limits(mailbox_bytes=5)
    world = waiting(limits=limits)
    assert "would hold 6 bytes" in refused(world, Edits(replace=(Replace("b", place=0, body=b"333"),)))
    shrink = Edits(
        replace=(Replace("b", place=2, body=b"2"),), agents=(AgentEdit("b", limits=(("mailbox_bytes", 1),)),)
    )
    assert [len(body) for _, _, body in inbox(apply_edits(world, shrink), "b")] == [1, 1, 1]


@pytest.mark.parametrize("edits", [Edits(inject=(Inject("b", "\ud800"),)),
                                   Edits(replace=(Replace("b", new_topic="\ud800"),))])  # fmt: skip
def test_a_topic_must_be_text(edits):
    assert "is not UTF-8 text" in refused(waiting(), edits)


def test_a_number_must_fit_the_interface():
    assert "reply_to is 18446744073709551616;" in refused(
        waiting(), Edits(inject=(Inject("b", "t", reply_to=1 << 64),))
    )


# Agents.


def test_grants_take_effect_at_once_also_where_a_route_was_remembered():
    world = waiting()
    assert world.directory.routes[0] == {"b": 1}
    edited = apply_edits(world, agents_edit("a", grants=()))
    assert tick(edited, {"a": LETTERS[:1]}).refusals() == {(0, 0): "denied"}
    assert tick(world, {"a": LETTERS[:1]}).refusals() == {}
    assert edited.run.agents[0].grants == ()
    assert edited.run.agents[0] is edited.agents[0].spec


def test_limits_take_effect_at_once_and_only_those_that_are_named():
    edited = apply_edits(waiting(), agents_edit(limits=(("mailbox_messages", 1), ("fuel_per_turn", 5))))
    assert edited.agents[1].spec.limits == Limits(mailbox_messages=1, fuel_per_turn=5)
    assert len(inbox(edited, "b")) == 3, "what waits already stays"
    assert tick(edited, {"a": LETTERS}).refusals() == {(0, 1): "rejected", (0, 2): "rejected"}


def test_uses_of_a_grant_that_stays_are_still_counted():
    once = Grant(Capability.SEND, "b", per_run=2)
    world = started(agent("a", once, every_tick=True), powerful("b"))
    world = tick(world, {"a": LETTERS[:1]}).after
    moved = Grant(Capability.SEND, "b", per_run=3)
    edited = apply_edits(world, agents_edit("a", grants=(Grant(Capability.TIMER), moved)))
    assert edited.spent == {(0, 1): 1}
    assert tick(edited, {"a": LETTERS}).refusals() == {(0, 2): "rejected"}
    assert apply_edits(world, agents_edit("a", grants=(SEND_ALL, Grant(Capability.SEND, "b")))).spent == {}
    assert world.spent == {(0, 0): 1}


@pytest.mark.parametrize(
    ("grant", "what"),
    [
        ("send:x", "agent of this run (there are: 'a', 'b', 'k/1')"),
        ("stop:x*", "agent"),
        ("spawn:x", "kind of this run (there are: 'k')"),
        ("output:x", "output of this run (there are: 'out')"),
        ("publish:x", "topic that anyone subscribes to of this run (there are: 'news')"),
        ("infer:any", "model of this run (there are: none)"),
    ],
)
def test_a_grant_of_nothing_is_refused(grant, what):
    capability, _, target = grant.partition(":")
    edits = agents_edit("a", grants=(Grant(Capability(capability), target),))
    assert f"agents.a: the grant '{grant}' matches no {what}" in refused(with_spawned(), edits)


@pytest.mark.parametrize(
    "grant",
    ["send:b", "send:k/1", "send:k/any", "send:k/*", "send:*", "stop:k*", "spawn:k", "output:o*",
     "publish:news", "timer:", "call:any"],
)  # fmt: skip
def test_a_grant_of_something_is_accepted(grant):
    capability, _, target = grant.partition(":")
    held = (Grant(Capability(capability), target),)
    assert apply_edits(with_spawned(), agents_edit("a", grants=held)).agents[0].spec.grants == held


def with_spawned():
    kind = msgspec.structs.replace(agent("k"), config=b"kind's")
    world = started(
        powerful("a", every_tick=True), powerful("b", subscribe=("news",)), kinds=(kind,), outputs=("out",)
    )
    return tick(tick(world, {"a": [Spawn("k/1", "k", b"")]}).after).after


def test_a_spawned_agent_can_be_edited_and_its_kind_stays():
    world = with_spawned()
    edited = apply_edits(world, agents_edit("k/1", grants=(SEND_ALL,), config=b"own", restart=True))
    assert (edited.agents[2].spec.config, edited.agents[2].spec.grants) == (b"own", (SEND_ALL,))
    assert edited.run == world.run
    assert decode_world(encode_world(edited), edited.run) == edited
    assert refused(world, agents_edit("k/2", restart=True)).startswith("agents.'k/2': there is no agent")


def test_a_config_needs_a_restart():
    told = refused(waiting(), agents_edit(config=b"new"))
    assert told == (
        "agents.b: setup alone reads the config, and the agent has been set up;"
        " add restart = true to set the agent up anew"
    )
    edited = apply_edits(waiting(), agents_edit(config=b"new", restart=True))
    assert edited.run.agents[1].config == b"new"
    apply_edits(waiting(), agents_edit(config=b""))


def test_an_agent_that_is_yet_to_be_set_up_needs_no_restart():
    world = genesis_world(run_of(powerful("a")))
    change = {"config": b"c", "preamble": b"p", "module": "11" * 32, "limits": (("fuel_setup", 1),)}
    spec = apply_edits(world, agents_edit("a", **change)).agents[0].spec
    assert (spec.config, spec.preamble, spec.module, spec.limits.fuel_setup) == (b"c", b"p", "11" * 32, 1)


@pytest.mark.parametrize("limit", ["fuel_setup", "table_elements"])
def test_limits_that_only_setup_meets_need_a_restart(limit):
    assert f"agents.b: limits.{limit} holds from setup on" in refused(
        waiting(), agents_edit(limits=((limit, 7),))
    )
    edited = apply_edits(waiting(), agents_edit(limits=((limit, 7),), restart=True))
    assert getattr(edited.agents[1].spec.limits, limit) == 7


def test_a_module_whose_memory_carries_over_is_swapped_under_the_running_agent():
    asked = []

    def carries_over(old, new):
        asked.append((old, new))

    edited = apply_edits(waiting(), agents_edit(module="11" * 32), carries_over)
    assert asked == [("00" * 32, "11" * 32)]
    assert edited.agents[1].spec.module == "11" * 32
    assert edited.agents[1].status is Status.RUNNING


def test_a_module_whose_memory_does_not_carry_over_needs_a_restart():
    edits = agents_edit(module="11" * 32)
    told = refused(waiting(), edits, carries_over=lambda _old, _new: "it has another number of memories")
    assert told == (
        "agents.b: its memory does not carry over to the new module: it has another number of memories;"
        " add restart = true to set the agent up anew"
    )
    assert "does not carry over" in refused(waiting(), edits)
    edited = apply_edits(waiting(), agents_edit(module="11" * 32, restart=True))
    assert edited.run.agents[1].module == "11" * 32


def test_a_new_source_never_carries_over():
    told = refused(waiting(), agents_edit(preamble=b"new"), carries_over=lambda _old, _new: None)
    assert "does not carry over to the new source: setup alone reads it" in told
    apply_edits(waiting(), agents_edit(preamble=b"new", restart=True))
    apply_edits(waiting(), agents_edit(preamble=b"", module="00" * 32))


def test_a_memory_limit_may_not_fall_below_the_memory():
    edits = agents_edit(limits=(("memory_bytes", 1 << 20),))
    sizes = {1: 1 << 21}
    told = refused(waiting(), edits, memory_bytes=sizes.__getitem__)
    assert told.startswith(
        "agents.b: limits.memory_bytes is 1048576, and the agent has 2097152 bytes already"
    )
    sizes[1] = 1 << 20
    assert apply_edits(waiting(), edits, memory_bytes=sizes.__getitem__)
    restart = agents_edit(limits=(("memory_bytes", 1 << 20),), restart=True)
    assert apply_edits(waiting(), restart, memory_bytes={}.__getitem__)


def test_a_restart_sets_up_anew_while_its_mail_waits_and_its_timers_end():
    world = started(powerful("a", every_tick=True), powerful("b", every_tick=True))
    alarms = [Timer("alarm", b"", after, after) for after in (1, 2, 9)]
    world = tick(world, {"a": [*LETTERS, Timer("mine", b"", 3, 1)], "b": alarms}).after
    edited = apply_edits(world, agents_edit(restart=True))
    assert [(turn.agent, turn.setup, turn.inbox) for turn in plan(edited, NO_ARRIVALS).turns] == [
        (0, False, ()),
        (1, True, ()),
    ]
    assert (edited.timers.counts, world.timers.counts) == ({0: 1}, {0: 1, 1: 3})
    after = tick(edited).after
    assert [body for _, _, body in inbox(after, "b")] == [b"0", b"1", b"22"]


def test_a_restart_revives_whoever_ended():
    world = started(powerful("a", every_tick=True), powerful("b", every_tick=True, subscribe=("news",)))
    for ending in ({"b": failed()}, {"a": [Stop("b", "enough")]}):
        ended = tick(world, ending).after
        assert not ended.agents[1].live
        assert "add restart = true" in refused(ended, agents_edit(grants=()))
        revived = apply_edits(ended, agents_edit(restart=True))
        assert (revived.agents[1].status, revived.agents[1].reason) == (Status.STARTING, "")
        after = tick(tick(revived, {"b": ()}).after, {"a": [Publish("news", b"x")], "b": ()}).after
        assert inbox(after, "b") == [("a", "news", b"x")]


def test_an_edit_must_change_something_and_once():
    assert refused(waiting(), agents_edit()) == "agents.b: changes nothing; say what it changes, or remove it"
    twice = Edits(agents=(AgentEdit("b", restart=True), AgentEdit("b", grants=())))
    assert refused(waiting(), twice).startswith("agents.b: the agent is edited twice")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"limits": (("speed", 1),)}, "there is no limit 'speed' (there are: fuel_per_turn, "),
        ({"limits": (("timers", -1),)}, "limits.timers is -1; it must be between 0 and "),
        ({"grants": (SEND_ALL, Grant(Capability.SEND, "*", 1))}, "'send:*' is granted twice; remove one"),
        (
            {"grants": (Grant(Capability.SEND, "*", per_run=1 << 64),)},
            "a bound of the grant 'send:*' is 18446744073709551616;",
        ),
    ],
)
def test_what_no_manifest_could_say_is_refused(change, reason):
    assert f"agents.b: {reason}" in refused(waiting(), agents_edit(**change))


def test_errors_name_an_agent_as_a_file_of_edits_does():
    world = waiting()
    assert refused(world, agents_edit("x.y")).startswith("agents.'x.y': ")
    assert refused(world, agents_edit("", grants=())).startswith("agents.'': ")
