"""The tiny agents in Mesa: `python tiny_mesa.py AGENTS MESSAGES TICKS WARM`; prints JSON."""

import json
import sys
import time

import mesa

NEIGHBOURS = 16
MASK = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15
FNV = 1099511628211


def mix(h: int) -> int:
    """Return the next of a xorshift sequence."""
    h ^= h << 13 & MASK
    h ^= h >> 7
    return h ^ (h << 17 & MASK)


class Tiny(mesa.Agent):
    """One agent; what it is sent in a step it reads in the next."""

    def __init__(self, model: "Crowd", index: int) -> None:
        super().__init__(model)
        self.index = index
        self.state = index * GOLDEN & MASK ^ 88172645463325252
        self.inbox: list[bytes] = []
        self.coming: list[bytes] = []
        self.sent: list[tuple[int, bytes]] = []

    def step(self) -> None:
        """Mix what came into the state, and send."""
        model = self.model
        h = self.state ^ model.tick
        for body in self.inbox:
            for byte in body[::8]:
                h = (h ^ byte) * FNV & MASK
        self.state = h = mix(h | 1)
        self.sent = []
        for _ in range(model.messages or 1 + (h >> 7 & 3)):
            h = mix(h)
            size = 32 + (h >> 23 & 0xFFFFFFFF) % 169
            words = [
                ((h + j * GOLDEN) & 0x0F0F0F0F0F0F0F0F | 0x6060606060606060).to_bytes(8, "little")
                for j in range((size + 7) // 8)
            ]
            to = (self.index + 1 + (h >> 11) % NEIGHBOURS * 7) % len(model.crowd)
            body = b"".join(words)[:size]
            self.sent.append((to, body))
            model.crowd[to].coming.append(body)

    def advance(self) -> None:
        """Take over what was sent in this step."""
        self.inbox, self.coming = self.coming, []


class Crowd(mesa.Model):
    """`count` tiny agents that send `messages` messages each a step, or 1 to 4 where that is 0."""

    def __init__(self, count: int, messages: int) -> None:
        super().__init__(seed=1)
        self.messages = messages
        self.crowd = [Tiny(self, index) for index in range(count)]
        self.tick = 0

    def step(self) -> None:
        """Take one step of every agent."""
        self.tick += 1
        self.agents.do("step")
        self.agents.do("advance")

    def checksum(self) -> str:
        """Return FNV-1a over the last step's messages: receiver, then body, in the senders' order."""
        h = 14695981039346656037
        for agent in self.crowd:
            for to, body in agent.sent:
                for byte in to.to_bytes(4, "little") + body:
                    h = (h ^ byte) * FNV & MASK
        return f"{h:016x}"


if __name__ == "__main__":
    count, messages, ticks, warm = map(int, sys.argv[1:])
    crowd = Crowd(count, messages)
    for _ in range(warm):
        crowd.step()
    started = time.perf_counter()
    for _ in range(ticks):
        crowd.step()
    rate = count * ticks / (time.perf_counter() - started)
    print(json.dumps({"turns_per_s": rate, "checksum": crowd.checksum(), "version": mesa.__version__}))
