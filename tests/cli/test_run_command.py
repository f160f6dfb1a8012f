"""`tickwork run` as somebody types it: what it prints, what its options do, and how it says no."""

import json
import os
import subprocess

import pytest

from shell_projects import (
    COMMAND,
    ECHO,
    LINES,
    TICKER,
    agent,
    echo_project,
    entries_of,
    environment,
    project,
    tickwork,
    tickwork_here,
)


def test_json_is_one_object_that_agrees_with_the_run_file(tmp_path):
    folder = echo_project(tmp_path / "p")
    file = tmp_path / "x.tick"
    done = tickwork("run", folder, "--out", file, "--json")
    assert (done.code, done.err) == (0, "")
    assert done.out.count("\n") == 1
    result = done.json
    assert list(result) == [
        "run", "file", "status", "ticks", "turns", "messages", "agents", "denied", "rejected", "undelivered",
        "faults", "restarted", "rolled_back", "bad_lines", "failed", "digest", "exact", "wall_s",
    ]  # fmt: skip
    assert (result["file"], result["status"]) == (str(file), "idle")
    # Two set-ups, ten lines to `echo`, ten messages to `sink` a tick later, and the tick that found the end.
    assert (result["ticks"], result["turns"], result["messages"], result["agents"]) == (12, 22, 20, 2)
    nothing = ("denied", "rejected", "undelivered", "faults", "restarted", "rolled_back", "bad_lines")
    assert not any(result[name] for name in nothing)
    assert result["failed"] == []
    assert 0 < result["wall_s"] < 60
    summary = tickwork_here("inspect", file, "--json").json
    for name in ("run", "status", "ticks", "digest", "exact", "agents"):
        assert summary[name] == result[name], name


def test_people_are_told_the_same(tmp_path):
    folder = echo_project(tmp_path / "p")
    result = tickwork_here("run", folder, "--out", tmp_path / "a.tick", "--json").json
    said = tickwork_here("run", folder, "--out", tmp_path / "b.tick", "--force")
    assert (said.code, said.err) == (0, "")
    assert said.out.startswith("small: 12 ticks, 22 turns of 2 agents, 20 messages in ")
    assert f"  digest {result['digest']}\n  exact  {result['exact']}\n" in said.out
    assert said.out.endswith(f"  file   {tmp_path / 'b.tick'}\n")


def test_the_run_file_is_named_after_the_project_and_lies_where_one_stands(tmp_path):
    folder = echo_project(tmp_path / "p")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    done = tickwork("run", folder / "tickwork.toml", "--json", cwd=elsewhere)
    assert (done.code, done.json["file"]) == (0, "small.tick")
    assert [path.name for path in elsewhere.iterdir()] == ["small.tick"]
    assert (folder / "out.jsonl").read_text() == "\n".join(LINES) + "\n"


def test_ticks_end_a_run_early(tmp_path):
    folder = echo_project(tmp_path / "p")
    result = tickwork_here("run", folder, "--out", tmp_path / "x.tick", "--ticks", 4, "--json").json
    assert (result["ticks"], result["status"]) == (4, "ticks")
    assert (folder / "out.jsonl").read_text() == "\n".join(LINES[:3]) + "\n"


def test_idle_ends_a_run_before_its_ticks_unless_ticks_are_wanted(tmp_path):
    folder = echo_project(tmp_path / "p")
    options = ("--ticks", 30, "--json", "--force", "--out", tmp_path / "x.tick")
    idle = tickwork_here("run", folder, "--until", "idle", *options).json
    ticks = tickwork_here("run", folder, "--until", "ticks", *options).json
    assert (idle["ticks"], idle["status"]) == (12, "idle")
    assert (ticks["ticks"], ticks["status"]) == (30, "ticks")


def test_the_command_line_goes_before_the_manifest(tmp_path):
    folder = echo_project(tmp_path / "p", run='ticks = 30\nuntil = "ticks"\nseed = 5')
    options = ("--json", "--force", "--out", tmp_path / "x.tick")
    assert tickwork_here("run", folder, *options).json["ticks"] == 30
    assert tickwork_here("run", folder, "--ticks", 3, *options).json["ticks"] == 3
    assert tickwork_here("run", folder, "--until", "idle", *options).json["ticks"] == 12
    assert tickwork_here("run", folder, "--seed", 7, *options).code == 0
    assert tickwork_here("inspect", tmp_path / "x.tick", "--json").json["seed"] == 7


def test_the_seed_decides_what_agents_draw(tmp_path):
    folder = project(tmp_path / "p", agent("random", "random", "output:out", every_tick=True))
    digests, draws = [], []
    for seed in (1, 2, 1):
        done = tickwork_here(
            "run", folder, "--ticks", 3, "--seed", seed, "--force", "--json", "--out", tmp_path / "x.tick"
        )
        digests.append((done.json["run"], done.json["digest"], done.json["exact"]))
        draws.append((folder / "out.jsonl").read_text())
    assert digests[0] == digests[2]
    assert draws[0] == draws[2]
    assert draws[0] != draws[1]
    assert not set(digests[0]) & set(digests[1])


@pytest.mark.parametrize("variables", [{"PYTHONHASHSEED": "1"}, {"PYTHONHASHSEED": "2", "TZ": "Asia/Tokyo"}])
def test_digests_do_not_depend_on_the_process(tmp_path, variables):
    folder = echo_project(tmp_path / "p")
    here = tickwork_here("run", folder, "--out", tmp_path / "a.tick", "--json").json
    there = tickwork(
        "run", folder, "--out", tmp_path / "b.tick", "--json", "--force", env=environment(**variables)
    ).json
    assert [here[name] for name in ("run", "digest", "exact")] == [
        there[name] for name in ("run", "digest", "exact")
    ]


def test_an_output_can_go_to_standard_output_and_the_result_then_does_not(tmp_path):
    folder = echo_project(tmp_path / "p")
    done = tickwork("run", folder, "--out", tmp_path / "x.tick", "--output", "out=-")
    assert (done.code, done.out) == (0, "\n".join(LINES) + "\n")
    assert done.err.startswith("small: 12 ticks")
    assert not (folder / "out.jsonl").exists()
    refused = tickwork_here("run", folder, "--output", "out=-", "--json", "--out", tmp_path / "y.tick")
    assert refused.code == 2
    assert "--output NAME=PATH" in refused.error


def test_an_output_without_a_path_is_only_recorded(tmp_path):
    folder = echo_project(tmp_path / "p", more="[outputs.other]")
    manifest = folder / "tickwork.toml"
    manifest.write_text(manifest.read_text().replace('path = "out.jsonl"', ""))
    assert tickwork_here("run", folder, "--out", tmp_path / "x.tick").code == 0
    outputs = [
        row["fields"]["body"]
        for row in tickwork_here("inspect", tmp_path / "x.tick", "effects", "--json").rows
        if row["kind"] == "output"
    ]
    assert outputs == [json.loads(line) for line in LINES]
    assert sorted(entries_of(folder)) == ["lines.jsonl", "puppet.wasm", "tickwork.toml"]


def test_a_failed_agent_is_named_and_fails_the_command(tmp_path):
    folder = project(
        tmp_path / "p", agent("frail", "fail"), agent("unborn", "cannot start"), lines='"I give up"\n'
    )
    options = ("--out", tmp_path / "x.tick", "--force")
    done = tickwork_here("run", folder, *options)
    assert done.code == 1
    assert done.err.splitlines() == [
        "2 of 2 agents failed:",
        "unborn: guest-error: told not to start",
        'frail: guest-error: "I give up"',
    ]
    assert tickwork_here("run", folder, "--allow-failures", *options).code == 0
    result = tickwork_here("run", folder, "--json", *options)
    assert (result.code, result.json["failed"]) == (1, ["unborn", "frail"])
    assert tickwork_here("replay", tmp_path / "x.tick").code == 0


def test_a_failed_agent_cannot_steer_the_terminal(tmp_path):
    folder = project(tmp_path / "p", agent("loud", "shout and fail"), lines="1\n")
    done = tickwork_here("run", folder, "--out", tmp_path / "x.tick")
    assert done.code == 1
    assert "loud: guest-error: \\x1b[31mred\\x1b[0m" in done.err
    assert not set("\x1b\r\u202e") & set(done.err)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--until", "ticks"), "would never end: give --ticks N, or --until idle"),
        (("--until", "never"), "--until takes idle or ticks, not 'never'"),
        (("--input", "lines"), "--input takes NAME=PATH, not 'lines'"),
        (("--input", "lines="), "--input takes NAME=PATH"),
        (("--input", "=x"), "--input takes NAME=PATH"),
        (("--input", "lines=a", "--input", "lines=b"), "--input names 'lines' twice"),
        (("--input", "line=a"), "there is no input 'line'; declared: lines"),
        (("--output", "o=a"), "there is no output 'o'; declared: out"),
        (("--input", "lines=nowhere.jsonl"), "there is no file nowhere.jsonl"),
        (("--input", "lines=/"), "is a directory; give a file of JSON lines"),
        (("--output", "out=/"), "is a directory"),
        (("--output", "out=/nowhere/x.jsonl"), "cannot write /nowhere/x.jsonl: No such file or directory"),
        (("--out", "/"), "is a directory"),
        (("--out", "/nowhere/x.tick"), "/nowhere/x.tick: cannot be created"),
        (("--out", "/dev/null"), "is not a regular file"),
    ],
)
def test_a_wrong_option_is_one_message_and_changes_nothing(tmp_path, options, said):
    folder = echo_project(tmp_path / "p")
    before = entries_of(tmp_path)
    if "--out" not in options:
        options = (*options, "--out", tmp_path / "x.tick")
    done = tickwork_here("run", folder, *options)
    assert done.code == 2
    assert said in done.error
    assert entries_of(tmp_path) == before


@pytest.mark.parametrize(
    "options",
    [("--ticks", 0), ("--ticks", "many"), ("--seed", -1), ("--seed", 2**64), ("--nonsense",), ("extra",)],
)
def test_what_cannot_be_parsed_is_a_mistake_in_the_usage(tmp_path, options):
    done = tickwork_here("run", tmp_path, *options)
    assert (done.code, done.out) == (2, "")
    assert "Traceback" not in done.err
    assert "Usage: " in done.err


@pytest.mark.parametrize("options", [(), ("--until", "idle")])
def test_a_run_that_would_never_end_is_refused_with_the_fix(tmp_path, options):
    folder = project(tmp_path / "p", *TICKER)
    done = tickwork_here("run", folder, "--out", tmp_path / "x.tick", *options)
    assert done.code == 2
    assert "agent 'ticker' has every_tick" in done.error
    assert "--ticks N" in done.error
    assert not (tmp_path / "x.tick").exists()


@pytest.mark.parametrize(
    ("manifest", "said"),
    [
        (None, "tickwork new NAME"),
        ("", "[run]"),
        ("[run\n", "not valid TOML"),
        ('[run]\nname = "x"\nsede = 1\n', "sede"),
        ('[run]\nname = "x"\n[[agents]]\nid = "a"\nmodule = "gone.py"\n', "gone.py"),
        ('[run]\nname = "x"\n[[agents]]\nid = "a"\nmodule = "bad.wasm"\n', "agent 'a'"),
        ('[run]\nname = "x"\n[[agents]]\nid = "a"\nmodule = "latin.py"\n', "latin.py is not UTF-8"),
    ],
)
def test_a_project_that_cannot_run_is_one_message(tmp_path, manifest, said):
    (tmp_path / "bad.wasm").write_bytes(b"\0asm\1\0\0\0")
    (tmp_path / "latin.py").write_bytes(b"name = '\xe9'\n")
    if manifest is not None:
        (tmp_path / "tickwork.toml").write_text(manifest)
    done = tickwork_here("run", tmp_path, "--out", tmp_path / "x.tick")
    assert done.code == 2
    assert said in done.error
    assert not (tmp_path / "x.tick").exists()


def test_a_manifest_in_a_process_of_its_own_has_no_traceback_either(tmp_path):
    done = tickwork("run", tmp_path / "nowhere")
    assert done.code == 2
    assert str(tmp_path / "nowhere") in done.error


def test_c_that_does_not_compile_is_shown_with_its_line(tmp_path):
    folder = project(tmp_path / "p", *ECHO)
    manifest = folder / "tickwork.toml"
    manifest.write_text(manifest.read_text().replace("puppet.wasm", "broken.c"))
    (folder / "broken.c").write_text('#include "tickwork.h"\nint broken = ;\n')
    done = tickwork_here("run", folder, "--out", tmp_path / "x.tick")
    assert done.code == 2
    assert done.err.startswith("error: agent 'echo': ")
    assert "broken.c:2:" in done.err


def test_names_beyond_ascii_work_everywhere(tmp_path):
    folder = tmp_path / "naïve 東京 🎫"
    echo_project(folder)
    file = folder / "läuft.tick"
    done = tickwork("run", folder, "--out", file, "--output", f"out={folder}/später.jsonl", "--json")
    assert (done.code, done.json["file"]) == (0, str(file))
    assert (folder / "später.jsonl").read_text().splitlines() == list(LINES)
    assert tickwork("replay", file).code == 0


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_without_unicode_gets_escapes_and_valid_json(tmp_path, encoding):
    folder = echo_project(tmp_path / "p", '"東京"\n')
    file = tmp_path / "東.tick"
    variables = environment(PYTHONIOENCODING=encoding)
    done = tickwork("run", folder, "--out", file, "--json", env=variables)
    assert done.code == 0, done.err
    assert done.json["file"] == str(file)
    shown = tickwork("inspect", file, "messages", env=variables)
    assert shown.code == 0, shown.err
    assert "\\u6771\\u4eac" in shown.out
    rows = tickwork("inspect", file, "messages", "--json", env=variables).rows
    assert {row["body"] for row in rows} == {"東京"}


def test_a_file_name_that_is_not_text_is_shown_escaped(tmp_path):
    folder = echo_project(tmp_path / "p")
    file = os.fsencode(tmp_path) + b"/\xff\x1b[31m.tick"
    command = [*COMMAND, "run", str(folder), "--json", "--out", file]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["file"] == f"{tmp_path}/\\udcff\\x1b[31m.tick"
