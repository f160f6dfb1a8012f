"""The front desk: hands tickets back that no team can use, and routes the others by what they say."""

import json
import re
from typing import Any

from tickwork_agent import Agent, Message

FIELDS = ("id", "customer", "tier", "service", "title", "text", "hint")
LONGEST = 20_000
_ID = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")

Ticket = dict[str, str]


def read_ticket(body: bytes) -> Ticket | None:
    """Return the ticket's fields, or None if the line is not a ticket."""
    try:
        record = json.loads(body)
        ticket = {field: record[field] for field in FIELDS}
        size = sum(len(value.encode()) for value in ticket.values())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return ticket if size <= LONGEST and _ID.fullmatch(ticket["id"]) else None


def words(ticket: Ticket) -> set[str]:
    return set(re.findall(r"\w+", f"{ticket['title']} {ticket['text']}".casefold()))


class Router(Agent):
    """Config: `shards`, `noise`, `weights`, and `teams` with their services, words and alarms."""

    def setup(self, config: Any) -> None:
        self.shards: int = config["shards"]
        self.noise = set(config["noise"]["words"])
        self.noise_threshold: int = config["noise"]["threshold"]
        self.weights: dict[str, int] = config["weights"]
        self.teams: dict[str, dict[str, set[str]]] = {
            name: {key: set(values) for key, values in team.items()} for name, team in config["teams"].items()
        }
        self.seen: set[str] = set()

    def on_ticket(self, message: Message) -> None:
        ticket = read_ticket(message.body)
        reason = "malformed" if ticket is None else self.why_not(ticket)
        team = None if ticket is None or reason else self.best_team(ticket)
        if ticket is None or team is None:
            self.send("reporter", "returned", {"reason": reason or "unclear", "tick": self.now.tick})
            return
        if self.owner(ticket) not in {None, team}:
            self.log(f"{ticket['id']} says {ticket['service']}, but reads like {team}")
            self.send("reporter", "rerouted", {"ticket": ticket["id"]})
        self.send(self.shard(team), "ticket", {**ticket, "team": team, "accepted": self.now.tick})

    def why_not(self, ticket: Ticket) -> str | None:
        """Return why the ticket goes back before anybody asks whose it is, or None."""
        if ticket["id"] in self.seen:
            return "redelivered"
        self.seen.add(ticket["id"])
        found = words(ticket)
        if len(found & self.noise) >= self.noise_threshold:
            return "noise"
        return None if found else "empty"

    def owner(self, ticket: Ticket) -> str | None:
        return next(
            (name for name, team in self.teams.items() if ticket["service"] in team["services"]), None
        )

    def best_team(self, ticket: Ticket) -> str | None:
        """Return the team that the ticket speaks to most, or its service's among equals."""
        found = words(ticket)
        scores = {name: self.score(found, ticket["service"], team) for name, team in self.teams.items()}
        best = max(scores.values())
        if best == 0:
            return None
        equals = [name for name, score in scores.items() if score == best]
        owner = self.owner(ticket)
        return owner if owner in equals else equals[0]

    def score(self, found: set[str], service: str, team: dict[str, set[str]]) -> int:
        alarms = len(found & team.get("alarms", set()))
        owned = service in team["services"]
        return len(found & team["words"]) + self.weights["alarm"] * alarms + self.weights["service"] * owned

    def shard(self, team: str) -> str:
        # A team's tickets all meet in one deduplicator.
        return f"dedup-{sum(team.encode()) % self.shards}"
