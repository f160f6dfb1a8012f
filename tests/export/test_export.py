"""What is exported is what the record says, in the form that other tools read."""

import json
from pathlib import Path

import pytest
from exports import Rows, exported, inspected, lines

from diff_runs import change
from shell_projects import tickwork, tickwork_here
from tickwork.export.tables import TABLES

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


def test_undelivered_messages_are_a_table(recorded: Path, tmp_path: Path) -> None:
    found = [
        row for row in lines(exported(recorded, tmp_path / "x", "jsonl")) if row["type"] == "undelivered"
    ]
    told = inspected(recorded, "undelivered")
    assert [(row["tick"], row["to"], row["sender"], row["topic"], row["reason"]) for row in found] == [
        (row["tick"], row["to"], row["sender"], row["topic"], row["reason"]) for row in told
    ]
    assert {row["to"] for row in found} >= {"frail"}


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
        (("--format", "jsonl", "--out", "absent/x.jsonl"), "absent/x.jsonl: there is no folder absent"),
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
