"""The class that every Python agent extends.

    from tickwork_agent import Agent, Message

    class Router(Agent):
        def setup(self, config):
            self.teams = config["teams"]

        def on_ticket(self, message: Message):
            ticket = message.json()
            self.send(self.teams[ticket["area"]], "assign", ticket)

The object lives as long as the agent: what `setup` and the handlers store on `self` is there in later turns.
Effects are collected during a turn and returned to the runtime at its end; none happens if the turn fails.
"""

import functools
import random as stdlib_random  # noqa: TID251 - runs inside the guest, always seeded by the turn
from collections.abc import Sequence
from typing import Any, Self

from tickwork_agent.effects import (
    Call,
    Effect,
    Infer,
    Level,
    Log,
    Metric,
    Output,
    Publish,
    Send,
    Spawn,
    Stop,
    Timer,
)
from tickwork_agent.encoding import Body, check_name, check_number, encode_body, printable
from tickwork_agent.messages import Message, Now

# Numbers below this are the author's to use for timers and requests; those given out begin here.
FIRST_REQUEST = 2**32
_CANCEL_TOPIC = "cancel"
_HANDLER_NAME = str.maketrans(".-", "__")


@functools.lru_cache
def handler_name(topic: str) -> str:
    """Return the name of the method that handles `topic`: `on_` and the topic, dots and dashes as `_`."""
    return "on_" + topic.translate(_HANDLER_NAME)


class Logger:
    """Writes log lines: `log.info(text)`, or `log(text, level)`."""

    __slots__ = ("_agent",)

    def __init__(self, agent: "Agent") -> None:
        self._agent = agent

    def __call__(self, text: object, level: Level = Level.INFO) -> None:
        """Log `str(text)`."""
        self._agent._ask(Log(Level(level), printable(text)))  # noqa: SLF001 - one class in two parts

    def debug(self, text: object) -> None:
        """Log `str(text)` at level debug."""
        self(text, Level.DEBUG)

    def info(self, text: object) -> None:
        """Log `str(text)` at level info."""
        self(text, Level.INFO)

    def warn(self, text: object) -> None:
        """Log `str(text)` at level warn."""
        self(text, Level.WARN)

    def error(self, text: object) -> None:
        """Log `str(text)` at level error."""
        self(text, Level.ERROR)


class Agent:
    """An agent: override `setup`, and handlers `on_TOPIC` or the whole `step`.

    A message on topic `a.b-c` goes to `on_a_b_c(message)`, or to `on_message(message)` where the class has
    no such method. Timers, answers to requests, and the runtime's notices (topics `tickwork.denied` and
    `tickwork.rejected`) arrive in the same way.
    """

    id: str
    _effects: list[Effect] | None
    _now: Now | None
    _random: stdlib_random.Random | None
    _requests: int

    # Not __init__, so that an author's own __init__ need not call it.
    def __new__(cls, *_args: Any, **_kwargs: Any) -> Self:  # noqa: D102
        agent = super().__new__(cls)
        agent.id = ""
        agent._effects = None
        agent._now = None
        agent._random = None
        agent._requests = FIRST_REQUEST
        return agent

    # What an author overrides.

    def setup(self, config: Any) -> None:
        """Prepare the agent, once, before any turn. `config` is the manifest's, `{}` if it has none."""

    def step(self, now: Now, inbox: Sequence[Message]) -> None:  # noqa: ARG002 - for those who override it
        """Take a turn. By default each message, in order, goes to its handler."""
        for message in inbox:
            handler = getattr(self, handler_name(message.topic), None)
            if handler is None:
                self.on_message(message)
            else:
                handler(message)

    def on_message(self, message: Message) -> None:
        """Take a message that has no handler of its own. By default a warning is logged."""
        body = message.body[:200].decode(errors="replace")
        self.log.warn(f"no handler for topic {message.topic!r} from {message.sender!r}: {body}")

    # What an author calls.

    @property
    def now(self) -> Now:
        """The turn's clock, seed and fuel; RuntimeError outside a turn."""
        if self._now is None:
            raise RuntimeError("there is no turn under way: `setup` has no clock, seed or effects")
        return self._now

    @property
    def random(self) -> stdlib_random.Random:
        """A generator seeded anew in each turn by `now.seed`, so that no turn depends on earlier draws."""
        if self._random is None:
            self._random = stdlib_random.Random(self.now.seed)
        return self._random

    @property
    def log(self) -> Logger:
        """Lines for whoever inspects the run; no grant is needed."""
        return Logger(self)

    def send(self, to: str, topic: str, body: Body = b"", *, reply_to: int | None = None) -> None:
        """Send a message to the agent `to`. Grant: `send:TO`. See `encode_body` for bodies."""
        if reply_to is not None:
            reply_to = check_number("reply_to", reply_to)
        self._ask(Send(check_name("to", to), check_name("topic", topic), encode_body(body), reply_to))

    def reply(self, message: Message, topic: str, body: Body = b"") -> None:
        """Send an answer to a message's sender, with the number that it asked back."""
        self.send(message.sender, topic, body, reply_to=message.reply_to)

    def publish(self, topic: str, body: Body = b"") -> None:
        """Send a message to every agent that subscribes to `topic`. Grant: `publish:TOPIC`."""
        self._ask(Publish(check_name("topic", topic), encode_body(body)))

    def output(self, name: str, body: Body) -> None:
        """Write a record to the run's output `name`. Grant: `output:NAME`."""
        self._ask(Output(check_name("name", name), encode_body(body)))

    def timer(self, topic: str, body: Body = b"", *, after_ticks: int, request: int | None = None) -> int:
        """Send a message to oneself in `after_ticks` ticks (at least 1) and return the timer's number.

        Setting the same number again replaces the timer; without one a fresh number is given out. Grant:
        `timer`.
        """
        if check_number("after_ticks", after_ticks) == 0:
            raise ValueError("after_ticks must be at least 1; use cancel_timer(request) to cancel a timer")
        request = self._request(request)
        self._ask(Timer(check_name("topic", topic), encode_body(body), after_ticks, request))
        return request

    def cancel_timer(self, request: int) -> None:
        """Cancel the timer with this number; nothing happens if there is none."""
        self._ask(Timer(_CANCEL_TOPIC, b"", 0, check_number("request", request)))

    def infer(self, model: str, body: Body, *, request: int | None = None) -> int:
        """Ask a model and return the number that the answer carries as `reply_to`. Grant: `infer:MODEL`."""
        request = self._request(request)
        self._ask(Infer(check_name("model", model), encode_body(body), request))
        return request

    def chat(
        self, model: str, messages: str | Sequence[Any], *, request: int | None = None, **options: Any
    ) -> int:
        """Ask a language model to answer `messages` and return the number that the answer carries.

        `messages` are `{"role": ..., "content": ...}` objects, or a text for one message of the user.
        `options` are the other fields of a chat-completions request: `max_tokens`, `temperature`, `stop`,
        `response_format`, `stream` and so on. The answer comes on topic `reply`, to `on_reply(message)`;
        `Reply.of(message)` reads it. Grant: `infer:MODEL`.
        """
        if isinstance(messages, str):
            messages = [{"role": "user", "content": messages}]
        return self.infer(model, {"messages": list(messages), **options}, request=request)

    def call(self, tool: str, body: Body, *, request: int | None = None) -> int:
        """Call a tool and return the number that the answer carries as `reply_to`. Grant: `call:TOOL`."""
        request = self._request(request)
        self._ask(Call(check_name("tool", tool), encode_body(body), request))
        return request

    def metric(self, name: str, value: float) -> None:
        """Record a number for whoever inspects the run; no grant is needed."""
        self._ask(Metric(check_name("name", name), float(value)))

    def spawn(self, kind: str, name: str, config: Body | None = None) -> str:
        """Start the agent `KIND/NAME` of a declared kind and return its id. Grant: `spawn:KIND`.

        Without a config the agent is given its kind's.
        """
        agent_id = f"{check_name('kind', kind)}/{check_name('name', name)}"
        self._ask(Spawn(agent_id, kind, b"" if config is None else encode_body(config)))
        return agent_id

    def stop(self, reason: str = "", *, agent: str | None = None) -> None:
        """Stop another agent (grant: `stop:AGENT`), or this one at the end of the turn."""
        if agent is not None:
            agent = check_name("agent", agent)
        self._ask(Stop(agent, printable(reason)))

    # What the shell and the test harness call.

    def _turn(self, now: Now, inbox: Sequence[Message]) -> list[Effect]:
        """Take one turn and return its effects in the order in which they were asked for."""
        effects: list[Effect] = []
        self._effects, self._now, self._random = effects, now, None
        try:
            self.step(now, inbox)
        finally:
            self._effects = self._now = self._random = None
        return effects

    def _ask(self, effect: Effect) -> None:
        if self._effects is None:
            raise RuntimeError("effects can only be asked for during a turn, not in `setup`")
        self._effects.append(effect)

    def _request(self, request: int | None) -> int:
        if request is not None:
            return check_number("request", request)
        self._requests += 1
        return self._requests - 1
