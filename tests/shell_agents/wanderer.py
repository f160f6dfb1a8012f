"""The wanderer in Python: it keeps all that it got, and draws from three sources of randomness."""

import os
import random  # noqa: TID251 - an agent's, which the runtime seeds
import uuid  # noqa: TID251 - the same
import zlib
from collections.abc import Sequence
from typing import Any

from tickwork_agent import Agent, Message, Now


class Wanderer(Agent):
    def setup(self, config: Any) -> None:
        self.neighbours = str(config or "nobody").split()
        self.crc = zlib.crc32(self.id.encode())
        self.history: list[str] = []

    def step(self, _now: Now, inbox: Sequence[Message]) -> None:
        for message in inbox:
            self.crc = zlib.crc32(message.body, self.crc)
            self.history.append(f"{message.sender} {message.topic} {self.crc}")
        for _ in range(1 + random.randrange(3)):
            self.act(inbox)

    def act(self, inbox: Sequence[Message]) -> None:
        body = {
            "id": f"T-{self.crc % 1000}",
            "team": "net",
            "title": "the vpn is down",
            "text": str(self.crc),
        }
        match self.random.randrange(16):
            case 0:
                self.publish("news", body)
            case 1:
                self.timer("wake", body, after_ticks=1 + self.crc % 6, request=self.crc % 4)
            case 2:
                self.cancel_timer(self.crc % 4)
            case 3:
                self.output(
                    "told", {"crc": self.crc, "bytes": os.urandom(3).hex(), "uuid": str(uuid.uuid4())}
                )
            case 4:
                self.log(self.history[-3:])
            case 5:
                self.metric("crc", float(self.crc))
            case 6:
                self.send("nobody", "ticket", body)
            case 7 if self.crc % 6 == 0:
                self.spawn("worker", f"worker/{self.crc % 100000}")
            case 8 if self.crc % 24 == 0:
                self.stop("done")
            case 9 if self.crc % 12 == 0:
                raise ValueError(self.crc)
            case 10 if inbox:
                self.reply(inbox[0], "ticket", body)
            case _:
                self.send(random.choice(self.neighbours), "ticket", body)
