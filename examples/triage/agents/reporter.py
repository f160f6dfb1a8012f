"""The reporter: hears of everything, and when nothing more is heard writes the report."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tickwork_agent import Agent, Message, Now

QUIET = 45
QUIET_TIMER = 0
TOP = 5

Record = dict[str, Any]


@dataclass
class Incident:
    """One incident as the report tells it; times are ticks."""

    id: str
    team: str
    title: str
    customer: str
    accepted: int
    severity: int = 4
    reports: int = 1
    level: int = 0
    declared: int | None = None
    started: int | None = None
    resolved: int | None = None
    updates: int = 0

    @property
    def wait(self) -> int:
        return 0 if self.started is None else self.started - self.accepted

    def line(self, record: str, **fields: Any) -> Record:
        about = {"incident": self.id, "team": self.team, "title": self.title}
        return {"record": record, **about, **fields}


def median(values: Iterable[int]) -> int:
    ordered = sorted(values)
    return ordered[len(ordered) // 2] if ordered else 0


def tally(incidents: list[Incident]) -> Record:
    """Return what a team's line and the summary both count."""
    return {
        "incidents": len(incidents),
        "merged": sum(incident.reports - 1 for incident in incidents),
        "escalated": sum(incident.level >= 1 for incident in incidents),
        "managed": sum(incident.level >= 2 for incident in incidents),
        "median_wait": median(incident.wait for incident in incidents if incident.started is not None),
    }


def team_record(team: str, incidents: list[Incident]) -> Record:
    return {
        "record": "team",
        "team": team,
        **tally(incidents),
        "severities": [sum(incident.severity == level for incident in incidents) for level in (1, 2, 3, 4)],
        "longest_wait": max(incident.wait for incident in incidents),
    }


def top_records(incidents: list[Incident]) -> list[Record]:
    """Return the incidents with most reports, then those that waited longest."""
    crowded = [incident for incident in incidents if incident.reports >= 2]
    busiest = sorted(crowded, key=lambda incident: (-incident.reports, incident.id))[:TOP]
    oldest = sorted(incidents, key=lambda incident: (-incident.wait, incident.id))[:TOP]
    return [
        *(each.line("busiest", severity=each.severity, reports=each.reports) for each in busiest),
        *(each.line("oldest", severity=each.severity, level=each.level, wait=each.wait) for each in oldest),
    ]


class Reporter(Agent):
    """Needs no config. Whoever has news sends it; the broadcast of majors is subscribed to."""

    def setup(self, config: Any) -> None:  # noqa: ARG002
        self.incidents: dict[str, Incident] = {}
        self.merged: Counter[str] = Counter()
        self.returned: Counter[str] = Counter()
        self.rerouted = 0
        self.first_tick: int | None = None

    def step(self, now: Now, inbox: Sequence[Message]) -> None:
        super().step(now, inbox)
        if any(message.topic != "quiet" for message in inbox):
            self.timer("quiet", after_ticks=QUIET, request=QUIET_TIMER)
            self.metric("open", sum(each.resolved is None for each in self.incidents.values()))

    def clock_in(self, tick: int) -> None:
        self.first_tick = tick if self.first_tick is None else min(tick, self.first_tick)

    def on_returned(self, message: Message) -> None:
        news = message.json()
        self.returned[news["reason"]] += 1
        self.clock_in(news["tick"])

    def on_rerouted(self, _: Message) -> None:
        self.rerouted += 1

    def on_graded(self, message: Message) -> None:
        news = message.json()
        self.clock_in(news["accepted"])
        name = news["incident"]
        fresh = Incident(name, news["team"], news["title"], news["customer"], news["accepted"])
        self.incidents.setdefault(name, fresh).severity = news["severity"]

    def on_merged(self, message: Message) -> None:
        self.merged[message.json()["incident"]] += 1

    def on_incident_major(self, message: Message) -> None:
        self.about(message).declared = message.json()["tick"]

    def on_escalated(self, message: Message) -> None:
        self.about(message).level = message.json()["level"]

    def on_started(self, message: Message) -> None:
        self.about(message).started = message.json()["tick"]

    def on_resolved(self, message: Message) -> None:
        self.about(message).resolved = message.json()["tick"]

    def on_debrief(self, message: Message) -> None:
        self.about(message).updates = message.json()["updates"]

    def about(self, message: Message) -> Incident:
        return self.incidents[message.json()["incident"]]

    def on_quiet(self, _: Message) -> None:
        for record in self.report():
            self.output("report", record)

    def minute(self, tick: int | None) -> int:
        return 0 if tick is None or self.first_tick is None else tick - self.first_tick

    def report(self) -> list[Record]:
        incidents = list(self.incidents.values())
        for incident in incidents:
            incident.reports = 1 + self.merged[incident.id]
        majors = [incident for incident in incidents if incident.declared is not None]
        majors.sort(key=lambda incident: (self.minute(incident.declared), incident.id))
        by_team: dict[str, list[Incident]] = {}
        for incident in incidents:
            by_team.setdefault(incident.team, []).append(incident)
        return [
            self.summary(incidents, majors),
            *(team_record(team, by_team[team]) for team in sorted(by_team)),
            *(self.major_record(incident) for incident in majors),
            *top_records(incidents),
        ]

    def summary(self, incidents: list[Incident], majors: list[Incident]) -> Record:
        returned = dict(sorted(self.returned.items()))
        counts = tally(incidents)
        return {
            "record": "summary",
            "tickets": counts["incidents"] + counts["merged"] + sum(returned.values()),
            **counts,
            "returned": returned,
            "rerouted": self.rerouted,
            "majors": len(majors),
            "unresolved": sum(incident.resolved is None for incident in incidents),
            "last_resolved": max((self.minute(incident.resolved) for incident in incidents), default=0),
        }

    def major_record(self, incident: Incident) -> Record:
        return incident.line(
            "major",
            customer=incident.customer,
            reports=incident.reports,
            declared=self.minute(incident.declared),
            resolved=self.minute(incident.resolved),
            updates=incident.updates,
        )
