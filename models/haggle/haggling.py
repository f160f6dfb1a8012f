"""The rules and the words of haggling: what may be said in a situation, and what was said.

A buyer and a seller haggle over one lot, in whole coins for the whole lot. The buyer opens; then they take
turns. Each knows its own limit, its manner (how much it concedes in a turn), and all that was said. The right
thing to say, for the buyer (the seller's rules are the mirror image):

- first, an offer of half to three quarters of the limit;
- a deal, if the seller's price is within the limit and either at most CLOSE above the own last offer, or this
  is the last word;
- on the last word otherwise: no deal;
- at the limit already: stay there;
- otherwise an offer that concedes what the manner says, yet is within the limit and below the seller's price.

A seller who hears the first offer takes it if it is a quarter above the limit, or on the last word if it is
within the limit; otherwise it asks a quarter to a half above the limit.

`judge` decides whether a text is valid (one of the sentences below, about this lot) and whether it is right.
"""

import random
import re
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Literal, NamedTuple

GOODS = ("apples", "pears", "plums", "figs", "salt", "wool", "tea", "honey", "flax", "cider")
QUANTITY_MAX = 9
LIMIT_MIN, LIMIT_MAX = 8, 60
CLOSE = 3
PATIENCE = (2, 9)
STEPS = {"firm": (1, 2), "fair": (2, 4), "keen": (4, 7)}
OPEN = "Make the first offer."
LAST = "This is your last word."
_HELD_OUT_OF = 16

Role = Literal["buyer", "seller"]
Kind = Literal["offer", "stay", "deal", "walk"]

# {lot} is "3 crates of apples"; {p} the price. A sentence with a lot must name the right one.
SENTENCES: dict[tuple[Role, Kind], tuple[str, ...]] = {
    ("buyer", "offer"): (
        "I offer {p} coins for {lot}.",
        "Would you take {p} coins?",
        "I can pay {p} coins.",
        "For {lot} I would give {p} coins.",
    ),
    ("seller", "offer"): (
        "I want {p} coins for {lot}.",
        "They are yours for {p} coins.",
        "I could let them go for {p} coins.",
        "A fair price for {lot} is {p} coins.",
    ),
    ("buyer", "stay"): ("I stay at {p} coins.", "I have no more than {p} coins."),
    ("seller", "stay"): ("I stay at {p} coins.", "I cannot go below {p} coins."),
    ("buyer", "deal"): ("Deal at {p} coins.", "Agreed, I pay {p} coins."),
    ("seller", "deal"): ("Deal at {p} coins.", "Sold for {p} coins."),
    ("buyer", "walk"): ("No deal, I will look elsewhere.", "That is too much, no deal."),
    ("seller", "walk"): ("No deal, I will keep them.", "That is too little, no deal."),
}


class Said(NamedTuple):
    """A sentence, understood. `price` is None when somebody walks away."""

    kind: Kind
    price: int | None


class Move(NamedTuple):
    """What is right: a kind of sentence, and the lowest and highest price that it may name."""

    kind: Kind
    low: int
    high: int


@dataclass(frozen=True)
class Side:
    """One of the two: all that the model is told at the beginning."""

    role: Role
    quantity: int
    goods: str
    limit: int
    manner: str

    @property
    def lot(self) -> str:
        """What is haggled over, in words."""
        return f"{self.quantity} crate{'s' if self.quantity > 1 else ''} of {self.goods}"

    def system(self) -> str:
        """Return the system message."""
        verb, bound = ("buy", "can pay at most") if self.role == "buyer" else ("sell", "need at least")
        return f"You {verb} {self.lot}. You {bound} {self.limit} coins. You are {self.manner}."


@dataclass
class Case:
    """A side in the middle of a conversation that waits for its answer."""

    side: Side
    own: int | None
    theirs: int | None
    last: bool
    messages: list[dict[str, str]] = field(default_factory=list)


def _patterns() -> dict[tuple[Role, Kind], list[re.Pattern[str]]]:
    found: dict[tuple[Role, Kind], list[re.Pattern[str]]] = {}
    for key, sentences in SENTENCES.items():
        for sentence in sentences:
            text = re.escape(sentence).replace(r"\{p\}", r"(?P<price>[1-9][0-9]?)")
            text = text.replace(r"\{lot\}", r"(?P<lot>[1-9] crates? of [a-z]+)")
            found.setdefault(key, []).append(re.compile(text))
    return found


_PATTERNS = _patterns()


def understand(side: Side, text: str) -> Said | None:
    """Return what a side said, or None if it is none of its sentences or about another lot."""
    for (role, kind), patterns in _PATTERNS.items():
        for pattern in patterns if role == side.role else ():
            match = pattern.fullmatch(text)
            if match is None:
                continue
            named = match.groupdict()
            if named.get("lot") not in (None, side.lot):
                return None
            price = named.get("price")
            return Said(kind, None if price is None else int(price))
    return None


def offers(text: str) -> bool:
    """Return whether `text` is one of the sentences that make an offer, a buyer's or a seller's."""
    patterns = [one for (_, kind), found in _PATTERNS.items() if kind == "offer" for one in found]
    return any(pattern.fullmatch(text) for pattern in patterns)


def right(case: Case) -> Move:
    """Return what is right to say."""
    side = case.side
    # One set of rules for both: a seller's coins count down from zero.
    sign = 1 if side.role == "buyer" else -1
    limit = sign * side.limit
    theirs = None if case.theirs is None else sign * case.theirs
    if case.own is None:
        low, high = _opening(side)
        if theirs is not None:
            if -theirs >= low or (case.last and theirs <= limit):
                return _move("deal", sign, theirs, theirs)
            if case.last:
                return Move("walk", 0, 0)
        return Move("offer", low, high)
    own = sign * case.own
    if theirs is None:
        raise ValueError("a second offer answers an offer")
    if theirs <= limit and (case.last or theirs - own <= CLOSE):
        return _move("deal", sign, theirs, theirs)
    if case.last:
        return Move("walk", 0, 0)
    if own >= limit:
        return _move("stay", sign, own, own)
    least, most = STEPS[side.manner]
    bound = min(limit, theirs - 1)
    return _move("offer", sign, min(own + least, bound), min(own + most, bound))


def _opening(side: Side) -> tuple[int, int]:
    limit = side.limit
    if side.role == "buyer":
        return (limit + 1) // 2, 3 * limit // 4
    return limit + (limit + 3) // 4, limit + limit // 2


def _move(kind: Kind, sign: int, first: int, second: int) -> Move:
    low, high = sorted((sign * first, sign * second))
    return Move(kind, low, high)


def judge(case: Case, text: str) -> tuple[bool, bool]:
    """Return whether `text` is valid, and whether it is right as well."""
    said = understand(case.side, text)
    if said is None:
        return False, False
    move = right(case)
    fits = said.kind == move.kind and (said.price is None or move.low <= said.price <= move.high)
    return True, fits


def say(case: Case, draw: random.Random, *, middle: float = 0.0) -> str:
    """Return something right to say; `middle`: how often the price is the middle one that is right."""
    move = right(case)
    sentence = draw.choice(SENTENCES[case.side.role, move.kind])
    anywhere = draw.randint(move.low, move.high)
    price = (move.low + move.high) // 2 if draw.random() < middle else anywhere
    return sentence.format(p=price, lot=case.side.lot)


def heard(words: str, *, last: bool) -> str:
    """Return the user message that passes on what the other side said."""
    return f"{words} {LAST}" if last else words


def pair(draw: random.Random) -> tuple[Side, Side]:
    """Return a buyer and a seller; mostly their limits leave room for a deal."""
    quantity, goods = draw.randint(1, QUANTITY_MAX), draw.choice(GOODS)
    sells = draw.randint(LIMIT_MIN, LIMIT_MAX)
    buys = max(LIMIT_MIN, min(LIMIT_MAX, sells + draw.randint(-8, 16)))
    manners = sorted(STEPS)
    return (
        Side("buyer", quantity, goods, buys, draw.choice(manners)),
        Side("seller", quantity, goods, sells, draw.choice(manners)),
    )


def held_out(buyer: Side, seller: Side) -> bool:
    """Return whether the pair is for measuring, never for training."""
    name = f"{buyer.quantity} {buyer.goods} {buyer.limit} {seller.limit}".encode()
    return blake2b(name, digest_size=4).digest()[0] % _HELD_OUT_OF == 0


class Talk(NamedTuple):
    """A whole conversation: its turns as cases, and each side's messages, its own words the assistant's."""

    cases: list[Case]
    transcripts: list[list[dict[str, str]]]

    @property
    def dealt(self) -> bool:
        """Whether it ended in a deal."""
        return right(self.cases[-1]).kind == "deal"


def conversation(buyer: Side, seller: Side, draw: random.Random, *, middle: float = 0.0) -> Talk:
    """Play a conversation by the rules; `middle` as in `say`.

    Each side has a patience of its own: on its last word it takes the price or walks away.
    """
    transcripts: dict[Role, list[dict[str, str]]] = {}
    prices: dict[Role, int | None] = {"buyer": None, "seller": None}
    left: dict[Role, int] = {"buyer": draw.randint(*PATIENCE), "seller": draw.randint(*PATIENCE)}
    cases: list[Case] = []
    words = OPEN
    for turn in range(2 * PATIENCE[1]):
        side, other = (buyer, seller) if turn % 2 == 0 else (seller, buyer)
        left[side.role] -= 1
        last = left[side.role] == 0
        messages = transcripts.setdefault(side.role, [{"role": "system", "content": side.system()}])
        messages.append({"role": "user", "content": heard(words, last=last)})
        case = Case(side, prices[side.role], prices[other.role], last, list(messages))
        cases.append(case)
        words = say(case, draw, middle=middle)
        messages.append({"role": "assistant", "content": words})
        if right(case).kind in {"deal", "walk"}:
            break
        said = understand(side, words)
        prices[side.role] = None if said is None else said.price
    return Talk(cases, list(transcripts.values()))
