from collections.abc import Iterator

import pytest
from agent_files import NESTED, component, js_component
from hypothesis import given
from hypothesis import strategies as st
from wasmtime import wat2wasm

from tickwork.core.errors import ModuleError
from tickwork.guest.binary import COMPONENT_HEADER, CORE_HEADER, sections
from tickwork.guest.component import flatten
from tickwork.guest.plan import LinkPlan

SMALL = bytes(wat2wasm(NESTED))


def structure(code: bytes, start: int, end: int) -> Iterator[range]:
    """Yield the spans of a file that flattening reads: all but instructions, data and custom sections."""
    is_component = code[start : start + 8] == COMPONENT_HEADER
    yield range(start, start + 8)
    for section in sections(code, start + 8, end):
        yield range(section.begin, section.start)
        if is_component and section.id in (1, 4):
            yield from structure(code, section.start, section.end)
        elif section.id != 0 and (is_component or section.id not in (10, 11)):
            yield range(section.start, section.end)


def damaged(code: bytes, data: st.DataObject) -> bytes:
    spans = [span for span in structure(code, 0, len(code)) if span]
    mutated = bytearray(code)
    for _ in range(data.draw(st.integers(0, 3))):
        span = data.draw(st.sampled_from(spans))
        mutated[data.draw(st.sampled_from(span))] ^= 1 << data.draw(st.integers(0, 7))
    if data.draw(st.booleans()):
        del mutated[data.draw(st.sampled_from(data.draw(st.sampled_from(spans)))) :]
    return bytes(mutated)


def is_plan_or_module_error(code: bytes) -> bool:
    try:
        return isinstance(flatten(code), LinkPlan)
    except ModuleError:
        return True


@given(st.data())
def test_a_damaged_small_component_gives_a_plan_or_a_module_error(data: st.DataObject) -> None:
    assert is_plan_or_module_error(damaged(SMALL, data))


@given(st.data())
def test_a_damaged_javascript_component_gives_a_plan_or_a_module_error(data: st.DataObject) -> None:
    assert is_plan_or_module_error(damaged(js_component(), data))


def test_every_truncation_of_a_small_component_is_refused() -> None:
    exports = [section for section in sections(SMALL, 8, len(SMALL)) if section.id == 11]
    for end in range(exports[-1].end):
        with pytest.raises(ModuleError):
            flatten(SMALL[:end])


def test_every_damaged_byte_of_a_small_component_gives_a_plan_or_a_module_error() -> None:
    code = component()
    for at in range(len(code)):
        for flip in (0x80, 1 << at % 7):
            assert is_plan_or_module_error(code[:at] + bytes([code[at] ^ flip]) + code[at + 1 :])


@given(st.binary(max_size=300))
def test_noise_behind_a_component_header_gives_a_module_error(noise: bytes) -> None:
    with pytest.raises(ModuleError):
        flatten(COMPONENT_HEADER + noise)


def test_a_nested_module_with_a_damaged_header_is_placed() -> None:
    code = component()
    at = code.index(CORE_HEADER)
    with pytest.raises(ModuleError, match=rf"not a core module of version 1 \(at byte {at}\)"):
        flatten(code[:at] + b"\0ASM" + code[at + 4 :])
