"""Makes orders.jsonl: `python examples/market/make_orders.py > examples/market/orders.jsonl`.

Every goods has one size of lot and a price that people think fair; buyers and sellers differ from it by a few
coins. The same every time.
"""

import json
import random  # noqa: TID251 - seeded, and what it made is kept
from collections.abc import Iterator

TRADERS = 16
LOTS = {"apples": 3, "pears": 2, "plums": 4, "figs": 2, "salt": 5, "wool": 1, "tea": 2, "honey": 3}
FAIR = {"apples": 18, "pears": 16, "plums": 22, "figs": 30, "salt": 14, "wool": 40, "tea": 45, "honey": 34}
ROUNDS = 4
MANNERS = ("firm", "fair", "keen")


def orders() -> Iterator[dict[str, object]]:
    """Yield two orders for each trader and round: buyers and sellers in turn."""
    draw = random.Random("market")
    for _ in range(ROUNDS):
        wanted = [draw.choice(sorted(LOTS)) for _ in range(TRADERS)]
        offered = draw.sample(wanted, TRADERS)
        for index in range(TRADERS):
            for side, goods in (("sell", offered[index]), ("buy", wanted[index])):
                better = draw.randint(-3, 9) if side == "buy" else draw.randint(-7, 3)
                yield {
                    "trader": ("buyer" if side == "buy" else "seller") + f"-{index}",
                    "side": side,
                    "quantity": LOTS[goods],
                    "goods": goods,
                    "limit": FAIR[goods] + better,
                    "manner": draw.choice(MANNERS),
                }
    yield {"close": True}


if __name__ == "__main__":
    for order in orders():
        print(json.dumps(order))
