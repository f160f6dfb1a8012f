from tickwork_agent import Agent, Message


class Board(Agent):
    """Keeps the last value. Bug: that is the one that came last, which may be an old one that comes again."""

    def setup(self, config: dict[str, int]) -> None:
        self.careful = config["careful"]
        self.version = 0

    def on_set(self, message: Message) -> None:
        version = message.json()["version"]
        if version > self.version or not self.careful:
            self.version = version
            self.metric("version", version)
        self.reply(message, "confirmed", {"version": version})
