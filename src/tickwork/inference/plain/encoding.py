"""Tensors as agents send and get them: JSON objects with the numbers' bytes in base64.

    {"inputs": {"x": {"dtype": "float32", "shape": [1, 4], "data": "AACAPw..."}}, "outputs": ["y"]}

`data` holds the numbers in C order, little-endian, without gaps. One form for every element type, exact, and
made by three lines of any guest's standard library. Bodies are hostile: sizes are checked before any memory
is taken, and nothing is converted in silence.
"""

import math
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from tickwork.inference.errors import Code, RequestError

BODY_BYTES_MAX = 32 << 20
RANK_MAX = 8
_ELEMENTS_MAX = 1 << 26

Dtype = Literal[
    "bool",
    "float16",
    "float32",
    "float64",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
]
Name = Annotated[str, Meta(min_length=1, max_length=256)]
Size = Annotated[int, Meta(ge=1, le=_ELEMENTS_MAX)]


class Tensor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A tensor: element type, sizes from the outermost axis in, and the bytes (base64 in JSON)."""

    dtype: Dtype
    shape: Annotated[tuple[Size, ...], Meta(max_length=RANK_MAX)]
    data: bytes

    @classmethod
    def of(cls, array: NDArray[Any]) -> "Tensor":
        """Return the tensor that holds `array`, which is of one of the element types."""
        little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        return msgspec.convert(
            {"dtype": array.dtype.name, "shape": array.shape, "data": little.tobytes()}, cls
        )


class TensorRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A request to a plain model. `outputs` names those that are wanted; all of them if it is left out."""

    inputs: Annotated[dict[Name, Tensor], Meta(min_length=1, max_length=256)]
    outputs: Annotated[tuple[Name, ...], Meta(min_length=1, max_length=256)] | None = None
    model: Annotated[str, Meta(max_length=256)] = ""


def parse_tensors(body: bytes) -> TensorRequest:
    """Return the request in a JSON body; raises RequestError naming the field."""
    if len(body) > BODY_BYTES_MAX:
        raise RequestError(Code.INVALID_REQUEST, f"the request has more than {BODY_BYTES_MAX} bytes")
    try:
        return msgspec.json.decode(body, type=TensorRequest)
    except msgspec.ValidationError as error:
        reason, _, path = str(error).partition(" - at `$")
        param = path.strip("`").lstrip(".") or None
        message = reason if param is None else f"{param}: {reason}"
        raise RequestError(Code.INVALID_REQUEST, message, param) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RequestError(Code.INVALID_REQUEST, f"the request is not JSON: {error}") from error


def to_array(tensor: Tensor, param: str) -> NDArray[Any]:
    """Return the tensor's numbers without copying them, read-only; raises RequestError naming `param`."""
    dtype = np.dtype(tensor.dtype).newbyteorder("<")
    expected = math.prod(tensor.shape) * dtype.itemsize
    if len(tensor.data) != expected:
        raise RequestError(
            Code.INVALID_REQUEST,
            f"{param} has {len(tensor.data)} bytes of data; {tensor.dtype} of shape {list(tensor.shape)} has "
            f"{expected}",
            param,
        )
    if tensor.dtype == "bool" and max(tensor.data, default=0) > 1:
        raise RequestError(Code.INVALID_REQUEST, f"{param} has a bool that is neither 0 nor 1", param)
    array = np.frombuffer(tensor.data, dtype).reshape(tensor.shape)
    if dtype.kind == "f" and np.isnan(array).any():
        raise RequestError(Code.INVALID_REQUEST, f"{param} has a NaN in it", param)
    return array
