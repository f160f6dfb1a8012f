from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guests import program, wat
from tickwork.core.limits import Limits
from tickwork.core.outcomes import OutcomeKind
from tickwork.guest.instance import Instance
from tickwork.guest.memory import Memory
from tickwork.guest.virtual import GuestFault

PAGE = 65536
CODE = wat(
    memory='(memory (export "memory") 2)',
    step="(drop (memory.grow (i32.const 1))) (i32.const 16)",
    extra='(data (i32.const 1000) "here")',
)


@pytest.fixture
def instance() -> Iterator[Instance]:
    made = Instance(program(CODE), Limits())
    made.setup("a", b"", now_ns=0, start_ns=0, seed=0)
    yield made
    made.close()


@pytest.fixture
def memory(instance: Instance) -> Memory:
    return instance._memory


def test_what_is_written_is_read_again(memory: Memory) -> None:
    assert memory.read(1000, 4) == b"here"
    memory.write(2 * PAGE - 3, b"end")
    assert memory.read(2 * PAGE - 3, 3) == b"end"
    assert memory.read(2 * PAGE, 0) == b""


@pytest.mark.parametrize(
    ("pointer", "length"),
    [(2 * PAGE, 1), (2 * PAGE - 1, 2), (2 * PAGE + 1, 0), (0, 2 * PAGE + 1), ((1 << 32) - 1, (1 << 32) - 1)],
)
def test_nothing_beyond_the_end_is_touched(memory: Memory, pointer: int, length: int) -> None:
    with pytest.raises(GuestFault) as caught:
        memory.read(pointer, length)
    assert caught.value.kind is OutcomeKind.BAD_POINTER
    assert caught.value.detail == f"{length} bytes at {pointer} reach beyond the memory's {2 * PAGE}"
    if length < 3 * PAGE:
        with pytest.raises(GuestFault):
            memory.write(pointer, bytes(length))


@given(st.integers(0, 3 * PAGE), st.integers(0, 3 * PAGE))
def test_a_range_is_readable_exactly_within_the_memory(pointer: int, length: int) -> None:
    made = Instance(program(CODE), Limits())
    try:
        made.setup("a", b"", now_ns=0, start_ns=0, seed=0)
        if pointer + length <= 2 * PAGE:
            assert len(made._memory.read(pointer, length)) == length
        else:
            with pytest.raises(GuestFault):
                made._memory.read(pointer, length)
    finally:
        made.close()


def test_a_memory_that_grew_is_seen_to_its_new_end(instance: Instance, memory: Memory) -> None:
    for pages in (3, 4):
        with pytest.raises(GuestFault):
            memory.read(pages * PAGE - 1, 1)
        instance.step(pages, 0, 0, ())
        memory.write(pages * PAGE - 1, b"x")
        assert memory.read(pages * PAGE - 1, 1) == b"x"
        assert memory.read(1000, 4) == b"here"


def test_a_window_is_the_size_that_was_known_until_asked_for_the_present_one(
    instance: Instance, memory: Memory
) -> None:
    assert memory.window()[1] == 2 * PAGE
    instance.step(1, 0, 0, ())
    assert memory.window(grown=True)[1] == 3 * PAGE
    view, size = memory.window()
    assert (view[1000:1004], size) == (b"here", 3 * PAGE)


def test_a_memory_of_no_pages_holds_nothing_until_it_grows() -> None:
    empty = wat(
        memory='(memory (export "memory") 0)',
        realloc="(drop (memory.grow (i32.const 1))) (i32.const 0)",
    )
    made = Instance(program(empty), Limits())
    try:
        assert made.setup("agent", b"config", now_ns=0, start_ns=0, seed=0).kind is OutcomeKind.OK
        assert made._memory.read(0, 5) == b"1.0.0"  # all three strings were put at 0
    finally:
        made.close()
