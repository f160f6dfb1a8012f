"""How JSON from outside is read does not depend on how deep the reader's stack is."""

from collections.abc import Callable
from typing import TypeVar

import pytest

from tickwork.core.nesting import NESTING_MAX
from tickwork.runtime.inputs import line_fault
from tickwork.runtime.outputs import json_line

T = TypeVar("T")


def _at_depth(depth: int, reading: Callable[[], T]) -> T:
    return reading() if depth == 0 else _at_depth(depth - 1, reading)


@pytest.mark.parametrize("nesting", [100, 500, 900, 2_000])
def test_inputs_and_outputs_are_read_alike_on_every_stack(nesting: int) -> None:
    line = b"[" * nesting + b"]" * nesting
    deep = nesting > NESTING_MAX
    fault = "is nested too deeply" if deep else None
    written = b'"' + line + b'"' if deep else line
    for depth in (0, 200, 400):
        assert _at_depth(depth, lambda: line_fault(line)) == fault
        assert _at_depth(depth, lambda: json_line(line)) == written
