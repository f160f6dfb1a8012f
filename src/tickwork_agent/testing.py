"""Unit tests of an agent in plain Python, without the runtime.

    def test_a_ticket_goes_to_its_team():
        test = AgentTest(Router, {"teams": {"disk": "storage"}})
        assert test.receive("ticket", {"area": "disk"}) == [Send("storage", "assign", b'{"area":"disk"}')]

The agent runs here as in the sandbox, but on this Python, with files and network within reach, and without
grants, fuel or memory limits: what passes here may still be denied there.
"""

import hashlib
import json
from typing import Any, Generic, TypeVar

from tickwork_agent.agent import Agent
from tickwork_agent.effects import Effect
from tickwork_agent.encoding import Body, encode_body
from tickwork_agent.messages import Message, Now
from tickwork_agent.replies import PIECE_TOPIC, REPLY_TOPIC

AgentType = TypeVar("AgentType", bound=Agent)

FUEL = 100_000_000


class AgentTest(Generic[AgentType]):
    """One agent under test; `agent` is the object itself, `tick` that of the next turn.

    `config` reaches `setup` as it would from a manifest: through JSON. Tick 0 is at `start_ns` on the virtual
    clock, in nanoseconds since the Unix epoch, and each further one `tick_ns` later. `seed` decides
    `now.seed` and so `self.random`; equal seeds give equal turns.
    """

    def __init__(
        self,
        agent: type[AgentType],
        config: Any = None,
        *,
        id: str = "agent",  # noqa: A002 - the agent's own word for it
        seed: int = 0,
        start_ns: int = 0,
        tick_ns: int = 1_000_000_000,
    ) -> None:
        self.agent = agent()
        self.agent.id = id
        self.tick = 0
        self._seed = seed
        self._start_ns = start_ns
        self._tick_ns = tick_ns
        self.agent.setup({} if config is None else json.loads(encode_body(config)))

    def step(self, *inbox: Message) -> list[Effect]:
        """Take a turn with these messages, advance the tick, and return the turn's effects."""
        drawn = hashlib.blake2b(f"{self._seed}/{self.tick}/{self.agent.id}".encode(), digest_size=8)
        now = Now(
            tick=self.tick,
            now_ns=self._start_ns + self.tick * self._tick_ns,
            seed=int.from_bytes(drawn.digest(), "little"),
            fuel=FUEL,
        )
        self.tick += 1
        return self.agent._turn(now, list(inbox))  # noqa: SLF001 - the other half of the class

    def receive(
        self, topic: str, body: Body = b"", *, sender: str = "test", reply_to: int | None = None
    ) -> list[Effect]:
        """Take a turn with one message and return its effects; see `encode_body` for bodies."""
        return self.step(Message(sender, topic, encode_body(body), reply_to))

    def answer(
        self,
        request: int,
        text: str = "",
        *,
        model: str = "model",
        finish_reason: str = "stop",
        error: str = "",
        code: str = "model_failed",
    ) -> list[Effect]:
        """Take a turn with a language model's answer to `request`, or with its `error` if there is one."""
        if error:
            body: Any = {"error": {"message": error, "type": "server_error", "param": None, "code": code}}
        else:
            said = {"role": "assistant", "content": text, "refusal": None}
            tokens = len(text.split())
            body = {
                "object": "chat.completion",
                "created": 0,
                "model": model,
                "choices": [{"index": 0, "message": said, "logprobs": None, "finish_reason": finish_reason}],
                "usage": {"prompt_tokens": 0, "completion_tokens": tokens, "total_tokens": tokens},
            }
        return self.receive(REPLY_TOPIC, body, sender=f"model:{model}", reply_to=request)

    def answer_piece(self, request: int, text: str, *, model: str = "model") -> list[Effect]:
        """Take a turn with a piece of a streamed answer to `request`."""
        choice = {"index": 0, "delta": {"content": text}, "logprobs": None, "finish_reason": None}
        body = {"object": "chat.completion.chunk", "created": 0, "model": model, "choices": [choice]}
        return self.receive(PIECE_TOPIC, body, sender=f"model:{model}", reply_to=request)
