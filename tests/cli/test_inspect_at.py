"""`tickwork inspect --at` as it is typed: moments agree with the views, and with each other."""

import pytest
from blake3 import blake3

from shell_projects import agent, entries_of, project, tickwork, tickwork_here

MEMO = """
from tickwork_agent import Agent


class Memo(Agent):
    def setup(self, config):
        self.seen = []
        self.best = None

    def on_line(self, message):
        self.seen.append(message.json())
        self.best = max(self.seen)
        self.timer("later", b"note", after_ticks=4, request=len(self.seen) % 2)
        self.send("sink", "best", self.best)
"""


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Agents in C and Python, one that fails, one that is spawned, and snapshots on the way."""
    folder = project(
        tmp_path_factory.mktemp("moments") / "p",
        agent("sink", "sink"),
        agent("frail", "fail"),
        agent("spawner", "spawner", "spawn:worker"),
        lines="".join(f"{number}\n" for number in range(8)),
        more='[kinds.worker]\nmodule = "puppet.wasm"\nconfig = "echo"\n[snapshots]\nevery = 3\n',
    )
    (folder / "memo.py").write_text(MEMO)
    text = (folder / "tickwork.toml").read_text().replace('to = "sink"', 'to = ["memo", "frail", "spawner"]')
    text += '[[agents]]\nid = "memo"\nmodule = "memo.py"\ngrants = ["send:sink", "timer"]\n'
    (folder / "tickwork.toml").write_text(text)
    file = folder / "x.tick"
    assert tickwork_here("run", folder, "--out", file, "--allow-failures").code == 0
    return file


def at(file, tick, *options):
    done = tickwork_here("inspect", file, "--at", tick, "--json", *options)
    assert (done.code, done.err) == (0, "")
    return done.json


def test_a_moment_is_before_its_tick_is_run(recorded):
    beginning = at(recorded, 0)
    assert {row["status"] for row in beginning["agents"]} == {"starting"}
    assert beginning["messages"] == beginning["timers"] == []
    after_one = at(recorded, 1)
    assert {row["status"] for row in after_one["agents"]} == {"running"}
    assert (after_one["first_tick"], after_one["tick"]) == (0, 1)


def test_moments_agree_with_the_views(recorded):
    ticks = tickwork_here("inspect", recorded, "ticks", "--json").rows
    messages = tickwork_here("inspect", recorded, "messages", "--json").rows
    for tick in range(1, len(ticks) + 1):
        moment = at(recorded, tick)
        assert moment["digest"] == ticks[tick - 1]["digest"]
        assert moment["exact"] == ticks[tick - 1]["exact"]
        assert moment["end_tick"] == len(ticks)
        agents = tickwork_here("inspect", recorded, "agents", "--to", tick - 1, "--json").rows
        same = ("index", "id", "kind", "status", "reason", "waiting")
        assert [{name: row[name] for name in same} for row in moment["agents"]] == [
            {name: row[name] for name in same} for row in agents
        ]
        # What waits before a tick is what is found in it, but for lines and timers.
        found = [row for row in messages if row["tick"] == tick and row["class"] == "message"]
        assert [(row["to"], row["topic"], row["body"]) for row in moment["messages"]] == [
            (row["to"], row["topic"], row["body"]) for row in found
        ]
        assert sum(row["timers"] for row in moment["agents"]) == len(moment["timers"])


def test_timers_are_listed_soonest_first(recorded):
    timers = at(recorded, 4)["timers"]
    assert [row["due"] for row in timers] == [6, 7]
    assert timers[0] == {
        "due": 6,
        "agent": "memo",
        "request": 0,
        "topic": "later",
        "set": 2,
        "bytes": 4,
        "body": "note",
    }


def test_one_agent_is_shown_alone(recorded):
    moment = at(recorded, 4, "--agent", "sink")
    assert list(moment) == [
        "tick", "first_tick", "end_tick", "digest", "exact", "agent", "messages", "timers",
    ]  # fmt: skip
    assert (moment["agent"]["id"], moment["agent"]["waiting"]) == ("sink", 1)
    (message,) = moment["messages"]
    assert (message["place"], message["sender"], message["body"]) == (0, "memo", 2)
    assert moment["timers"] == []


def test_a_python_agent_s_attributes_are_shown_at_any_tick(recorded):
    for tick in (1, 2, 5, 9):
        state = at(recorded, tick, "--agent", "memo", "--state")["state"]
        seen = list(range(tick - 1))
        assert (state["seen"], state["best"]) == (seen, max(seen, default=None))


def test_memory_has_a_size_and_a_hash_that_follow_its_content(recorded):
    for name in ("sink", "memo"):
        hashes = []
        for tick in (2, 5, 5, 9):
            (memory,) = at(recorded, tick, "--agent", name, "--memory")["memories"]
            assert memory["memory"] == 0
            assert memory["bytes"] % 65536 == 0
            assert memory["changed_pages"] > 0
            assert len(memory["hash"]) == 64
            hashes.append(memory["hash"])
        assert hashes[1] == hashes[2]
        assert len(set(hashes)) == 3


def test_a_hexdump_shows_the_bytes_asked_for(recorded):
    wanted = ("--agent", "sink", "--hexdump")
    (memory,) = at(recorded, 4, "--agent", "sink", "--memory")["memories"]
    size = memory["bytes"]
    whole = bytes.fromhex(at(recorded, 4, *wanted, f"0:{size}")["hexdump"]["hex"])
    assert blake3(whole).hexdigest() == memory["hash"]
    at_part = whole.index(b"sink")
    dump = at(recorded, 4, *wanted, f"{at_part:#x}:+0x14")["hexdump"]
    assert dump == {"start": at_part, "hex": whole[at_part : at_part + 20].hex()}
    done = tickwork_here("inspect", recorded, "--at", 4, *wanted, f"{at_part}:{at_part + 20}")
    *_, title, first, second = done.out.splitlines()
    assert title == "bytes"
    assert first.startswith(f"{at_part:08x}  73 69 6e 6b ")
    assert "  |sink" in first
    assert second.startswith(f"{at_part + 16:08x}  ")


def test_a_memory_diff_shows_what_ticks_changed(recorded):
    done = tickwork_here("inspect", recorded, "--agent", "sink", "--memory-diff", 4, 5, "--json")
    assert (done.code, done.err) == (0, "")
    found = done.json
    assert (found["agent"], found["ticks"]) == ("sink", [4, 5])
    (memory,) = found["memories"]
    assert memory["before_bytes"] == memory["after_bytes"]
    assert memory["changed_bytes"] == sum(change["end"] - change["start"] for change in memory["changes"]) > 0
    assert memory["changed_pages"] > 0
    for change in memory["changes"]:
        for tick, side in ((4, "before"), (5, "after")):
            dump = ("--agent", "sink", "--hexdump", f"{change['start']}:{change['end']}")
            assert at(recorded, tick, *dump)["hexdump"]["hex"] == change[side]
    same = tickwork_here("inspect", recorded, "--agent", "sink", "--memory-diff", 4, 4)
    assert same.out.startswith("sink: memory before tick 4 and before tick 4: 0 bytes in 0 places")
    text = tickwork_here("inspect", recorded, "--agent", "memo", "--memory-diff", 2, 6).out
    assert "\n- " in text
    assert "\n+ " in text
    assert text.splitlines()[-1].endswith(" more places; --json has all")


def test_people_get_tables(recorded):
    done = tickwork("inspect", recorded, "--at", 4)
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0] == "before tick 4"
    assert "messages that wait" in lines
    assert "timers" in lines
    assert tickwork_here("inspect", recorded, "--at", 0).out.splitlines()[-3:] == [
        "messages that wait: none",
        "",
        "timers: none",
    ]
    end = at(recorded, 0)["end_tick"]
    assert tickwork_here("inspect", recorded, "--at", end).out.startswith(f"before tick {end} (the end)\n")
    one = tickwork_here("inspect", recorded, "--at", 4, "--agent", "memo", "--state", "--memory").out
    assert one.startswith("agent memo, before tick 4\n")
    assert '  "best": 2' in one
    assert "changed_pages" in one


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--at", 99), "can be looked at from tick 0 to 13, not at 99"),
        (("--at", 3, "--agent", "snk"), "there is no agent 'snk' at tick 3"),
        (("--at", 1, "--agent", "worker/1"), "there is no agent 'worker/1' at tick 1"),
        (("--at", 0, "--agent", "memo", "--state"), "'memo' has no state at tick 0: it is starting"),
        (("--at", 5, "--agent", "frail", "--memory"), "'frail' has no state at tick 5: it is failed"),
        (("--at", 3, "--agent", "sink", "--state"), "'sink' is not written in Python: only its memory"),
        (("--at", 3, "--agent", "sink", "--hexdump", "5"), "--hexdump takes START:END or START:+LENGTH"),
        (("--at", 3, "--agent", "sink", "--hexdump", "x:y"), "--hexdump takes START:END or START:+LENGTH"),
        (("--at", 3, "--agent", "sink", "--hexdump", "9:9"), "the memory has the bytes 0 to "),
        (("--at", 3, "--agent", "sink", "--hexdump", "0:+0xfffffffff"), "the memory has the bytes 0 to "),
        (("--at", 3, "--state"), "look at one agent: give --agent ID"),
        (("--memory-diff", 1, 2), "look at one agent: give --agent ID"),
        (("--agent", "memo", "--state"), "look at one moment: give --at TICK"),
        (("--at", 3, "--agent", "memo", "--memory-diff", 1, 2), "names its two ticks itself: leave out --at"),
        (("--agent", "memo", "--memory-diff", 1, 2, "--state"), "does not go with --state"),
        (("--agent", "memo", "--memory-diff", 0, 2), "'memo' has no state at tick 0: it is starting"),
        (("agents", "--at", 3), "--at shows a moment, not the view 'agents'"),
        (("--at", 3, "--tick", 3), "--at does not go with --tick, --from or --to"),
        (("--at", 3, "--from", 1), "--at does not go with --tick, --from or --to"),
    ],
)
def test_what_cannot_be_shown_is_one_message(recorded, options, said):
    for more in ((), ("--json",)):
        done = tickwork_here("inspect", recorded, *options, *more)
        assert done.code == 2
        assert said in done.error


def test_looking_changes_nothing(recorded):
    before = entries_of(recorded.parent)
    assert tickwork("inspect", recorded, "--at", 5, "--agent", "memo", "--state", "--memory").code == 0
    assert tickwork("inspect", recorded, "--agent", "sink", "--memory-diff", 3, 6).code == 0
    assert entries_of(recorded.parent) == before


def test_a_moment_of_a_fork_is_that_of_its_parent(recorded, tmp_path):
    out = tmp_path / "f.tick"
    assert tickwork_here("fork", recorded, "--at", 4, "--out", out, "--allow-failures").code == 0
    for tick in (4, 7):
        of_fork = at(out, tick, "--agent", "memo", "--state", "--memory")
        assert of_fork.pop("first_tick") == 4
        of_parent = at(recorded, tick, "--agent", "memo", "--state", "--memory")
        assert of_parent.pop("first_tick") == 0
        assert of_fork == of_parent
    done = tickwork_here("inspect", out, "--at", 3)
    assert done.code == 2
    assert "can be looked at from tick 4 to 13, not at 3" in done.error
