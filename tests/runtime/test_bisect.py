"""The search for the first tick at which a condition holds, and the conditions that users write."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tickwork
from shell_projects import echo_project
from tickwork.runtime.bisect import bisect
from tickwork.runtime.checks import load_check


@given(first=st.integers(0, 1000), size=st.integers(1, 3000), onset=st.integers(-5, 3005))
def test_the_first_tick_is_found_in_few_steps(first, size, onset):
    last = first + size - 1
    found = bisect(first, last, lambda tick: tick >= first + onset)
    expected = next((tick for tick in range(first, last + 1) if tick >= first + onset), None)
    assert found.tick == expected
    assert found.from_beginning == (onset <= 0)
    assert len(found.checked) <= 2 + math.ceil(math.log2(size))
    assert all(first <= tick <= last for tick, _ in found.checked)
    assert len(dict(found.checked)) == len(found.checked)


@given(st.lists(st.booleans(), min_size=1, max_size=60))
def test_of_any_condition_a_change_is_found(answers):
    found = bisect(0, len(answers) - 1, answers.__getitem__)
    if found.tick is None:
        assert not answers[0]
        assert not answers[-1]
    else:
        assert answers[found.tick]
        assert found.tick == 0 or not answers[found.tick - 1]
    assert all(answers[tick] == answer for tick, answer in found.checked)


def test_an_empty_range_is_a_mistake():
    with pytest.raises(ValueError, match="at least one tick"):
        bisect(3, 2, bool)


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bisect")
    with tickwork.record(tickwork.load(echo_project(folder / "p")), folder / "x.tick") as run:
        run.run_to_end()
    with tickwork.open(folder / "x.tick") as recording:
        yield recording


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tick == 4", True),
        ("tick > 4", False),
        ("agents == ('echo', 'sink')", True),
        ("len(agent('sink').mailbox)", True),
        ("agent('sink').mailbox[0].body == b'{\"n\":2}'", True),
        ("agent('echo').status == 'running'", True),
        ("all(agent(name).status == 'running' for name in agents)", True),
        ("world.tick == moment.tick == tick", True),
        ("agent('sink').timers", False),
        (" tick == 4 ", True),
        ("'worker/1' in agents and agent('worker/1').status == 'running'", False),
    ],
)
def test_an_expression_sees_the_moment(recording, text, expected):
    assert load_check(text)(recording.at(4)) is expected


@pytest.mark.parametrize("text", ["tick ==", "import os", "x = 1", "tick\x00", "(" * 5000, ""])
def test_what_is_no_expression_is_refused(text):
    with pytest.raises(tickwork.InputError, match="is no Python expression"):
        load_check(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tock", "NameError: name 'tock' is not defined"),
        ("1 / (tick - 4)", "ZeroDivisionError"),
        ("agent('snk')", "there is no agent 'snk' at tick 4"),
        ("agent('echo').state()", "is not written in Python"),
        ("agent('echo').mood", "AttributeError"),
    ],
)
def test_an_expression_that_fails_names_the_tick(recording, text, said):
    with pytest.raises(tickwork.InputError, match="--check: the expression failed at tick 4: ") as caught:
        load_check(text)(recording.at(4))
    assert said in str(caught.value)


def script(folder, text):
    path = folder / "check.py"
    path.write_text(text)
    return str(path)


def test_a_script_is_given_the_moment(recording, tmp_path):
    text = (
        "LIMIT = 3\n\n\ndef check(moment):\n    return moment.tick > LIMIT and moment.agent('echo').status\n"
    )
    check = load_check(script(tmp_path, text))
    assert [check(recording.at(tick)) for tick in (3, 4)] == [False, True]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1\n", "defines no function check"),
        ("check = 1\n", "defines no function check"),
        ("def check(:\n", r"check\.py, line 1,: SyntaxError"),
        ("\nraise KeyError('a')\n", r"check\.py, line 2,: KeyError: 'a'"),
    ],
)
def test_a_script_that_is_none_is_refused(tmp_path, text, said):
    with pytest.raises(tickwork.InputError, match=said):
        load_check(script(tmp_path, text))


def test_a_script_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(tickwork.InputError, match="--check: there is no script"):
        load_check(str(tmp_path / "none.py"))


def test_a_script_that_fails_names_its_line_and_the_tick(recording, tmp_path):
    check = load_check(script(tmp_path, "def check(moment):\n    return moment.agents[9]\n"))
    with pytest.raises(tickwork.InputError, match=r"check\.py, line 2, failed at tick 4: IndexError"):
        check(recording.at(4))
