"""Dynamic range as native code: the reference's floats to the bit, on every tier."""

from __future__ import annotations

import numpy as np
import pytest

from tests.conformance.harness import T, one_operator
from tests.kernels.fast.compare import assert_fast
from tests.kernels.fast.test_convolution import CONV, CONVOLUTIONS, DENSE, DEPTHWISE

ARITHMETICS = ["reference", "builtin", "xnnpack"]


def one_arithmetic_each(cases):
    """The cases, each with one of the arithmetics in turn."""
    return [pytest.param(case, ARITHMETICS[i % len(ARITHMETICS)], id=case) for i, case in enumerate(cases)]


def model(rng, operator, input, filter, output, options, *, scales=None, bias=True):
    axis = 3 if operator == "DEPTHWISE_CONV_2D" else 0
    channels = filter[axis]
    scale = rng.uniform(0.001, 0.02, channels if scales is None else scales).astype(np.float32)
    tensors = [T("float32", input), T("int8", filter, scale, 0, axis, rng.integers(-127, 128, filter))]
    if bias:
        tensors.append(T("float32", [channels], value=rng.uniform(-1, 1, channels)))
    return one_operator(operator, tensors, [T("float32", output)], options, version=5)


def values(rng, shape):
    """Rows of different ranges, some on one side of 0."""
    x = rng.normal(0, 1, shape) * rng.uniform(0.1, 10, (*shape[:-1], 1)) + rng.choice([-5, 0, 0, 5], (*shape[:-1], 1))
    return x.astype(np.float32)


@pytest.mark.parametrize(("case", "arithmetic"), one_arithmetic_each(CONVOLUTIONS))
def test_convolution(tier, case, arithmetic):
    rng = np.random.default_rng(1)
    input, filter, output, options = CONVOLUTIONS[case]
    m = model(rng, "CONV_2D", input, filter, output, CONV | options)
    assert_fast(m, [values(rng, input)], arithmetic)


@pytest.mark.parametrize(("case", "arithmetic"), one_arithmetic_each(DEPTHWISE))
def test_depthwise(tier, case, arithmetic):
    rng = np.random.default_rng(2)
    input, filter, output, options = DEPTHWISE[case]
    m = model(rng, "DEPTHWISE_CONV_2D", input, filter, output, CONV | {"depth_multiplier": 1} | options)
    assert_fast(m, [values(rng, input)], arithmetic)


@pytest.mark.parametrize(
    ("asymmetric", "arithmetic"), [(False, "reference"), (True, "builtin"), (False, "xnnpack")], ids=["symmetric", "asymmetric", "xnnpack"]
)
@pytest.mark.parametrize(("rows", "depth", "units"), [(1, 64, 10), (3, 17, 70), (20, 5, 3), (7, 129, 64)])
def test_dense(tier, rows, depth, units, asymmetric, arithmetic):
    rng = np.random.default_rng(3)
    m = model(rng, "FULLY_CONNECTED", [rows, depth], [units, depth], [rows, units], DENSE | {"asymmetric_quantize_inputs": asymmetric})
    assert_fast(m, [values(rng, (rows, depth))], arithmetic)


@pytest.mark.parametrize("arithmetic", ARITHMETICS)
@pytest.mark.parametrize("case", ["pointwise", "odd channels", "first layer", "groups"])
def test_every_arithmetic_of_convolution(case, arithmetic):
    rng = np.random.default_rng(8)
    input, filter, output, options = CONVOLUTIONS[case]
    m = model(rng, "CONV_2D", input, filter, output, CONV | options)
    assert_fast(m, [values(rng, input)], arithmetic)


@pytest.mark.parametrize("arithmetic", ARITHMETICS)
@pytest.mark.parametrize("case", ["few channels", "five rows", "several outputs"])
def test_every_arithmetic_of_depthwise(case, arithmetic):
    """The builtin kernels take whole vectors of channels in one way, those left over in another."""
    rng = np.random.default_rng(9)
    input, filter, output, options = DEPTHWISE[case]
    m = model(rng, "DEPTHWISE_CONV_2D", input, filter, output, CONV | {"depth_multiplier": 1} | options)
    assert_fast(m, [values(rng, input)], arithmetic)


@pytest.mark.parametrize("arithmetic", ARITHMETICS)
@pytest.mark.parametrize("operator", ["CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"])
@pytest.mark.parametrize(("scales", "bias"), [(1, True), (1, False), (None, False)])
def test_one_scale_and_no_bias(arithmetic, operator, scales, bias):
    rng = np.random.default_rng(4)
    if operator == "FULLY_CONNECTED":
        input, m = [3, 24], model(rng, operator, [3, 24], [40, 24], [3, 40], DENSE, scales=scales, bias=bias)
    else:
        depthwise = operator == "DEPTHWISE_CONV_2D"
        filter, options = ([1, 3, 3, 24], {"depth_multiplier": 1}) if depthwise else ([24, 3, 3, 24], {})
        input, m = [2, 5, 5, 24], model(rng, operator, [2, 5, 5, 24], filter, [2, 5, 5, 24], CONV | options, scales=scales, bias=bias)
    assert_fast(m, [values(rng, input)], arithmetic)


EXTREMES = {
    "zeros": [0.0],
    "minus zero": [-0.0, 0.0],
    "one side": [3.0, 4.0, 5.5],
    "other side": [-3.0, -4.0, -5.5],
    "infinite": [np.inf, 1.0, -2.0],
    "both infinite": [np.inf, -np.inf, 1.0],
    "not a number": [np.nan, 1.0, -3.0, 0.5],
    "nothing but NaN": [np.nan],
    "tiny": [1e-42, -3e-42, 2e-44],
    "small": [1e-36, -2e-37],
    "huge": [3e38, -3e38, 1e38],
    "ties": [127.0, 0.5, -0.5, 1.5, -1.5, 2.5, -126.5, -128.0],
}


@pytest.mark.parametrize("arithmetic", ARITHMETICS)
@pytest.mark.parametrize("asymmetric", [False, True])
@pytest.mark.parametrize("case", EXTREMES, ids=str)
def test_extreme_values(case, asymmetric, arithmetic):
    rng = np.random.default_rng(5)
    x = rng.choice(EXTREMES[case], (5, 80)).astype(np.float32)
    x[0, : len(EXTREMES[case])] = EXTREMES[case]
    m = model(rng, "FULLY_CONNECTED", [5, 80], [20, 80], [5, 20], DENSE | {"asymmetric_quantize_inputs": asymmetric})
    assert_fast(m, [x], arithmetic)
    m = model(rng, "CONV_2D", [5, 1, 2, 40], [20, 1, 2, 40], [5, 1, 2, 20], CONV)
    assert_fast(m, [x.reshape(5, 1, 2, 40)], arithmetic)


@pytest.mark.parametrize("arithmetic", ARITHMETICS)
@pytest.mark.parametrize("activation", ["RELU", "RELU6", "RELU_N1_TO_1"])
def test_fused_activations(arithmetic, activation):
    rng = np.random.default_rng(6)
    m = model(rng, "CONV_2D", [1, 4, 4, 24], [20, 1, 1, 24], [1, 4, 4, 20], CONV | {"fused_activation_function": activation})
    assert_fast(m, [values(rng, (1, 4, 4, 24))], arithmetic)


@pytest.mark.parametrize("arithmetic", ARITHMETICS)
@pytest.mark.parametrize("threads", [2, 3])
@pytest.mark.parametrize("operator", ["CONV_2D", "DEPTHWISE_CONV_2D"])
def test_threads_change_no_bit(threads, operator, arithmetic):
    rng = np.random.default_rng(7)
    filter, options = ([24, 3, 3, 24], {}) if operator == "CONV_2D" else ([1, 3, 3, 24], {"depth_multiplier": 1})
    m = model(rng, operator, [2, 9, 9, 24], filter, [2, 9, 9, 24], CONV | options)
    assert_fast(m, [values(rng, (2, 9, 9, 24))], arithmetic, threads=threads)
