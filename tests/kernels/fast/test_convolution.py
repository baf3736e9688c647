"""CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED of 8-bit codes as native code: the reference's integers on every tier."""

from __future__ import annotations

import numpy as np
import pytest

from qcore.runtime.plan import Settings
from qcore.runtime.stages import lowered
from tests.conformance.harness import T, one_operator, random_inputs
from tests.kernels.fast.compare import assert_fast, run

CONV = {
    "stride_h": 1,
    "stride_w": 1,
    "dilation_h_factor": 1,
    "dilation_w_factor": 1,
    "padding": "SAME",
    "fused_activation_function": "NONE",
}


def weights(rng, shape, low=-127):
    return rng.integers(low, 128, shape).astype(np.int8)


def model(
    rng, operator, input, filter, output, options, *, dtype="int8", zero_points=(3, -5), output_scale=0.7, per_channel=True, bias=True
):
    axis = 3 if operator == "DEPTHWISE_CONV_2D" else 0
    channels = filter[axis]
    scales = rng.uniform(0.001, 0.02, channels if per_channel else 1).astype(np.float32)
    tensors = [T(dtype, input, 0.05, zero_points[0]), T("int8", filter, scales, 0, axis, weights(rng, filter))]
    if bias:
        tensors.append(T("int32", [channels], 0.05 * scales, 0, 0, rng.integers(-3000, 3000, channels).astype(np.int32)))
    return one_operator(operator, tensors, [T(dtype, output, output_scale, zero_points[1])], options, version=3)


CONVOLUTIONS = {
    "pointwise": ([1, 9, 7, 16], [64, 1, 1, 16], [1, 9, 7, 64], {}),
    "odd channels": ([2, 5, 5, 7], [13, 1, 1, 7], [2, 5, 5, 13], {}),
    "first layer": ([1, 13, 11, 3], [24, 3, 3, 3], [1, 7, 6, 24], {"stride_h": 2, "stride_w": 2}),
    "dilated": ([1, 9, 9, 4], [70, 3, 3, 4], [1, 9, 9, 70], {"dilation_h_factor": 2, "dilation_w_factor": 3}),
    "valid, fused": (
        [3, 6, 8, 5],
        [16, 2, 3, 5],
        [3, 5, 6, 16],
        {"padding": "VALID", "fused_activation_function": "RELU6"},
    ),
    "one pixel": ([1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1], {}),
    "groups": ([1, 6, 6, 12], [20, 3, 3, 3], [1, 6, 6, 20], {}),
    "filter larger than the image": ([1, 2, 3, 4], [8, 5, 5, 4], [1, 2, 3, 8], {}),
    "strides above the filter": ([1, 11, 11, 8], [8, 1, 1, 8], [1, 4, 4, 8], {"stride_h": 3, "stride_w": 3}),
}


@pytest.mark.parametrize("case", CONVOLUTIONS, ids=str)
def test_convolution(tier, case):
    rng = np.random.default_rng(1)
    input, filter, output, options = CONVOLUTIONS[case]
    m = model(rng, "CONV_2D", input, filter, output, CONV | options)
    assert_fast(m, random_inputs(m, rng))


DEPTHWISE = {
    "one vector": ([1, 8, 8, 64], [1, 3, 3, 64], [1, 8, 8, 64], {}),
    "overlapping chunks": ([2, 7, 9, 80], [1, 3, 3, 80], [2, 4, 5, 80], {"stride_h": 2, "stride_w": 2}),
    "neighbours": ([1, 6, 12, 16], [1, 3, 3, 16], [1, 6, 12, 16], {}),
    "few channels": ([1, 6, 5, 6], [1, 3, 3, 6], [1, 3, 3, 6], {"stride_h": 2, "stride_w": 2}),
    "five rows": ([1, 9, 9, 33], [1, 5, 5, 33], [1, 9, 9, 33], {"dilation_w_factor": 2}),
    "wide": ([1, 3, 70, 24], [1, 1, 7, 24], [1, 3, 70, 24], {}),
    "several outputs": ([2, 7, 6, 3], [1, 3, 2, 15], [2, 7, 6, 15], {"depth_multiplier": 5, "dilation_h_factor": 2}),
    "large window": ([1, 12, 9, 3], [1, 9, 3, 3], [1, 12, 9, 3], {}),
    "one channel": ([1, 11, 9, 1], [1, 10, 8, 8], [1, 6, 5, 8], {"depth_multiplier": 8, "stride_h": 2, "stride_w": 2}),
    "valid": ([1, 5, 5, 64], [1, 3, 3, 64], [1, 3, 3, 64], {"padding": "VALID", "fused_activation_function": "RELU"}),
}


@pytest.mark.parametrize("case", DEPTHWISE, ids=str)
def test_depthwise(tier, case):
    rng = np.random.default_rng(2)
    input, filter, output, options = DEPTHWISE[case]
    m = model(rng, "DEPTHWISE_CONV_2D", input, filter, output, CONV | {"depth_multiplier": 1} | options)
    assert_fast(m, random_inputs(m, rng))


DENSE = {"fused_activation_function": "NONE", "weights_format": "DEFAULT", "keep_num_dims": False, "asymmetric_quantize_inputs": False}


@pytest.mark.parametrize(("rows", "depth", "units"), [(1, 64, 10), (3, 17, 70), (20, 5, 3), (7, 129, 64)])
def test_dense(tier, rows, depth, units):
    rng = np.random.default_rng(3)
    m = model(rng, "FULLY_CONNECTED", [rows, depth], [units, depth], [rows, units], DENSE)
    assert_fast(m, random_inputs(m, rng))


@pytest.mark.parametrize("arithmetic", ["reference", "builtin", "xnnpack"])
@pytest.mark.parametrize(
    ("operator", "filter", "options"),
    [
        ("CONV_2D", [40, 3, 3, 24], {}),
        ("DEPTHWISE_CONV_2D", [1, 3, 3, 24], {"depth_multiplier": 1}),
    ],
    ids=["conv", "depthwise"],
)
def test_every_arithmetic(arithmetic, operator, filter, options):
    rng = np.random.default_rng(4)
    channels = filter[3 if operator == "DEPTHWISE_CONV_2D" else 0]
    m = model(rng, operator, [1, 6, 6, 24], filter, [1, 6, 6, channels], CONV | options)
    assert_fast(m, random_inputs(m, rng), arithmetic)


@pytest.mark.parametrize("arithmetic", ["reference", "builtin", "xnnpack"])
def test_every_arithmetic_of_dense_layers(arithmetic):
    rng = np.random.default_rng(5)
    m = model(rng, "FULLY_CONNECTED", [5, 40], [70, 40], [5, 70], DENSE)
    assert_fast(m, random_inputs(m, rng), arithmetic)


@pytest.mark.parametrize("zero_points", [(-128, 127), (127, -128), (0, 0)])
@pytest.mark.parametrize("output_scale", [1e-4, 0.004, 3.0])
def test_zero_points_at_the_ends_and_outputs_that_saturate(zero_points, output_scale):
    """A small output scale makes multipliers above 1, whose shifts are to the left."""
    rng = np.random.default_rng(6)
    m = model(rng, "CONV_2D", [1, 4, 4, 32], [16, 1, 1, 32], [1, 4, 4, 16], CONV, zero_points=zero_points, output_scale=output_scale)
    assert_fast(m, random_inputs(m, rng))


@pytest.mark.parametrize("extreme", [-128, 127])
def test_the_largest_sums(extreme):
    rng = np.random.default_rng(7)
    m = model(rng, "CONV_2D", [1, 2, 2, 512], [16, 1, 1, 512], [1, 2, 2, 16], CONV, zero_points=(-extreme - 1, 0), output_scale=100.0)
    assert_fast(m, [np.full((1, 2, 2, 512), extreme, np.int8)])


def test_without_bias_and_with_one_scale():
    rng = np.random.default_rng(8)
    m = model(rng, "CONV_2D", [1, 4, 4, 8], [16, 1, 1, 8], [1, 4, 4, 16], CONV, per_channel=False, bias=False)
    assert_fast(m, random_inputs(m, rng))


@pytest.mark.parametrize("threads", [2, 3, 5])
@pytest.mark.parametrize("case", ["pointwise", "first layer", "one pixel"])
def test_threads_change_no_bit(threads, case):
    rng = np.random.default_rng(9)
    input, filter, output, options = CONVOLUTIONS[case]
    m = model(rng, "CONV_2D", input, filter, output, CONV | options)
    assert_fast(m, random_inputs(m, rng), threads=threads)


def test_a_filter_computed_at_run_time_is_left_to_numpy():
    rng = np.random.default_rng(10)
    tensors = [T("int8", [1, 4, 4, 8], 0.05, 0), T("int8", [16, 1, 1, 8], 0.01, 0)]
    m = one_operator("CONV_2D", tensors, [T("int8", [1, 4, 4, 16], 0.7, 0)], CONV, version=3)
    session, _ = run(m, random_inputs(m, rng), Settings(engine="fast"))
    executor = session.executor()
    assert lowered(executor.allocated(), executor.values)[0].reason == "the filter is computed at run time"


def uint8_model(rng, operator, filter, options, filter_zero_point):
    """The filter's codes go from 0 to 255."""
    channels = filter[3 if operator == "DEPTHWISE_CONV_2D" else 0]
    value = rng.integers(0, 256, filter).astype(np.uint8)
    value.flat[:2] = 0, 255
    bias = rng.integers(-3000, 3000, channels).astype(np.int32)
    tensors = [
        T("uint8", [1, 5, 5, 6], 0.05, 130),
        T("uint8", filter, 0.01, filter_zero_point, 0, value),
        T("int32", [channels], 0.05 * 0.01, 0, 0, bias),
    ]
    return one_operator(operator, tensors, [T("uint8", [1, 5, 5, channels], 0.4, 120)], CONV | options)


@pytest.mark.parametrize("filter_zero_point", [0, 100, 151, 255])
@pytest.mark.parametrize(
    ("operator", "filter", "options"),
    [("CONV_2D", [20, 3, 2, 6], {}), ("DEPTHWISE_CONV_2D", [1, 3, 2, 6], {"depth_multiplier": 1}), ("DEPTHWISE_CONV_2D", [1, 5, 5, 6], {})],
    ids=["conv", "depthwise", "depthwise 5x5"],
)
def test_uint8_filters_with_any_zero_point(tier, operator, filter, options, filter_zero_point):
    """Less their zero point the weights pass 8 bits."""
    rng = np.random.default_rng(11)
    m = uint8_model(rng, operator, filter, options, filter_zero_point)
    assert_fast(m, random_inputs(m, rng))
