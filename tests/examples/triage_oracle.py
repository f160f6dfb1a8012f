"""The triage report by plain code, written from examples/triage/SPEC.md; shares nothing with the agents."""

import json
import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SPEC = Path(__file__).parents[2] / "examples" / "triage" / "SPEC.md"
FIELDS = ("id", "customer", "tier", "service", "title", "text", "hint")
_BLOCK = re.search(r"```toml\n(.*?)```", SPEC.read_text(encoding="utf-8"), re.DOTALL)
assert _BLOCK is not None
TABLES: dict[str, Any] = tomllib.loads(_BLOCK[1])


@dataclass
class Report:
    """One ticket that reached a team."""

    ticket: dict[str, str]
    team: str
    accepted: int


@dataclass
class Incident:
    """All that ever happens to one incident, in minutes."""

    reports: list[Report]
    fingerprint: frozenset[bytes]
    severities: list[tuple[int, int]] = field(default_factory=list)  # (effective from, severity)
    graded: int = 0
    gravest: int = 4
    deadline: int | None = None
    escalations: list[int] = field(default_factory=list)
    declared: int | None = None
    started: int | None = None
    ends: int | None = None
    resolved: int | None = None

    @property
    def id(self) -> str:
        return self.reports[0].ticket["id"]

    @property
    def team(self) -> str:
        return self.reports[0].team

    @property
    def reaches_team(self) -> int:
        return self.reports[0].accepted + 3

    def severity(self, minute: int) -> int:
        return [severity for effective, severity in self.severities if effective <= minute][-1]

    def level(self, minute: int) -> int:
        """Return the escalation level that the team knows in `minute`."""
        return sum(1 for escalated in self.escalations if escalated < minute)

    @property
    def over(self) -> int:
        assert self.declared is not None
        assert self.resolved is not None
        return max(self.resolved, self.declared + 1)

    def in_progress(self, minute: int) -> bool:
        if self.declared is None or minute <= self.declared:
            return False
        return self.resolved is None or minute <= self.over

    @property
    def wait(self) -> int:
        assert self.started is not None
        return self.started - self.reports[0].accepted


def words(ticket: dict[str, str]) -> set[str]:
    return set(re.findall(r"\w+", (ticket["title"] + " " + ticket["text"]).casefold()))


def fingerprint(ticket: dict[str, str]) -> frozenset[bytes]:
    raw = (ticket["title"] + " " + ticket["text"]).encode().lower()
    found = re.split(rb"[\x00-/:-`{-\x7f]+", raw)
    return frozenset(word for word in found if len(word) >= 3 and not re.search(rb"[0-9]", word))


def owner(service: str) -> str | None:
    return next((team["name"] for team in TABLES["team"] if service in team["services"]), None)


def front_desk(ticket: Any, seen: set[str]) -> tuple[str, str]:
    """Return ("returned", reason) or ("team", name)."""
    if not isinstance(ticket, dict) or not all(isinstance(ticket.get(name), str) for name in FIELDS):
        return "returned", "malformed"
    whole = "".join(ticket[name] for name in FIELDS)
    if re.search("[\ud800-\udfff]", whole) or len(whole.encode()) > 20_000:
        return "returned", "malformed"
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{0,63}", ticket["id"]):
        return "returned", "malformed"
    if ticket["id"] in seen:
        return "returned", "redelivered"
    seen.add(ticket["id"])
    found = words(ticket)
    if len(found & set(TABLES["noise"]["words"])) >= TABLES["noise"]["threshold"]:
        return "returned", "noise"
    if not found:
        return "returned", "empty"
    scores: list[int] = []
    for team in TABLES["team"]:
        score = len(found & set(team["words"])) + TABLES["desk"]["alarm"] * len(
            found & set(team.get("alarms", ()))
        )
        scores.append(score + TABLES["desk"]["service"] * (ticket["service"] in team["services"]))
    best = max(scores)
    if best == 0:
        return "returned", "unclear"
    equals = [team["name"] for team, score in zip(TABLES["team"], scores, strict=True) if score == best]
    owning = owner(ticket["service"])
    return "team", owning if owning is not None and owning in equals else str(equals[0])


def alike(one: frozenset[bytes], other: frozenset[bytes]) -> bool:
    common = len(one & other)
    return common > 0 and 100 * common >= TABLES["likeness"] * len(one | other)


def file_report(report: Report, incidents: list[Incident]) -> None:
    """Add the report to the incident that it duplicates, or open one."""
    mark = fingerprint(report.ticket)
    for incident in incidents:
        recent = report.accepted - incident.reports[-1].accepted <= TABLES["window"]
        if incident.team == report.team and recent and alike(incident.fingerprint, mark):
            incident.reports.append(report)
            return
    incidents.append(Incident([report], mark))


def grade(report: Report) -> int:
    tables = TABLES["grading"]
    found = words(report.ticket)
    hint = report.ticket["hint"]
    points = 3 * bool(found & set(tables["critical"]))
    points += min(2, len(found & set(tables["serious"])))
    points -= 2 * bool(found & set(tables["mild"]))
    points += (report.ticket["tier"] == "vip") + (report.team == "security")
    points += (hint in {"critical", "urgent"}) - (hint == "low")
    reached = [place for place, least in enumerate(TABLES["ladder"], 1) if points >= least]
    return min(reached, default=4)


def grade_minute(incident: Incident, minute: int) -> None:
    """Section 3, for the reports that are graded in `minute`."""
    for report in incident.reports:
        if report.accepted + 2 != minute:
            continue
        incident.graded += 1
        if incident.resolved is not None and minute > incident.resolved + 1:
            continue
        incident.gravest = min(incident.gravest, grade(report))
        crowd = sum(1 for size in TABLES["crowd"] if incident.graded >= size)
        severity = max(1, incident.gravest - crowd)
        if incident.severities and incident.severities[-1][1] == severity:
            continue
        incident.severities.append((minute + 1, severity))
        if severity == 1:
            incident.declared = minute


def patience(severity: int) -> int | None:
    return int(TABLES["patience"][severity - 1]) if severity <= len(TABLES["patience"]) else None


def escalate_minute(incident: Incident, minute: int) -> None:
    """Section 4: first the severities that take effect, then the deadline."""
    if len(incident.escalations) == 2 or (incident.started is not None and incident.started < minute):
        return
    for effective, severity in incident.severities:
        allowed = patience(severity)
        if effective == minute and allowed is not None:
            new = minute + allowed
            incident.deadline = new if incident.deadline is None else min(incident.deadline, new)
    if incident.deadline == minute:
        incident.escalations.append(minute)
        allowed = patience(incident.severity(minute))
        assert allowed is not None
        incident.deadline = minute + allowed


def staff_minute(team: dict[str, Any], incidents: list[Incident], minute: int) -> None:
    """Section 5, for one team."""
    mine = [
        incident
        for incident in incidents
        if incident.team == team["name"] and incident.reaches_team <= minute
    ]
    for incident in mine:
        if incident.ends == minute:
            incident.resolved = minute
    waiting = [incident for incident in mine if incident.started is None]
    waiting.sort(key=lambda each: (-each.level(minute), each.severity(minute), each.reaches_team, each.id))
    busy = sum(1 for incident in mine if incident.started is not None and incident.resolved is None)
    all_hands = any(incident.in_progress(minute) for incident in incidents)
    for incident in waiting:
        severity = incident.severity(minute)
        managed = incident.level(minute) == 2
        if managed or (busy < team["staff"] and not (all_hands and severity == 4)):
            incident.started = minute
            incident.ends = minute + TABLES["effort"][severity - 1]
            busy += 1


def updates(incident: Incident) -> int:
    assert incident.declared is not None
    first, last = incident.declared + 2, incident.over + 1
    return 1 + len(range(first + TABLES["cadence"], last, TABLES["cadence"])) + 1


def median(values: Iterable[int]) -> int:
    ordered = sorted(values)
    return ordered[len(ordered) // 2] if ordered else 0


def records(
    incidents: Sequence[Incident], tickets: int, returned: Counter[str], rerouted: int
) -> list[dict[str, Any]]:
    """Section 7."""
    majors = sorted(
        (each for each in incidents if each.declared is not None), key=lambda x: (x.declared, x.id)
    )
    summary: dict[str, Any] = {
        "record": "summary",
        "tickets": tickets,
        "incidents": len(incidents),
        "merged": sum(len(each.reports) - 1 for each in incidents),
        "returned": dict(sorted(returned.items())),
        "rerouted": rerouted,
        "majors": len(majors),
        "escalated": sum(1 for each in incidents if each.escalations),
        "managed": sum(1 for each in incidents if len(each.escalations) == 2),
        "unresolved": sum(1 for each in incidents if each.resolved is None),
        "median_wait": median(each.wait for each in incidents),
        "last_resolved": max((each.resolved or 0 for each in incidents), default=0),
    }
    written = [summary]
    for team in sorted({each.team for each in incidents}):
        mine = [each for each in incidents if each.team == team]
        final = Counter(each.severities[-1][1] for each in mine)
        written.append(
            {
                "record": "team",
                "team": team,
                "incidents": len(mine),
                "severities": [final[severity] for severity in (1, 2, 3, 4)],
                "merged": sum(len(each.reports) - 1 for each in mine),
                "escalated": sum(1 for each in mine if each.escalations),
                "managed": sum(1 for each in mine if len(each.escalations) == 2),
                "median_wait": median(each.wait for each in mine),
                "longest_wait": max(each.wait for each in mine),
            }
        )
    for each in majors:
        first = each.reports[0].ticket
        major: dict[str, Any] = {
            "record": "major",
            "incident": each.id,
            "team": each.team,
            "title": first["title"],
        }
        major |= {"customer": first["customer"], "reports": len(each.reports), "declared": each.declared}
        written.append(major | {"resolved": each.resolved, "updates": updates(each)})
    busiest = sorted((x for x in incidents if len(x.reports) >= 2), key=lambda x: (-len(x.reports), x.id))
    oldest = sorted(incidents, key=lambda x: (-x.wait, x.id))
    written += [_line("busiest", x) | {"reports": len(x.reports)} for x in busiest[:5]]
    written += [_line("oldest", x) | {"level": len(x.escalations), "wait": x.wait} for x in oldest[:5]]
    return written


def _line(record: str, incident: Incident) -> dict[str, Any]:
    title, severity = incident.reports[0].ticket["title"], incident.severities[-1][1]
    return {
        "record": record,
        "incident": incident.id,
        "team": incident.team,
        "title": title,
        "severity": severity,
    }


def triage(tickets: Sequence[Any]) -> list[dict[str, Any]]:
    """Return the report's records for tickets in the order of their acceptance."""
    incidents: list[Incident] = []
    seen: set[str] = set()
    returned: Counter[str] = Counter()
    rerouted = 0
    for place, ticket in enumerate(tickets):
        verdict, what = front_desk(ticket, seen)
        if verdict == "returned":
            returned[what] += 1
            continue
        rerouted += owner(ticket["service"]) not in {None, what}
        file_report(Report(ticket, what, place // TABLES["rate"]), incidents)
    minute = 0
    while any(each.resolved is None or each.graded < len(each.reports) for each in incidents):
        for incident in incidents:
            grade_minute(incident, minute)
        for incident in incidents:
            escalate_minute(incident, minute)
        for team in TABLES["team"]:
            staff_minute(team, incidents, minute)
        minute += 1
    return records(incidents, len(tickets), returned, rerouted)


def read_tickets(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
