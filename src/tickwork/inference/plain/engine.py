"""Serves requests to a plain model, several at once where that changes no answer.

Requests whose inputs agree in everything but the number of rows are joined along the first axis, run, and
taken apart again. Whether that may be done, and with how many rows, is what the load-time check found
(`check`); rows added to please it repeat a row and are dropped. A request's own rows stay together.

NaNs never cross: a request that holds one is refused, and an output that holds one fails its request, so no
answer hangs on which of the many NaNs a processor happened to make. Infinities pass.

An engine belongs to one thread.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
import onnxruntime as ort  # type: ignore[import-untyped]
from numpy.typing import NDArray

from tickwork.inference.errors import Code, RequestError, thrown
from tickwork.inference.invariance import Serving
from tickwork.inference.language.response import Failure
from tickwork.inference.plain.encoding import Tensor, TensorRequest, to_array
from tickwork.inference.plain.pooling import Pooling, pool
from tickwork.inference.tensors import Port

Array = NDArray[Any]


class Ports(NamedTuple):
    """What a model takes and gives. `symbols` name the open sizes of inputs, so that equal names agree."""

    inputs: Mapping[str, Port]
    outputs: Mapping[str, Port]
    symbols: Mapping[str, tuple[str | None, ...]]


class TensorResult(msgspec.Struct, frozen=True):
    """An answer: the outputs that were asked for, by name, in the model's order."""

    key: str
    model: str
    fingerprint: str
    outputs: dict[str, Tensor]

    def body(self) -> dict[str, Any]:
        """Return the answer as an agent gets it."""
        return {
            "object": "tensors",
            "model": self.model,
            "system_fingerprint": self.fingerprint,
            "outputs": msgspec.to_builtins(self.outputs),
        }


PlainResult = TensorResult | Failure


class _Waiting(NamedTuple):
    key: str
    inputs: dict[str, Array]
    wanted: tuple[str, ...]
    rows: int

    @property
    def form(self) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """What requests must have in common to be joined."""
        return tuple((name, array.shape[1:]) for name, array in self.inputs.items())


class PlainEngine:
    """A plain model at work."""

    def __init__(
        self,
        names: tuple[str, str],
        session: ort.InferenceSession,
        ports: Ports,
        serving: Serving,
        pooling: Sequence[Pooling] = (),
        rows_max: int = 64,
    ) -> None:
        """`names` are the model's and its fingerprint. `rows_max` bounds what is joined, not a request."""
        self._model, self._fingerprint = names
        self._session = session
        self._ports = ports
        self._serving = serving
        self._pooling = {one.output: one for one in pooling}
        self._rows_max = rows_max
        self._waiting: OrderedDict[str, _Waiting] = OrderedDict()
        self._failures: list[Failure] = []

    @property
    def busy(self) -> bool:
        """Whether a step would do anything."""
        return bool(self._waiting or self._failures)

    def submit(self, key: str, request: TensorRequest) -> None:
        """Take a request on; its result comes out of a later step, a failure too.

        `key` names it and must not be in use (ValueError).
        """
        if key in self._waiting or any(failure.key == key for failure in self._failures):
            raise ValueError(f"request {key} is already here")
        try:
            self._waiting[key] = self._checked(key, request)
        except RequestError as error:
            self._failures.append(Failure.of(key, error))

    def cancel(self, key: str) -> bool:
        """Drop a request, which then has no result; return whether it was here."""
        failures = [failure for failure in self._failures if failure.key != key]
        found = self._waiting.pop(key, None) is not None or len(failures) < len(self._failures)
        self._failures = failures
        return found

    def step(self) -> list[PlainResult]:
        """Run the request that has waited longest, with those that can be joined to it; failures first."""
        results: list[PlainResult] = [*self._failures]
        self._failures.clear()
        batch = self._next_batch()
        if batch:
            results += self._run(batch)
        return results

    def run(self) -> dict[str, PlainResult]:
        """Step until nothing is left to do; return all results by key."""
        results: dict[str, PlainResult] = {}
        while self.busy:
            results.update((result.key, result) for result in self.step())
        return results

    def _checked(self, key: str, request: TensorRequest) -> _Waiting:
        ports = self._ports
        for name in sorted(request.inputs.keys() - ports.inputs.keys()):
            raise _invalid(f"the model has no input {name}; it has {', '.join(ports.inputs)}", name)
        for name in sorted(ports.inputs.keys() - request.inputs.keys()):
            raise _invalid(f"the input {name} is missing", name)
        sizes: dict[str, tuple[int, str]] = {}
        arrays = {}
        for name, port in ports.inputs.items():
            tensor = request.inputs[name]
            if tensor.dtype != port.dtype.name:
                raise _invalid(f"{name} must be {port.dtype.name}, not {tensor.dtype}", name)
            _check_shape(port, ports.symbols[name], tensor.shape, sizes)
            arrays[name] = to_array(tensor, f"inputs.{name}")
        wanted = tuple(ports.outputs) if request.outputs is None else request.outputs
        for name in wanted:
            if name not in ports.outputs:
                raise RequestError(
                    Code.INVALID_REQUEST,
                    f"the model has no output {name}; it has {', '.join(ports.outputs)}",
                    "outputs",
                )
        rows = next((array.shape[0] for array in arrays.values() if array.ndim), 1)
        in_order = tuple(name for name in ports.outputs if name in wanted)
        return _Waiting(key, arrays, in_order, rows)

    def _next_batch(self) -> list[_Waiting]:
        if not self._waiting:
            return []
        _, first = self._waiting.popitem(last=False)
        batch, rows = [first], first.rows
        if self._serving.batching == "alone":
            return batch
        for other in list(self._waiting.values()):
            if rows + other.rows <= self._rows_max and other.form == first.form:
                batch.append(self._waiting.pop(other.key))
                rows += other.rows
        return batch

    def _run(self, batch: Sequence[_Waiting]) -> list[PlainResult]:
        """Run requests together. If that throws they are run one by one: the one at fault throws again."""
        try:
            outputs = self._outputs(batch)
        except Exception as error:  # whatever the session throws
            if len(batch) == 1:
                return [_failed(batch[0], error)]
            return [result for one in batch for result in self._run([one])]
        return [self._result(one, parts) for one, parts in zip(batch, outputs, strict=True)]

    def _outputs(self, batch: Sequence[_Waiting]) -> list[dict[str, Array]]:
        """Return each request's own part of the outputs."""
        names = [name for name in self._ports.outputs if any(name in one.wanted for one in batch)]
        rows = sum(one.rows for one in batch)
        feeds = {
            name: _joined([one.inputs[name] for one in batch], self._padding(rows))
            for name in batch[0].inputs
        }
        outputs = dict(zip(names, self._session.run(names, feeds), strict=True))
        if self._serving.batching == "alone":
            return [outputs]
        parts, start = [], 0
        for one in batch:
            parts.append({name: outputs[name][start : start + one.rows] for name in one.wanted})
            start += one.rows
        return parts

    def _padding(self, rows: int) -> int:
        if self._serving.batching == "pad":
            return max(0, 2 - rows)
        return rows % 2 if self._serving.batching == "even" else 0

    def _result(self, one: _Waiting, outputs: dict[str, Array]) -> PlainResult:
        try:
            tensors = dict(self._tensors(one, outputs))
        except RequestError as error:
            return Failure.of(one.key, error)
        return TensorResult(one.key, self._model, self._fingerprint, tensors)

    def _tensors(self, one: _Waiting, outputs: dict[str, Array]) -> Iterable[tuple[str, Tensor]]:
        for name in one.wanted:
            array = outputs[name]
            pooling = self._pooling.get(name)
            if pooling is not None:
                array = pool(pooling, array, one.inputs.get(pooling.mask))
            if array.dtype.kind == "f" and np.isnan(array).any():
                raise RequestError(Code.OUTPUT_IS_NAN, f"the model's {name} has a NaN in it", "inputs")
            yield name, Tensor.of(array)


def _check_shape(
    port: Port, symbols: tuple[str | None, ...], shape: tuple[int, ...], sizes: dict[str, tuple[int, str]]
) -> None:
    """Raise RequestError if an input's shape is not the model's; `sizes` has the open ones met so far."""
    name = port.name
    fits = len(shape) == len(port.shape) and all(
        wanted in {None, found} for wanted, found in zip(port.shape, shape, strict=True)
    )
    if not fits:
        pairs = zip(port.shape, symbols, strict=True)
        wanted = ", ".join(str(size) if size is not None else symbol or "?" for size, symbol in pairs)
        raise _invalid(f"{name} must have the shape [{wanted}], not {list(shape)}", name)
    for symbol, size in zip(symbols, shape, strict=True):
        if symbol is None:
            continue
        known, where = sizes.setdefault(symbol, (size, name))
        if known != size:
            raise _invalid(f"{name} has {size} for {symbol}, and {where} has {known}", name)


def _joined(arrays: Sequence[Array], padding: int) -> Array:
    if len(arrays) == 1 and not padding:
        return arrays[0]
    return np.concatenate([*arrays, *[arrays[0][:1]] * padding])


def _invalid(message: str, name: str) -> RequestError:
    return RequestError(Code.INVALID_REQUEST, message, f"inputs.{name}")


def _failed(one: _Waiting, error: Exception) -> Failure:
    return Failure.of(one.key, thrown(error, "the model failed"))
