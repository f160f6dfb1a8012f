"""Reads what an ONNX graph is made of, straight from its protobuf bytes.

ONNX Runtime does not tell which operators a model has, yet the bits of a batched result depend on just that
(see `invariance`). Reading needs four messages of the format (onnx/onnx.proto: ModelProto, GraphProto,
NodeProto, AttributeProto) and a name from a fifth, so no dependency is taken; weights are skipped over in a
memory map, not read. The file is hostile until ONNX Runtime has accepted it: every length is checked.
"""

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tickwork.inference.errors import ModelError

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_VARINT_BYTES_MAX = 10
_MODEL_GRAPH = 7
_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_INPUT = 1, 5, 11
_NODE_INPUT, _NODE_OUTPUT, _NODE_KIND, _NODE_ATTRIBUTE = 1, 2, 4, 5
_ATTRIBUTE_NAME, _ATTRIBUTE_INT, _ATTRIBUTE_GRAPH, _ATTRIBUTE_GRAPHS = 1, 3, 6, 11
_TENSOR_NAME, _TENSOR_EXTERNAL = 8, 13
_INPUT_NAME = 1
_ENTRY_KEY, _ENTRY_VALUE = 1, 2
_DEPTH_MAX = 8


class Operator(NamedTuple):
    """One node: its operator, its whole-number attributes, and which of its inputs are constants."""

    kind: str
    numbers: dict[str, int]
    constant_inputs: tuple[bool, ...]


class Graph(NamedTuple):
    """Every node, those of subgraphs included, and the files beside the model that hold weights.

    `inputs` names what the whole graph is fed, in order.
    """

    operators: tuple[Operator, ...]
    external_files: frozenset[str]
    inputs: tuple[str, ...] = ()


def read_graph(path: Path) -> Graph:
    """Return the graph of the model at `path`; raises ModelError if the bytes are not a model's."""
    try:
        with path.open("rb") as file:
            # Closed with the last view: after an error the frames that made some still hold them.
            return _read_model(memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path.name} cannot be read as an ONNX model: {error}") from error


def _read_model(view: memoryview) -> Graph:
    operators: list[Operator] = []
    external: set[str] = set()
    inputs: list[str] = []
    found = False
    for field, value in _fields(view):
        if field == _MODEL_GRAPH and isinstance(value, memoryview):
            found = True
            with value:
                _read_graph(value, operators, external, set(), 0)
                inputs += _read_inputs(value)
        elif isinstance(value, memoryview):
            value.release()
    if not found:
        raise ValueError("it has no graph")
    return Graph(tuple(operators), frozenset(external), tuple(inputs))


def _read_inputs(view: memoryview) -> Iterator[str]:
    """Yield the names of what a graph is fed; those with a default among its weights are no such thing."""
    names: list[str] = []
    constants: set[str] = set()
    for field, value in _fields(view):
        if not isinstance(value, memoryview):
            continue
        with value:
            if field == _GRAPH_INITIALIZER:
                _read_initializer(value, constants, set())
            elif field == _GRAPH_INPUT:
                names += [
                    _text(part)
                    for key, part in _fields(value)
                    if key == _INPUT_NAME and isinstance(part, memoryview)
                ]
    yield from (name for name in names if name not in constants)


def _read_graph(
    view: memoryview, operators: list[Operator], external: set[str], outer: set[str], depth: int
) -> None:
    if depth > _DEPTH_MAX:
        raise ValueError(f"subgraphs are nested deeper than {_DEPTH_MAX}")
    nodes: list[memoryview] = []
    constants = set(outer)
    for field, value in _fields(view):
        if not isinstance(value, memoryview):
            continue
        if field == _GRAPH_NODE:
            nodes.append(value)
            continue
        if field == _GRAPH_INITIALIZER:
            _read_initializer(value, constants, external)
        value.release()
    for node in nodes:
        with node:
            _read_node(node, operators, external, constants, depth)


def _read_initializer(view: memoryview, constants: set[str], external: set[str]) -> None:
    for field, value in _fields(view):
        if not isinstance(value, memoryview):
            continue
        with value:
            if field == _TENSOR_NAME:
                constants.add(_text(value))
            elif field == _TENSOR_EXTERNAL:
                entry = {key: _text(part) for key, part in _fields(value) if isinstance(part, memoryview)}
                if entry.get(_ENTRY_KEY) == "location":
                    external.add(entry.get(_ENTRY_VALUE, ""))


def _read_node(
    view: memoryview, operators: list[Operator], external: set[str], constants: set[str], depth: int
) -> None:
    kind = ""
    inputs: list[str] = []
    outputs: list[str] = []
    numbers: dict[str, int] = {}
    for field, value in _fields(view):
        if not isinstance(value, memoryview):
            continue
        with value:
            if field == _NODE_INPUT:
                inputs.append(_text(value))
            elif field == _NODE_OUTPUT:
                outputs.append(_text(value))
            elif field == _NODE_KIND:
                kind = _text(value)
            elif field == _NODE_ATTRIBUTE:
                _read_attribute(value, numbers, operators, external, constants, depth)
    constant = tuple(name in constants for name in inputs)
    # Nodes come in topological order, so what is computed from constants alone is known to be one here.
    if all(name in constants for name in inputs if name):
        constants.update(outputs)
    operators.append(Operator(kind, numbers, constant))


def _read_attribute(
    view: memoryview,
    numbers: dict[str, int],
    operators: list[Operator],
    external: set[str],
    constants: set[str],
    depth: int,
) -> None:
    name = ""
    for field, value in _fields(view):
        if field == _ATTRIBUTE_INT and isinstance(value, int):
            numbers[name] = value - (1 << 64) if value >> 63 else value
        if not isinstance(value, memoryview):
            continue
        with value:
            if field == _ATTRIBUTE_NAME:
                name = _text(value)
            elif field in {_ATTRIBUTE_GRAPH, _ATTRIBUTE_GRAPHS}:
                _read_graph(value, operators, external, constants, depth + 1)


def _text(view: memoryview) -> str:
    return bytes(view).decode("utf-8")


def _fields(view: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield each field's number with its value: an int, or a view that the caller releases."""
    at = 0
    end = len(view)
    while at < end:
        key, at = _varint(view, at)
        field, wire = key >> 3, key & 7
        if wire == _VARINT:
            number, at = _varint(view, at)
            yield field, number
            continue
        if wire == _BYTES:
            length, at = _varint(view, at)
        elif wire in {_FIXED64, _FIXED32}:
            length = 8 if wire == _FIXED64 else 4
        else:
            raise ValueError(f"wire type {wire} at byte {at} is none that protobuf has")
        if length > end - at:
            raise ValueError(f"a field of {length} bytes starts at byte {at} of {end}")
        yield field, view[at : at + length]
        at += length


def _varint(view: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(_VARINT_BYTES_MAX):
        if at >= len(view):
            raise ValueError("it ends within a number")
        byte = view[at]
        at += 1
        value |= (byte & 0x7F) << (7 * shift)
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, at
    raise ValueError(f"a number at byte {at} does not end")
