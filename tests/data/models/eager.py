"""Writes a Llama model as optimum lays it out: plain operators, concatenated past, attention by MatMul."""

from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic


class _Graph:
    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, value: object, dtype: type = np.float32) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def weight(self, parameter: torch.Tensor, *, transpose: bool = False) -> str:
        array = parameter.detach().numpy()
        return self.constant(np.ascontiguousarray(array.T if transpose else array))

    def op(self, kind: str, *inputs: str, out: str | None = None, **attributes: object) -> str:
        name = out or f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def ints(self, *values: int) -> str:
        return self.constant(values, np.int64)


def _norm(g: _Graph, x: str, weight: torch.Tensor, epsilon: float) -> str:
    square = g.op("Mul", x, x)
    mean = g.op("ReduceMean", square, g.ints(-1), keepdims=1)
    scale = g.op("Sqrt", g.op("Add", mean, g.constant(epsilon)))
    return g.op("Mul", g.op("Div", x, scale), g.weight(weight))


def _rotate(g: _Graph, x: str, cos: str, sin: str, size: int) -> str:
    first = g.op("Slice", x, g.ints(0), g.ints(size // 2), g.ints(3))
    second = g.op("Slice", x, g.ints(size // 2), g.ints(size), g.ints(3))
    turned = g.op("Concat", g.op("Neg", second), first, axis=3)
    return g.op("Add", g.op("Mul", x, cos), g.op("Mul", turned, sin))


def _heads(g: _Graph, x: str, heads: int, size: int) -> str:
    return g.op("Transpose", g.op("Reshape", x, g.ints(0, 0, heads, size)), perm=[0, 2, 1, 3])


def _repeat(g: _Graph, x: str, times: int, heads: int, size: int) -> str:
    tiled = g.op("Tile", g.op("Unsqueeze", x, g.ints(2)), g.ints(1, 1, times, 1, 1))
    return g.op("Reshape", tiled, g.ints(0, heads, -1, size))


def export_eager(model: torch.nn.Module, path: Path) -> None:
    """Write `model`, a LlamaForCausalLM, with its weights inside the file."""
    config = model.config
    size, heads, kv_heads = config.head_dim, config.num_attention_heads, config.num_key_value_heads
    g = _Graph()
    positions = np.arange(config.max_position_embeddings)[:, None]
    angles = positions / config.rope_parameters["rope_theta"] ** (np.arange(0, size, 2) / size)
    angles = np.concatenate([angles, angles], axis=1)
    cos = g.op("Unsqueeze", g.op("Gather", g.constant(np.cos(angles)), "position_ids"), g.ints(1))
    sin = g.op("Unsqueeze", g.op("Gather", g.constant(np.sin(angles)), "position_ids"), g.ints(1))
    total = g.op("Gather", g.op("Shape", "attention_mask"), g.constant(1, np.int64))
    length = g.op("Gather", g.op("Shape", "input_ids"), g.constant(1, np.int64))
    one, zero = g.constant(1, np.int64), g.constant(0, np.int64)
    keys = g.op("Range", zero, total, one)
    queries = g.op("Unsqueeze", g.op("Range", g.op("Sub", total, length), total, one), g.ints(1))
    seen = g.op("Cast", g.op("Unsqueeze", "attention_mask", g.ints(1, 2)), to=TensorProto.BOOL)
    allowed = g.op("And", g.op("LessOrEqual", keys, queries), seen)
    bias = g.op("Where", allowed, g.constant(0.0), g.constant(np.finfo(np.float32).min))
    x = g.op("Gather", g.weight(model.model.embed_tokens.weight), "input_ids")
    inputs, outputs = [], []
    for i, layer in enumerate(model.model.layers):
        normed = _norm(g, x, layer.input_layernorm.weight, config.rms_norm_eps)
        attention = layer.self_attn
        q, k, v = (
            _heads(g, g.op("MatMul", normed, g.weight(part.weight, transpose=True)), count, size)
            for part, count in (
                (attention.q_proj, heads),
                (attention.k_proj, kv_heads),
                (attention.v_proj, kv_heads),
            )
        )
        k = g.op(
            "Concat",
            f"past_key_values.{i}.key",
            _rotate(g, k, cos, sin, size),
            axis=2,
            out=f"present.{i}.key",
        )
        v = g.op("Concat", f"past_key_values.{i}.value", v, axis=2, out=f"present.{i}.value")
        repeated = g.op("Transpose", _repeat(g, k, heads // kv_heads, heads, size), perm=[0, 1, 3, 2])
        scores = g.op("Mul", g.op("MatMul", _rotate(g, q, cos, sin, size), repeated), g.constant(size**-0.5))
        weights = g.op("Softmax", g.op("Add", scores, bias), axis=-1)
        mixed = g.op("MatMul", weights, _repeat(g, v, heads // kv_heads, heads, size))
        flat = g.op("Reshape", g.op("Transpose", mixed, perm=[0, 2, 1, 3]), g.ints(0, 0, heads * size))
        x = g.op("Add", x, g.op("MatMul", flat, g.weight(attention.o_proj.weight, transpose=True)))
        normed = _norm(g, x, layer.post_attention_layernorm.weight, config.rms_norm_eps)
        gate = g.op("MatMul", normed, g.weight(layer.mlp.gate_proj.weight, transpose=True))
        up = g.op("MatMul", normed, g.weight(layer.mlp.up_proj.weight, transpose=True))
        acted = g.op("Mul", g.op("Mul", gate, g.op("Sigmoid", gate)), up)
        x = g.op("Add", x, g.op("MatMul", acted, g.weight(layer.mlp.down_proj.weight, transpose=True)))
        for part in ("key", "value"):
            shape = ["batch_size", kv_heads, "past_sequence_length", size]
            inputs.append(
                helper.make_tensor_value_info(f"past_key_values.{i}.{part}", TensorProto.FLOAT, shape)
            )
            shape = ["batch_size", kv_heads, "total_sequence_length", size]
            outputs.append(helper.make_tensor_value_info(f"present.{i}.{part}", TensorProto.FLOAT, shape))
    x = _norm(g, x, model.model.norm.weight, config.rms_norm_eps)
    g.op("MatMul", x, g.weight(model.lm_head.weight, transpose=True), out="logits")
    ids = [
        helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch_size", "sequence_length"]),
        helper.make_tensor_value_info(
            "attention_mask", TensorProto.INT64, ["batch_size", "total_sequence_length"]
        ),
        helper.make_tensor_value_info("position_ids", TensorProto.INT64, ["batch_size", "sequence_length"]),
    ]
    shape = ["batch_size", "sequence_length", config.vocab_size]
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, shape)
    graph = helper.make_graph(g.nodes, "llama", ids + inputs, [logits, *outputs], g.constants)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(made)
    onnx.save(made, path)


def quantise(source: Path, target: Path) -> None:
    """Write `source` with dynamic int8 matrix products (DynamicQuantizeLinear and MatMulInteger)."""
    quantize_dynamic(source, target, weight_type=QuantType.QInt8, op_types_to_quantize=["MatMul"])


def break_embedding(source: Path, target: Path, *, nan_row: int, rows: int) -> None:
    """Write `source` with an embedding that gives NaN for one token and has no row from `rows` on.

    A token without a row makes the session throw; a NaN stays with the sequence that holds it.
    """
    made = onnx.load(source)
    for initializer in made.graph.initializer:
        if "embed_tokens" in initializer.name:
            table = numpy_helper.to_array(initializer).copy()[:rows]
            table[nan_row] = np.nan
            initializer.CopyFrom(numpy_helper.from_array(table, initializer.name))
    onnx.save(made, target)
