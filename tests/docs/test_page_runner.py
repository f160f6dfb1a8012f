"""The runner of pages notices what a page gets wrong."""

from pathlib import Path

import pytest
from page_runner import Block, PageRunner, agrees, blocks, commands


def play(folder: Path, text: str, mark: str = "test", language: str = "console") -> list[str]:
    return PageRunner(folder).play(Block(mark, language, text, 1))


@pytest.mark.parametrize(
    ("said", "printed"),
    [
        (["one", "two"], ["one", "two"]),
        (["one", "...", "four"], ["one", "two", "three", "four"]),
        (["one", "..."], ["one"]),
        (["a  b"], ["a      b   "]),
        (["error: ..."], ["error: whatever"]),
        (["8 ticks in 0.19 s (46 turns/s)"], ["8 ticks in 12.50 s (1,346 turns/s)"]),
        (["2 passed in 0.01s"], ["2 passed in 1.25s"]),
        (["digest 91e04d24da522734"], ["digest ffffffffffffffff"]),
    ],
)
def test_output_that_differs_only_where_it_may_agrees(said: list[str], printed: list[str]) -> None:
    assert agrees(said, printed)


@pytest.mark.parametrize(
    ("said", "printed"),
    [
        (["one"], []),
        ([], ["one"]),
        (["one", "two"], ["two", "one"]),
        (["one", "...", "four"], ["one", "two"]),
        (["8 ticks in 0.19 s (46 turns/s)"], ["9 ticks in 0.19 s (46 turns/s)"]),
        (["cents 950"], ["cents 951"]),
        (["digest 91e04d24da522734"], ["digest none"]),
    ],
)
def test_output_that_differs_otherwise_does_not_agree(said: list[str], printed: list[str]) -> None:
    assert not agrees(said, printed)


def test_a_command_that_prints_what_is_said_is_right(tmp_path: Path) -> None:
    assert play(tmp_path, "$ echo one\none\n$ false\n$ echo $?\n1\n") == []


@pytest.mark.parametrize(
    "text", ["$ echo one\ntwo\n", "$ false\n", "$ echo one; false\n...\n", "$ cd nowhere\n"]
)
def test_a_command_that_does_something_else_is_a_fault(tmp_path: Path, text: str) -> None:
    assert len(play(tmp_path, text)) == 1


def test_files_and_python_act_where_the_page_is(tmp_path: Path) -> None:
    runner = PageRunner(tmp_path)
    (tmp_path / "inner").mkdir()
    assert runner.play(Block("test", "console", "$ cd inner\n", 1)) == []
    assert runner.play(Block("file: sub/one.txt", "text", "1\n", 2)) == []
    assert (tmp_path / "inner" / "sub" / "one.txt").read_text() == "1\n"
    check = "from pathlib import Path; assert Path('sub/one.txt').exists()"
    assert runner.play(Block("run", "python", check, 3)) == []


def test_python_that_fails_is_a_fault(tmp_path: Path) -> None:
    (fault,) = play(tmp_path, "assert 1 == 2", "run", "python")
    assert "AssertionError" in fault


def test_blocks_have_their_marks_languages_and_lines(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A\n\n```console\n$ a\n```\n\n<!-- file: b.py -->\n```python\npass\n```\n")
    assert blocks(page) == [
        Block("", "console", "$ a\n", 3),
        Block("file: b.py", "python", "pass\n", 7),
    ]


def test_a_console_block_is_commands_with_their_output() -> None:
    assert list(commands("$ a\none\ntwo\n$ b\n")) == [("a", ["one", "two"]), ("b", [])]
