"""Tensors between numpy and ONNX Runtime, without copies.

A binding borrows memory: whoever binds an array keeps it alive, in place and unread until the run has
returned.
"""

from typing import Any, NamedTuple

import numpy as np
import onnxruntime as ort  # type: ignore[import-untyped]
from numpy.typing import NDArray

from tickwork.inference.errors import ModelError

_DTYPES: dict[str, Any] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(int8)": np.int8,
    "tensor(uint8)": np.uint8,
    "tensor(int16)": np.int16,
    "tensor(uint16)": np.uint16,
    "tensor(int32)": np.int32,
    "tensor(uint32)": np.uint32,
    "tensor(int64)": np.int64,
    "tensor(uint64)": np.uint64,
    "tensor(bool)": np.bool_,
}


class Port(NamedTuple):
    """An input or output: its name, element type, and shape (a number, or None where it is open)."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int | None, ...]


def inputs(session: ort.InferenceSession) -> dict[str, Port]:
    """Return the session's inputs by name; raises ModelError for a type that numpy does not have."""
    return _ports(_arguments(session.get_inputs()))


def outputs(session: ort.InferenceSession) -> dict[str, Port]:
    """Return the session's outputs by name; raises ModelError for a type that numpy does not have."""
    return _ports(_arguments(session.get_outputs()))


def symbols(session: ort.InferenceSession) -> dict[str, tuple[str | None, ...]]:
    """Return, for each input, the names of its open sizes: equal names are meant to be equal sizes."""
    return {
        name: tuple(size if isinstance(size, str) and size else None for size in shape)
        for name, _, shape in _arguments(session.get_inputs())
    }


class Sized(NamedTuple):
    """An input or output as people read it: open sizes go by the model's own names for them, or by `?`."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]


def described(arguments: list[Any]) -> tuple[Sized, ...]:
    """Return a session's inputs or outputs for people; raises ModelError as `inputs` does."""
    found = _arguments(arguments)
    ports = _ports(found)
    return tuple(
        Sized(name, ports[name].dtype.name, tuple(_size(size) for size in sizes)) for name, _, sizes in found
    )


def bind_input(binding: ort.IOBinding, name: str, array: NDArray[Any]) -> None:
    """Let the next runs read `array`, which must be C-contiguous, in place."""
    binding.bind_input(name, "cpu", 0, array.dtype, array.shape, _address(name, array))


def bind_output(binding: ort.IOBinding, name: str, array: NDArray[Any]) -> None:
    """Let the next runs write into `array`, which must be C-contiguous and of just the output's shape."""
    binding.bind_output(name, "cpu", 0, array.dtype, array.shape, _address(name, array))


def _size(size: int | str | None) -> int | str:
    known = (isinstance(size, str) and size) or (isinstance(size, int) and size >= 0)
    return size if known and size is not None else "?"


def _address(name: str, array: NDArray[Any]) -> int:
    if not array.flags.c_contiguous:
        raise ValueError(f"the array for {name} is not contiguous")
    return int(array.ctypes.data)


def _arguments(found: list[Any]) -> list[tuple[str, str, list[int | str | None]]]:
    """Return the name, type and shape of each input or output."""
    try:
        return [(argument.name, argument.type, argument.shape) for argument in found]
    except UnicodeDecodeError as error:
        raise ModelError(f"the model has an input or output whose name is no text: {error}") from error


def _ports(arguments: list[tuple[str, str, list[int | str | None]]]) -> dict[str, Port]:
    found = {}
    for name, kind, sizes in arguments:
        if kind not in _DTYPES:
            raise ModelError(f"the model's {name} is a {kind}, which cannot be passed")
        shape = tuple(size if isinstance(size, int) and size >= 0 else None for size in sizes)
        found[name] = Port(name, np.dtype(_DTYPES[kind]), shape)
    return found
