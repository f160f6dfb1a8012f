"""Asks a model at every wake-up, and puts out what it is told, as the runtime told it."""

from tickwork_agent import Agent, Message


class Asker(Agent):
    def setup(self, config):
        self.model = config.get("model", "even")
        self.options = config.get("options", {"max_tokens": 6})
        self.body = config.get("body")
        self.text = config.get("text")
        self.every = config.get("every", 1)
        self.times = config.get("times", 3)
        self.at_once = config.get("at_once", 1)
        self.stop_at = config.get("stop_at")
        self.begun = False

    def step(self, now, inbox):
        if not self.begun:
            self.begun = True
            self.timer("ask", after_ticks=1)
        super().step(now, inbox)
        if self.stop_at == now.tick:
            self.stop("had enough")

    def on_ask(self, _: Message) -> None:
        for number in range(self.at_once):
            text = self.text or f"{self.id} at {self.now.tick}, {number}"
            if self.body is None:
                request = self.chat(self.model, text, **self.options)
            else:
                request = self.infer(self.model, self.body)
            self._tell("asked", request, None)
        self.times -= 1
        if self.times > 0:
            self.timer("ask", after_ticks=self.every)

    def _tell(self, kind: str, request: int, body: object) -> None:
        told = {"kind": kind, "tick": self.now.tick, "agent": self.id, "request": request, "body": body}
        self.output("told", told)

    def on_reply(self, message: Message) -> None:
        self._tell("reply", message.reply_to, message.json())

    def on_reply_piece(self, message: Message) -> None:
        self._tell("piece", message.reply_to, message.json())

    def on_tickwork_rejected(self, message: Message) -> None:
        self._tell("rejected", message.reply_to, message.json())

    def on_tickwork_denied(self, message: Message) -> None:
        self._tell("denied", message.reply_to, message.json())
