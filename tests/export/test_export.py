"""What is exported is what the record says, in the form that other tools read."""

import json
import re
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from asked_run import asked
from diff_runs import change
from shell_projects import agent, project, tickwork, tickwork_here
from tickwork.export.otel import CONVENTIONS, SCHEMA
from tickwork.export.tables import TABLES

Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with messages, outputs, logs, a spawn, a failure, refusals, and requests that are denied."""
    folder = tmp_path_factory.mktemp("exported")
    made = project(
        folder / "p",
        agent("sink", "sink"),
        agent("frail", "fail"),
        agent("spawner", "spawner", "spawn:worker"),
        agent("echo", "echo", "send:sink", "output:out"),
        agent("shout", "shout", "send:sink"),
        lines="".join(f"{number}\n" for number in range(6)),
        more='[kinds.worker]\nmodule = "puppet.wasm"\nconfig = "echo"\n',
    )
    to = 'to = ["frail", "spawner", "echo", "shout"]'
    (made / "tickwork.toml").write_text((made / "tickwork.toml").read_text().replace('to = "sink"', to))
    file = folder / "run.tick"
    assert tickwork_here("run", made, "--out", file, "--allow-failures").code == 0
    return file


def exported(file: Path, to: Path, kind: str, *options: object) -> Path:
    done = tickwork_here("export", file, "--format", kind, "--out", to, *options)
    assert (done.code, done.out) == (0, ""), done.err
    return to


def inspected(file: Path, view: str) -> Rows:
    return tickwork_here("inspect", file, view, "--json").rows


def lines(path: Path) -> Rows:
    return [json.loads(line) for line in path.read_text().splitlines()]


# ---- JSON lines


def test_json_lines_say_what_inspect_says(recorded: Path, tmp_path: Path) -> None:
    by_type: dict[str, Rows] = {}
    for row in lines(exported(recorded, tmp_path / "x", "jsonl")):
        by_type.setdefault(row.pop("type"), []).append(row)
    messages = inspected(recorded, "messages")
    assert [
        (m["tick"], m["to"], m["sender"], m["topic"], m["class"], m["body"]) for m in by_type["message"]
    ] == [(m["tick"], m["to"], m["sender"], m["topic"], m["class"], m["body"]) for m in messages]
    effects = inspected(recorded, "effects")
    assert [
        (e["tick"], e["agent"], e["effect"], e["kind"], e["target"], e["verdict"]) for e in by_type["effect"]
    ] == [(e["tick"], e["agent"], e["effect"], e["kind"], e["target"], e["verdict"]) for e in effects]
    ticks = inspected(recorded, "ticks")
    assert [(t["tick"], t["digest"], t["exact"], t["fuel"]) for t in by_type["tick"]] == [
        (t["tick"], t["digest"], t["exact"], t["fuel"]) for t in ticks
    ]
    agents = inspected(recorded, "agents")
    assert [(a["id"], a["status"], a["reason"]) for a in by_type["agent"]] == [
        (a["id"], a["status"], a["reason"]) for a in agents
    ]
    assert len(by_type["run"]) == 1
    assert {*by_type, "fault"} == {"run", *(table.removesuffix("s") for table in TABLES)}


def test_a_part_is_the_same_part_of_the_whole(recorded: Path, tmp_path: Path) -> None:
    whole = lines(exported(recorded, tmp_path / "whole", "jsonl"))
    part = lines(exported(recorded, tmp_path / "part", "jsonl", "--from", 2, "--to", 3))
    told = {"run", "agent"}
    assert [row for row in part if row["type"] not in told] == [
        row for row in whole if row["type"] not in told and 2 <= row["tick"] <= 3
    ]


def test_standard_output_gets_the_same_bytes(recorded: Path, tmp_path: Path) -> None:
    for kind in ("jsonl", "perfetto", "otel"):
        to = exported(recorded, tmp_path / kind, kind)
        done = tickwork("export", recorded, "--format", kind, "--out", "-")
        assert (done.code, done.err) == (0, "")
        assert done.out.encode() == to.read_bytes()


# ---- Perfetto


def test_a_trace_has_a_thread_for_each_agent_and_a_slice_for_each_turn(
    recorded: Path, tmp_path: Path
) -> None:
    trace = json.loads(exported(recorded, tmp_path / "x", "perfetto").read_text())
    events = trace["traceEvents"]
    threads = {event["tid"]: event["args"]["name"] for event in events if event["name"] == "thread_name"}
    turns = [row for row in lines(exported(recorded, tmp_path / "y", "jsonl")) if row["type"] == "turn"]
    slices = [event for event in events if event["ph"] == "X"]
    assert [(e["args"]["tick"], threads[e["tid"]], e["args"]["fuel"]) for e in slices] == [
        (turn["tick"], turn["agent"], turn["fuel"]) for turn in turns
    ]
    assert {event["pid"] for event in events} == {1}
    # On one thread nothing overlaps: viewers draw slices as a stack of calls.
    for thread in threads:
        mine = sorted((e["ts"], e["dur"]) for e in slices if e["tid"] == thread)
        assert all(one[0] + one[1] <= two[0] for one, two in pairwise(mine))


def test_every_flow_begins_in_the_slice_of_its_sender_and_ends_in_its_receivers(
    recorded: Path, tmp_path: Path
) -> None:
    events = json.loads(exported(recorded, tmp_path / "x", "perfetto").read_text())["traceEvents"]
    threads = {event["tid"]: event["args"]["name"] for event in events if event["name"] == "thread_name"}
    slices = [event for event in events if event["ph"] == "X"]

    def around(event: dict[str, Any]) -> tuple[str, int]:
        (found,) = [
            each
            for each in slices
            if each["tid"] == event["tid"] and each["ts"] <= event["ts"] <= each["ts"] + each["dur"]
        ]
        return threads[event["tid"]], found["args"]["tick"]

    begun = {event["id"]: around(event) for event in events if event["ph"] == "s"}
    ended = {event["id"]: (*around(event), event["name"]) for event in events if event["ph"] == "f"}
    assert set(begun) == set(ended)
    found = Counter((*begun[flow], *ended[flow]) for flow in begun)
    messages = [row for row in inspected(recorded, "messages") if row["class"] != "input"]
    assert found.total() == len(messages) > 0
    sent = Counter(
        (m["sender"], m["sent"], m["to"], m["tick"], m["topic"])
        for m in messages
        if m["sender"] != "tickwork"
    )
    assert all(found[message] == times for message, times in sent.items())


# ---- OpenTelemetry


def spans_of(path: Path) -> Rows:
    found = []
    for request in lines(path):
        (resource,) = request["resourceSpans"]
        (scoped,) = resource["scopeSpans"]
        assert resource["schemaUrl"] == scoped["schemaUrl"] == SCHEMA
        found += scoped["spans"]
    return found


def attributes(span: dict[str, Any]) -> dict[str, Any]:
    return {item["key"]: next(iter(item["value"].values())) for item in span["attributes"]}


def test_spans_are_one_tree_with_ids_of_their_own(recorded: Path, tmp_path: Path) -> None:
    spans = spans_of(exported(recorded, tmp_path / "x", "otel"))
    ids = [span["spanId"] for span in spans]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch("[0-9a-f]{16}", one) for one in ids)
    assert {len(span["traceId"]) for span in spans} == {32}
    assert len({span["traceId"] for span in spans}) == 1
    roots = [span for span in spans if not span["parentSpanId"]]
    assert [span["name"] for span in roots] == ["invoke_workflow small"]
    assert all(span["parentSpanId"] in ids for span in spans if span not in roots)
    for span in spans:
        assert int(span["startTimeUnixNano"]) < int(span["endTimeUnixNano"])
        assert {link["spanId"] for link in span.get("links", ())} <= set(ids)


def test_turns_and_requests_follow_the_conventions_for_agents(recorded: Path, tmp_path: Path) -> None:
    spans = spans_of(exported(recorded, tmp_path / "x", "otel"))
    turns = [row for row in lines(exported(recorded, tmp_path / "y", "jsonl")) if row["type"] == "turn"]
    told = [(span, attributes(span)) for span in spans]
    agents = [(span, found) for span, found in told if found["gen_ai.operation.name"] == "invoke_agent"]
    assert [(found["gen_ai.agent.name"], int(found["tickwork.tick"])) for _, found in agents] == [
        (turn["agent"], turn["tick"]) for turn in turns
    ]
    assert all(span["name"] == f"invoke_agent {found['gen_ai.agent.name']}" for span, found in agents)
    failed = [found["error.type"] for span, found in agents if span["status"].get("code") == 2]
    assert failed == [turn["outcome"] for turn in turns if turn["outcome"] != "ok"] != []
    asked = [(span, found) for span, found in told if found["gen_ai.operation.name"] == "chat"]
    effects = [row for row in inspected(recorded, "effects") if row["kind"] == "infer"]
    assert [found["gen_ai.request.model"] for _, found in asked] == [row["target"] for row in effects] != []
    assert {(span["kind"], found["error.type"]) for span, found in asked} == {(3, "denied")}
    logs = sum(len(span.get("events", ())) for span in spans)
    assert logs == sum(row["level"] not in {"metric", "failed"} for row in inspected(recorded, "logs")) > 0


@pytest.fixture(scope="module")
def answered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with answers of models, one of them in pieces, and with faults."""
    return asked(tmp_path_factory.mktemp("answered") / "asked.tick")


def test_a_request_lasts_until_its_answer(answered: Path, tmp_path: Path) -> None:
    spans = spans_of(exported(answered, tmp_path / "x", "otel"))
    chats = [(span, attributes(span)) for span in spans if span["name"] == "chat tiny"]
    lasting = [int(span["endTimeUnixNano"]) - int(span["startTimeUnixNano"]) for span, _ in chats]
    # In the order of their answers; the last was not answered when the run ended.
    assert lasting == [2 * 10, 2 * 10, 3 * 10, 2 * 10]
    first, failed, streamed, late = (found for _, found in chats)
    assert (first["gen_ai.usage.input_tokens"], first["gen_ai.usage.output_tokens"]) == ("5", "7")
    assert (first["gen_ai.response.model"], first["gen_ai.request.max_tokens"]) == ("tiny", "16")
    assert json.loads(first["gen_ai.input.messages"]) == [
        {"role": "user", "parts": [{"type": "text", "content": "Who is there?"}]}
    ]
    assert json.loads(first["gen_ai.output.messages"]) == [
        {
            "role": "assistant",
            "parts": [{"type": "text", "content": "It is me, <b>the model</b>."}],
            "finish_reason": "stop",
        }
    ]
    assert first["gen_ai.response.finish_reasons"] == {"values": [{"stringValue": "stop"}]}
    assert (failed["error.type"], chats[1][0]["status"]["message"]) == ("failed", "the prompt is too long")
    assert [event["name"] for event in chats[2][0]["events"]] == ["tickwork.piece"]
    assert streamed["gen_ai.usage.output_tokens"] == "2"
    assert "gen_ai.usage.output_tokens" not in late
    ids = {span["spanId"]: span["name"] for span in spans}
    assert {ids[span["parentSpanId"]] for span, _ in chats} == {"invoke_agent asker", "invoke_agent other"}


def test_requests_are_asynchronous_slices_with_what_was_said(answered: Path, tmp_path: Path) -> None:
    events = json.loads(exported(answered, tmp_path / "x", "perfetto").read_text())["traceEvents"]
    begun = {event["id"]: event for event in events if event["ph"] == "b"}
    ended = {event["id"]: event for event in events if event["ph"] == "e"}
    assert list(begun) == ["1.0.0", "1.0.1", "1.1.0", "5.0.0"]
    assert set(begun) - set(ended) == {"5.0.0"}
    assert begun["1.0.0"]["args"]["prompt"] == "user: Who is there?"
    assert ended["1.0.0"]["args"]["output"] == "It is me, <b>the model</b>."
    assert ended["1.1.0"]["args"]["output"] == "the prompt is too long"
    for name, end in ended.items():
        assert end["ts"] > begun[name]["ts"]
        assert (end["name"], end["tid"], end["cat"]) == tuple(
            begun[name][key] for key in ("name", "tid", "cat")
        )
    faults = [event["name"] for event in events if event.get("cat") == "fault"]
    assert faults == ["fault: delay", "fault: drop", "fault: duplicate", "fault: crash-before"]


def test_faults_are_a_table(answered: Path, tmp_path: Path) -> None:
    rows = lines(exported(answered, tmp_path / "x", "jsonl"))
    told = [(row["tick"], row["kind"], row["agent"], row["to"]) for row in rows if row["type"] == "fault"]
    assert told == [
        (2, "delay", "other", "asker"),
        (2, "drop", "other", "asker"),
        (2, "duplicate", "other", "asker"),
        (4, "crash-before", "frail", None),
    ]
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs the extra `export`")
    found = parquet.read_table(exported(answered, tmp_path / "y", "parquet") / "faults.parquet").to_pylist()
    assert [(row["tick"], row["kind"], row["agent"], row["to"]) for row in found] == told


# What every event of the Trace Event Format has by its phase, besides `ph`, `name` and `pid`.
_PHASES = {
    "M": {"tid", "args"},
    "X": {"tid", "cat", "ts", "dur", "args"},
    "C": {"tid", "ts", "args"},
    "i": {"tid", "cat", "ts", "s"},
    "s": {"tid", "cat", "ts", "id"},
    "f": {"tid", "cat", "ts", "id", "bp"},
    "b": {"tid", "cat", "ts", "id", "args"},
    "e": {"tid", "cat", "ts", "id", "args"},
}


@pytest.mark.parametrize("which", ["recorded", "answered"])
def test_every_event_is_one_of_the_trace_event_format(
    request: pytest.FixtureRequest, tmp_path: Path, which: str
) -> None:
    trace = json.loads(exported(request.getfixturevalue(which), tmp_path / "x", "perfetto").read_text())
    assert set(trace) == {"displayTimeUnit", "otherData", "traceEvents"}
    assert trace["displayTimeUnit"] in {"ms", "ns"}
    for event in trace["traceEvents"]:
        assert set(event) == _PHASES[event["ph"]] | {"ph", "name", "pid"}, event
        assert isinstance(event["name"], str)
        assert event["name"]
        assert all(type(event[key]) is int for key in ("pid", "tid"))
        assert all(event[key] >= 0 for key in ("ts", "dur") if key in event)
        assert isinstance(event.get("args", {}), dict)
        assert event.get("s", "t") == "t"
        assert event.get("bp", "e") == "e"
        if event["ph"] == "C":
            assert all(isinstance(value, (int, float)) for value in event["args"].values())


def test_the_page_names_the_version_of_the_conventions() -> None:
    page = Path(__file__).parents[2] / "docs" / "how-to" / "open-in-other-tools.md"
    assert f"version {CONVENTIONS}," in page.read_text()


def test_equal_runs_give_equal_files(recorded: Path, tmp_path: Path) -> None:
    made = recorded.parent / "p"
    again = tmp_path / "again.tick"
    assert tickwork_here("run", made, "--out", again, "--allow-failures", "--force").code == 0
    for kind in ("jsonl", "perfetto", "otel"):
        one, two = (exported(file, tmp_path / f"{file.stem}.{kind}", kind) for file in (recorded, again))
        assert one.read_bytes() == two.read_bytes()


# ---- Parquet


def test_parquet_has_the_rows_of_json_lines(recorded: Path, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs the extra `export`")
    folder = exported(recorded, tmp_path / "x", "parquet")
    assert {found.name for found in folder.iterdir()} == {f"{table}.parquet" for table in TABLES}
    rows = lines(exported(recorded, tmp_path / "y", "jsonl"))
    for table in TABLES:
        found = parquet.read_table(folder / f"{table}.parquet").to_pylist()
        expected = [row for row in rows if row["type"] == table.removesuffix("s")]
        assert len(found) == len(expected)
        assert found or table == "faults"
        for one, two in zip(found, expected, strict=True):
            for name, value in one.items():
                if name == "fields":
                    assert json.loads(value) == two[name]
                elif name != "body":
                    assert value == two[name], (table, name)


def test_parquet_keeps_every_byte_of_a_body(recorded: Path, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs the extra `export`")
    folder = exported(recorded, tmp_path / "x", "parquet")
    bodies = parquet.read_table(folder / "messages.parquet").column("body").to_pylist()
    assert b"\x1b[2J\xff\xfe\n\x00" in bodies


def test_without_pyarrow_the_error_says_what_to_install(
    recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tickwork.export.parquet.find_spec", lambda _: None)
    done = tickwork_here("export", recorded, "--format", "parquet", "--out", tmp_path / "x")
    assert (done.code, done.error) == (
        2,
        "Parquet needs pyarrow; install it with: pip install 'tickwork[export]'",
    )
    assert not (tmp_path / "x").exists()


# ---- the place


def test_nothing_is_overwritten_unless_asked(recorded: Path, tmp_path: Path) -> None:
    to = tmp_path / "x.jsonl"
    to.write_text("mine")
    done = tickwork_here("export", recorded, "--format", "jsonl", "--out", to)
    assert done.code == 2
    assert to.read_text() == "mine"
    exported(recorded, to, "jsonl", "--force")
    assert len(lines(to)) > 10
    done = tickwork_here("export", recorded, "--format", "jsonl", "--out", recorded, "--force")
    assert "is the run itself" in done.error


def test_a_folder_with_something_else_in_it_is_left_alone(recorded: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="needs the extra `export`")
    to = exported(recorded, tmp_path / "x", "parquet")
    (to / "notes.txt").write_text("mine")
    done = tickwork_here("export", recorded, "--format", "parquet", "--out", to, "--force")
    assert done.code == 2
    assert "notes.txt" in done.err
    assert (to / "notes.txt").read_text() == "mine"
    assert sorted(found.name for found in tmp_path.iterdir()) == ["x"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--format", "pdf"), "there is no format 'pdf'"),
        (("--format", "jsonl", "--from", 9_999), "no tick in the range"),
        (("--format", "jsonl", "--from", 3, "--to", 2), "no tick in the range"),
        (("--format", "parquet", "--out", "-"), "into a folder"),
    ],
)
def test_what_cannot_be_exported_is_refused_and_leaves_nothing(
    recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[object, ...], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = tickwork_here("export", recorded, *options)
    assert done.code == 2
    assert words in done.err
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_run_leaves_no_half_of_an_export(recorded: Path, tmp_path: Path) -> None:
    file = tmp_path / "holed.tick"
    file.write_bytes(recorded.read_bytes())
    change(file, "DELETE FROM entry WHERE tick = ?", 3)
    done = tickwork_here("export", file, "--format", "jsonl", "--out", tmp_path / "x")
    assert done.code == 2
    assert "tick 3" in done.err
    assert not (tmp_path / "x").exists()
    assert [found.name for found in tmp_path.iterdir()] == ["holed.tick"]
