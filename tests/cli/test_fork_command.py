"""`tickwork fork` as it is typed: what it makes, what it shows, what it refuses."""

import pytest

import tickwork as tw
from shell_projects import LINES, agent, echo_project, entries_of, plant, project, tickwork, tickwork_here

DROP = '[[drop]]\nto = "sink"\n'


@pytest.fixture
def parent(tmp_path):
    file = tmp_path / "parent.tick"
    return file, tickwork_here("run", echo_project(tmp_path / "p"), "--out", file, "--json").json


def edits(folder, text):
    path = folder / "edits.toml"
    path.write_text(text)
    return path


def test_a_fork_without_edits_ends_as_its_parent(parent, tmp_path):
    file, result = parent
    before = file.read_bytes()
    for tick in (0, 1, 5, 12):
        out = tmp_path / f"fork-{tick}.tick"
        done = tickwork_here("fork", file, "--at", tick, "--out", out, "--json")
        assert (done.code, done.err) == (0, "")
        forked = done.json
        assert list(forked) == [*result, "parent", "diverges"]
        assert (forked["digest"], forked["exact"]) == (result["digest"], result["exact"])
        assert forked["ticks"] == result["ticks"] - tick
        assert forked["parent"] == {"file": str(file), "run": result["run"], "tick": tick, "edits": []}
        assert forked["diverges"] is None
        assert tickwork_here("replay", out, "--json").json["identical"]
    assert file.read_bytes() == before


def test_edits_show_where_the_fork_leaves_its_parent(parent, tmp_path):
    file, _ = parent
    out = tmp_path / "fork.tick"
    done = tickwork("fork", file, "--at", 6, "--out", out, "--edit", edits(tmp_path, DROP))
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[:2] == [f"fork of {file} before tick 6", "  edit   drop to=sink"]
    assert lines[2].startswith("small: 6 ticks, 10 turns of 2 agents, ")
    assert lines[-2:] == [f"  file   {out}", "  differs from its parent from tick 6 on: sink"]
    diff = tickwork_here("diff", file, out, "--json").json
    assert (diff["verdict"], diff["first"]["tick"], diff["first"]["agents"]) == ("different", 6, ["sink"])
    summary = tickwork_here("inspect", out, "--json").json
    assert (summary["start_tick"], summary["ticks"]) == (6, 6)
    assert summary["parent"] == f"{summary['run']} before tick 6"


def test_views_of_a_fork_begin_with_its_first_tick(parent, tmp_path):
    file, _ = parent
    out = tmp_path / "fork.tick"
    tickwork_here("fork", file, "--at", 6, "--out", out)
    for view in ("ticks", "messages", "effects", "logs"):
        of_parent = tickwork_here("inspect", file, view, "--from", 6, "--json").rows
        assert tickwork_here("inspect", out, view, "--json").rows == of_parent
    received = {row["id"]: row["received"] for row in tickwork_here("inspect", out, "agents", "--json").rows}
    assert received == {"echo": 5, "sink": 6}
    assert tickwork_here("inspect", out, "logs", "--agent", "snk").code == 2


def test_the_same_edits_give_the_same_fork(parent, tmp_path):
    file, _ = parent
    path = edits(tmp_path, '[[inject]]\nto = "echo"\ntopic = "line"\nbody = "extra"\n')
    runs = [
        tickwork_here(
            "fork", file, "--at", 3, "--out", tmp_path / f"{name}.tick", "--edit", path, "--json"
        ).json
        for name in "ab"
    ]
    assert runs[0]["digest"] == runs[1]["digest"]
    assert runs[0]["diverges"] == {"tick": 3, "agents": ["echo"]}


def test_a_seed_is_an_edit(tmp_path):
    folder = project(tmp_path / "p", agent("dice", "random", "output:out", every_tick=True))
    file = tmp_path / "x.tick"
    tickwork_here("run", folder, "--out", file, "--ticks", 6)
    forked = tickwork_here("fork", file, "--at", 4, "--out", tmp_path / "f.tick", "--seed", 5, "--json").json
    assert forked["parent"]["edits"] == ["seed 5"]
    assert forked["diverges"] == {"tick": 4, "agents": ["dice"]}
    path = edits(tmp_path, "seed = 9\n")
    both = ("--edit", path, "--seed", 5, "--force", "--json")
    again = tickwork_here("fork", file, "--at", 4, "--out", tmp_path / "f.tick", *both).json
    assert again["digest"] == forked["digest"]


def test_ticks_are_counted_from_the_fork(parent, tmp_path):
    file, _ = parent
    out = tmp_path / "fork.tick"
    forked = tickwork_here("fork", file, "--at", 5, "--out", out, "--ticks", 2, "--json").json
    assert (forked["ticks"], forked["status"]) == (2, "ticks")
    assert tickwork_here("inspect", out, "--json").json["ticks"] == 2


def test_a_fork_that_is_not_run_is_resumed(parent, tmp_path):
    file, result = parent
    out = tmp_path / "fork.tick"
    done = tickwork_here("fork", file, "--at", 5, "--out", out, "--no-run")
    assert done.out.splitlines() == [
        f"fork of {file} before tick 5",
        f"made {out}; next: tickwork resume {out}",
    ]
    resumed = tickwork_here("resume", out, "--json").json
    assert (resumed["resumed_at"], resumed["digest"]) == (5, result["digest"])
    again = tickwork_here("fork", file, "--at", 5, "--out", out, "--no-run", "--json", "--force").json
    assert again == {
        "file": str(out),
        "parent": {"file": str(file), "run": result["run"], "tick": 5, "edits": []},
    }


def test_a_fork_s_outputs_are_its_own(parent, tmp_path):
    file, _ = parent
    lines = (tmp_path / "p" / "out.jsonl").read_bytes()
    out, report = tmp_path / "fork.tick", tmp_path / "report.jsonl"
    for options in ((), ("--force",)):
        command = ("fork", file, "--at", 5, "--out", out, "--output", f"out={report}", *options)
        assert tickwork_here(*command).code == 0
        assert report.read_text().splitlines() == list(LINES[4:])
    to_stdout = tickwork("fork", file, "--at", 9, "--out", tmp_path / "g.tick", "--output", "out=-")
    assert to_stdout.out.splitlines() == list(LINES[8:])
    assert "differs" not in to_stdout.err
    assert (tmp_path / "p" / "out.jsonl").read_bytes() == lines


def test_a_fork_of_a_fork_is_a_fork(parent, tmp_path):
    file, result = parent
    first, second = tmp_path / "1.tick", tmp_path / "2.tick"
    tickwork_here("fork", file, "--at", 3, "--out", first, "--ticks", 2)
    forked = tickwork_here("fork", first, "--at", 4, "--out", second, "--json").json
    assert (forked["ticks"], forked["digest"]) == (result["ticks"] - 4, result["digest"])


def test_a_live_run_can_be_forked(tmp_path):
    with tw.record(tw.load(echo_project(tmp_path / "p")), tmp_path / "x.tick") as run:
        run.advance(4)
        run._while_waiting()
        done = tickwork("fork", tmp_path / "x.tick", "--at", 3, "--out", tmp_path / "f.tick", "--json")
        assert (done.code, done.json["diverges"]) == (0, None)
        run.run_to_end()


def refused(tmp_path, *arguments):
    """Return why no fork is made, having seen that none is."""
    before = entries_of(tmp_path)
    done = tickwork_here("fork", *arguments)
    assert done.code == 2
    assert entries_of(tmp_path) == before
    return done.error


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sed = 1", "sed: unknown key; did you mean 'seed'?"),
        ("seed = -1", "seed: is -1; it must be between 0"),
        ('[[drop]]\nto = "snk"', "drop[0]"),
        ('[[drop]]\nto = "sink"\nplace = 7', "drop[0]"),
        ('[[inject]]\nto = "sink"', "inject[0].topic: is missing"),
        ('[agents.echo]\ngrants = ["fly"]', "agents.echo"),
        ('[agents.echo]\nmodule = "gone.wasm"', "gone.wasm"),
        ('[agents.echo]\nconfig = "sink"', "restart"),
        ("seed = ", "is not valid TOML"),
    ],
)
def test_edits_that_cannot_be_made_are_one_message(parent, tmp_path, text, said):
    path = edits(tmp_path, text)
    error = refused(tmp_path, parent[0], "--at", 6, "--out", tmp_path / "f.tick", "--edit", path)
    assert said in error
    assert "Traceback" not in error


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--at", 13, "--out", "f.tick"), "can be forked at the ticks 0 to 12, not at 13"),
        (("--at", 3, "--out", "parent.tick"), "the fork and its parent would be one file"),
        (("--at", 3, "--out", "taken.tick"), "exists already; choose another name, or give --force"),
        (("--at", 3, "--out", "f.tick", "--edit", "none.toml"), "none.toml"),
        (
            ("--at", 3, "--out", "f.tick", "--output", "report=x"),
            "there is no output 'report'; declared: out",
        ),
        (
            ("--at", 3, "--out", "f.tick", "--output", "out=taken.tick"),
            "has content, and the run has written",
        ),
        (("--at", 3, "--out", "f.tick", "--input", "lines=gone.jsonl"), "input 'lines': there is no file"),
        (("--at", 3, "--out", "f.tick", "--until", "ever"), "--until takes idle or ticks, not 'ever'"),
        (("--at", 3, "--out", "f.tick", "--no-run", "--ticks", 3), "--no-run only makes the file"),
        (("--at", 3, "--out", "f.tick", "--json", "--output", "out=-"), "both want standard output"),
    ],
)
def test_what_cannot_be_done_is_one_message_and_no_fork(parent, tmp_path, monkeypatch, options, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken.tick").write_text("mine")
    assert said in refused(tmp_path, parent[0], *options)


def test_a_run_that_does_not_replay_up_to_there_is_not_forked(parent, tmp_path):
    file, _ = parent
    plant(file, 4)
    said = refused(tmp_path, file, "--at", 8, "--out", tmp_path / "f.tick")
    assert "does not replay up to tick 8: tick 4, agent echo" in said
    assert tickwork_here("fork", file, "--at", 3, "--out", tmp_path / "f.tick", "--no-run").code == 0


@pytest.mark.parametrize("options", [(), ("--at", 3), ("--out", "x"), ("--at", -1, "--out", "x")])
def test_where_and_whereto_are_required(parent, options):
    done = tickwork_here("fork", parent[0], *options)
    assert done.code == 2
    assert "Usage: " in done.err


def test_a_new_program_may_come_with_the_fork(parent, tmp_path):
    file, _ = parent
    path = edits(
        tmp_path,
        '[agents.sink]\nmodule = "p/puppet.wasm"\nconfig = "ticker"\n'
        'restart = true\ngrants = ["output:out"]\n',
    )
    done = tickwork_here("fork", file, "--at", 6, "--out", tmp_path / "f.tick", "--edit", path, "--json")
    assert done.code == 0
    assert done.json["diverges"] == {"tick": 6, "agents": ["sink"]}
    rows = tickwork_here("inspect", tmp_path / "f.tick", "effects", "--agent", "sink", "--json").rows
    assert {row["kind"] for row in rows} == {"output"}
