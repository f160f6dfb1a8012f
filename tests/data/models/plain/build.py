"""Builds the tiny plain models of this folder, one `NAME/model.onnx` each.

Needs onnx and numpy (the tests need neither of onnx): `python tests/data/models/plain/build.py OUT`. Weights
come from a fixed seed.
"""

import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

DRAWN = np.random.default_rng(5)
OPSET = [helper.make_opsetid("", 17)]
SIDE = 512
FLOAT, WHOLE = TensorProto.FLOAT, TensorProto.INT64


def weights(name: str, *shape: int) -> onnx.TensorProto:
    return numpy_helper.from_array(DRAWN.standard_normal(shape).astype(np.float32), name)


def numbers(name: str, *values: int) -> onnx.TensorProto:
    return numpy_helper.from_array(np.array(values, np.int64), name)


def port(name: str, kind: int, *shape: int | str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def node(kind: str, inputs: str, outputs: str, **attributes: object) -> onnx.NodeProto:
    return helper.make_node(kind, inputs.split(), outputs.split(), **attributes)


def write(
    out: Path,
    name: str,
    nodes: list[onnx.NodeProto],
    ports: tuple[list[onnx.ValueInfoProto], list[onnx.ValueInfoProto]],
    constants: tuple[onnx.TensorProto, ...] = (),
) -> None:
    graph = helper.make_graph(nodes, name, *ports, list(constants))
    model = helper.make_model(graph, opset_imports=OPSET, ir_version=9, producer_name="")
    if name != "wide":
        onnx.checker.check_model(model)
    (out / name).mkdir(exist_ok=True)
    (out / name / "model.onnx").write_bytes(model.SerializeToString(deterministic=True))


def classifier(out: Path) -> None:
    """Four numbers to the probabilities of three classes, and the likeliest."""
    nodes = [
        node("Gemm", "x w1 b1", "h"),
        node("Relu", "h", "r"),
        node("Gemm", "r w2 b2", "logits"),
        node("Softmax", "logits", "probabilities", axis=-1),
        node("ArgMax", "logits", "label", axis=-1, keepdims=0),
    ]
    ports = (
        [port("x", FLOAT, "rows", 4)],
        [port("probabilities", FLOAT, "rows", 3), port("label", WHOLE, "rows")],
    )
    write(
        out,
        "classifier",
        nodes,
        ports,
        (weights("w1", 4, 40), weights("b1", 40), weights("w2", 40, 3), weights("b2", 3)),
    )


def embedding(out: Path, name: str, *, pooled: bool) -> None:
    """Tokens to a vector for each (an index out of 300 throws), or to their mean within the graph."""
    nodes = [
        node("Gather", "table input_ids", "e"),
        node("LayerNormalization", "e scale shift", "n", axis=-1),
        node("MatMul", "n w", "m"),
        node("Tanh", "m", "t"),
        node("Cast", "attention_mask", "mask", to=FLOAT),
        node("Unsqueeze", "mask last", "wide"),
        node("Mul", "t wide", "kept" if pooled else "last_hidden_state"),
    ]
    made = port("last_hidden_state", FLOAT, "rows", "places", 24)
    if pooled:
        nodes.append(node("ReduceMean", "kept", "vector", axes=[1], keepdims=0))
        made = port("vector", FLOAT, "rows", 24)
    constants = (
        weights("table", 300, 24),
        weights("scale", 24),
        weights("shift", 24),
        weights("w", 24, 24),
        numbers("last", -1),
    )
    taken = [port("input_ids", WHOLE, "rows", "places"), port("attention_mask", WHOLE, "rows", "places")]
    write(out, name, nodes, (taken, [made]), constants)


def odd_ones(out: Path) -> None:
    """Models that may not be joined, or not used at all."""
    rows_in, rows_out = [port("x", FLOAT, "rows", 4)], [port("y", FLOAT, "rows", 4)]
    mean = [node("ReduceMean", "x", "mean", axes=[0], keepdims=1), node("Sub", "x mean", "y")]
    write(out, "company", mean, (rows_in, rows_out))
    noisy = [node("RandomNormalLike", "x", "noise"), node("Add", "x noise", "y")]
    write(out, "noisy", noisy, (rows_in, rows_out))
    fixed = [port("x", FLOAT, 2, 4)], [port("y", FLOAT, 2, 4)]
    write(out, "fixed", [node("MatMul", "x w", "y")], fixed, (weights("w", 4, 4),))
    write(out, "logarithm", [node("Log", "x", "y")], (rows_in, rows_out))
    dynamic = [
        node("DynamicQuantizeLinear", "x", "q s z"),
        node("MatMulInteger", "q w z", "i"),
        node("Cast", "i", "f", to=FLOAT),
        node("Mul", "f s", "y"),
    ]
    whole = numpy_helper.from_array(DRAWN.integers(-100, 100, (4, 4)).astype(np.int8), "w")
    write(out, "dynamic-int8", dynamic, (rows_in, rows_out), (whole,))


def wide(out: Path) -> None:
    """A model of 4 MiB whose weights lie in a file that is not here: tests make it, each its own."""
    nodes, constants = [], []
    for layer in range(4):
        weight = TensorProto(name=f"w{layer}", data_type=FLOAT, dims=[SIDE, SIDE])
        weight.data_location = TensorProto.EXTERNAL
        size = 4 * SIDE * SIDE
        for key, value in (("location", "weights"), ("offset", layer * size), ("length", size)):
            weight.external_data.add(key=key, value=str(value))
        constants.append(weight)
        nodes.append(node("MatMul", f"h{layer} w{layer}", f"h{layer + 1}"))
    ports = [port("h0", FLOAT, "rows", SIDE)], [port("h4", FLOAT, "rows", SIDE)]
    write(out, "wide", nodes, ports, tuple(constants))


def every_type(out: Path) -> None:
    """Each element type as it came."""
    kinds = ("BOOL", "FLOAT16", "FLOAT", "DOUBLE", "INT8", "INT16", "INT32", "INT64")
    kinds += ("UINT8", "UINT16", "UINT32", "UINT64")
    nodes, taken, made = [], [], []
    for kind in kinds:
        number = getattr(TensorProto, kind)
        nodes.append(node("Identity", f"in_{kind}", f"out_{kind}"))
        taken.append(port(f"in_{kind}", number, "rows", "places"))
        made.append(port(f"out_{kind}", number, "rows", "places"))
    write(out, "every-type", nodes, (taken, made))


def main(out: Path) -> None:
    """Build every folder under `out`."""
    classifier(out)
    embedding(out, "embedding", pooled=False)
    embedding(out, "embedding-pooled", pooled=True)
    odd_ones(out)
    wide(out)
    every_type(out)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
