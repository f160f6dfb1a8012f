"""Asks a model at every wake-up, and puts out what it is told, as the runtime told it."""

from tickwork_agent import Agent, Message, Reply


class Asker(Agent):
    def setup(self, config):
        self.model = config.get("model", "even")
        self.options = config.get("options", {"max_tokens": 6})
        self.every = config.get("every", 1)
        self.times = config.get("times", 3)
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
        self.chat(self.model, f"{self.id} at {self.now.tick}", **self.options)
        self.times -= 1
        if self.times > 0:
            self.timer("ask", after_ticks=self.every)

    def _told(self, kind: str, message: Message) -> None:
        said = Reply.of(message)
        self.output(
            "told",
            {
                "kind": kind,
                "tick": self.now.tick,
                "agent": self.id,
                "from": message.sender,
                "request": message.reply_to,
                "text": said.text,
                "finish": said.finish_reason,
                "code": said.code,
                "error": said.error,
            },
        )

    def on_reply(self, message: Message) -> None:
        self._told("reply", message)

    def on_reply_piece(self, message: Message) -> None:
        self._told("piece", message)

    def on_tickwork_rejected(self, message: Message) -> None:
        self.output("told", {**message.json(), "kind": "rejected", "tick": self.now.tick, "agent": self.id})

    def on_tickwork_denied(self, message: Message) -> None:
        self.output("told", {**message.json(), "kind": "denied", "tick": self.now.tick, "agent": self.id})
