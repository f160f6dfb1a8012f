"""A team's desk: grades each report, keeps the incident's severity, and declares majors."""

import re
from dataclasses import dataclass
from typing import Any

from tickwork_agent import Agent, Message

CRITICAL = {
    *("outage", "down", "unreachable", "emergency", "ausfall", "corruption"),
    *("breach", "leak", "leaked", "ransomware", "attacker"),
}
SERIOUS = {
    *(
        "fail",
        "fails",
        "failed",
        "failing",
        "error",
        "timeout",
        "cannot",
        "crash",
        "crashes",
        "hangs",
        "broken",
    ),
    *(
        "refuses",
        "rejected",
        "locked",
        "stopped",
        "exhausted",
        "missing",
        "lost",
        "vanish",
        "vanished",
        "stolen",
    ),
    *("malware", "phishing", "urgent", "dringend"),
}
MILD = {
    *("question", "request", "how", "copies", "typo", "cosmetic", "misaligned"),
    *("annoying", "hurry", "thank", "resolved"),
}

# The points that make severity 1, 2 and 3; less is 4.
LADDER = (5, 3, 1)
# Each of these counts of reports makes an incident one level graver.
CROWD = (4, 8)


@dataclass
class Incident:
    """What the desk remembers of one incident."""

    reports: int = 0
    gravest: int = 4
    severity: int = 0
    resolved_at: int | None = None


def grade(ticket: dict[str, Any]) -> int:
    """Return how grave one report is by itself: 1 to 4, 1 the gravest."""
    words = set(re.findall(r"\w+", f"{ticket['title']} {ticket['text']}".casefold()))
    points = 3 if words & CRITICAL else 0
    points += min(2, len(words & SERIOUS))
    points -= 2 if words & MILD else 0
    points += (ticket["tier"] == "vip") + (ticket["team"] == "security")
    points += {"critical": 1, "urgent": 1, "low": -1}.get(ticket["hint"], 0)
    return next((severity for severity, least in enumerate(LADDER, 1) if points >= least), 4)


class Triage(Agent):
    """Config: `team`."""

    def setup(self, config: Any) -> None:
        self.team: str = config["team"]
        self.incidents: dict[str, Incident] = {}

    def on_report(self, message: Message) -> None:
        report = message.json()
        name, ticket = report["incident"], report["ticket"]
        incident = self.incidents.setdefault(name, Incident())
        incident.reports += 1
        # A late report changes nothing; one that crosses the resolution on its way still does.
        if incident.resolved_at is not None and incident.resolved_at < self.now.tick:
            return
        incident.gravest = min(incident.gravest, grade(ticket))
        severity = max(1, incident.gravest - sum(incident.reports >= size for size in CROWD))
        if severity == incident.severity:
            return
        incident.severity = severity
        graded = {"incident": name, "severity": severity}
        self.send(f"oncall-{self.team}", "graded", graded)
        self.send(f"escalation-{self.team}", "graded", graded)
        about = {"team": self.team, "title": ticket["title"], "customer": ticket["customer"]}
        self.send("reporter", "graded", {**graded, **about, "accepted": ticket["accepted"]})
        if severity == 1:
            self.declare(name, about)

    def declare(self, name: str, about: dict[str, str]) -> None:
        """Tell everybody of a major incident and open its war room."""
        self.log.warn(f"major incident {name}: {about['title']}")
        self.publish("incident.major", {"incident": name, "tick": self.now.tick})
        room = self.spawn("war-room", name, {"incident": name, **about})
        self.send(room, "convene")

    def on_resolved(self, message: Message) -> None:
        self.incidents[message.json()["incident"]].resolved_at = self.now.tick
