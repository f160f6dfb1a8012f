import msgspec

from core_worlds import agent, powerful, run_of, started, tick
from tickwork.core.effects import Send, Spawn, Stop, Timer
from tickwork.core.messages import Message, MessageClass
from tickwork.core.order import inbox_order
from tickwork.core.world import AgentState, Directory, Status, genesis_world


def test_the_virtual_clock_follows_the_ticks():
    world = genesis_world(run_of(agent("a")))
    assert world.now_ns == 1_000
    assert tick(world).after.now_ns == 1_010


def test_a_world_is_idle_when_only_an_arrival_could_wake_it():
    assert not genesis_world(run_of(agent("a"))).idle
    assert started(agent("a")).idle
    assert not started(agent("a", every_tick=True)).idle


def test_mail_timers_and_newcomers_each_keep_a_world_awake():
    for effect in (Send("b", "t", b""), Timer("t", b"", 50, 0), Spawn("k/1", "k", b"")):
        world = started(powerful("a", every_tick=True), agent("b"), kinds=(agent("k"),))
        after = tick(world, {"a": [effect, Stop(None, "")]}).after
        # A timer ends with its owner; the others outlive theirs.
        assert after.idle == isinstance(effect, Timer)


def test_an_empty_run_is_idle_from_the_start():
    assert genesis_world(run_of()).idle
    assert tick(genesis_world(run_of())).settled.entry.turns == ()


def test_the_directory_lists_only_who_can_be_reached():
    states = [
        AgentState(agent("a", subscribe=("t",), every_tick=True), Status.RUNNING),
        AgentState(agent("b", subscribe=("t",), every_tick=True), Status.FAILED),
        AgentState(agent("c", subscribe=("t", "u", "t"), every_tick=True), Status.STARTING),
        AgentState(agent("d", subscribe=("u",)), Status.STOPPED),
    ]
    directory = Directory.of(states)
    assert directory.index == {"a": 0, "b": 1, "c": 2, "d": 3}
    assert directory.subscribers == {"t": (0, 2), "u": (2,)}
    assert (directory.every_tick, directory.starting) == ((0,), (2,))


def test_two_directories_do_not_share_what_they_remember():
    one, two = Directory.of([]), Directory.of([])
    one.routes[0] = {"a": 1}
    assert two.routes == {}


def test_an_inbox_is_ordered_by_class_tick_agent_and_effect():
    keys = [
        (kind, tick, agent, effect)
        for kind in MessageClass
        for tick in (0, 1)
        for agent in (0, 2)
        for effect in (0, 10)
    ]
    messages = [Message(*key, "s", "t", b"") for key in keys]
    messages.reverse()
    assert sorted(messages, key=inbox_order) == messages[::-1]


def test_a_class_read_from_a_file_orders_like_the_enum():
    message = Message(MessageClass.TIMER, 1, 2, 3, "s", "t", b"")
    again = msgspec.msgpack.decode(msgspec.msgpack.encode(message), type=Message)
    assert inbox_order(again) == inbox_order(message)
