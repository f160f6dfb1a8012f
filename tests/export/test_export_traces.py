"""Traces for Perfetto, and spans for OpenTelemetry, say what the record says."""

import json
import re
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from exports import attributes, exported, inspected, lines, spans_of

from tickwork.export.otel import CONVENTIONS

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


# ---- OpenTelemetry


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


def test_the_page_names_the_version_of_the_conventions() -> None:
    page = Path(__file__).parents[2] / "docs" / "how-to" / "open-in-other-tools.md"
    assert f"version {CONVENTIONS}," in page.read_text()
