"""`--faults` and `--no-faults`, of `run` and of `fork`, and what `inspect` shows of such runs."""

import pytest

from shell_projects import echo_project, tickwork_here

# `echo` gets a line in each tick from 1 on, and sends one message a tick.
DROP = '[[faults]]\nkind = "drop"\ntick = 3\nsender = "echo"\n'
DROPS = DROP + '[[faults]]\nkind = "pause"\ntick = 5\nagent = "sink"\n'


@pytest.fixture
def folder(tmp_path):
    return echo_project(tmp_path / "p")


def faults(folder, text=DROPS, name="faults.toml"):
    path = folder / name
    path.write_text(text)
    return path


def run(folder, out, *options):
    done = tickwork_here("run", folder, "--out", out, "--force", "--json", *options)
    assert done.code == 0, done.err
    return done.json


def test_a_run_breaks_what_the_file_says_and_replays(folder, tmp_path):
    sound = run(folder, tmp_path / "sound.tick")
    out = tmp_path / "broken.tick"
    broken = run(folder, out, "--faults", faults(tmp_path))
    assert (sound["faults"], broken["faults"]) == (0, 2)
    assert broken["messages"] == sound["messages"] - 1
    assert broken["digest"] != sound["digest"]
    assert tickwork_here("replay", out, "--json").json["identical"]
    rows = tickwork_here("inspect", out, "faults", "--json").rows
    assert [(row["tick"], row["kind"], row["agent"], row["to"]) for row in rows] == [
        (3, "drop", "echo", "sink"),
        (5, "pause", "sink", None),
    ]


def test_the_manifest_names_a_file_that_an_option_overrides(folder, tmp_path):
    sound = run(folder, tmp_path / "a.tick")
    faults(folder)
    manifest = folder / "tickwork.toml"
    manifest.write_text(manifest.read_text() + '\n[faults]\npath = "faults.toml"\n')
    assert run(folder, tmp_path / "b.tick")["faults"] == 2
    assert run(folder, tmp_path / "c.tick", "--no-faults")["digest"] == sound["digest"]
    other = faults(tmp_path, '[[faults]]\nkind = "drop"\ntick = 4\nsender = "echo"\n')
    assert run(folder, tmp_path / "d.tick", "--faults", other)["faults"] == 1


def test_a_fork_can_go_on_without_faults_or_with_others(folder, tmp_path):
    sound, broken = tmp_path / "sound.tick", tmp_path / "broken.tick"
    run(folder, sound)
    run(folder, broken, "--faults", faults(tmp_path))
    out = tmp_path / "fork.tick"

    def fork(parent, *options):
        done = tickwork_here("fork", parent, "--at", 3, "--out", out, "--force", "--json", *options)
        assert done.code == 0, done.err
        assert tickwork_here("replay", out, "--json").json["identical"]
        return done.json

    healed = fork(broken, "--no-faults")
    assert (healed["faults"], healed["parent"]["edits"]) == (0, ["faults none"])
    assert healed["diverges"]["tick"] == 3
    broken_again = fork(sound, "--faults", tmp_path / "faults.toml")
    assert (broken_again["faults"], broken_again["parent"]["edits"]) == (2, ["faults 2 faults"])
    assert broken_again["messages"] == healed["messages"] - 1
    edits = tmp_path / "edits.toml"
    edits.write_text('[faults]\npath = "faults.toml"\n')
    assert fork(sound, "--edit", edits)["digest"] == broken_again["digest"]
    edits.write_text("[faults]\n")
    assert fork(broken, "--edit", edits)["digest"] == healed["digest"]


def test_a_comparison_shows_which_faults_came_to_one_run_only(folder, tmp_path):
    sound, broken = tmp_path / "sound.tick", tmp_path / "broken.tick"
    run(folder, sound)
    run(folder, broken, "--faults", faults(tmp_path))
    found = tickwork_here("diff", sound, broken, "--json").json["first"]
    assert (found["tick"], found["agents"]) == (3, [])
    (pair,) = found["faults"]
    assert (pair["change"], pair["a"]) == ("only in B", None)
    assert pair["b"] == {
        "kind": "drop",
        "agent": "echo",
        "effect": pair["b"]["effect"],
        "to": "sink",
        "fields": {"tick": 3, "sender": "echo", "nth": 0, "to": None},
    }
    said = tickwork_here("diff", sound, broken).out
    assert said.startswith("different from tick 3 on: what was broken on purpose\n")
    assert "    + drop of echo to sink effect=" in said
    late = tickwork_here("diff", sound, broken, "--agent", "sink", "--json").json
    assert [pair["b"]["kind"] for pair in late["first"]["faults"]] == ["drop"]


@pytest.mark.parametrize("command", ["run", "fork"])
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[[faults]]\nkind = "drop"\ntick = 1\nsender = "ecko"\n', "faults.toml:4: faults[0].sender"),
        ('[[faults]]\nkind = "drip"\n', "did you mean 'drop'"),
        ('[[rates]]\nkind = "drop"\nrate = 2\n', "must be between 0 and 1"),
        ('[[faults]]\nkind = "pause"\ntick = 1\nagent = "echo"\nfuel = 2\n', "faults[0].fuel"),
    ],
)
def test_a_mistake_in_the_file_is_one_message_and_no_run(folder, tmp_path, command, text, said):
    path = faults(tmp_path, text)
    out = tmp_path / "out.tick"
    call = ["run", folder]
    if command == "fork":
        run(folder, tmp_path / "sound.tick")
        call = ["fork", tmp_path / "sound.tick", "--at", 3]
    done = tickwork_here(*call, "--out", out, "--faults", path)
    assert (done.code, done.out) == (2, "")
    assert said in done.error
    assert "Traceback" not in done.err
    assert not out.exists()


def test_both_options_at_once_are_refused(folder, tmp_path):
    path = faults(tmp_path)
    done = tickwork_here("run", folder, "--out", tmp_path / "x.tick", "--faults", path, "--no-faults")
    assert done.code == 2
    assert "give one or the other" in done.error


def test_what_is_lost_by_a_failure_is_told(tmp_path):
    folder = echo_project(tmp_path / "p")
    manifest = folder / "tickwork.toml"
    manifest.write_text(manifest.read_text().replace('id = "sink"', 'id = "sink"\non_failure = "restart"'))
    path = faults(tmp_path, '[[faults]]\nkind = "crash-before"\ntick = 4\nagent = "sink"\n')
    result = run(folder, tmp_path / "x.tick", "--faults", path)
    assert (result["restarted"], result["failed"]) == (1, [])
    rows = tickwork_here("inspect", tmp_path / "x.tick", "undelivered", "--json").rows
    assert [(row["tick"], row["to"], row["sender"]) for row in rows] == [(4, "sink", "echo")]
    assert rows[0]["reason"] == "agent failed and was restarted"


def test_a_run_that_ends_with_an_agent_says_so_and_exits_with_1(tmp_path):
    folder = echo_project(tmp_path / "p")
    manifest = folder / "tickwork.toml"
    manifest.write_text(manifest.read_text().replace('id = "sink"', 'id = "sink"\non_exhausted = "stop-run"'))
    path = faults(tmp_path, '[[faults]]\nkind = "crash-after"\ntick = 4\nagent = "sink"\n')
    out = tmp_path / "x.tick"
    done = tickwork_here("run", folder, "--out", out, "--faults", path, "--json")
    assert done.code == 1
    assert (done.json["status"], done.json["ticks"], done.json["failed"]) == ("escalated", 5, ["sink"])
    assert tickwork_here("replay", out, "--json").json["identical"]
    assert tickwork_here("resume", out, "--json").json["status"] == "escalated"
    healed = tickwork_here("fork", out, "--at", 4, "--out", tmp_path / "y.tick", "--no-faults", "--json")
    assert (healed.code, healed.json["status"]) == (0, "idle")
