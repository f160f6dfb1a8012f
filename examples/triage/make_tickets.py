"""Writes `tickets.jsonl`: a seeded morning of incident tickets, the same bytes on every machine.

    python examples/triage/make_tickets.py > examples/triage/tickets.jsonl

Every ticket is drawn from `phrases.toml` and `oddities.jsonl`. Some incidents are reported again by other
customers in slightly other words, some tickets name the wrong service, and a few are delivered twice.
"""

import json
import random  # noqa: TID251 - seeded, and only `random()` is used, which Python keeps stable
import sys
import tomllib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

HERE = Path(__file__).parent
SEED = 20_260_309
BASES = 215
STORMS = 11
REDELIVERIES = 4
START = datetime(2026, 3, 9, 6, 0, 4, tzinfo=UTC)

CUSTOMERS = {
    "vip": ["Halden Shipping", "Banque Morel", "Kestrel Air", "Sankt Georg Klinik", "Ōtsuka Robotics"],
    "business": [
        "Brightwater Foods", "Lindqvist Bygg AB", "Orrin & Vale LLP", "Casa Peralta", "Nordlicht Energie",
        "Tallow Street Media", "Varga Logistics", "Mbeki Farms", "Pine Hollow Schools", "Zielony Rynek",
        "Quayside Insurance", "Hotel Bellerive",
    ],
    "free": [
        "Moss & Daughters", "Cycle Kitchen", "Pixel Potters", "Chess Club Utrecht", "Ana Ruiz Fotografía",
        "Garage 54", "Little Lantern Books", "Søren's Honey", "Open Harbour", "Dr. Okafor's Practice",
    ],
}  # fmt: skip
TIERS = ("vip", "business", "business", "business", "free", "free")
HINTS = ("", "", "low", "medium", "medium", "high", "high", "urgent", "critical")
FIRST_NAMES = ("ines", "t.nowak", "priya", "j.berg", "amara", "yuki", "luca", "fatima", "helpdesk", "ops")
AGAIN = (
    "{text}",
    "Same here: {text}",
    "Also at our place. {text}",
    "+1. {text}",
    "Second report from us, no answer so far. {text}",
    "{text} Any news?",
    "FYI {text} Sent from my phone",
)

T = TypeVar("T")
Ticket = dict[str, str]


class Desk:
    """Draws tickets from one seeded stream."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        phrases: dict[str, Any] = tomllib.loads((HERE / "phrases.toml").read_text(encoding="utf-8"))
        self._slots: dict[str, list[str]] = phrases["slots"]
        self._common: dict[str, list[str]] = phrases["common"]
        self._scenarios: list[dict[str, Any]] = phrases["scenario"]
        self._services = sorted({str(scenario["service"]) for scenario in self._scenarios})
        lines = (HERE / "oddities.jsonl").read_text(encoding="utf-8").splitlines()
        self._oddities: list[Ticket] = [json.loads(line) for line in lines]

    def chance(self, probability: float) -> bool:
        return self._random.random() < probability

    def number(self, low: int, high: int) -> int:
        return low + int(self._random.random() * (high - low + 1))

    def pick(self, options: Sequence[T]) -> T:
        return options[self.number(0, len(options) - 1)]

    def _filling(self) -> dict[str, str]:
        """Return one value for each slot: title and text of a ticket speak of the same host and hour."""
        return {slot: self.pick(values) for slot, values in self._slots.items()}

    def _signed(self, ticket: Ticket) -> Ticket:
        """Add who reports it."""
        tier = self.pick(TIERS)
        customer = self.pick(CUSTOMERS[tier])
        host = "".join(letter for letter in customer.lower() if letter.isascii() and letter.isalpha())
        return {
            "customer": customer,
            "tier": tier,
            "service": ticket["service"],
            "title": ticket["title"],
            "text": ticket["text"],
            "reporter": f"{self.pick(FIRST_NAMES)}@{host[:14]}.example",
            "hint": ticket["hint"],
        }

    def ticket(self) -> Ticket:
        """Return a fresh report; one in fourteen names the wrong service."""
        scenario = self.pick(self._scenarios)
        parts = [self.pick(scenario["symptom"]), self.pick(scenario["detail"])]
        if self.chance(0.3):
            parts.reverse()
        parts += [self.pick(self._common["impact"]), self.pick(self._common["closing"])]
        service = self.pick(self._services) if self.chance(1 / 14) else str(scenario["service"])
        filling = self._filling()
        draft = {
            "service": service,
            "title": str(self.pick(scenario["title"])).format_map(filling),
            "text": " ".join(part for part in parts if part).format_map(filling),
            "hint": self.pick(HINTS),
        }
        return self._signed(draft)

    def oddities(self) -> Iterator[Ticket]:
        for ticket in self._oddities:
            yield self._signed(ticket)

    def again(self, ticket: Ticket) -> Ticket:
        """Return another customer's report of the same incident, in nearly the same words."""
        text = self.pick(AGAIN).format(text=ticket["text"])
        title = ticket["title"]
        match self.number(0, 5):
            case 0:
                title, text = title.upper(), text.replace(". ", "!! ")
            case 1:
                title = "Re: " + title
            case 2:
                text = "  ".join(text.split(" "))
            case 3:
                text = text.rsplit(". ", 1)[0] + "."
            case _:
                pass
        return self._signed({**ticket, "title": title, "text": text})


def tickets(seed: int = SEED) -> list[Ticket]:
    """Return the whole morning in order of arrival."""
    desk = Desk(seed)
    timeline: list[tuple[float, Ticket]] = [(float(place), desk.ticket()) for place in range(BASES)]
    timeline += [(desk.number(2, BASES - 2) + 0.5, ticket) for ticket in desk.oddities()]
    for _ in range(STORMS):
        place, first = timeline[desk.number(0, BASES - 30)]
        for _ in range(desk.number(3, 8)):
            place += desk.number(1, 9) / 4
            timeline.append((place, desk.again(first)))
    for place, first in timeline[:BASES]:
        if desk.chance(0.13):
            timeline.append((place + desk.number(1, 20), desk.again(first)))
    # By place alone: equal places keep the order in which they were drawn.
    timeline.sort(key=lambda item: item[0])
    morning: list[Ticket] = []
    at = START
    for number, (_, ticket) in enumerate(timeline):
        morning.append({"id": f"TKT-{10_001 + number}", "ts": at.strftime("%Y-%m-%dT%H:%M:%SZ"), **ticket})
        at += timedelta(seconds=desk.number(5, 55))
    for _ in range(REDELIVERIES):
        place = desk.number(10, len(morning) - 20)
        morning.insert(place + desk.number(1, 15), morning[place])
    return morning


if __name__ == "__main__":
    for line in tickets():
        sys.stdout.buffer.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
