"""TensorFlow's own converter on the same float models: the files must agree, but for names and numbering."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from qcore.calibration import Statistics
from qcore.model import Model
from qcore.quantizer import quantize_model
from qcore.schema import read
from tests.quantizer.builder import Builder, branches, dense, lstm
from tests.quantizer.flow import assert_same

tf = pytest.importorskip("tensorflow", reason="needs tensorflow")


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


def unrunnable(rng: np.random.Generator) -> Model:
    """What TensorFlow Lite fails on: no kernel, sums too narrow or too wide, zeros, what is never but 0, a padding value."""
    b = Builder()
    x = b.input("x", (1, 4))
    d, n, s, w, p, z, t, o = (b.tensor(name, (1, 4)) for name in "dnswpzto")
    b.tensors[p].shape = (1, 6)
    least = float(np.finfo(np.float32).min)
    b.op("SQUARED_DIFFERENCE", [x, b.constant("c", rng.normal(size=4))], d)
    b.op("MUL", [d, b.constant("minus", -np.ones(4))], n)
    b.op("ADD", [d, n], s)
    b.op("ADD", [x, b.constant("mask", [[0, least, 0, least]])], w)
    b.op("SOFTMAX", [w], o, beta=1.0)
    b.op("PADV2", [x, b.constant("pads", [[0, 0], [1, 1]], "int32"), b.constant("value", np.float32(-3))], p)
    b.op("SUB", [x, b.constant("zeros", np.zeros(4))], z)
    b.op("CONCATENATION", [s, s], t, axis=1)
    b.tensors[t].shape = (1, 8)
    return b.model(o, p, z, t)


@pytest.mark.filterwarnings("ignore:int16x8. TensorFlow Lite fails on")
@pytest.mark.parametrize(
    ("make", "bias"),
    [(dense, "int64"), (dense, "int32"), (branches, "int64"), (branches, "int32"), (mixed, "int64"), (unrunnable, "int64")],
)
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


def residual() -> tuple[Callable[..., Any], list[Any]]:
    """A tanh that joins a sum, pooling, resizing, a shared filter, and outputs from the middle."""
    rng = np.random.default_rng(6)
    filter, bias = tf.constant(rng.normal(size=(3, 3, 4, 4)).astype(np.float32) / 4), tf.constant(rng.normal(size=4).astype(np.float32))

    def run(x: Any) -> Any:
        y = tf.tanh(tf.nn.conv2d(x, filter, 1, "SAME") + bias)
        z = tf.nn.relu6(tf.nn.conv2d(y, filter, 1, "SAME") - bias) + x
        small = tf.nn.max_pool2d(z, 2, 2, "VALID")
        joined = tf.concat([tf.image.resize(small, (8, 8)), z, y], 3)
        return joined, tf.reduce_mean(joined, [1, 2]), tf.nn.softmax(tf.pad(small, [[0, 0], [1, 0], [0, 0], [0, 0]])), y

    return run, [tf.TensorSpec([1, 8, 8, 4], tf.float32)]


def attention() -> tuple[Callable[..., Any], list[Any]]:
    """Products of activations, a mask, a normalization from its parts, splits, and an operator that stays float."""
    rng = np.random.default_rng(7)
    weights = tf.constant(rng.normal(size=(8, 24)).astype(np.float32) / 3)
    mask = tf.constant(np.triu(np.full((6, 6), -9, np.float32), 1))

    def run(x: Any) -> Any:
        q, k, v = tf.split(tf.reshape(tf.matmul(tf.reshape(x, [6, 8]), weights), [1, 6, 24]), 3, 2)
        y = tf.matmul(tf.nn.softmax(tf.matmul(q, k, transpose_b=True) * 0.35 + mask), v) + x
        centred = y - tf.reduce_mean(y, -1, keepdims=True)
        normal = centred * tf.math.rsqrt(tf.reduce_mean(centred * centred, -1, keepdims=True) + 1e-3)
        return tf.sin(normal), tf.nn.gelu(normal), tf.transpose(tf.stack([normal, y]), [0, 2, 1, 3]), tf.argmax(normal, -1)

    return run, [tf.TensorSpec([1, 6, 8], tf.float32)]


def float_model(make: Callable[[], tuple[Callable[..., Any], list[Any]]]) -> bytes:
    function, signature = make()
    concrete = tf.function(function, input_signature=signature).get_concrete_function()
    content: bytes = tf.lite.TFLiteConverter.from_concrete_functions([concrete]).convert()
    return content


INT8 = {
    "dense": lambda: dense(np.random.default_rng(4)).to_bytes(),
    "branches": lambda: branches(np.random.default_rng(4)).to_bytes(),
    "lstm": lambda: lstm().to_bytes(),
    "convolutions": lambda: float_model(convolutions),
    "residual": lambda: float_model(residual),
    "attention": lambda: float_model(attention),
    "loop": lambda: float_model(products),
}


@pytest.mark.parametrize("interface", ["float32", "int8", "uint8"])
@pytest.mark.parametrize("name", INT8)
def test_int8_is_that_of_the_converter(name: str, interface: str) -> None:
    from tensorflow.lite.python import convert
    from tensorflow.lite.python.optimize import calibrator

    content = INT8[name]()
    model = read(content)
    rng = np.random.default_rng(5)
    shapes = [model.subgraphs[0].tensors[i].shape for i in model.subgraphs[0].inputs]
    samples = [[rng.uniform(-1, 1, shape).astype(np.float32) for shape in shapes] for _ in range(3)]
    calibrated = calibrator.Calibrator(calibrator.add_intermediate_tensors(content)).calibrate(lambda: iter(samples))
    for per_channel in (True, False):
        dtype = getattr(tf, interface)
        want = convert.mlir_quantize(calibrated, disable_per_channel=not per_channel, input_data_type=dtype, output_data_type=dtype)
        options = {"per_channel": per_channel, "input_type": interface, "output_type": interface}
        assert_same(quantize_model(read(calibrated), "int8", **options), want)  # type: ignore[arg-type]
