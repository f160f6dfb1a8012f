"""Makes one vector of a sequence of vectors, each row by itself.

In the graph, a mean over the sequence depends on the batch and on threads; here it is a sum in order, in
float64, over one row's own places, and so a function of that row.
"""

import math
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from tickwork.inference.errors import Code, RequestError

# Rows, places, sizes.
RANK = 3


class Pooling(msgspec.Struct, frozen=True):
    """How an output [rows, sequence, size] becomes [rows, size].

    `mask` names the input [rows, sequence] whose places other than 0 count; all count where it is empty.
    `how`: the mean over those that count, or the first or last of them. `unit` makes each vector of length 1.
    """

    output: str
    mask: str = ""
    how: Literal["mean", "first", "last"] = "mean"
    unit: bool = False


def pool(pooling: Pooling, output: NDArray[Any], mask: NDArray[Any] | None) -> NDArray[Any]:
    """Return the pooled output; raises RequestError if a row's mask leaves nothing to pool."""
    with np.errstate(invalid="ignore", over="ignore"):  # infinities may meet; the NaN is found afterwards
        return np.stack([_pool_row(pooling, output[row], mask, row) for row in range(len(output))])


def _pool_row(pooling: Pooling, vectors: NDArray[Any], mask: NDArray[Any] | None, row: int) -> NDArray[Any]:
    counted = vectors if mask is None else vectors[mask[row] != 0]
    if not len(counted):
        raise RequestError(
            Code.INVALID_REQUEST, f"{pooling.mask} leaves nothing of row {row}", f"inputs.{pooling.mask}"
        )
    if pooling.how == "first":
        pooled = counted[0].astype(np.float64)
    elif pooling.how == "last":
        pooled = counted[-1].astype(np.float64)
    else:
        pooled = np.zeros(vectors.shape[1], np.float64)
        for vector in counted:
            pooled += vector
        pooled /= len(counted)
    if pooling.unit:
        pooled = _unit(pooled)
    return np.asarray(pooled.astype(vectors.dtype))


def _unit(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the vector at length 1, or itself if it is 0."""
    largest = np.abs(vector).max()
    if largest == 0:
        return vector
    scaled = vector / largest
    # Rounded once, so the same whatever adds the numbers up.
    return np.asarray(scaled / math.sqrt(math.fsum((scaled * scaled).tolist())))
