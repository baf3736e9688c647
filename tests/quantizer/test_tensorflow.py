"""TensorFlow's own converter on the same float models: the files must agree, but for names and numbering."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from qcore.calibration import Statistics
from qcore.model import OPTIONAL, Model, Operator, Tensor
from qcore.quantizer import quantize_model
from qcore.schema import read
from tests.quantizer.builder import Builder, branches, dense

tf = pytest.importorskip("tensorflow", reason="needs tensorflow")


def in_data_flow_order(model: Model, subgraph: int) -> list[Operator]:
    """The operators, depth first from the outputs, which does not depend on the order of the file."""
    graph = model.subgraphs[subgraph]
    producers = {tensor: operator for operator in graph.operators for tensor in operator.outputs}
    found: dict[int, Operator] = {}

    def visit(tensor: int) -> None:
        operator = producers.get(tensor)
        if operator is not None and id(operator) not in found:
            for i in operator.inputs:
                visit(i)
            found.setdefault(id(operator), operator)

    for output in graph.outputs:
        visit(output)
    return list(found.values())


def described(tensor: Tensor) -> dict[str, Any]:
    q = tensor.quantization
    scales = q is not None and len(q.scale) > 0
    return {
        "type": tensor.dtype,
        "shape": tensor.shape,
        "scale": q.scale.tolist() if scales and q else [],
        "zero_point": q.zero_point.tolist() if scales and q else [],
        "axis": q.quantized_dimension if scales and q and len(q.scale) > 1 else None,
        "constant": None if tensor.buffer.data is None else tensor.buffer.data.tobytes(),
    }


def flow(model: Model, versions: bool) -> Iterator[tuple[str, Any]]:
    for subgraph, graph in enumerate(model.subgraphs):
        for operator in in_data_flow_order(model, subgraph):
            yield operator.name, operator.code.version if versions else None
            yield "options", {} if operator.options is None else {k: np.asarray(v).tolist() for k, v in operator.options.fields.items()}
            for i in (*operator.inputs, *operator.outputs):
                yield operator.name, None if i == OPTIONAL else described(graph.tensors[i])


def assert_same(got: Model, want: bytes, versions: bool = True) -> None:
    for ours, theirs in zip(flow(read(got.to_bytes()), versions), flow(read(want), versions), strict=True):
        assert ours == theirs


def matmuls() -> tuple[Callable[..., Any], list[Any]]:
    rng = np.random.default_rng(0)
    table, bias = tf.constant(rng.normal(size=(64, 40)).astype(np.float32)), tf.constant(rng.normal(size=40).astype(np.float32))
    signature = [tf.TensorSpec([5, 64], tf.float32), tf.TensorSpec([3], tf.int32)]
    return lambda x, ids: (tf.nn.relu(tf.matmul(x, table) + bias), tf.gather(table, ids), table[:, :4] * 1.0), signature


def convolutions() -> tuple[Callable[..., Any], list[Any]]:
    rng = np.random.default_rng(1)
    wide, deep, up = (tf.constant(rng.normal(size=s).astype(np.float32)) for s in ((3, 3, 8, 32), (3, 3, 128, 1), (3, 3, 16, 32)))

    def run(x: Any) -> Any:
        y = tf.nn.relu6(tf.nn.conv2d(x, wide, 1, "SAME"))
        y = tf.nn.depthwise_conv2d(tf.tile(y, [1, 1, 1, 4]), deep, [1, 1, 1, 1], "SAME")
        return tf.nn.conv2d_transpose(y[..., :32], up, [1, 16, 16, 16], 2, "SAME")

    return run, [tf.TensorSpec([1, 8, 8, 8], tf.float32)]


def products() -> tuple[Callable[..., Any], list[Any]]:
    rng = np.random.default_rng(2)
    right = tf.constant(rng.normal(size=(4, 32, 32)).astype(np.float32))

    def run(x: Any) -> Any:
        return tf.while_loop(lambda i, y: i < 3, lambda i, y: (i + 1, tf.tanh(tf.matmul(y, right[0]))), [0, tf.matmul(x, right)[0]])[1]

    return run, [tf.TensorSpec([4, 5, 32], tf.float32)]


@pytest.mark.parametrize("mode", ["float16", "dynamic_range"])
@pytest.mark.parametrize("make", [matmuls, convolutions, products])
def test_weights_are_those_of_the_converter(make: Callable[[], tuple[Callable[..., Any], list[Any]]], mode: str) -> None:
    function, signature = make()
    concrete = tf.function(function, input_signature=signature).get_concrete_function()

    def convert(*optimizations: Any) -> bytes:
        converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete])
        converter.optimizations = list(optimizations)
        if mode == "float16" and optimizations:
            converter.target_spec.supported_types = [tf.float16]
        content: bytes = converter.convert()
        return content

    assert_same(quantize_model(read(convert()), mode), convert(tf.lite.Optimize.DEFAULT))  # type: ignore[arg-type]


def mixed(rng: np.random.Generator) -> Model:
    """Operators of every scaling: products, bounded functions, moves, joins, and two that stay in floating point."""
    b = Builder()
    x, other = b.input("x", (1, 6, 6, 4)), b.input("other", (1, 6, 6, 4))
    c, t, u, m, a, n, j, s, p, d = (b.tensor(name, (1, 6, 6, 4)) for name in "ctumanjspd")
    b.tensors[j].shape, b.tensors[p].shape, b.tensors[d].shape = (1, 6, 6, 9), (1, 3, 3, 9), (1, 5)
    b.op("DEPTHWISE_CONV_2D", [x, b.constant("f", rng.normal(size=(1, 3, 3, 4))), b.constant("g", rng.normal(size=4))], c,
         stride_w=1, stride_h=1, depth_multiplier=1)  # fmt: skip
    b.op("TANH", [c], t)
    b.op("MAXIMUM", [t, other], m)
    b.op("MUL", [m, b.constant("k", rng.normal(size=4))], u)
    b.op("NEG", [u], n)
    b.op("ADD", [n, c], a, fused_activation_function="RELU")
    b.op("CONCATENATION", [a, t, b.constant("e", rng.normal(size=(1, 6, 6, 1)))], j, axis=3)
    b.op("AVERAGE_POOL_2D", [j], p, stride_w=2, stride_h=2, filter_width=2, filter_height=2)
    b.op("FULLY_CONNECTED", [p, b.constant("w", rng.normal(size=(5, 81))), b.constant("z", rng.normal(size=5))], d)
    b.op("LOGISTIC", [a], s)
    return b.model(d, s)


@pytest.mark.parametrize(("make", "bias"), [(dense, "int64"), (dense, "int32"), (branches, "int64"), (branches, "int32"), (mixed, "int64")])
def test_int16x8_is_that_of_the_converter(make: Callable[[np.random.Generator], Model], bias: str) -> None:
    from tensorflow.lite.python.optimize import calibrator

    model = make(np.random.default_rng(4))
    content = model.to_bytes()
    shapes = [model.subgraphs[0].tensors[i].shape for i in model.subgraphs[0].inputs]
    rng = np.random.default_rng(5)
    samples = [[rng.uniform(-1, 1, shape).astype(np.float32) for shape in shapes] for _ in range(3)]
    want = calibrator.Calibrator(content).calibrate_and_quantize(
        lambda: iter(samples), tf.float32, tf.float32, True, tf.int16, getattr(tf, bias)
    )
    ranges = Statistics.from_model(read(calibrator.Calibrator(content).calibrate(lambda: iter(samples))))
    # The converter writes the versions of int8 kernels.
    assert_same(quantize_model(model, "int16x8", ranges, bias_type=bias), want, versions=False)  # type: ignore[arg-type]
