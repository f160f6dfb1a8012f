"""Agents that fail and go on are shown as the core has them."""

from pathlib import Path

from test_ui_answers import rows
from viewer_server import Server, all_read

from tickwork.core.world import Status
from tickwork.journal.reader import RunReader
from tickwork.runtime.fold import fold

RUN = "shaky.tick"


def test_every_failure_ends_an_agent_or_is_a_recovery_as_in_the_world(server: Server, runs: Path) -> None:
    all_read(server, RUN)
    detail = server.ask("timeline", run=RUN, detail=True)["detail"]
    shown = [(tick, lane, detail["recovery_kinds"][how]) for tick, lane, how in detail["recoveries"]]
    expected = []
    with RunReader.open(runs / RUN) as reader:
        for folded in fold(reader):
            tick, settled = folded.planned.tick, folded.settled
            expected += [(tick, agent, "restarted") for agent in settled.restarted]
            expected += [(tick, agent, "rolled back") for agent in settled.rolled_back]
            world = settled.world
    assert sorted(shown) == sorted(expected)
    assert {how for _, _, how in shown} == {"restarted", "rolled back"}
    members = server.ask("agents", run=RUN)["agents"]
    live = {state.spec.id for state in world.agents if state.status in {Status.RUNNING, Status.STARTING}}
    assert {member["id"] for member in members if member["ended"] is None} == live == {"sender"}
    assert [(each["id"], each["ended"], each["ending"], each["recovered"]) for each in members[1:]] == [
        ("again", 6, "unreachable", 2),
        ("back", 7, "stopped", 2),
        ("end", 4, "unreachable", 0),
    ]


def test_no_arrow_leads_to_a_turn_that_did_not_have_the_message(server: Server, runs: Path) -> None:
    detail = server.ask("timeline", run=RUN, detail=True)["detail"]
    arrows = sorted((sent, found, to) for sent, _, _, found, to, _ in detail["messages"] if found < 9)
    names = [member["id"] for member in server.ask("agents", run=RUN)["agents"]]
    told = rows(runs / RUN, "messages")
    found = [row for row in told if row["class"] == "message" and row["sender"] != "tickwork"]
    assert arrows == sorted((row["sent"], row["tick"], names.index(row["to"])) for row in found)


def test_a_turn_tells_how_its_agent_is_supervised_and_what_came_of_it(server: Server) -> None:
    turn = server.ask("turn", run=RUN, tick=6, agent="again")
    assert turn["supervision"] == {
        "on_failure": "restart",
        "max_restarts": 2,
        "restart_window_ticks": 10,
        "on_exhausted": "fail",
        "past": [2, 5],
    }
    assert (turn["recovery"], turn["status_after"]) == (None, "failed")
    failed = server.ask("turn", run=RUN, tick=2, agent="back")
    assert (failed["outcome"], failed["recovery"], failed["status_after"]) == (
        "unreachable",
        "rolled back",
        "running",
    )
    told = {row["agent"]: row["recovery"] for row in server.ask("tick", run=RUN, tick=2)["turns"]}
    assert told == {"sender": None, "again": "restarted", "back": "rolled back", "end": None}


def test_dead_letters_lead_to_who_sent_them(server: Server) -> None:
    letters = server.ask("turn", run=RUN, tick=2, agent="back")["undelivered"]
    assert [(late["kind"], late["sent"], late["origin"]) for late in letters] == [
        ("message", 1, {"tick": 1, "agent": "sender", "effect": 1}),
        ("message", 1, {"tick": 1, "agent": "sender", "effect": 3}),
    ]
    assert all("rolled back" in late["reason"] for late in letters)
    crashed = server.ask("turn", run=RUN, tick=4, agent="back")
    assert (crashed["outcome"], crashed["recovery"], len(crashed["undelivered"])) == (None, "rolled back", 2)
