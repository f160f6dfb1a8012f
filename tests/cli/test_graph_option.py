"""Waves on the command line: `run --schedule` and `inspect --graph`."""

import json

import pytest

from shell_projects import agent, project, tickwork_here

DAG = '[dag]\nedges = ["echo -> sink", "echo -> worker/*"]\n[kinds.worker]\nmodule = "puppet.wasm"\n'
LINES = "".join(f"{number}\n" for number in range(4))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    agents = [agent("echo", "echo", "output:out", "send:sink"), agent("sink", "sink")]
    return project(tmp_path_factory.mktemp("graph") / "p", *agents, lines=LINES, more=DAG)


@pytest.fixture(scope="module")
def file(folder):
    path = folder / "dag.tick"
    done = tickwork_here("run", folder, "--out", path, "--schedule", "dag", "--json")
    assert (done.code, done.err) == (0, "")
    return path


def test_the_command_line_chooses_the_schedule(folder, file):
    lockstep = folder / "lockstep.tick"
    tickwork_here("run", folder, "--out", lockstep, "--force")
    for path, ticks in ((lockstep, 1), (file, 0)):
        rows = tickwork_here("inspect", path, "messages", "--agent", "sink", "--json").rows
        assert {row["tick"] - row["sent"] for row in rows} == {ticks}
    assert tickwork_here("replay", file).code == 0


def test_a_schedule_that_there_is_not_is_refused(folder, tmp_path):
    done = tickwork_here("run", folder, "--schedule", "waves")
    assert (done.code, done.err) == (2, "error: --schedule takes lockstep or dag, not 'waves'\n")
    without = project(tmp_path / "p", agent("echo", "echo"), lines=LINES)
    done = tickwork_here("run", without, "--schedule", "dag")
    assert done.code == 2
    assert "needs edges, and the manifest has none; add [dag] with edges = [" in done.err


def test_the_graph_is_told_in_every_language(file):
    text = tickwork_here("inspect", file, "--graph", "text").out.splitlines()
    assert text[1].split() == ["0", "echo"]
    assert text[2].split() == ["1", "sink,", "worker/*"]
    assert text[3:] == ["echo -> sink", "echo -> worker/*"]
    done = tickwork_here("inspect", file, "--graph", "text", "--json")
    assert json.loads(done.out) == {
        "waves": [["echo"], ["sink", "worker/*"]],
        "edges": [["echo", "sink"], ["echo", "worker/*"]],
    }
    assert tickwork_here("inspect", file, "--graph", "mermaid").out == (
        'flowchart LR\n  n0["echo"]\n  n1["sink"]\n  n2["worker/#42;"]\n  n0 --> n1\n  n0 --> n2\n'
    )
    assert tickwork_here("inspect", file, "--graph", "dot").out == (
        'digraph tickwork {\n  rankdir=LR;\n  "echo" -> "sink";\n  "echo" -> "worker/*";\n}\n'
    )


def test_a_lockstep_run_has_one_wave_and_no_edges(folder, tmp_path):
    file = tmp_path / "x.tick"
    tickwork_here("run", folder, "--out", file, "--force")
    text = tickwork_here("inspect", file, "--graph", "text").out.splitlines()
    assert text[1].split() == ["0", "echo,", "sink,", "worker/*"]
    assert text[2] == "no edges: in every tick all agents take their turns in one wave"
    assert (
        tickwork_here("inspect", file, "--graph", "svg").err
        == "error: --graph takes text, mermaid, dot, not 'svg'\n"
    )
