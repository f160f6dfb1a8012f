"""Lines of an input, taken one by one: the same from a file and a stream, in whatever pieces they come."""

import json
import os
import threading
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tickwork.core.errors import InputError
from tickwork.core.messages import Input
from tickwork.runtime.inputs import LineInput, line_fault, take_all

LONGEST = 16


class EnoughError(Exception):
    """Raised to end a wait."""


def opened(path, *, waiting=lambda: None):
    """Return an input on `path`, and the list in which its bad lines are told."""
    bad = []
    report = lambda line: bad.append((line.number, line.reason))  # noqa: E731
    return LineInput("lines", 3, str(path), line_bytes_max=LONGEST, report=report, waiting=waiting), bad


def everything(source):
    taken = []
    while not source.exhausted:
        taken += source.take(2)
    source.close()
    return [item.body for item in taken]


def expected(content):
    """Say in the plainest way what should come of an input."""
    good, bad = [], []
    lines = content.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    for number, line in enumerate(lines, 1):
        if len(line.rstrip(b"\r")) > LONGEST:
            bad.append(number)
        elif line.strip():
            try:
                json.loads(line.strip().decode())
                good.append(line.strip())
            except ValueError:
                bad.append(number)
    return good, bad


PIECES = st.lists(
    st.one_of(
        st.sampled_from(
            [b"1", b"\n", b"\r\n", b"\r", b" ", b'"', b"{}", b"x" * LONGEST, b"\xef\xbb\xbf", b"\xff", b"\0"]
        ),
        st.integers(0, 2 * LONGEST).map(lambda size: b"7" * size),
    ),
    max_size=25,
)


@given(PIECES)
@example([b"\xef\xbb\xbf", b"7" * LONGEST, b"\r\n", b"1"])
@example([b"7" * LONGEST, b"\r\n", b"7" * (LONGEST + 1), b"\n", b"1"])
def test_a_file_and_a_pipe_give_the_same_lines_and_reports(tmp_path_factory, pieces):
    content = b"".join(pieces)
    path = tmp_path_factory.getbasetemp() / "lines.jsonl"
    path.write_bytes(content)
    file, bad_in_file = opened(path)
    read, write = os.pipe()

    def feed():
        for piece in pieces:
            os.write(write, piece)
        os.close(write)

    writer = threading.Thread(target=feed)
    writer.start()
    pipe, bad_in_pipe = opened(f"/dev/fd/{read}")
    of_pipe = everything(pipe)
    writer.join()
    os.close(read)
    of_file = everything(file)
    good, bad = expected(content)
    assert of_file == of_pipe == good
    assert bad_in_file == bad_in_pipe
    assert [number for number, _ in bad_in_file] == bad


def test_as_many_lines_are_taken_as_asked_for_and_fewer_only_at_the_end(tmp_path):
    path = tmp_path / "lines.jsonl"
    path.write_bytes(b"1\nbad\n2\n3\n")
    source, _ = opened(path)
    assert source.take(2) == [Input(3, b"1"), Input(3, b"2")]
    assert not source.exhausted
    assert source.take(2) == [Input(3, b"3")]
    assert source.exhausted
    assert source.take(2) == []
    source.close()


def test_inputs_are_taken_in_the_order_of_their_declaration(tmp_path):
    path = tmp_path / "lines.jsonl"
    path.write_bytes(b"1\n2\n3\n4\n")
    first, last = opened(path)[0], opened(path)[0]
    taken = take_all({2: last, 0: first}, [1, 5, 2])
    assert [item.body for item in taken] == [b"1", b"1", b"2"]
    first.close()
    last.close()


def test_a_wait_can_be_ended_and_taken_up_again_in_the_middle_of_a_line():
    read, write = os.pipe()
    waits = []

    def waiting():
        waits.append(True)
        if len(waits) in {2, 3}:
            raise EnoughError
        if len(waits) > 3:
            os.write(write, b"34\n")

    source, _ = opened(f"/dev/fd/{read}", waiting=waiting)
    os.write(write, b"1\n2")
    assert source.take(1) == [Input(3, b"1")]
    for _ in range(2):
        with pytest.raises(EnoughError):
            source.take(1)
    assert source.take(1) == [Input(3, b"234")]
    source.close()
    os.close(read)
    os.close(write)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (Path.exists, "there is no file"),
        (Path.mkdir, "is a directory; give a file of JSON lines"),
        (lambda path: path.symlink_to(path), "cannot read"),
    ],
)
def test_what_cannot_be_opened_is_named(tmp_path, make, said):
    path = tmp_path / "lines.jsonl"
    make(path)
    with pytest.raises(InputError, match=said) as raised:
        opened(path)
    assert str(path) in str(raised.value)
    assert "input 'lines'" in str(raised.value)


@pytest.mark.parametrize("line", [b"null", b"0", b"[]", b" {} ", b'{"a":1,"a":2}'])
def test_json_is_accepted(line):
    assert line_fault(line) is None


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b" ",
        b"nul",
        b"NaN",
        b"Infinity",
        b"01",
        b"1e400",
        b'"\\ud83c"',
        b"1 2",
        b"{'a':1}",
        b'"\n"',
        b'"\xc3"',
        b"[" * 99_999,
    ],
)
def test_what_is_no_json_has_a_reason(line):
    reason = line_fault(line)
    assert reason is not None
    assert len(reason) < 200
