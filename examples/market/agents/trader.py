"""A buyer or a seller: the trader's grammar says what may be said, the model what to say."""

from dataclasses import dataclass, field
from typing import Any

from words import LAST, OPEN, Moment, Said, grammar, situation, understand

from tickwork_agent import Agent, Message, Reply

MODEL = "haggler"
# An answer that did not come or may not be said is asked for again so many times, then the trader walks away.
SECOND_THOUGHTS = 2
WALK_AWAY = {"buyer": "No deal, I will look elsewhere.", "seller": "No deal, I will keep them."}
WORDS_MAX = 32


@dataclass
class Talk:
    """A conversation about one order. Prices are None until somebody names one."""

    number: int
    partner: str
    order: dict[str, Any]
    messages: list[dict[str, str]]
    words_left: int
    own: int | None = None
    theirs: int | None = None
    thoughts: int = 0
    asked: int = 0
    said: list[str] = field(default_factory=list)


class Trader(Agent):
    """Config: `role` (buyer or seller), `patience` (own sentences in a talk), `coins`, `temperature`."""

    def setup(self, config: Any) -> None:
        self.role: str = config["role"]
        self.patience: int = config["patience"]
        self.temperature: float = config["temperature"]
        self.coins: int = config["coins"]
        self.orders: dict[int, dict[str, Any]] = {}
        self.goods: dict[str, int] = {}
        self.talk: Talk | None = None

    def on_order(self, message: Message) -> None:
        order = message.json()
        self.orders[order["order"]] = order
        if self.role == "seller":
            self.goods[order["goods"]] = self.goods.get(order["goods"], 0) + order["quantity"]

    def on_meet(self, message: Message) -> None:
        """The crier has found somebody: the buyer speaks first."""
        meeting = message.json()
        order = self.orders[meeting["order"]]
        system = {"role": "system", "content": situation(self.role, order)}
        self.talk = Talk(meeting["talk"], meeting["partner"], order, [system], self.patience)
        if self.role == "buyer":
            self.think(OPEN)

    def on_words(self, message: Message) -> None:
        """The other side speaks."""
        talk, text = self.talk, message.text()
        if talk is None or message.sender != talk.partner:
            self.log.warn(f"{message.sender} speaks to me, but we do not talk")
            return
        talk.said.append(text)
        said = understand(text, talk.order)
        if said is None or said.kind == "no deal":
            self.part()
        elif said.kind == "deal":
            self.shake_hands(said.price) if said.price == talk.own else self.part()
        else:
            talk.theirs = said.price
            self.think(text)

    def on_reply(self, message: Message) -> None:
        """The model has words: say them if one may."""
        talk = self.talk
        if talk is None or message.reply_to != talk.asked:
            return
        reply = Reply.of(message)
        if reply.error:
            self.log.error(reply.error)
        said = understand(reply.text, talk.order)
        if said is not None and self.may_say(said, talk):
            self.say(reply.text, said)
            return
        self.metric("second_thoughts", 1)
        talk.thoughts += 1
        if talk.thoughts <= SECOND_THOUGHTS:
            self.ask()
        else:
            self.say(WALK_AWAY[self.role], Said("no deal"))

    def think(self, heard: str) -> None:
        """Ask the model what to answer."""
        talk = self.talk
        assert talk is not None
        talk.words_left -= 1
        talk.thoughts = 0
        talk.messages.append({"role": "user", "content": heard if talk.words_left else f"{heard} {LAST}"})
        self.ask()

    def ask(self) -> None:
        talk = self.talk
        assert talk is not None
        order, last = talk.order, not talk.words_left
        now = Moment(
            self.role, order["quantity"], order["goods"], order["limit"], talk.own, talk.theirs, last=last
        )
        talk.asked = self.chat(
            MODEL,
            talk.messages,
            max_tokens=WORDS_MAX,
            temperature=self.temperature,
            response_format={"type": "regex", "regex": grammar(now)},
        )

    def may_say(self, said: Said, talk: Talk) -> bool:
        """Judge a sentence again, whoever wrote it: within the limit, no deal that is not on the table."""
        if said.kind == "no deal":
            return True
        limit = talk.order["limit"]
        within = said.price <= limit if self.role == "buyer" else said.price >= limit
        if said.kind == "deal":
            return within and said.price == talk.theirs
        return within and talk.words_left > 0

    def say(self, text: str, said: Said) -> None:
        talk = self.talk
        assert talk is not None
        talk.said.append(text)
        talk.messages.append({"role": "assistant", "content": text})
        self.send(talk.partner, "words", text)
        if said.kind == "offer":
            talk.own = said.price
        elif said.kind == "deal":
            self.shake_hands(said.price)
        else:
            self.part()

    def shake_hands(self, price: int) -> None:
        """Pay and take the goods, or the other way round, and sign for it."""
        talk = self.talk
        assert talk is not None
        order, sign = talk.order, 1 if self.role == "buyer" else -1
        self.coins -= sign * price
        self.goods[order["goods"]] = self.goods.get(order["goods"], 0) + sign * order["quantity"]
        del self.orders[order["order"]]
        signed = {"talk": talk.number, "role": self.role, "order": order, "price": price, "words": talk.said}
        self.send("ledger", "signed", signed)
        self.part(dealt=True)

    def part(self, *, dealt: bool = False) -> None:
        assert self.talk is not None
        self.send("crier", "over", {"talk": self.talk.number, "dealt": dealt})
        self.talk = None

    def on_close(self, _: Message) -> None:
        """The market closes: tell the ledger what one has."""
        goods = {name: count for name, count in sorted(self.goods.items()) if count}
        self.send("ledger", "account", {"role": self.role, "coins": self.coins, "goods": goods})
