"""A war room: opened for one major incident, posts its status until the all-clear, then closes itself."""

from typing import Any

from tickwork_agent import Agent, Message

CADENCE = 6


class WarRoom(Agent):
    """Config: `incident`, `team`, `title` and `customer`, from whoever spawns it."""

    def setup(self, config: Any) -> None:
        self.incident: str = config["incident"]
        self.title: str = config["title"]
        self.updates = 0
        self.over = False

    def on_convene(self, _: Message) -> None:
        self.post("investigating")

    def on_next_update(self, _: Message) -> None:
        if not self.over:
            self.post("working on it")

    def on_incident_over(self, message: Message) -> None:
        if message.json()["incident"] != self.incident:
            return
        self.over = True
        self.post("resolved")
        self.send("reporter", "debrief", {"incident": self.incident, "updates": self.updates})
        self.stop("resolved")

    def post(self, state: str) -> None:
        self.updates += 1
        update = {"incident": self.incident, "update": self.updates, "tick": self.now.tick, "state": state}
        self.output("status", {**update, "title": self.title})
        if not self.over:
            self.timer("next-update", after_ticks=CADENCE, request=0)
