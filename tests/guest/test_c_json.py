"""The C header's JSON: what it reads is what Python's json reads."""

import json
from pathlib import Path

import pytest
from agent_driver import AgentDriver
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tickwork.guest.c_source import build_c

AGENTS = Path(__file__).parent / "agents"


@pytest.fixture(scope="module")
def probe() -> AgentDriver:
    driver = AgentDriver.load(build_c(AGENTS / "probe.c"))
    driver.setup()
    return driver


def ask(agent: AgentDriver, topic: str, body: bytes, sender: str = "s") -> bytes:
    effects = agent.step([(sender, topic, body, None)])
    assert len(effects) == 1
    assert effects[0][:2] == ("output", "out")
    return effects[0][2]


texts = st.text(max_size=30)
json_values = st.one_of(
    texts,
    st.integers(-(1 << 63), (1 << 63) - 1),
    st.booleans(),
    st.none(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.lists(texts, max_size=3),
    st.dictionaries(texts, st.integers(), max_size=3),
)
relaxed = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def expected_json(value: object) -> bytes:
    match value:
        case str():
            # Half of a surrogate pair has no UTF-8.
            return b"string " + value.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()
        case bool():
            return b"true" if value else b"false"
        case int() if -(1 << 63) <= value < 1 << 63:
            return b"number %d" % value
    return b"other "


@relaxed
@given(
    st.dictionaries(texts | st.just("k"), json_values, max_size=4),
    st.booleans(),
    st.sampled_from([(",", ":"), (" , ", " : "), ("\n,\t", "\r\n: ")]),
)
@example({"k": '\ud83d\ude00 \ud83d x \x7f / \\ " \b\f\n\r\t'}, True, (",", ":"))
@example({"k": 1 << 63}, False, (",", ":"))
@example({"k": '{"k": "inner"}', "z": {"k": [1, {"k": 2}]}}, False, (",", ":"))
def test_json_reads_as_python_reads_it(
    probe: AgentDriver, value: dict[str, object], ascii_only: bool, separators: tuple[str, str]
) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, separators=separators)
    try:
        data = text.encode()
    except UnicodeEncodeError:
        data = json.dumps(value, separators=separators).encode()
    answer = ask(probe, "json", data)
    if "k" not in value:
        assert answer == b"absent"
        return
    expected = expected_json(value["k"])
    if expected == b"other ":
        assert answer.startswith(expected)
        assert json.loads(answer.removeprefix(expected)) == value["k"]
    else:
        assert answer == expected


@relaxed
@given(st.dictionaries(texts | st.just("k"), json_values, max_size=3), st.data())
def test_damaged_json_is_never_misread_as_a_crash(
    probe: AgentDriver, value: dict[str, object], data: st.DataObject
) -> None:
    whole = json.dumps(value).encode()
    place = data.draw(st.integers(0, len(whole)))
    damaged = whole[:place] + data.draw(st.binary(max_size=3)) + whole[place + data.draw(st.integers(0, 3)) :]
    answer = ask(probe, "json", damaged)
    try:
        read = json.loads(damaged)
    except ValueError:
        return
    if isinstance(read, dict) and isinstance(read.get("k"), str):
        assert answer == expected_json(read["k"])


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", '"k"', "{}", '{"k"}', '{"k":}', '{"k":1', '{"k":1}x', '{"k":1,}', '{,"k":1}',
        '{"k" 1}', '{"k":"a}', '{"k":"\n"}', '{k:1}', '{"k":[1', '{"k":1}{"k":2}', "{'k':1}", '{"k\\',
        '{"k":"\\', '{"k":]}',
    ],
)  # fmt: skip
def test_what_is_not_an_object_with_the_key_is_absent(probe: AgentDriver, text: str) -> None:
    assert ask(probe, "json", text.encode()) == b"absent"


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ('{"k":1,"k":"last"}', b"string last"),
        ('{"\\u006b":"by escape"}', b"string by escape"),
        ('{"k":"\\ud83d\\ude00"}', "string 😀".encode()),
        ('{"k":"\\ud83d"}', "string �".encode()),
        ('{"k":"\\u00e9\\/"}', "string é/".encode()),
        ('{"k":-0}', b"number 0"),
        ('{"k":01}', b"other 01"),
        ('{"k":1.0}', b"other 1.0"),
        ('{"k":1e3}', b"other 1e3"),
        ('{"k":9223372036854775808}', b"other 9223372036854775808"),
        ('{"k":-9223372036854775808}', b"number -9223372036854775808"),
        ('{"k":"\\x"}', b'other "\\x"'),
        ('{"k":"\\u12"}', b'other "\\u12"'),
        ('{"k":null}', b"other null"),
        (' {"a":{"k":[]},"k":[{"k":"]"}]} ', b'other [{"k":"]"}]'),
    ],
)
def test_json_corners(probe: AgentDriver, text: str, answer: bytes) -> None:
    assert ask(probe, "json", text.encode()) == answer


@relaxed
@given(texts)
def test_a_quoted_string_reads_back_as_itself(probe: AgentDriver, text: str) -> None:
    assert json.loads(ask(probe, "quote", text.encode())) == text
