"""Brings buyers and sellers of the same lot together, one talk for each trader at a time."""

from dataclasses import dataclass, field
from typing import Any

from tickwork_agent import Agent, Message


@dataclass
class Waiting:
    """An order that still looks for the other side, and those that it has talked to."""

    number: int
    trader: str
    lot: tuple[int, str]
    met: set[int] = field(default_factory=set)


class Crier(Agent):
    """No config. Hears every order and passes it on; limits are none of its own business."""

    def setup(self, _: Any) -> None:
        self.buys: list[Waiting] = []
        self.sells: list[Waiting] = []
        self.busy: set[str] = set()
        self.talks: dict[int, tuple[Waiting, Waiting]] = {}
        self.over: dict[int, list[bool]] = {}
        self.traders: set[str] = set()
        self.orders = self.begun = 0
        self.closing = self.closed = False

    def on_order(self, message: Message) -> None:
        order = message.json()
        if order.get("close"):
            self.closing = True
            self.match()
            return
        self.orders += 1
        waiting = Waiting(self.orders, order["trader"], (order["quantity"], order["goods"]))
        (self.buys if order["side"] == "buy" else self.sells).append(waiting)
        self.traders.add(waiting.trader)
        self.send(waiting.trader, "order", {**order, "order": waiting.number})
        self.match()

    def on_over(self, message: Message) -> None:
        """One side has left a talk; it is over when both have."""
        number, dealt = message.json()["talk"], message.json()["dealt"]
        outcomes = self.over.setdefault(number, [])
        outcomes.append(dealt)
        if len(outcomes) < 2:
            return
        buy, sell = self.talks.pop(number)
        self.busy -= {buy.trader, sell.trader}
        if not any(outcomes):
            self.buys.append(buy)
            self.sells.append(sell)
        self.metric("deals", float(all(outcomes)))
        self.match()

    def match(self) -> None:
        """Send everybody to a talk who is free and whom somebody waits for, the oldest orders first."""
        for buy in sorted(self.buys, key=lambda order: order.number):
            if buy.trader in self.busy:
                continue
            for sell in sorted(self.sells, key=lambda order: order.number):
                if sell.lot == buy.lot and sell.trader not in self.busy and sell.number not in buy.met:
                    self.introduce(buy, sell)
                    break
        if self.closing and not self.talks and not self.closed:
            self.closed = True
            for trader in sorted(self.traders):
                self.send(trader, "close")

    def introduce(self, buy: Waiting, sell: Waiting) -> None:
        self.begun += 1
        self.talks[self.begun] = (buy, sell)
        self.busy |= {buy.trader, sell.trader}
        self.buys.remove(buy)
        self.sells.remove(sell)
        buy.met.add(sell.number)
        for own, partner in ((buy, sell), (sell, buy)):
            meeting = {"talk": self.begun, "order": own.number, "partner": partner.trader}
            self.send(own.trader, "meet", meeting)
