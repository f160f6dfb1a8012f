"""The desk's Python agents in plain Python: one claim of the spec at a time."""

import json
import tomllib

import pytest
import triage_oracle
from triage_files import EXAMPLE, load

from tickwork_agent import Effect, Log, Message, Metric, Output, Publish, Send, Spawn, Stop, Timer
from tickwork_agent.testing import AgentTest

TICKETS = triage_oracle.read_tickets(EXAMPLE / "tickets.jsonl")
MANIFEST = tomllib.loads((EXAMPLE / "tickwork.toml").read_text(encoding="utf-8"))
ROUTER_CONFIG = next(agent["config"] for agent in MANIFEST["agents"] if agent["id"] == "router")
TICKET = {
    "id": "TKT-1",
    "customer": "Kestrel Air",
    "tier": "vip",
    "service": "dns",
    "title": "DNS does not resolve",
    "text": "The resolver fails.",
    "hint": "high",
}


def body(message: Message | Effect) -> dict:
    return json.loads(message.body)


def sent(effects: list[Effect], topic: str) -> list[tuple[str, dict]]:
    return [(each.to, body(each)) for each in effects if isinstance(each, Send) and each.topic == topic]


def router() -> AgentTest:
    return AgentTest(load("agents/router.py").Router, ROUTER_CONFIG, id="router")


def triage(team: str = "network") -> AgentTest:
    return AgentTest(load("agents/triage.py").Triage, {"team": team}, id=f"triage-{team}")


def oncall(staff: int = 1) -> AgentTest:
    return AgentTest(load("agents/oncall.py").OnCall, {"team": "network", "staff": staff})


def graded(incident: str, severity: int) -> Message:
    return Message(
        "triage-network", "graded", json.dumps({"incident": incident, "severity": severity}).encode()
    )


def named(topic: str, incident: str, **more: int) -> Message:
    return Message("x", topic, json.dumps({"incident": incident, **more}).encode())


def started(effects: list[Effect]) -> list[str]:
    return [note["incident"] for to, note in sent(effects, "started") if to == "reporter"]


def test_the_router_sends_every_ticket_where_the_oracle_does():
    desk, seen = router(), set()
    for ticket in TICKETS:
        effects = desk.receive("ticket", ticket)
        verdict, what = triage_oracle.front_desk(ticket, seen)
        if verdict == "returned":
            assert [note["reason"] for _, note in sent(effects, "returned")] == [what]
        else:
            assert [note["team"] for _, note in sent(effects, "ticket")] == [what]


def test_a_team_has_one_deduplicator():
    desk = router()
    shards: dict[str, set[str]] = {}
    for ticket in TICKETS:
        for to, note in sent(desk.receive("ticket", ticket), "ticket"):
            shards.setdefault(note["team"], set()).add(to)
    assert all(len(used) == 1 for used in shards.values())
    assert len(set.union(*shards.values())) == ROUTER_CONFIG["shards"]


@pytest.mark.parametrize(
    "line",
    [
        b"[]",
        b"null",
        b'"id"',
        b"{}",
        b"not json",
        b"\xff",
        json.dumps({**TICKET, "id": 7}).encode(),
        json.dumps({**TICKET, "id": ""}).encode(),
        json.dumps({**TICKET, "id": "../x"}).encode(),
        json.dumps({**TICKET, "id": "TKT-1\n"}).encode(),
        json.dumps({**TICKET, "text": None}).encode(),
        json.dumps({**TICKET, "text": "\ud800"}).encode(),
        json.dumps({**TICKET, "text": "x" * 20_000}).encode(),
    ],
)
def test_what_is_no_ticket_goes_back_as_malformed(line):
    effects = router().receive("ticket", line)
    assert [note["reason"] for _, note in sent(effects, "returned")] == ["malformed"]
    assert sent(effects, "ticket") == []


def test_every_ticket_is_graded_as_the_oracle_grades_it():
    grade = load("agents/triage.py").grade
    for ticket in TICKETS:
        for team in ("network", "security"):
            expected = triage_oracle.grade(triage_oracle.Report(ticket, team, 0))
            assert grade({**ticket, "team": team}) == expected, ticket


def report(ticket: dict, **changes: str) -> dict:
    return {"incident": "TKT-1", "ticket": {**ticket, "team": "network", "accepted": 4, **changes}}


def test_a_crowd_of_reports_makes_an_incident_graver_until_it_is_major():
    desk = triage()
    calm = report(TICKET, tier="free", hint="", text="", title="please look")
    severities = [
        note["severity"]
        for _ in range(9)
        for to, note in sent(desk.receive("report", calm), "graded")
        if to == "reporter"
    ]
    assert severities == [4, 3, 2]
    effects = desk.receive("report", report(TICKET, text="outage, everything fails and is lost"))
    assert [each.topic for each in effects if isinstance(each, Publish)] == ["incident.major"]
    assert [each.id for each in effects if isinstance(each, Spawn)] == ["war-room/TKT-1"]
    assert sent(desk.receive("report", report(TICKET, text="total outage")), "graded") == []


def test_late_reports_change_nothing():
    desk = triage()
    desk.receive("report", report(TICKET))
    desk.receive("resolved", {"incident": "TKT-1"})
    assert desk.receive("report", report(TICKET, text="outage, everything fails and is lost")) == []


def test_a_report_that_crosses_the_resolution_still_counts():
    desk = triage()
    desk.receive("report", report(TICKET))
    grave = report(TICKET, text="outage, everything fails and is lost")
    effects = desk.step(
        Message("oncall-network", "resolved", b'{"incident":"TKT-1"}'),
        Message("dedup-0", "report", json.dumps(grave).encode()),
    )
    assert len(sent(effects, "graded")) == 3


def test_the_gravest_waiting_incident_is_started_first():
    team = oncall()
    assert started(team.step(graded("C", 3), graded("B", 2), graded("A", 2))) == ["A"]
    assert started(team.step(named("done", "A"))) == ["B"]


def test_nobody_takes_low_severity_while_a_major_is_in_progress():
    team = oncall()
    assert started(team.step(named("incident.major", "X"), graded("A", 4))) == []
    assert started(team.step(graded("B", 3))) == ["B"]
    assert started(team.step(named("done", "B"))) == []
    assert started(team.step(named("incident.over", "X"))) == ["A"]


def test_the_duty_manager_starts_work_though_everybody_is_busy():
    team = oncall()
    team.step(graded("A", 2), graded("B", 2))
    assert started(team.step(named("escalated", "B", level=1))) == []
    assert started(team.step(named("escalated", "B", level=2))) == ["B"]


def test_an_incident_that_becomes_major_after_its_resolution_is_over_at_once():
    team = oncall()
    team.step(graded("A", 2))
    assert not [each for each in team.step(named("done", "A")) if isinstance(each, Publish)]
    cleared = [each for each in team.step(graded("A", 1)) if isinstance(each, Publish)]
    assert [each.topic for each in cleared] == ["incident.over"]


def test_a_war_room_posts_until_its_own_all_clear_and_then_closes():
    room = AgentTest(load("agents/war_room.py").WarRoom, {"incident": "A", "title": "t"})
    opening = room.receive("convene")
    assert [body(each)["state"] for each in opening if isinstance(each, Output)] == ["investigating"]
    assert [each.after_ticks for each in opening if isinstance(each, Timer)] == [6]
    assert room.step(named("incident.over", "B")) == []
    closing = room.step(named("incident.over", "A"), Message("war-room/A", "next-update"))
    assert [body(each)["update"] for each in closing if isinstance(each, Output)] == [2]
    assert [note["updates"] for _, note in sent(closing, "debrief")] == [2]
    assert any(isinstance(each, Stop) for each in closing)


def test_the_reporter_writes_only_when_nothing_more_is_heard():
    desk = AgentTest(load("agents/reporter.py").Reporter)
    effects = desk.receive("returned", {"reason": "noise", "tick": 9})
    assert [type(each) for each in effects] == [Timer, Metric]
    summary = body(desk.receive("quiet")[0])
    assert (summary["tickets"], summary["returned"], summary["incidents"]) == (1, {"noise": 1}, 0)


def test_every_topic_has_a_handler():
    for name, topics in {
        "router": ["ticket"],
        "triage": ["report", "resolved"],
        "oncall": ["graded", "escalated", "incident_major", "incident_over", "done", "tickwork_rejected"],
        "war_room": ["convene", "next_update", "incident_over"],
        "reporter": ["returned", "graded", "merged", "incident_major", "escalated", "started", "debrief"],
    }.items():
        classes = [each for each in vars(load(f"agents/{name}.py")).values() if isinstance(each, type)]
        assert any(all(hasattr(each, f"on_{topic}") for topic in topics) for each in classes), name
    assert not [
        each
        for each in oncall().receive("tickwork.rejected", "{}")
        if isinstance(each, Log) and each.level > 0
    ]
