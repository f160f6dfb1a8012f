"""The rover's teller in Python: state in attributes, random numbers of both kinds, a timer, output."""

import os
import random  # noqa: TID251 - an agent's, which the runtime seeds
from typing import Any

from tickwork_agent import Agent, Message


class Teller(Agent):
    def setup(self, config: Any) -> None:
        self.to = config["to"]
        self.count = 0
        self.seen: dict[str, int] = {}
        self.drawn = random.random()

    def on_line(self, message: Message) -> None:
        self.count += 1
        word = message.json()["word"]
        self.seen[word] = self.seen.get(word, 0) + 1
        self.drawn = (self.drawn + random.random()) % 1
        self.last = os.urandom(4).hex()
        self.output("told", {"n": self.count, "word": word, "drawn": self.drawn, "bytes": self.last})
        self.send(self.to, "keep", message.body)
        if self.count == 20:
            self.send("frail", "fail")
        if self.count % 3 == 0:
            self.timer("wake", {"n": self.count}, after_ticks=1 + self.count % 5)

    def on_wake(self, message: Message) -> None:
        self.output("late", {"woken": message.json()["n"], "count": self.count})
