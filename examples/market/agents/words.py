"""What traders say to each other: what one may say, and what was said."""

import re
from typing import Any, NamedTuple

OPEN = "Make the first offer."
LAST = "This is your last word."
PRICE_MAX = 99

# {p} is a price in coins, {lot} the lot: "3 crates of apples".
OFFERS = {
    "buyer": (
        "I offer {p} coins for {lot}.",
        "Would you take {p} coins?",
        "I can pay {p} coins.",
        "For {lot} I would give {p} coins.",
    ),
    "seller": (
        "I want {p} coins for {lot}.",
        "They are yours for {p} coins.",
        "I could let them go for {p} coins.",
        "A fair price for {lot} is {p} coins.",
    ),
}
STAYS = {
    "buyer": ("I stay at {p} coins.", "I have no more than {p} coins."),
    "seller": ("I stay at {p} coins.", "I cannot go below {p} coins."),
}
DEALS = {
    "buyer": ("Deal at {p} coins.", "Agreed, I pay {p} coins."),
    "seller": ("Deal at {p} coins.", "Sold for {p} coins."),
}
NO_DEALS = {
    "buyer": ("No deal, I will look elsewhere.", "That is too much, no deal."),
    "seller": ("No deal, I will keep them.", "That is too little, no deal."),
}

_PRICE = re.compile(r"\b([1-9][0-9]?) coins\b")
_LOT = re.compile(r"\b([1-9]) crates? of ([a-z]+)")
_DEAL = re.compile(r"(Deal at|Agreed,|Sold for) .*\.")
_NO_DEAL = re.compile(r".*\b[Nn]o deal\b.*\.")


class Said(NamedTuple):
    """A sentence: an `offer` or a `deal` at a price, or `no deal` without one."""

    kind: str
    price: int = 0


class Moment(NamedTuple):
    """Where a trader stands in a talk: `own` last price and `theirs` are None before there is one."""

    role: str
    quantity: int
    goods: str
    limit: int
    own: int | None
    theirs: int | None
    last: bool


def lot_of(quantity: int, goods: str) -> str:
    return f"{quantity} crate{'s' if quantity > 1 else ''} of {goods}"


def grammar(now: Moment) -> str:
    """Return a regular expression for all that one may say, which is not yet what is wise to say.

    Within the limit, and nothing is taken back: an offer lies between what both sides have named, one may
    stay at the own price, a deal is at the other side's, and after the last word there are no more offers.
    """
    lot = lot_of(now.quantity, now.goods)
    own, theirs = now.own, now.theirs
    if now.role == "buyer":
        prices = range((own or 0) + 1, min(now.limit, (theirs or PRICE_MAX) - 1) + 1)
        affordable = theirs is not None and theirs <= now.limit
    else:
        prices = range(max(now.limit, (theirs or 0) + 1), (own or PRICE_MAX + 1))
        affordable = theirs is not None and theirs >= now.limit
    choices = _with_prices(NO_DEALS[now.role], lot, ())
    if not now.last:
        choices += _with_prices(OFFERS[now.role], lot, prices) if prices else []
        choices += _with_prices(STAYS[now.role], lot, (own,)) if own else []
    if affordable:
        choices += _with_prices(DEALS[now.role], lot, (theirs,))
    return "|".join(choices)


def _with_prices(sentences: tuple[str, ...], lot: str, prices: Any) -> list[str]:
    """Return a regular expression for each sentence."""
    among = f"({'|'.join(map(str, prices))})"
    escaped = (sentence.replace(".", "[.]").replace("?", "[?]") for sentence in sentences)
    return [sentence.format(p=among, lot=lot) for sentence in escaped]


def understand(text: str, lot: dict[str, Any]) -> Said | None:
    """Return what a sentence about this lot says, or None if it says nothing that one could act on."""
    named = _LOT.search(text)
    if named and (int(named[1]), named[2]) != (lot["quantity"], lot["goods"]):
        return None
    if _NO_DEAL.fullmatch(text):
        return Said("no deal")
    prices = _PRICE.findall(text)
    if len(prices) != 1:
        return None
    return Said("deal" if _DEAL.fullmatch(text) else "offer", int(prices[0]))


def situation(role: str, order: dict[str, Any]) -> str:
    """Return the system message: who one is, what is traded, and how far one may go."""
    lot = lot_of(order["quantity"], order["goods"])
    verb, bound = ("buy", "can pay at most") if role == "buyer" else ("sell", "need at least")
    return f"You {verb} {lot}. You {bound} {order['limit']} coins. You are {order['manner']}."
