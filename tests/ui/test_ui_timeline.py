"""A window of the timeline counts what is there, in bounded memory and time."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from viewer_runs import LONG
from viewer_server import Server, all_read, viewer

from shell_projects import tickwork_here
from tickwork.core.effects import Log, Send
from tickwork.core.entry import TurnEntry
from tickwork.core.outcomes import OutcomeKind
from tickwork.journal.reader import RunReader
from tickwork.runtime.clock import monotonic_s
from tickwork.ui.follow import count
from tickwork.ui.lanes import KINDS, TURNS, Lanes
from tickwork.ui.timeline import CELLS_MAX

Counted = list[tuple[int, int]]


def filled(counted: Counted, first: int, cells_max: int, batch: int) -> Lanes:
    lanes = Lanes(first, 1, cells_max)
    for begin in range(0, len(counted), batch):
        part = counted[begin : begin + batch]
        ticks, agents = (np.array(column, np.int64) for column in zip(*part, strict=True))
        counts = np.zeros((len(part), len(KINDS)), np.int64)
        counts[:, TURNS] = 1
        lanes.add(ticks, agents, counts)
    return lanes


@given(
    counted=st.lists(st.tuples(st.integers(0, 3_000), st.integers(0, 12)), min_size=1, max_size=200).map(
        sorted
    ),
    first=st.integers(0, 5_000),
    cells_max=st.sampled_from([20, 100, 1_000, 100_000]),
    batch=st.sampled_from([1, 7, 1_000]),
    window=st.tuples(st.integers(0, 3_000), st.integers(0, 3_000)).map(sorted),
    columns=st.integers(1, 400),
    rows=st.integers(1, 20),
)
def test_windows_count_every_turn_once(
    counted: Counted,
    first: int,
    cells_max: int,
    batch: int,
    window: list[int],
    columns: int,
    rows: int,
) -> None:
    counted = [(first + tick, agent) for tick, agent in counted]
    lanes = filled(counted, first, cells_max, batch)
    low, high = first + window[0], first + window[1]
    found = lanes.window(low, high, range(13), columns=columns, rows=rows)
    wide, tall, _ = found.cells.shape
    assert wide <= columns
    assert tall <= rows
    assert found.first <= low
    assert (found.first - first) % found.width == 0
    assert found.first + wide * found.width > high
    per_row = -(-13 // min(rows, 13))
    expected = np.zeros((wide, tall), np.int64)
    for tick, agent in counted:
        column = (tick - found.first) // found.width
        if found.first <= tick and column < wide:
            expected[column, agent // per_row] += 1
    assert np.array_equal(found.cells[:, :, TURNS], expected)


def test_counts_take_bounded_memory_however_long_the_run() -> None:
    lanes = Lanes(0, 50, cells_max=10_000)
    agents = np.arange(50, dtype=np.int64)
    for tick in [*range(0, 2_000, 5), 10_000, 1_000_000, 2**52]:
        lanes.add(np.full(50, tick, np.int64), agents, np.ones((50, len(KINDS)), np.int64))
        assert lanes.nbytes <= 10_000 * len(KINDS) * 2 * 2
    whole = lanes.window(0, 2**52, range(50), columns=100, rows=1)
    assert whole.cells[:, :, TURNS].sum() == 50 * 403


def test_full_spans_stay_full() -> None:
    lanes = Lanes(0, 1, cells_max=1)
    for _ in range(3):
        lanes.add(np.zeros(1, np.int64), np.zeros(1, np.int64), np.full((1, len(KINDS)), 60_000))
    found = lanes.window(0, 0, range(1), columns=1, rows=1)
    assert found.cells[0, 0, TURNS] == 65_535


def test_a_turn_counts_for_what_it_did() -> None:
    turn = TurnEntry(
        0, OutcomeKind.OUT_OF_FUEL, (Log(0, "fine"), Log(2, "hm"), Log(3, "no"), Send("a", "t", b""))
    )
    counts = dict(zip(KINDS, count(turn), strict=True))
    assert counts == {
        "turns": 1,
        "messages": 1,
        "failed": 1,
        "denied": 0,
        "rejected": 0,
        "requests": 0,
        "notes": 2,
        "faults": 0,
    }


def test_density_and_detail_tell_the_same(server: Server, runs: Path) -> None:
    all_read(server, "usual.tick")
    near = server.ask("timeline", run="usual.tick", detail=True)
    far = server.ask("timeline", run="usual.tick")
    assert near["density"] is None
    assert far["detail"] is None
    density, detail = far["density"], near["detail"]
    assert density["width"] == 1
    counted = np.array(density["turns"]).reshape(len(far["rows"]), density["columns"])
    listed = np.zeros_like(counted)
    for tick, agent, _, _, _ in detail["turns"]:
        listed[agent, tick - density["first"]] += 1
    assert np.array_equal(counted, listed)
    with RunReader.open(runs / "usual.tick") as reader:
        turns = sum(len(stored.decode()[0].turns) for stored in reader.entries())
        failed = sum(turn.kind != "ok" for stored in reader.entries() for turn in stored.decode()[0].turns)
    assert counted.sum() == turns
    marked = [mark for mark in density["marks"] if density["kinds"][mark[2]] == "failed"]
    assert sum(mark[3] for mark in marked) == failed > 0
    assert sum(bool(turn[2] & 1 << detail["marks"].index("failed")) for turn in detail["turns"]) == failed


def test_every_arrow_is_a_message_that_was_found(server: Server, runs: Path) -> None:
    found = server.ask("timeline", run="usual.tick", detail=True)
    names = {row["index"]: row["id"] for row in found["rows"]}
    detail = found["detail"]
    arrows = sorted(
        (names[one], sent, names[two], at, detail["topics"][topic])
        for sent, one, _, at, two, topic in detail["messages"]
    )
    messages = tickwork_here("inspect", runs / "usual.tick", "messages", "--json").rows
    told = sorted(
        (m["sender"], m["sent"], m["to"], m["tick"], m["topic"])
        for m in messages
        if m["class"] == "message" and m["sender"] != "tickwork"
    )
    # Who ended never found what was sent to it.
    assert set(told) <= set(arrows)
    assert told
    inputs = {(tick, names[agent]) for tick, agent, _ in detail["inputs"]}
    assert inputs >= {(m["tick"], m["to"]) for m in messages if m["class"] == "input"}


def test_agents_are_shown_from_when_they_began_to_when_they_ended(server: Server) -> None:
    rows = {row["id"]: row for row in server.ask("timeline", run="usual.tick")["rows"]}
    assert rows["worker/1"]["born"] == 1
    assert rows["worker/1"]["kind"] == "worker"
    assert rows["frail"]["ending"] == "guest-error"
    assert rows["frail"]["ended"] == 1
    assert rows["memo"]["ended"] is None


def test_a_window_has_no_more_cells_than_the_bound(server: Server) -> None:
    all_read(server, "crowd.tick")
    found = server.ask("timeline", run="crowd.tick", lanes=1_000, columns=4_000, rows=2_000)
    assert len(found["density"]["turns"]) <= CELLS_MAX
    assert sum(found["density"]["turns"]) == 1_000 * 30
    rough = server.ask("timeline", run="crowd.tick", lanes=1_000, columns=10, rows=7)
    assert rough["density"]["columns"] <= 10
    assert len(rough["rows"]) <= 7
    assert sum(row["count"] for row in rough["rows"]) == 1_000
    assert sum(rough["density"]["turns"]) == 1_000 * 30


# ---- a long run


def test_a_window_of_a_hundred_thousand_ticks_is_answered_in_a_tenth_of_a_second(runs: Path) -> None:
    with viewer(runs / "long.tick") as served:
        all_read(served, "long.tick")
        taken: list[float] = []
        for first, last, detail in [
            (0, LONG, False),
            (10, 90_000, False),
            (50_000, 50_300, True),
            (99_000, LONG, False),
            (0, 399, True),
        ] * 4:
            begin = monotonic_s()
            found = served.ask(
                "timeline", run="long.tick", first=first, last=last, detail=detail, columns=1_200
            )
            taken.append(monotonic_s() - begin)
            assert (found["detail"] is not None) == detail
    # The worst but one: the machine has other things to do, too.
    assert sorted(taken)[-2] < 0.1, taken


def test_the_counts_of_a_long_run_take_little_memory(runs: Path) -> None:
    with viewer(runs / "long.tick") as served:
        before = peak_kib(served)
        all_read(served, "long.tick")
        served.ask("timeline", run="long.tick", columns=1_200)
        assert peak_kib(served) - before < 100 * 1024


def peak_kib(served: Server) -> int:
    """Return the most memory that the server's process ever took."""
    status = Path(f"/proc/{served.process.pid}/status")
    if not status.exists():
        pytest.skip("needs Linux's /proc")
    return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM"))
