"""Writes down what both sides have signed, and at the end what everybody has."""

from typing import Any

from tickwork_agent import Agent, Message


class Ledger(Agent):
    """No config. A deal counts when buyer and seller have signed the same price for the same lot."""

    def setup(self, _: Any) -> None:
        self.half: dict[int, tuple[str, dict[str, Any]]] = {}

    def on_signed(self, message: Message) -> None:
        signed = message.json()
        other = self.half.pop(signed["talk"], None)
        if other is None:
            self.half[signed["talk"]] = (message.sender, signed)
            return
        both = {other[1]["role"]: other, signed["role"]: (message.sender, signed)}
        (buyer, bought), (seller, sold) = both["buyer"], both["seller"]
        self.output(
            "deals",
            {
                "tick": self.now.tick,
                "talk": signed["talk"],
                "buyer": buyer,
                "seller": seller,
                "quantity": bought["order"]["quantity"],
                "goods": bought["order"]["goods"],
                "price": bought["price"],
                "signed": [bought["price"], sold["price"]],
                "orders": [bought["order"]["order"], sold["order"]["order"]],
                "words": bought["words"],
            },
        )

    def on_account(self, message: Message) -> None:
        self.output("accounts", {"trader": message.sender, **message.json()})
