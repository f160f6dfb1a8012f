"""How two specifications differ, in words."""

import msgspec

from core_worlds import agent, run_of
from tickwork.core.edits import AgentEdit, Drop, Edits, Inject, encode_edits
from tickwork.core.grants import Capability, Grant
from tickwork.core.limits import Limits, RunLimits
from tickwork.core.spec import InputSpec
from tickwork.guest.python_source import python_preamble
from tickwork.runtime.spec_diff import edit_words, spec_changes


def _parts(a, b):
    return [(item.noun, item.names, item.part, item.a, item.b) for item in spec_changes(a, b)]


def _with(**fields):
    return run_of(msgspec.structs.replace(agent("x"), **fields))


def test_equal_specifications_have_no_difference():
    assert spec_changes(run_of(agent("x")), run_of(agent("x"))) == ()


def test_each_part_of_an_agent_is_named():
    a = agent("x", Grant(Capability.SEND, "y"), Grant(Capability.TIMER, per_run=2))
    b = msgspec.structs.replace(
        a,
        module="11" * 32,
        config=b'{"n":2}',
        grants=(Grant(Capability.SEND, "z", per_tick=1), Grant(Capability.TIMER, per_run=2)),
        subscribe=("news",),
        limits=Limits(fuel_per_turn=5),
        every_tick=True,
    )
    assert _parts(run_of(a), run_of(b)) == [
        ("agent", ("x",), "module", "00" * 32, "11" * 32),
        ("agent", ("x",), "config", "", '{"n":2}'),
        ("agent", ("x",), "grants", "send:y", "send:z(per_tick=1)"),
        ("agent", ("x",), "subscribe", "[]", '["news"]'),
        ("agent", ("x",), "limits.fuel_per_turn", "100000000", "5"),
        ("agent", ("x",), "every_tick", "false", "true"),
    ]


def test_grants_in_another_order_are_told_as_such():
    one, two = Grant(Capability.SEND, "a"), Grant(Capability.SEND, "b")
    assert _parts(run_of(agent("x", one, two)), run_of(agent("x", two, one))) == [
        ("agent", ("x",), "order of the grants", "send:a send:b", "send:b send:a")
    ]


def test_the_first_other_line_of_a_python_source_is_shown():
    a = _with(preamble=python_preamble("a.py", "one\ntwo\nthree", {"helper": "x = 1", "gone": ""}))
    b = _with(preamble=python_preamble("a.py", "one\n2\nthree", {"helper": "x = 2", "new": ""}))
    assert _parts(a, b) == [
        ("agent", ("x",), "source a.py, line 2,", "two", "2"),
        ("agent", ("x",), "module gone", "bundled", None),
        ("agent", ("x",), "source module helper, line 1,", "x = 1", "x = 2"),
        ("agent", ("x",), "module new", None, "bundled"),
    ]
    longer = _with(preamble=python_preamble("a.py", "one\ntwo\nthree\nfour", {"helper": "x = 1", "gone": ""}))
    assert _parts(a, longer) == [("agent", ("x",), "source a.py, line 4,", None, "four")]


def test_a_preamble_that_is_no_program_is_only_said_to_differ():
    assert _parts(_with(preamble=b"\xff"), _with(preamble=b"{")) == [
        ("agent", ("x",), "preamble", '{"base64":"/w=="}', "{")
    ]


def test_the_same_difference_of_many_agents_is_one():
    a = run_of(*(agent(f"x{number}") for number in range(50)))
    b = run_of(*(agent(f"x{number}", every_tick=True) for number in range(50)))
    (found,) = spec_changes(a, b)
    assert (found.part, len(found.names)) == ("every_tick", 50)


def test_agents_kinds_and_inputs_that_one_run_lacks_are_named():
    a = run_of(agent("x"), agent("y"), kinds=(agent("k"),), inputs=(InputSpec("in", "t", ("x",), 1),))
    b = run_of(agent("x"), agent("z"), inputs=(InputSpec("in", "t", ("x",), 2),))
    assert _parts(a, b) == [
        ("agent", ("y",), "", "declared", None),
        ("agent", ("z",), "", None, "declared"),
        ("kind", ("k",), "", "declared", None),
        ("input", ("in",), "rate", "1", "2"),
    ]


def test_another_order_of_the_agents_is_a_difference():
    assert _parts(run_of(agent("x"), agent("y")), run_of(agent("y"), agent("x"))) == [
        ("", (), "order of the agents", "x y", "y x")
    ]


def test_what_is_of_the_run_itself_is_named():
    a = run_of(agent("x"))
    b = msgspec.structs.replace(a, seed=8, outputs=("out",), limits=RunLimits(agents=5))
    assert _parts(a, b) == [
        ("", (), "seed", "7", "8"),
        ("", (), "outputs", "[]", '["out"]'),
        ("", (), "limits.agents", "30000", "5"),
    ]


def test_a_forks_edits_are_told_one_by_one():
    edits = Edits(
        seed=9,
        inject=(Inject("x", "t", b'{"n":1}'),),
        drop=(Drop("y", topic="news"),),
        agents=(AgentEdit("z", module="22" * 32, restart=True),),
    )
    assert edit_words(encode_edits(edits)) == (
        "seed 9",
        'inject to=x topic=t body={"n":1} sender=fork',
        "drop to=y topic=news",
        f"agent id=z module={'22' * 32} restart=true",
    )
    assert edit_words(b"") == ()
    assert edit_words(b"\xc1") == ("edits that cannot be read",)
