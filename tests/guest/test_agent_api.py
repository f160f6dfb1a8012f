"""The agent author's package in plain Python."""

import json
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickwork.core import effects as core_effects
from tickwork.core.names import name_fault
from tickwork_agent import (
    Agent,
    Call,
    Infer,
    Level,
    Log,
    Message,
    Metric,
    Now,
    Output,
    Publish,
    Reply,
    Send,
    Spawn,
    Stop,
    Timer,
    encode_body,
    handler_name,
)
from tickwork_agent.testing import AgentTest

topics = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,20}", fullmatch=True).filter(
    lambda t: not name_fault(t)
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
).filter(lambda value: not isinstance(value, str))


class Everything(Agent):
    """Asks for each effect once."""

    def on_all(self, message: Message) -> None:
        self.send("a", "t", {"k": 1}, reply_to=7)
        self.publish("news", "text")
        self.numbers = (self.infer("m", b"q"), self.call("tool", [1]))
        self.output("report", b"line")
        self.timer("wake", after_ticks=3, request=5)
        self.cancel_timer(5)
        self.log("hello")
        self.metric("load", 2)
        self.spawn("worker", "w1", {"n": 1})
        self.stop("done")
        self.stop("out", agent="b")
        self.reply(message, "answer")


def test_each_method_asks_for_its_effect_in_order() -> None:
    test = AgentTest(Everything)
    asked = test.receive("all", sender="s", reply_to=9)
    infer, call = test.agent.numbers
    assert asked == [
        Send("a", "t", b'{"k":1}', 7),
        Publish("news", b"text"),
        Infer("m", b"q", infer),
        Call("tool", b"[1]", call),
        Output("report", b"line"),
        Timer("wake", b"", 3, 5),
        Timer("cancel", b"", 0, 5),
        Log(Level.INFO, "hello"),
        Metric("load", 2.0),
        Spawn("worker/w1", "worker", b'{"n":1}'),
        Stop(None, "done"),
        Stop("b", "out"),
        Send("s", "answer", b"", 9),
    ]
    assert infer != call


def test_the_effects_are_those_of_the_core_field_by_field() -> None:
    for asked in AgentTest(Everything).receive("all"):
        core = getattr(core_effects, type(asked).__name__)
        assert tuple(type(asked).__slots__) == core.__struct_fields__


def test_levels_are_those_of_the_core() -> None:
    assert [(level.name, level.value) for level in Level] == [
        (level.name, level.value) for level in core_effects.Level
    ]


@given(topics)
def test_a_topic_goes_to_the_handler_of_its_name(topic: str) -> None:
    seen: list[str] = []
    name = handler_name(topic)
    kind = type("Handler", (Agent,), {name: lambda _, message: seen.append(message.topic)})
    assert AgentTest(kind).receive(topic) == []
    assert seen == [topic]
    assert name.isidentifier()
    assert name[3:].replace("_", "") == "".join(c for c in topic if c not in ".-_")


@given(topics)
def test_a_topic_without_a_handler_goes_to_on_message(topic: str) -> None:
    seen: list[str] = []
    kind = type("Catcher", (Agent,), {"on_message": lambda _, message: seen.append(message.topic)})
    AgentTest(kind).receive(topic)
    assert seen == [topic]


def test_a_message_that_nobody_handles_is_logged() -> None:
    assert AgentTest(Agent).step(Message("tickwork", "tickwork.denied", b"why")) == [
        Log(Level.WARN, "no handler for topic 'tickwork.denied' from 'tickwork': why")
    ]


def test_messages_are_handled_in_inbox_order() -> None:
    class Ordered(Agent):
        def on_a(self, message: Message) -> None:
            self.send("x", "a", message.body)

        def on_b(self, message: Message) -> None:
            self.send("x", "b", message.body)

    asked = AgentTest(Ordered).step(*(Message("s", t, t.encode()) for t in "abba"))
    assert [each.topic for each in asked if isinstance(each, Send)] == ["a", "b", "b", "a"]


@given(json_values)
def test_json_bodies_come_back_as_they_were_sent(value: object) -> None:
    assert Message("s", "t", encode_body(value)).json() == value


@given(st.dictionaries(st.text(), st.integers()))
def test_json_bodies_are_compact_and_keep_the_order_of_keys(value: dict[str, int]) -> None:
    assert encode_body(value) == json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


@pytest.mark.parametrize(
    ("body", "encoded"),
    [
        (b"\xff", b"\xff"),
        (bytearray(b"ab"), b"ab"),
        (memoryview(b"ab"), b"ab"),
        ("é", b"\xc3\xa9"),
        (None, b"null"),
        ({"é": [1, 2.5]}, b'{"\xc3\xa9":[1,2.5]}'),
    ],
)
def test_bodies_are_encoded_by_their_type(body: object, encoded: bytes) -> None:
    assert encode_body(body) == encoded


@pytest.mark.parametrize("body", [float("nan"), float("inf"), {1, 2}, object(), "\ud800", ["\ud800"]])
def test_bodies_without_bytes_are_refused(body: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        encode_body(body)


def _misuses() -> Iterator[tuple[str, type[Exception], str]]:
    yield "self.send(3, 't')", TypeError, "to must be a str"
    yield "self.send('a', b't')", TypeError, "topic must be a str"
    yield "self.send('a', '\\ud800')", ValueError, "surrogates"
    yield "self.send('a', 't', reply_to=-1)", ValueError, "reply_to must lie between"
    yield "self.send('a', 't', reply_to=2**64)", ValueError, "reply_to must lie between"
    yield "self.send('a', 't', reply_to='7')", TypeError, "reply_to must be an int"
    yield "self.timer('t', after_ticks=0)", ValueError, "cancel_timer"
    yield "self.timer('t', after_ticks=1.5)", TypeError, "after_ticks must be an int"
    yield "self.cancel_timer(-1)", ValueError, "request must lie between"
    yield "self.metric('m', 'x')", ValueError, "could not convert"
    yield "self.spawn('k', 7)", TypeError, "name must be a str"
    yield "self.stop('r', agent=7)", TypeError, "agent must be a str"


@pytest.mark.parametrize(("call", "kind", "words"), list(_misuses()))
def test_misuse_is_told_where_it_happens(call: str, kind: type[Exception], words: str) -> None:
    class Misuser(Agent):
        def on_go(self, _message: Message) -> None:
            exec(call, {"self": self})

    with pytest.raises(kind, match=words):
        AgentTest(Misuser).receive("go")


def test_text_that_utf8_cannot_carry_is_logged_with_question_marks() -> None:
    class Odd(Agent):
        def on_go(self, _message: Message) -> None:
            self.log.error("a\ud800b")

    assert AgentTest(Odd).receive("go") == [Log(Level.ERROR, "a?b")]


def test_effects_outside_a_turn_are_refused() -> None:
    class Early(Agent):
        def setup(self, _config: object) -> None:
            self.send("a", "t")

    with pytest.raises(RuntimeError, match="not in `setup`"):
        AgentTest(Early)
    with pytest.raises(RuntimeError, match="no turn under way"):
        _ = AgentTest(Agent).agent.now


def test_effects_of_a_failed_turn_are_gone_in_the_next() -> None:
    class Once(Agent):
        def on_fail(self, _message: Message) -> None:
            self.send("a", "t")
            raise ValueError("after the send")

        def on_go(self, _message: Message) -> None:
            self.send("b", "t")

    test = AgentTest(Once)
    with pytest.raises(ValueError, match="after the send"):
        test.receive("fail")
    assert test.receive("go") == [Send("b", "t")]


def test_numbers_given_out_never_repeat_and_leave_the_authors_alone() -> None:
    class Asker(Agent):
        def on_go(self, _message: Message) -> None:
            self.infer("m", b"")
            self.call("t", b"")
            self.timer("w", after_ticks=1)

    test = AgentTest(Asker)
    asked = [each for _ in range(3) for each in test.receive("go")]
    numbers = [each.request for each in asked if isinstance(each, Infer | Call | Timer)]
    assert len(set(numbers)) == len(numbers) == 9
    assert min(numbers) >= 2**32


def test_an_agent_keeps_what_it_stores_and_needs_no_super_init() -> None:
    class Counter(Agent):
        def __init__(self) -> None:
            self.count = 0

        def setup(self, config: dict[str, int]) -> None:
            self.count = config.get("start", 0)

        def on_up(self, _message: Message) -> None:
            self.count += 1
            self.output("count", self.count)

    test = AgentTest(Counter, {"start": 5}, id="c")
    assert [test.receive("up") for _ in range(2)] == [[Output("count", b"6")], [Output("count", b"7")]]
    assert test.agent.id == "c"


def test_random_and_clock_are_functions_of_the_turn() -> None:
    class Roller(Agent):
        def step(self, now: Now, _inbox: object) -> None:
            assert now is self.now
            self.output("roll", [self.random.random(), now.tick, now.now_ns])

    def rolls(seed: int) -> list[object]:
        test = AgentTest(Roller, seed=seed, start_ns=1_000, tick_ns=10)
        return [test.step() for _ in range(3)]

    assert rolls(1) == rolls(1)
    assert rolls(1) != rolls(2)
    assert [json.loads(roll[0].body)[1:] for roll in rolls(1)] == [[0, 1000], [1, 1010], [2, 1020]]
    assert len({roll[0].body for roll in rolls(1)}) == 3


class Buyer(Agent):
    """Asks a model, and keeps what it says."""

    def on_offer(self, message: Message) -> None:
        self.asked = self.chat("clerk", message.text(), max_tokens=8, stop=["."])

    def on_again(self, _: Message) -> None:
        self.chat("clerk", ({"role": "system", "content": "Be brief."},), request=7)

    def on_reply(self, message: Message) -> None:
        self.reply_said = (message.sender, message.reply_to, Reply.of(message))

    def on_reply_piece(self, message: Message) -> None:
        self.piece_said = Reply.of(message)


def test_chat_asks_in_the_shape_of_chat_completions() -> None:
    test = AgentTest(Buyer)
    (asked,) = test.receive("offer", "How much?")
    body = b'{"messages":[{"role":"user","content":"How much?"}],"max_tokens":8,"stop":["."]}'
    assert asked == Infer("clerk", body, test.agent.asked)
    (again,) = test.receive("again")
    assert again == Infer("clerk", b'{"messages":[{"role":"system","content":"Be brief."}]}', 7)


def test_answers_pieces_and_failures_of_models_are_read_alike() -> None:
    test = AgentTest(Buyer)
    test.answer(3, "Ten crowns", model="clerk", finish_reason="length")
    assert test.agent.reply_said == ("model:clerk", 3, Reply("Ten crowns", "length", tokens=2))
    test.answer(4, error="no room", code="context_length_exceeded")
    assert test.agent.reply_said[2] == Reply("", error="no room", code="context_length_exceeded")
    test.answer_piece(3, "Te")
    assert test.agent.piece_said == Reply("Te")
    assert Reply('{"price":3}').json() == {"price": 3}


@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"choices":[]}', b'{"error":1}', b"3", b"no"])
def test_what_no_model_answered_is_no_reply(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"is no answer of a model|Expecting|JSON"):
        Reply.of(Message("a", "reply", body))
