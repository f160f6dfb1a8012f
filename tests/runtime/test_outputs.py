"""What is written to outputs: one line of JSON for any body, after its tick is committed and not before."""

import base64
import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tickwork.core.effects import Output
from tickwork.core.errors import HostError, InputError
from tickwork.core.settling import Performed
from tickwork.runtime.outputs import Outputs, json_line, terminal_json

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


def put_out(name, body, effect=0):
    return Performed(0, effect, Output(name, body))


@given(st.binary() | st.text().map(str.encode))
@example(b"")
@example(b"\n")
@example(b"not json\n{}")
@example(b"\xff")
@example(b'"\\u2028\xe2\x80\xa8"')
def test_any_body_is_one_line_of_json_that_holds_it(body):
    line = json_line(body)
    assert b"\n" not in line
    assert b"\r" not in line
    value = json.loads(line)
    try:
        text = body.decode()
    except UnicodeDecodeError:
        assert value == {"base64": base64.b64encode(body).decode()}
        return
    try:
        assert value == json.loads(text, parse_constant=_no_json)
    except ValueError:
        assert value == text


def _no_json(name):
    raise ValueError(name)


@given(JSON, st.sampled_from([None, 0, 2]))
def test_json_is_the_same_value_on_one_line(value, indent):
    body = json.dumps(value, ensure_ascii=False, indent=indent).encode()
    line = json_line(body)
    assert b"\n" not in line
    assert json.loads(line) == value


@given(JSON, st.booleans())
@example("\x7f\u009b31m\u202e\U000e0001\u2028", False)
@example("\U0001f3ab\u6771", True)
def test_json_for_a_terminal_is_the_same_value_in_printable_characters(value, ascii_only):
    shown = terminal_json(json.dumps(value, ensure_ascii=False), ascii_only=ascii_only)
    assert shown.isprintable()
    assert shown.isascii() or not ascii_only
    assert json.loads(shown) == value


def test_nothing_is_written_before_it_is_released_and_then_in_order(tmp_path):
    paths = {name: tmp_path / f"{name}.jsonl" for name in ("a", "b")}
    outputs = Outputs({name: str(path) for name, path in paths.items()}, force=False)
    outputs.begin()
    outputs.hold(0, [put_out("a", b"1"), put_out("b", b"2"), put_out("a", b"3"), put_out("nowhere", b"4")])
    assert [path.read_bytes() for path in paths.values()] == [b"", b""]
    outputs.release(1)
    assert [path.read_bytes() for path in paths.values()] == [b"1\n3\n", b"2\n"]
    outputs.hold(0, [put_out("a", b"5")])
    outputs.close()
    assert [path.read_bytes() for path in paths.values()] == [b"1\n3\n", b"2\n"]


def test_outputs_that_are_given_up_leave_nothing_new_and_nothing_changed(tmp_path):
    old, new = tmp_path / "old.jsonl", tmp_path / "new.jsonl"
    old.write_bytes(b"precious")
    outputs = Outputs({"old": str(old), "new": str(new)}, force=True)
    assert new.exists()
    outputs.abandon()
    assert old.read_bytes() == b"precious"
    assert not new.exists()


def test_an_overwritten_output_is_emptied_when_the_run_begins(tmp_path):
    old = tmp_path / "old.jsonl"
    old.write_bytes(b"precious")
    outputs = Outputs({"old": str(old)}, force=True)
    outputs.begin()
    outputs.close()
    assert old.read_bytes() == b""


def test_an_output_is_not_opened_over_an_existing_file_or_a_dangling_link(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    for name in ("file", "link"):
        with pytest.raises(InputError, match="exists; use --force"):
            Outputs({"first": str(tmp_path / "first"), "out": str(tmp_path / name)}, force=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "link"]


def test_a_write_that_fails_names_its_output_once(tmp_path):
    outputs = Outputs({"good": str(tmp_path / "good"), "full": "/dev/full"}, force=False)
    outputs.begin()
    outputs.hold(0, [put_out("good", b"1"), put_out("full", b"2")])
    with pytest.raises(HostError, match="output 'full' cannot be written: No space left"):
        outputs.release(1)
    outputs.close()
    assert (tmp_path / "good").read_bytes() == b"1\n"
