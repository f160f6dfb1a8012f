"""Mornings on which everything crosses: few incidents, reported again and again, ever more gravely."""

import random  # noqa: TID251 - seeded

WORDS = [
    f"{first}{second}"
    for first in ("north", "south", "east", "west")
    for second in ("gate", "hall", "yard", "wing")
]
ENDINGS = ["", "", "", "error", "cannot fails", "outage", "breach", "typo", "hurry question"]
SERVICES = ["sso", "invoices", "dns", "vault", "web-app"]
# On these mornings reports cross resolutions, majors are declared after their resolution, and deadlines do
# not move although an incident grows graver.
CROSSING_SEEDS = (0, 2, 8)


def crowded_morning(seed: int, count: int = 300, stories: int = 40) -> list[dict[str, str]]:
    draw = random.Random(seed)
    texts = [" ".join(draw.sample(WORDS, 7)) for _ in range(stories)]
    tickets = []
    for number in range(count):
        story = min(draw.randrange(stories), draw.randrange(stories))
        ticket = {"id": f"X-{number}", "customer": "c", "tier": draw.choice(["vip", "free"])}
        ticket |= {"service": SERVICES[story % len(SERVICES)], "title": ""}
        ticket |= {
            "text": f"{texts[story]} {draw.choice(ENDINGS)}",
            "hint": draw.choice(["", "low", "urgent"]),
        }
        tickets.append(ticket)
    return tickets
