"""Ranges in the graph, as TensorFlow's fake quantization leaves them: against its converter, and against what it computes itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import qcore
from qcore.model import Model
from qcore.quantizer import quantize_model
from qcore.schema import constant, read
from tests.quantizer.builder import find, names, tensor_of
from tests.quantizer.flow import flow
from tests.quantizer.trained import params

pytestmark = pytest.mark.filterwarnings("ignore:Statistics for quantized inputs were expected")


def float_model(function: Callable[..., Any], shape: tuple[int, ...], optimize: bool = False) -> Model:
    """TensorFlow's float model with pairs, or what its converter makes of the same function with ``Optimize.DEFAULT``."""
    tf = pytest.importorskip("tensorflow", reason="needs tensorflow")
    concrete = tf.function(function, input_signature=[tf.TensorSpec(shape)], autograph=False).get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete])
    converter.optimizations = [tf.lite.Optimize.DEFAULT] if optimize else []
    return read(converter.convert())


def assert_same(got: Model, want: Model) -> None:
    """Everything is equal but scales, to float32's last bits: the converter has them in double where pairs keep float32."""
    for (what, ours), (_, theirs) in zip(flow(read(got.to_bytes()), False), flow(want, False), strict=True):
        if isinstance(ours, dict) and "scale" in ours:
            np.testing.assert_allclose(ours.pop("scale"), theirs.pop("scale"), rtol=3e-7, err_msg=what)
        assert ours == theirs, what


def network(x: Any, per_channel: bool) -> Any:
    """Convolutions, a residual sum, a join, pooling, and an island that computes in floating point."""
    import tensorflow as tf

    rng = np.random.default_rng(3)

    def weights(*shape: int) -> Any:
        w = rng.normal(size=shape).astype(np.float32)
        if not per_channel:
            return fake(w, -np.abs(w).max(), np.abs(w).max(), narrow_range=True)
        reach = np.abs(w).reshape(-1, shape[-1]).max(axis=0)
        return tf.quantization.fake_quant_with_min_max_vars_per_channel(w, -reach, reach, narrow_range=True)

    fake = tf.quantization.fake_quant_with_min_max_vars
    x = fake(x, -1.013, 0.987)
    y = fake(tf.nn.relu(tf.nn.conv2d(x, weights(3, 3, 3, 8), 2, "SAME") + rng.normal(size=8).astype(np.float32)), 0.0, 12.93)
    z = fake(tf.nn.conv2d(y, weights(1, 1, 8, 8), 1, "SAME") + rng.normal(size=8).astype(np.float32), -14.01, 14.33)
    joined = fake(tf.concat([fake(tf.nn.relu(y + z), 0.0, 15.11), tf.sin(y)], -1), 0.0, 15.11)
    pooled = tf.reshape(tf.nn.avg_pool2d(joined, 2, 2, "SAME"), (1, -1))
    logits = fake(tf.matmul(pooled, rng.normal(size=(64, 10)).astype(np.float32)), -90.3, 80.7)
    return tf.nn.softmax(logits)


@pytest.mark.parametrize("per_channel", [True, False])
def test_the_result_is_that_of_the_converter(per_channel: bool) -> None:
    real = float_model(lambda x: network(x, per_channel), (1, 8, 8, 3))
    assert names(real).count("QUANTIZE") >= 6
    assert_same(quantize_model(real), float_model(lambda x: network(x, per_channel), (1, 8, 8, 3), optimize=True))


def fake(x: Any, reach: float = 9.0, bits: int = 8, low: float | None = None) -> Any:
    import tensorflow as tf

    return tf.quantization.fake_quant_with_min_max_vars(x, -reach if low is None else low, reach, bits)


def kernel(values: Any, bits: int = 8) -> Any:
    """Rounded per channel, to ranges that clip a little: the codes' greatest is not that of the values."""
    import tensorflow as tf

    values = values.astype(np.float32)
    reach = np.abs(values).reshape(-1, values.shape[-1]).max(axis=0) * np.float32(0.97)
    return tf.quantization.fake_quant_with_min_max_vars_per_channel(values, -reach, reach, bits, narrow_range=True)


def blocks(x: Any) -> Any:
    """As tensorflow-model-optimization leaves a model: raw kernels are rounded, and normalized behind."""
    import tensorflow as tf

    def normalized(x: Any, channels: int) -> Any:
        rng = np.random.default_rng(channels)
        return x * rng.normal(size=channels).astype(np.float32) + rng.normal(size=channels).astype(np.float32)

    rng = np.random.default_rng(5)
    x = fake(x, 1.0, low=-0.5)
    x = fake(tf.nn.relu6(normalized(tf.nn.conv2d(x, kernel(rng.normal(size=(3, 3, 3, 8))), 2, "SAME"), 8)), 6.0, low=0.0)
    depthwise = tf.reshape(kernel(rng.normal(size=(3, 3, 8))), (3, 3, 8, 1))
    y = fake(tf.nn.relu6(normalized(tf.nn.depthwise_conv2d(x, depthwise, [1, 1, 1, 1], "SAME"), 8)), 6.0, low=0.0)
    y = fake(normalized(tf.nn.conv2d(y, kernel(rng.normal(size=(1, 1, 8, 8))), 1, "SAME"), 8), 20.0)
    x = fake(tf.nn.relu(x + y), 22.0, low=0.0)
    x = fake(tf.concat([x, tf.nn.max_pool2d(x, 1, 1, "SAME")], -1), 22.5, low=0.0)
    x = fake(tf.reduce_mean(fake(tf.nn.avg_pool2d(x, 2, 2, "SAME"), 21.0, low=0.0), [1, 2]), 11.0, low=0.0)
    weights = tf.quantization.fake_quant_with_min_max_vars(rng.normal(size=(16, 5)).astype(np.float32), -2.5, 2.5, narrow_range=True)
    return tf.nn.softmax(fake(tf.matmul(x, weights), 60.0))


def test_with_ranges_from_the_graph_it_is_too() -> None:
    real = float_model(blocks, (1, 16, 16, 3))
    got = quantize_model(real, ranges="graph", float_fallback=False)
    assert_same(got, float_model(blocks, (1, 16, 16, 3), optimize=True))
    assert {tensor.dtype for tensor in got.subgraphs[0].tensors} <= {"float32", "int8", "int32"}


def test_four_bits_are_packed_with_the_converters_codes() -> None:
    def function(x: Any) -> Any:
        import tensorflow as tf

        weights = kernel(np.random.default_rng(6).normal(size=(3, 3, 3, 4)), bits=4)
        return fake(tf.nn.conv2d(fake(x, 1.0), weights, 1, "SAME"))

    got = quantize_model(float_model(function, (1, 8, 8, 3)), ranges="graph")
    assert tensor_of(got, find(got, "CONV_2D"), 1).dtype == "int4"
    assert_same(got, float_model(function, (1, 8, 8, 3), optimize=True))


def dense(x: Any) -> Any:
    import tensorflow as tf

    return tf.matmul(x, kernel(np.random.default_rng(1).normal(size=(5, 4)))) + np.arange(4, dtype=np.float32) / 8


def along_a_line(x: Any) -> Any:
    import tensorflow as tf

    return tf.nn.conv1d(x, kernel(np.random.default_rng(2).normal(size=(3, 3, 4))), 1, "SAME")


def transposed(x: Any) -> Any:
    import tensorflow as tf

    weights = tf.transpose(kernel(np.random.default_rng(3).normal(size=(3, 3, 3, 4))), [0, 1, 3, 2])
    return tf.nn.conv2d_transpose(x, weights, [1, 8, 8, 4], 2)


@pytest.mark.parametrize(("function", "shape"), [(dense, (2, 5)), (along_a_line, (1, 8, 3)), (transposed, (1, 4, 4, 3))])
def test_scales_per_channel_follow_kernels_where_the_converter_fails(function: Callable[..., Any], shape: tuple[int, ...]) -> None:
    """Kernels that are transposed or reshaped behind their rounding; results are TensorFlow's own, but for ties and rounded biases."""
    tf = pytest.importorskip("tensorflow", reason="needs tensorflow")

    def whole(x: Any) -> Any:
        return fake(function(fake(x, 1.0)))

    with pytest.raises(Exception, match="quant"):
        float_model(whole, shape, optimize=True)
    q = quantize_model(float_model(whole, shape), ranges="graph", float_fallback=False)
    weighted = next(o for o in q.subgraphs[0].operators if o.name in ("FULLY_CONNECTED", "CONV_2D", "TRANSPOSE_CONV"))
    dtype, scale, _ = params(tensor_of(q, weighted, 1))
    assert (dtype, len(scale)) == ("int8", 4)
    codes = constant(tensor_of(q, weighted, 1))
    assert codes is not None and np.abs(codes.astype(int)).max() == 127
    interpreter = qcore.Interpreter(model_content=q)
    for x in np.random.default_rng(4).uniform(-1, 1, (10, *shape)).astype(np.float32):
        difference = np.abs(next(iter(interpreter.run(x).values())) - whole(tf.constant(x)).numpy()) * 255 / 18
        assert difference.max() < 1.01
        assert (difference > 0.5).mean() < 0.05


def test_sixteen_bits_are_those_of_mode_int16x8() -> None:
    """TensorFlow's own sums are of float32, and its converter leaves 16 bits among 8."""
    tf = pytest.importorskip("tensorflow", reason="needs tensorflow")

    def function(x: Any) -> Any:
        weights = kernel(np.random.default_rng(7).normal(size=(3, 3, 3, 4)))
        return fake(tf.nn.relu(tf.nn.conv2d(fake(x, 1.0, bits=16), weights, 1, "SAME")), 8.0, bits=16)

    q = quantize_model(float_model(function, (1, 8, 8, 3)), "int16x8", ranges="graph", float_fallback=False)
    assert names(q) == ["QUANTIZE", "CONV_2D", "DEQUANTIZE"]
    assert params(tensor_of(q, find(q, "CONV_2D"), 0)) == ("int16", [np.float32(2 / 65535)], [0])
    x = np.random.default_rng(4).uniform(-1, 1, (1, 8, 8, 3)).astype(np.float32)
    got = next(iter(qcore.Interpreter(model_content=q).run(x).values()))
    np.testing.assert_allclose(got, function(tf.constant(x)).numpy(), atol=16 / 65535 * 1.6)
