"""`tickwork inspect` as it is typed: views that agree with each other, filters, names that do not exist."""

from collections import Counter

import pytest

from shell_projects import agent, entries_of, project, tickwork, tickwork_here

VIEWS = ("agents", "ticks", "messages", "effects", "logs")
LINES = "".join(f"{number}\n" for number in range(6))


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A run with denials, a spawned agent, a failure, and messages to somebody who has stopped."""
    folder = project(
        tmp_path_factory.mktemp("inspect") / "p",
        agent("echo", "echo", "output:out", "send:sink"),
        agent("sink", "sink"),
        agent("loud", "shout", "output:out", "send:sink"),
        agent("frail", "fail"),
        agent("spawner", "spawner", "spawn:worker"),
        lines=LINES,
        more='[kinds.worker]\nmodule = "puppet.wasm"\nconfig = "echo"\n',
    )
    manifest = folder / "tickwork.toml"
    text = manifest.read_text().replace('to = "echo"', 'to = ["echo", "loud", "frail", "spawner"]')
    manifest.write_text(text)
    file = folder / "x.tick"
    done = tickwork_here("run", folder, "--out", file, "--ticks", 100, "--json")
    assert done.code == 1
    return file, done.json


def rows(file, view, *options):
    done = tickwork_here("inspect", file, view, "--json", *options)
    assert (done.code, done.err) == (0, "")
    return done.rows


def test_the_summary_agrees_with_the_run(recorded):
    file, result = recorded
    summary = tickwork_here("inspect", file, "--json").json
    for name in ("run", "ticks", "status", "digest", "exact"):
        assert summary[name] == result[name], name
    assert (summary["name"], summary["agents"], summary["kinds"]) == ("small", 5, ["worker"])
    assert (summary["inputs"], summary["outputs"]) == (["lines"], ["out"])
    assert summary["bytes"] == file.stat().st_size
    text = tickwork_here("inspect", file).out
    shown = dict(line.split(maxsplit=1) for line in text.splitlines())
    assert list(shown) == list(summary)
    assert shown["digest"] == result["digest"]


def test_the_views_agree_with_each_other_and_with_the_run(recorded):
    file, result = recorded
    agents, ticks, messages, effects, logs = (rows(file, view) for view in VIEWS)
    assert [tick["tick"] for tick in ticks] == list(range(result["ticks"]))
    assert ticks[-1]["digest"] == result["digest"]
    assert ticks[-1]["exact"] == result["exact"]
    assert sum(tick["turns"] for tick in ticks) == sum(row["turns"] for row in agents) == result["turns"]
    assert len(messages) == sum(row["received"] for row in agents) == result["messages"]
    assert len(messages) == sum(tick["messages"] for tick in ticks)
    assert len(effects) == sum(row["effects"] for row in agents) == sum(tick["effects"] for tick in ticks)
    assert sum(tick["fuel"] for tick in ticks) == sum(row["fuel"] for row in agents)
    assert sum(tick["undelivered"] for tick in ticks) == result["undelivered"] > 0
    verdicts = Counter(row["verdict"] for row in effects)
    assert (verdicts["denied"], verdicts["rejected"]) == (result["denied"], result["rejected"])
    assert verdicts["denied"] > 0
    assert sum(tick["refused"] for tick in ticks) == verdicts["denied"] + verdicts["rejected"]
    assert len(logs) == sum(row["kind"] in {"log", "metric"} for row in effects) + sum(
        tick["failed"] for tick in ticks
    )


def test_what_was_sent_is_what_was_received(recorded):
    file, _ = recorded
    sent = [
        (row["agent"], row["fields"]["to"], row["tick"], row["fields"]["topic"], str(row["fields"]["body"]))
        for row in rows(file, "effects")
        if row["kind"] == "send" and row["verdict"] == "performed"
    ]
    received = [
        (row["sender"], row["to"], row["sent"], row["topic"], str(row["body"]))
        for row in rows(file, "messages")
        if row["class"] == "message" and row["sender"] != "tickwork"
    ]
    assert sorted(sent) == sorted(received)
    assert len(sent) == 7


def test_agents_are_as_they_ended(recorded):
    file, _ = recorded
    agents = {row["id"]: row for row in rows(file, "agents")}
    assert list(agents) == ["echo", "sink", "loud", "frail", "spawner", "worker/1"]
    assert {name: row["status"] for name, row in agents.items()} == {
        "echo": "running",
        "sink": "running",
        "loud": "stopped",
        "frail": "failed",
        "spawner": "running",
        "worker/1": "running",
    }
    assert agents["frail"]["reason"] == "guest-error: 0"
    assert agents["worker/1"]["kind"] == "worker"
    early = {row["id"]: row for row in rows(file, "agents", "--to", 0)}
    assert "worker/1" not in early
    assert early["frail"]["status"] == "running"


@pytest.mark.parametrize("view", VIEWS[1:])
def test_ticks_filter_rows(recorded, view):
    file, _ = recorded
    everything = rows(file, view)
    for tick in (0, 1, 3, 99):
        assert rows(file, view, "--tick", tick) == [row for row in everything if row["tick"] == tick]
    assert rows(file, view, "--from", 2, "--to", 3) == [row for row in everything if 2 <= row["tick"] <= 3]
    assert rows(file, view, "--from", 5) == [row for row in everything if row["tick"] >= 5]
    assert rows(file, view, "--to", 1) == [row for row in everything if row["tick"] <= 1]


@pytest.mark.parametrize(
    ("view", "concerns"), [("effects", ("agent",)), ("logs", ("agent",)), ("messages", ("to", "sender"))]
)
def test_an_agent_filters_rows(recorded, view, concerns):
    file, _ = recorded
    everything = rows(file, view)
    for name in ("echo", "sink", "worker/1"):
        wanted = [row for row in everything if name in [row[column] for column in concerns]]
        assert rows(file, view, "--agent", name) == wanted
    assert [row["id"] for row in rows(file, "agents", "--agent", "sink")] == ["sink"]
    assert {row["sender"] for row in rows(file, "messages", "--agent", "input:lines")} == {"input:lines"}


@pytest.mark.parametrize("view", VIEWS)
def test_tables_have_a_line_for_each_row(recorded, view):
    file, _ = recorded
    done = tickwork_here("inspect", file, view)
    assert (done.code, done.err) == (0, "")
    header, *lines = done.out.splitlines()
    found = rows(file, view)
    assert header.split() == list(found[0])
    assert len(lines) == len(found)
    first = next(iter(found[0]))
    assert [line.split()[0] for line in lines] == [str(row[first]) for row in found]


def test_nothing_found_is_said(recorded):
    file, _ = recorded
    done = tickwork_here("inspect", file, "messages", "--tick", 99)
    assert (done.code, done.out, done.err) == (0, "", "nothing matches\n")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("agent",), "there is no view 'agent'; choose summary, agents, ticks, messages, effects, logs"),
        (("agents", "--agent", "snk"), "there is no agent 'snk'; did you mean sink?"),
        (("logs", "--agent", "worker/2"), "there is no agent 'worker/2'; did you mean worker/1?"),
        (("logs", "--agent", "input:line"), "did you mean input:lines?"),
        (("logs", "--agent", "zzz"), "there are: echo, sink, loud, frail, spawner, worker/1"),
        (("logs", "--tick", 1, "--from", 1), "--tick names one tick"),
        (("logs", "--tick", 1, "--to", 3), "--tick names one tick"),
    ],
)
def test_a_name_that_does_not_exist_is_one_message(recorded, options, said):
    file, _ = recorded
    done = tickwork_here("inspect", file, *options)
    assert done.code == 2
    assert said in done.error


@pytest.mark.parametrize("options", [("logs", "--tick", "-1"), ("logs", "--from", "x"), ()])
def test_what_cannot_be_parsed_is_a_mistake_in_the_usage(recorded, options):
    done = tickwork_here("inspect", *([recorded[0], *options] if options else []))
    assert done.code == 2
    assert "Usage: " in done.err


def test_looking_changes_nothing(recorded):
    file, _ = recorded
    before = entries_of(file.parent)
    for view in VIEWS:
        assert tickwork_here("inspect", file, view).code == 0
    assert tickwork("inspect", file, "ticks", "--json").rows == rows(file, "ticks")
    assert entries_of(file.parent) == before
