"""`tickwork diff` as somebody types it: what it prints, what its options do, and how it says no."""

import pytest

from diff_runs import (
    TICKER,
    burning,
    overwrite,
    recorded,
    rewritten,
    saying,
    tampered,
    untouched,
)
from shell_projects import agent, tickwork, tickwork_here


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return recorded(tmp_path_factory.mktemp("base") / "base")


def test_identical_runs_exit_with_0(base, tmp_path):
    done = tickwork("diff", base, recorded(tmp_path / "again"))
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[0] == "identical: 6 common ticks"
    assert ", ticks 0 to 5 (closed), digest " in done.out


def test_a_difference_exits_with_1_and_is_shown_side_by_side(base, tmp_path):
    a = rewritten(base, tmp_path / "a.tick", saying(1, 3, b'{"kept":1}', b'{"total":12}'))
    b = rewritten(base, tmp_path / "b.tick", saying(1, 3, b'{"kept":1}', b'{"total":15}', b'"more"'))
    done = tickwork_here("diff", a, b)
    assert (done.code, done.err) == (1, "")
    lines = done.out.splitlines()
    assert lines[0] == "different from tick 3 on: agent dice"
    start = lines.index("tick 3  (= equal, ~ changed, - only in A, + only in B)")
    assert lines[start + 1 : start + 10] == [
        "  agent dice",
        '    = effect 0 output name="out" body={"kept":1}',
        "    ~ effect 1 output out",
        "      body",
        '        A  {"total":12}',
        "                     ^",
        '        B  {"total":15}',
        "                     ^",
        '    + effect 2 output name="out" body="more"',
    ]
    assert lines[start + 10] == "in 6 common ticks, by agent:"
    assert lines[start + 12].split() == ["dice", "3", "3", "0"]


def test_json_is_one_object_that_has_everything(base, tmp_path):
    body = b"x" * 5_000
    b = rewritten(base, tmp_path / "b.tick", saying(1, 3, body))
    done = tickwork_here("diff", base, b, "--json")
    assert (done.code, done.err, done.out.count("\n")) == (1, "", 1)
    found = done.json
    assert (found["verdict"], found["identical"], found["same_spec"]) == ("different", False, True)
    assert (found["common_ticks"], found["differing_ticks"]) == (6, 3)
    assert (found["first"]["tick"], found["first"]["agents"]) == (3, ["dice"])
    (pair,) = found["first"]["turns"][0]["effects"]
    assert (pair["change"], pair["b"]["fields"]["body"]) == ("changed", body.decode())
    assert found["agents"] == [{"agent": "dice", "first": 3, "turns": 3, "fuel_first": None, "fuel_turns": 0}]
    assert (found["a"]["file"], found["a"]["last_tick"], len(found["a"]["digest"])) == (str(base), 5, 64)


def test_identical_runs_say_so_in_json(base):
    found = tickwork_here("diff", base, base, "--json").json
    assert (found["verdict"], found["identical"], found["first"]) == ("identical", True, None)


def test_another_seed_is_named(base, tmp_path):
    done = tickwork_here("diff", base, recorded(tmp_path / "seeded", run="seed = 99"))
    assert done.code == 1
    assert "the specifications differ:\n  seed\n    A  0\n" in done.out
    assert "    B  99\n" in done.out


def test_a_changed_agent_is_named(base, tmp_path):
    done = tickwork_here(
        "diff", base, recorded(tmp_path / "b", TICKER, agent("dice", "ticker", "output:out"))
    )
    assert "  config of agent dice\n    A  random\n" in done.out
    assert "  every_tick of agent dice\n" in done.out
    assert done.out.startswith("different from tick 1 on: agent dice\n")
    assert "    outcome\n      A  ok\n      B  no turn\n" in done.out


def test_a_shorter_run_is_called_a_prefix(base, tmp_path):
    short = recorded(tmp_path / "short", ticks=4)
    done = tickwork_here("diff", short, base)
    assert done.code == 1
    assert done.out.startswith("A is a prefix of B: 4 common ticks identical, 2 more in B\n")
    assert done.out.endswith("only in B: 2 ticks (4 to 5)\n")
    assert tickwork_here("diff", base, short).out.startswith("B is a prefix of A: ")


def test_unrelated_runs_are_told_apart_in_a_sentence(base, tmp_path):
    done = tickwork_here("diff", base, recorded(tmp_path / "b", agent("else", "sink", every_tick=True)))
    assert done.code == 1
    assert done.out.startswith("unrelated: the two runs have no agent in common")
    assert done.out.count("\n") == 3


def test_fuel_alone_is_said_to_differ(base, tmp_path):
    done = tickwork_here("diff", base, rewritten(base, tmp_path / "b.tick", burning(7, 4)))
    assert done.code == 1
    assert done.out.startswith(
        "only fuel differs: 6 common ticks with equal effects; `digest` agrees, `exact` does not\n"
    )
    assert "fuel: the first equal turns that used other fuel are in tick 4\n  agent ticker: A " in done.out


def test_a_tampered_file_is_named(base, tmp_path):
    b = tampered(rewritten(base, tmp_path / "b.tick", untouched), 2, saying(0, 2, b"flipped"))
    done = tickwork_here("diff", base, b)
    assert done.code == 1
    assert done.out.startswith("different from tick 2 on: agent ticker\n")
    assert "damage:\n  B, tick 2: its bytes do not have its digest" in done.out


def test_damage_is_named_and_not_fatal(base, tmp_path):
    b = rewritten(base, tmp_path / "b.tick", untouched)
    overwrite(b, 2, b"no frame")
    done = tickwork_here("diff", base, b)
    assert done.code == 1
    assert done.out.startswith("no difference in 5 common ticks, but 1 entry damaged\n")
    assert "  B, tick 2: its compressed form is broken" in done.out


def test_what_is_no_run_file_exits_with_2(base, tmp_path):
    (tmp_path / "x.tick").write_text("nothing")
    for files in ((base, tmp_path / "x.tick"), (tmp_path / "x.tick", base), (base, tmp_path / "none.tick")):
        done = tickwork_here("diff", *files)
        assert done.code == 2
        assert ".tick" in done.error
    assert tickwork_here("diff", base).code == 2


def test_an_unknown_agent_exits_with_2(base):
    done = tickwork_here("diff", base, base, "--agent", "dize")
    assert (done.code, done.error) == (2, "there is no agent 'dize' in either file; did you mean dice?")


def test_one_agent_and_a_range_narrow_it_down(base, tmp_path):
    b = rewritten(base, tmp_path / "b.tick", saying(1, 3, b"other"))
    alone = tickwork_here("diff", base, b, "--agent", "ticker")
    assert (alone.code, alone.out.splitlines()[0]) == (0, "agent ticker: identical: 6 common ticks")
    assert tickwork_here("diff", base, b, "--to", "2").code == 0
    late = tickwork_here("diff", base, b, "--from", "4", "--to", "4")
    assert (late.code, late.out.splitlines()[0]) == (1, "different from tick 4 on: agent dice")


def test_a_long_body_is_shown_from_where_it_differs(base, tmp_path):
    start, end = b"s" * 3_000, b"e" * 3_000
    a = rewritten(base, tmp_path / "a.tick", saying(1, 3, start + b"1" + end))
    b = rewritten(base, tmp_path / "b.tick", saying(1, 3, start + b"2" + end))
    lines = tickwork_here("diff", a, b).out.splitlines()
    place = lines.index("      body")
    assert lines[place + 1].startswith("        A  …" + "s" * 30 + "1eee")
    assert lines[place + 2] == " " * (8 + 3 + 1 + 30) + "^"
    assert lines[place + 3].startswith("        B  …" + "s" * 30 + "2eee")
    assert max(map(len, lines)) < 200


def test_nothing_in_a_file_steers_the_terminal(tmp_path):
    loud = (agent("loud", "shout", "output:out"), agent("sink", "sink"))
    a = recorded(tmp_path / "a", *loud, lines='{"n":1}\n')
    b = rewritten(a, tmp_path / "b.tick", saying(0, 1, b"\x1b[31mred\n\x07", b"\xff\xfe"))
    for first, second in ((a, b), (b, a)):
        for options in ((), ("--json",)):
            out = tickwork_here("diff", first, second, *options).out
            assert all(char.isprintable() or char == "\n" for char in out)
    assert "\\x1b[31mred\\n\\x07" in tickwork_here("diff", a, b).out


def test_what_is_left_out_is_counted(base, tmp_path):
    a = rewritten(base, tmp_path / "a.tick", saying(1, 3, b"equal"))
    b = rewritten(base, tmp_path / "b.tick", saying(1, 3, b"equal", *(b"%d" % n for n in range(40))))
    assert "  ... and 11 more rows; --json has all\n" in tickwork_here("diff", a, b).out
