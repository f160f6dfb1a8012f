from tickwork_agent import Agent, Message

VALUES = 6
PATIENCE = 5


class Editor(Agent):
    """Sets one value after the other, each again and again until it is confirmed."""

    def setup(self, _config: dict[str, int]) -> None:
        self.version = 0

    def on_start(self, _message: Message) -> None:
        self.set_next()

    def on_confirmed(self, message: Message) -> None:
        if message.json()["version"] != self.version:
            return
        if self.version < VALUES:
            self.set_next()
        else:
            self.cancel_timer(1)

    def on_again(self, _message: Message) -> None:
        self.set_it()

    def set_next(self) -> None:
        self.version += 1
        self.set_it()

    def set_it(self) -> None:
        self.send("board", "set", {"version": self.version})
        self.timer("again", after_ticks=PATIENCE, request=1)
