"""What the viewer answers is what the file says, held against the command line's own views."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from viewer_runs import EVIL, ticks_of
from viewer_server import Server, viewer

from shell_projects import agent, project, tickwork_here
from tickwork.journal.reader import RunReader
from tickwork.runtime.fold import fold
from tickwork.ui.endpoints import ENDPOINTS, STREAMS, openapi

DOCS = Path(__file__).parents[2] / "docs" / "reference"


def rows(file: Path, view: str, *options: object) -> list[dict[str, Any]]:
    return tickwork_here("inspect", file, view, "--json", *options).rows


def test_the_list_has_every_file_with_what_it_is(server: Server, runs: Path) -> None:
    listed = {row["file"]: row for row in server.ask("runs")["runs"]}
    assert set(listed) == {found.name for found in runs.glob("*.tick")}
    summary = tickwork_here("inspect", runs / "usual.tick", "--json").json
    usual = listed["usual.tick"]
    for name in ("run", "status", "ticks", "seed", "digest", "exact", "agents", "name"):
        assert usual[name] == summary[name], name
    assert listed["fork.tick"]["parent"] == {"run": summary["run"], "tick": 4, "file": "usual.tick"}
    assert "truncated" in listed["torn.tick"]["error"]
    assert "not an SQLite database" in listed["text.tick"]["error"]


def test_a_run_that_appears_is_listed_and_one_that_goes_is_not(runs: Path, tmp_path: Path) -> None:
    with viewer(tmp_path) as served:
        assert served.ask("runs")["runs"] == []
        (tmp_path / "new.tick").write_bytes((runs / "usual.tick").read_bytes())
        assert [row["file"] for row in served.ask("runs")["runs"]] == ["new.tick"]
        (tmp_path / "new.tick").unlink()
        assert served.ask("runs")["runs"] == []
        assert served.refused("run", run="new.tick")[0] == 404


@pytest.mark.parametrize("name", ["usual.tick", "fork.tick"])
def test_every_turn_is_as_the_record_has_it(server: Server, runs: Path, name: str) -> None:
    """Inboxes, effects with verdicts, outcomes, fuel and digests of all ticks."""
    file = runs / name
    messages, effects = rows(file, "messages"), rows(file, "effects")
    ticks = {row["tick"]: row for row in rows(file, "ticks")}
    seen_messages, seen_effects = 0, 0
    for tick, row in ticks.items():
        view = server.ask("tick", run=name, tick=tick)
        assert (view["digest"], view["exact"]) == (row["digest"], row["exact"])
        assert view["total"] == len(view["turns"]) == row["turns"]
        assert sum(turn["fuel"] for turn in view["turns"]) == row["fuel"]
        assert sum(turn["outcome"] != "ok" for turn in view["turns"]) == row["failed"]
        for turn in view["turns"]:
            told = server.ask("turn", run=name, tick=tick, agent=turn["agent"])
            mine = [found for found in messages if (found["tick"], found["to"]) == (tick, turn["agent"])]
            assert [
                (m["sender"], m["topic"], m["kind"], m["sent"], m["reply_to"]) for m in told["inbox"]
            ] == [(m["sender"], m["topic"], m["class"], m["sent"], m["reply_to"]) for m in mine]
            asked = [found for found in effects if (found["tick"], found["agent"]) == (tick, turn["agent"])]
            assert [(e["kind"], e["target"], e["verdict"], e["reason"]) for e in told["effects"]] == [
                (e["kind"], e["target"], e["verdict"], e["reason"]) for e in asked
            ]
            assert (told["outcome"], told["fuel"]) == (turn["outcome"], turn["fuel"])
            seen_messages += len(mine)
            seen_effects += len(asked)
    assert (seen_messages, seen_effects) == (len(messages), len(effects))
    assert seen_messages > 20


def test_where_an_effect_is_found_is_where_its_message_says_that_it_is_from(
    server: Server, runs: Path
) -> None:
    origins, deliveries = set(), set()
    for tick in range(ticks_of(runs / "usual.tick")):
        for turn in server.ask("tick", run="usual.tick", tick=tick)["turns"]:
            told = server.ask("turn", run="usual.tick", tick=tick, agent=turn["agent"])
            for message in told["inbox"]:
                if message["origin"] is not None and message["sender"] != "tickwork":
                    origin = message["origin"]
                    origins.add((origin["agent"], origin["tick"], origin["effect"], turn["agent"], tick))
            for effect in told["effects"]:
                if effect["kind"] in {"send", "publish", "timer"}:
                    for found in effect["deliveries"]:
                        place = (turn["agent"], tick, effect["place"], found["agent"], found["tick"])
                        deliveries.add(place)
    # A timer that is set anew before it is due is never found.
    assert origins <= deliveries
    assert {found for found in deliveries - origins if found[0] != found[3]} == set()
    assert len(origins) > 10


def test_a_long_body_is_cut_and_given_in_full_on_demand(tmp_path: Path) -> None:
    line = json.dumps({"text": "\u00e9" * 3_000}, ensure_ascii=False)
    made = project(
        tmp_path / "long",
        agent("echo", "echo", "send:sink", "output:out"),
        agent("sink", "sink"),
        lines=f"{line}\n",
    )
    file = tmp_path / "long.tick"
    assert tickwork_here("run", made, "--out", file).code == 0
    with viewer(file) as served:
        turn = served.ask("turn", run="long.tick", tick=1, agent="echo")
        cut = turn["inbox"][0]["body"]
        assert (cut["bytes"], cut["clipped"]) == (len(line.encode()), True)
        assert line.startswith(cut["text"])
        whole = served.ask("body", run="long.tick", tick=1, agent="echo", part="inbox", place=0)
        assert whole == {"kind": "json", "text": line, "bytes": len(line.encode()), "clipped": False}
        sent = next(effect["place"] for effect in turn["effects"] if effect["kind"] == "send")
        assert served.ask("body", run="long.tick", tick=1, agent="echo", part="effect", place=sent) == whole


def test_the_trace_goes_back_to_the_input_and_on_to_the_end(server: Server, runs: Path) -> None:
    messages = rows(runs / "usual.tick", "messages")
    best = next(row for row in messages if row["topic"] == "best")
    trace = server.ask("trace", run="usual.tick", tick=best["sent"], agent="memo", reach=50)
    turns = [(turn["agent"], turn["tick"], turn["depth"]) for turn in trace["turns"]]
    assert turns[0] == ("memo", best["sent"], 0)
    assert ("sink", best["tick"], 1) in turns
    kinds = {link["kind"] for link in trace["links"]}
    assert {"input", "message"} <= kinds
    for link in trace["links"]:
        if link["source"] is not None:
            assert trace["turns"][link["source"]]["tick"] < trace["turns"][link["target"]]["tick"]


def test_every_link_of_every_trace_is_a_message_of_the_record(server: Server, runs: Path) -> None:
    found = {(m["tick"], m["to"], m["sent"], m["topic"]) for m in rows(runs / "usual.tick", "messages")}
    for tick in range(ticks_of(runs / "usual.tick")):
        for turn in server.ask("tick", run="usual.tick", tick=tick)["turns"]:
            trace = server.ask("trace", run="usual.tick", tick=tick, agent=turn["agent"], reach=30)
            for link in trace["links"]:
                target = trace["turns"][link["target"]]
                if link["kind"] == "spawn":
                    continue
                sent = tick if link["source"] is None else trace["turns"][link["source"]]["tick"]
                sent = target["tick"] if link["source"] is None else sent
                assert (target["tick"], target["agent"], sent, link["topic"]) in found


def test_search_finds_every_place_and_nothing_else(server: Server, runs: Path) -> None:
    hits = server.ask("search", run="usual.tick", text="SEEN")["hits"]
    effects = rows(runs / "usual.tick", "effects")
    expected = [
        (row["tick"], row["agent"], row["effect"])
        for row in effects
        if row["kind"] in {"send", "log"} and "seen" in json.dumps(row["fields"]).lower()
    ]
    assert [(hit["tick"], hit["agent"], hit["effect"]) for hit in hits] == expected
    assert expected
    for hit in hits:
        assert hit["snippet"][hit["at"] : hit["at"] + hit["length"]].lower() in {"seen", ""}
    logs = server.ask("search", run="usual.tick", text="seen", kinds="log")["hits"]
    assert {hit["kind"] for hit in logs} == {"log"}
    assert server.ask("search", run="usual.tick", text="seen", agent="echo", kinds="log")["hits"] == []
    assert server.ask("search", run="usual.tick", text="nobody says this") == {
        "hits": [],
        "next": None,
        "end_tick": ticks_of(runs / "usual.tick"),
    }


def test_a_search_goes_on_where_it_stopped(server: Server) -> None:
    whole = server.ask("search", run="usual.tick", text="e", limit=1000)["hits"]
    parts: list[object] = []
    following: int | None = 0
    while following is not None:
        found = server.ask("search", run="usual.tick", text="e", limit=1, first=following)
        parts += found["hits"]
        following = found["next"]
    assert parts == whole


def test_hostile_text_arrives_as_text_and_as_nothing_else(server: Server) -> None:
    hits = server.ask("search", run="hostile.tick", text="<script>")["hits"]
    assert hits
    assert any(EVIL in hit["snippet"] for hit in hits)
    reply = server.request("/api/search?run=hostile.tick&text=%3Cscript%3E")
    assert reply.headers["content-type"] == "application/json"


def test_the_state_of_a_python_agent_is_what_inspect_tells(server: Server, runs: Path) -> None:
    told = tickwork_here(
        "inspect", runs / "usual.tick", "--at", 5, "--agent", "memo", "--state", "--json"
    ).json
    assert server.ask("state", run="usual.tick", tick=5, agent="memo")["state"] == told["state"]
    assert server.refused("state", run="usual.tick", tick=5, agent="echo")[0] == 404


def test_the_history_of_an_agent_has_its_turns_and_its_memory(server: Server, runs: Path) -> None:
    ticks = {}
    with RunReader.open(runs / "usual.tick") as reader:
        for folded in fold(reader):
            for turn, used in zip(folded.settled.entry.turns, folded.settled.fuel, strict=True):
                if folded.before.agents[turn.agent].spec.id == "memo":
                    ticks[folded.planned.tick] = used
        snapshots = sorted(reader.snapshot_ticks())
    told = server.ask("history", run="usual.tick", agent="memo")
    assert {tick: fuel for tick, fuel, _, _ in told["turns"]} == ticks
    assert [tick for tick, _, _ in told["memory"]] == [tick for tick in snapshots if tick > 0]
    assert all(0 < changed <= size for _, size, changed in told["memory"])


def test_requests_are_listed_with_their_batch_and_their_refusal(tmp_path: Path) -> None:
    """Nobody may ask a model in this run."""
    made = project(tmp_path / "asks", agent("one", "shout"), agent("two", "shout"), lines="1\n")
    text = (made / "tickwork.toml").read_text().replace('to = "one"', 'to = ["one", "two"]')
    (made / "tickwork.toml").write_text(text)
    file = tmp_path / "asks.tick"
    assert tickwork_here("run", made, "--out", file, "--allow-failures").code == 0
    with viewer(file) as served:
        found = served.ask("inference", run="asks.tick")
        assert [(row["agent"], row["verdict"], row["batch"]) for row in found["requests"]] == [
            ("one", "denied", 2),
            ("two", "denied", 2),
        ]
        assert all(row["reason"] and row["completions"] == [] for row in found["requests"])
        model = found["requests"][0]["target"]
        assert found["targets"] == {model: 2}
        assert len(served.ask("inference", run="asks.tick", agent="two")["requests"]) == 1
        assert served.ask("inference", run="asks.tick", target="other")["requests"] == []
        counts = served.ask("timeline", run="asks.tick", lanes=10)["density"]
        assert "requests" in {counts["kinds"][mark[2]] for mark in counts["marks"]}


def test_requests_have_the_answers_that_the_record_has_for_them(server: Server) -> None:
    found = server.ask("inference", run="asked.tick")["requests"]
    assert [(row["tick"], row["agent"], row["effect"], row["due"], row["batch"]) for row in found] == [
        (1, "asker", 0, 3, 3),
        (1, "asker", 1, 4, 3),
        (1, "other", 0, 3, 3),
        (5, "asker", 0, 7, 1),
    ]
    first, streamed, refused, late = found
    assert first["prompt"] == [["user", "Who is there?"]]
    assert (first["mates"], first["model"]) == (["asker", "other"], "ab" * 32)
    (answer,) = first["completions"]
    assert (answer["tick"], answer["output"], answer["finish"]) == (3, "It is me, <b>the model</b>.", "stop")
    assert answer["usage"] == {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}
    assert (answer["provider"], answer["recomputable"]) == ("cpu", True)
    assert streamed["pieces"] == 1
    assert [(each["tick"], each["piece"], each["output"]) for each in streamed["completions"]] == [
        (3, True, "one "),
        (4, False, "one two"),
    ]
    (failure,) = refused["completions"]
    assert (failure["failure"], failure["provider"]) == ("the prompt is too long", "cuda")
    assert not failure["recomputable"]
    # The agent's own number is that of its first request, whose answer is not this one's.
    assert (late["request"], late["completions"]) == (1, [])


def test_batch_mates_are_told_whatever_is_filtered(server: Server) -> None:
    (row,) = server.ask("inference", run="asked.tick", agent="other")["requests"]
    assert (row["batch"], row["mates"]) == (3, ["asker", "asker"])


def test_a_request_leads_to_the_tick_of_its_answer(server: Server) -> None:
    turn = server.ask("turn", run="asked.tick", tick=1, agent="asker")
    assert [effect["deliveries"] for effect in turn["effects"]] == [
        [{"agent": "asker", "tick": 3}],
        [{"agent": "asker", "tick": 4}],
    ]
    found = server.ask("turn", run="asked.tick", tick=3, agent="asker")["inbox"]
    completions = [message for message in found if message["kind"] == "completion"]
    assert [(m["sender"], m["topic"], m["origin"]["effect"]) for m in completions] == [
        ("model:tiny", "reply", 0),
        ("model:tiny", "reply.piece", 1),
    ]


def test_faults_are_told_where_they_hit(server: Server) -> None:
    told = server.ask("tick", run="asked.tick", tick=2)["faults"]
    assert [(fault["kind"], fault["agent"], fault["effect"], fault["to"]) for fault in told] == [
        ("delay", "other", 0, "asker"),
        ("drop", "other", 1, "asker"),
        ("duplicate", "other", 2, "asker"),
    ]
    crash = server.ask("turn", run="asked.tick", tick=4, agent="frail")
    assert (crash["outcome"], [fault["kind"] for fault in crash["faults"]]) == (None, ["crash-before"])
    near = server.ask("timeline", run="asked.tick", detail=True)
    rows = {row["index"]: row for row in near["rows"]}
    detail = near["detail"]
    named = [(tick, rows[lane]["id"], detail["fault_kinds"][kind]) for tick, lane, kind in detail["faults"]]
    assert named == [
        (2, "other", "delay"),
        (2, "other", "drop"),
        (2, "other", "duplicate"),
        (4, "frail", "crash-before"),
    ]
    frail = next(row for row in rows.values() if row["id"] == "frail")
    assert (frail["ended"], frail["ending"]) == (4, "crash-before")
    density = server.ask("timeline", run="asked.tick")["density"]
    assert sum(mark[3] for mark in density["marks"] if density["kinds"][mark[2]] == "faults") == 4


def test_arrows_are_where_faults_let_messages_be_found(server: Server, runs: Path) -> None:
    detail = server.ask("timeline", run="asked.tick", detail=True)["detail"]
    arrows = sorted(
        (sent, found, detail["topics"][topic]) for sent, _, _, found, _, topic in detail["messages"]
    )
    messages = [row for row in rows(runs / "asked.tick", "messages") if row["class"] == "message"]
    assert arrows == sorted((m["sent"], m["tick"], m["topic"]) for m in messages)
    assert {topic for _, _, topic in arrows} == {"hello", "late", "twice"}


def test_comparing_tells_what_diff_tells(server: Server, runs: Path) -> None:
    told = tickwork_here("diff", runs / "usual.tick", runs / "fork.tick", "--json").json
    with server.events("compare", a="usual.tick", b="fork.tick") as events:
        *progress, (kind, found) = list(events)
    assert kind == "result"
    assert {kind for kind, _ in progress} <= {"progress"}
    for side, name in (("a", "usual.tick"), ("b", "fork.tick")):
        assert found[side]["file"] == name
        told[side]["file"] = name
    assert found == told
    with server.events("compare", a="usual.tick", b="text.tick") as events:
        ((kind, failure),) = list(events)
    assert kind == "failure"
    assert str(runs) not in failure["error"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("tick?run=usual.tick&tick=-1", 400),
        ("tick?run=usual.tick&tick=x", 400),
        ("tick?run=usual.tick&tick=1&more=1", 400),
        ("tick?run=usual.tick", 400),
        ("timeline?run=usual.tick&first=5&last=4", 404),
        ("timeline?run=usual.tick&columns=0", 400),
        ("timeline?run=usual.tick&first=99999999999999999999", 400),
        ("tick?run=usual.tick&tick=9007199254740991", 404),
        ("turn?run=usual.tick&tick=1&agent=nobody", 404),
        ("history?run=usual.tick&agent=nobody", 404),
        ("search?run=usual.tick&text=", 400),
        ("search?run=usual.tick&text=x&kinds=nonsense", 404),
        ("body?run=usual.tick&tick=1&agent=echo&part=other&place=0", 400),
        ("body?run=usual.tick&tick=1&agent=echo&part=inbox&place=999", 404),
        ("trace?run=usual.tick&tick=1&agent=nobody", 404),
        ("run?run=torn.tick", 422),
        ("timeline?run=torn.tick", 422),
        ("tick?run=text.tick&tick=1", 422),
        ("fork?job=1", 404),
        ("nothing", 404),
    ],
)
def test_every_bad_question_is_refused_in_words(server: Server, path: str, status: int) -> None:
    reply = server.request(f"/api/{path}")
    assert reply.status == status, reply.body
    assert re.search(r"\w{3}", reply.json["error"])


# ---- the API's description


def test_the_description_in_the_docs_is_the_servers(server: Server) -> None:
    stored = json.loads((DOCS / "ui-openapi.json").read_text())
    assert stored == json.loads(json.dumps(openapi())), "write it anew from tickwork.ui.endpoints.openapi()"
    assert server.ask("openapi.json") == stored


def test_every_endpoint_is_on_the_page_and_the_page_names_no_other() -> None:
    page = (DOCS / "ui-api.md").read_text()
    named = set(re.findall(r"^\| `(GET|POST) (/api/[a-z.]+)", page, re.MULTILINE))
    served = {(endpoint.method, endpoint.path) for endpoint in ENDPOINTS}
    assert named == served | {("GET", stream.path) for stream in STREAMS} | {("GET", "/api/openapi.json")}


def test_every_reference_of_the_description_leads_somewhere() -> None:
    described = openapi()
    references = set(re.findall(r'"\$ref": "#/components/(\w+)/(\w+)"', json.dumps(described)))
    assert all(name in described["components"][kind] for kind, name in references)
    assert len(references) > 20
