"""Against TensorFlow itself: fake quantization, casts, and the parameters that its converter writes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qcore.numerics import (
    choose_params,
    fake_quantize,
    fake_quantize_mask,
    quantize_bias,
    quantize_by_reciprocal,
    quantize_tensor,
    to_bfloat16,
    to_float16,
)
from qcore.numerics.params import QuantParams

tf = pytest.importorskip("tensorflow")
pytestmark = pytest.mark.filterwarnings("ignore")

RANGES = [(-1.2, 3.4), (0.0, 6.0), (-6.0, 0.0), (-1.0, 0.99), (-0.1, 25.5), (-3.0e-3, 1.7e-4)]
"""None with a zero point half way between two codes: there TensorFlow's float32 nudge takes the lower one."""


def away_from_ties(low: float, high: float, params: QuantParams, count: int) -> np.ndarray:
    """Real numbers over the range and beyond, none within a hundredth of a step of a tie: TensorFlow multiplies by a reciprocal."""
    x = np.random.default_rng(7).uniform(low - 0.2 * (high - low), high + 0.2 * (high - low), count).astype(np.float32)
    steps = x.astype(np.float64) / params.scale
    return x[np.abs(steps - np.floor(steps) - 0.5) > 0.01]


@pytest.mark.parametrize(("low", "high"), RANGES)
@pytest.mark.parametrize("narrow", [False, True])
def test_fake_quantize_and_its_gradient_per_tensor(low: float, high: float, narrow: bool) -> None:
    """One step apart nowhere; the last bit of the real number may differ, since TensorFlow adds the nudged minimum in float32."""
    params = choose_params(low, high, "uint8", narrow_range=narrow)
    x = away_from_ties(low, high, params, 5000)
    theirs = tf.quantization.fake_quant_with_min_max_args(x, low, high, 8, narrow).numpy()
    np.testing.assert_allclose(fake_quantize(x, params), theirs, rtol=0, atol=1e-3 * params.scale[0])
    gradient = tf.quantization.fake_quant_with_min_max_args_gradient(np.ones_like(x), x, low, high, 8, narrow).numpy()
    assert (gradient == fake_quantize_mask(x, params)).all()


def test_fake_quantize_per_channel() -> None:
    low, high = np.float32([-1.2, 0.0, -7.0]), np.float32([3.4, 6.0, 0.5])
    params = choose_params(low, high, "uint8", axis=1)
    x = np.random.default_rng(3).uniform(-8, 8, (4000, 3)).astype(np.float32)
    steps = x / params.scale.astype(np.float64)
    clear = np.abs(steps - np.floor(steps) - 0.5) > 0.01
    theirs = tf.quantization.fake_quant_with_min_max_vars_per_channel(x, low, high).numpy()
    assert (np.abs(fake_quantize(x, params) - theirs) < 1e-3 * params.scale)[clear].all()


def test_casts_to_half_width_floats() -> None:
    patterns = np.random.default_rng(0).integers(0, 2**32, 20000, dtype=np.uint64).astype(np.uint32)
    x = patterns.view(np.float32)
    x = np.concatenate([x[np.isfinite(x)], np.float32([0, -0.0, 65503, 65504, 65519.996, 65520, 1e30, 6e-8, 2.98e-8, 3.3e38])])
    clamped = tf.cast(tf.clip_by_value(x, -65504.0, 65504.0), tf.float16).numpy()
    assert (to_float16(x).view(np.uint16) == clamped.view(np.uint16)).all()
    assert (to_bfloat16(x).view(np.uint16) == tf.cast(x, tf.bfloat16).numpy().view(np.uint16)).all()


DEAD_CHANNEL, FAINT_CHANNEL = 2, 5


@pytest.fixture(scope="module")
def converted() -> dict[str, Any]:
    """A convolution that TensorFlow's converter quantized to int8; one channel is zero, and the bias guard raises another."""
    rng = np.random.default_rng(11)
    filters = rng.standard_normal((3, 3, 4, 8)).astype(np.float32)
    filters[..., DEAD_CHANNEL] = 0
    filters[..., FAINT_CHANNEL] *= np.float32(1e-9)
    bias = rng.standard_normal(8).astype(np.float32)
    bias[DEAD_CHANNEL] = 0
    samples = rng.standard_normal((16, 1, 8, 8, 4)).astype(np.float32)

    class Convolution(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((1, 8, 8, 4), tf.float32)])
        def __call__(self, x: Any) -> Any:
            return tf.nn.bias_add(tf.nn.conv2d(x, filters, 1, "VALID"), bias)

    module = Convolution()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([module.__call__.get_concrete_function()], module)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([s] for s in samples)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    interpreter = tf.lite.Interpreter(model_content=converter.convert())
    interpreter.allocate_tensors()
    details = interpreter.get_tensor_details()
    shapes = {"filter": (8, 3, 3, 4), "bias": (8,), "input": (1, 8, 8, 4)}
    found = {name: next(d for d in details if tuple(d["shape"]) == shape) for name, shape in shapes.items()}
    return {
        "samples": samples,
        "filters": np.moveaxis(filters, -1, 0),
        "real_bias": bias,
        "input": found["input"]["quantization_parameters"],
        "filter": found["filter"]["quantization_parameters"] | {"data": interpreter.get_tensor(found["filter"]["index"])},
        "bias": found["bias"]["quantization_parameters"] | {"data": interpreter.get_tensor(found["bias"]["index"])},
    }


def test_activation_parameters_are_the_converters(converted: dict[str, Any]) -> None:
    params = choose_params(converted["samples"].min(), converted["samples"].max(), precision="float32")
    assert params.scale.tolist() == converted["input"]["scales"].tolist()
    assert params.zero_point.tolist() == converted["input"]["zero_points"].tolist()


def test_weights_are_the_converters(converted: dict[str, Any]) -> None:
    ours = quantize_tensor(converted["filters"], axis=0)
    others = np.arange(8) != FAINT_CHANNEL
    assert (ours.params.scale == converted["filter"]["scales"])[others].all()
    assert (ours.data == converted["filter"]["data"])[others].all()


def test_bias_and_the_scales_its_guard_raises_are_the_converters(converted: dict[str, Any]) -> None:
    ours = quantize_tensor(converted["filters"], axis=0)
    bias = quantize_bias(converted["real_bias"], float(converted["input"]["scales"][0]), ours.params.scale)
    assert (bias.data == converted["bias"]["data"]).all()
    assert (bias.scale == converted["bias"]["scales"]).all()
    assert (bias.filter_scale == converted["filter"]["scales"]).all()
    assert bias.filter_scale[FAINT_CHANNEL] > ours.params.scale[FAINT_CHANNEL]
    raised = QuantParams(bias.filter_scale, ours.params.zero_point, quantized_dimension=0, narrow_range=True)
    assert (quantize_by_reciprocal(converted["filters"], raised) == converted["filter"]["data"]).all()
