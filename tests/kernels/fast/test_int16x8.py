"""CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED of int16 codes and int8 weights as native code: the reference's integers on every tier."""

from __future__ import annotations

import numpy as np
import pytest

from qcore.runtime.plan import Settings
from qcore.runtime.stages import lowered
from tests.conformance.harness import T, one_operator, random_inputs
from tests.kernels.fast.compare import assert_fast, run
from tests.kernels.fast.test_convolution import CONV, CONVOLUTIONS, DENSE, DEPTHWISE

WIDE = 1 << 40
"""A bias beyond 32 bits."""


def model(rng, operator, input, filter, output, options, *, bias="int64", greatest=3000, output_scale=1e-4, weight=None):
    channels = filter[3 if operator == "DEPTHWISE_CONV_2D" else 0]
    scales = rng.uniform(0.001, 0.02, channels).astype(np.float32)
    value = rng.integers(-127, 128, filter) if weight is None else np.full(filter, weight)
    tensors = [T("int16", input, 1e-4, 0), T("int8", filter, scales, 0, 3 if operator == "DEPTHWISE_CONV_2D" else 0, value)]
    if bias:
        tensors.append(T(bias, [channels], 1e-4 * scales, 0, 0, rng.integers(-greatest, greatest, channels)))
        options = options | ({"quantized_bias_type": "int32"} if bias == "int32" else {})
    return one_operator(operator, tensors, [T("int16", output, output_scale, 0)], options, version=3)


@pytest.mark.parametrize("case", CONVOLUTIONS, ids=str)
def test_convolution(tier, case):
    rng = np.random.default_rng(1)
    input, filter, output, options = CONVOLUTIONS[case]
    m = model(rng, "CONV_2D", input, filter, output, CONV | options)
    assert_fast(m, random_inputs(m, rng))


@pytest.mark.parametrize("case", DEPTHWISE, ids=str)
def test_depthwise(tier, case):
    rng = np.random.default_rng(2)
    input, filter, output, options = DEPTHWISE[case]
    m = model(rng, "DEPTHWISE_CONV_2D", input, filter, output, CONV | {"depth_multiplier": 1} | options)
    assert_fast(m, random_inputs(m, rng))


@pytest.mark.parametrize(("rows", "depth", "units"), [(1, 64, 10), (3, 17, 70), (20, 5, 3), (7, 129, 64)])
def test_dense(tier, rows, depth, units):
    rng = np.random.default_rng(3)
    m = model(rng, "FULLY_CONNECTED", [rows, depth], [units, depth], [rows, units], DENSE)
    assert_fast(m, random_inputs(m, rng))


@pytest.mark.parametrize("arithmetic", ["reference", "builtin", "xnnpack"])
@pytest.mark.parametrize("bias", ["int64", "int32", None])
@pytest.mark.parametrize(
    ("operator", "filter", "options"),
    [("CONV_2D", [40, 3, 3, 24], CONV), ("FULLY_CONNECTED", [40, 24], DENSE)],
    ids=["conv", "dense"],
)
def test_every_arithmetic_and_bias(arithmetic, bias, operator, filter, options):
    rng = np.random.default_rng(4)
    m = model(
        rng,
        operator,
        [6, 24] if operator == "FULLY_CONNECTED" else [1, 6, 6, 24],
        filter,
        [6, 40] if operator == "FULLY_CONNECTED" else [1, 6, 6, 40],
        options,
        bias=bias,
    )
    assert_fast(m, random_inputs(m, rng), arithmetic)


@pytest.mark.parametrize("arithmetic", ["builtin", "xnnpack"])
def test_every_arithmetic_of_depthwise(arithmetic):
    rng = np.random.default_rng(5)
    m = model(rng, "DEPTHWISE_CONV_2D", [1, 6, 6, 24], [1, 3, 3, 24], [1, 6, 6, 24], CONV | {"depth_multiplier": 1})
    assert_fast(m, random_inputs(m, rng), arithmetic)


@pytest.mark.parametrize("output_scale", [1e-7, 1e-5, 1e-2])
def test_factors_from_far_above_one_to_far_below(tier, output_scale):
    rng = np.random.default_rng(6)
    m = model(rng, "CONV_2D", [1, 4, 4, 32], [16, 1, 1, 32], [1, 4, 4, 16], CONV, output_scale=output_scale)
    assert_fast(m, random_inputs(m, rng))


@pytest.mark.parametrize(("operator", "depth"), [("CONV_2D", 513), ("CONV_2D", 2100), ("FULLY_CONNECTED", 4099)])
@pytest.mark.parametrize("weight", [-127, 127])
def test_sums_beyond_32_bits(tier, operator, depth, weight):
    """Every product is as large as it can be."""
    rng = np.random.default_rng(7)
    if operator == "CONV_2D":
        m = model(rng, operator, [1, 3, 3, depth], [20, 1, 1, depth], [1, 3, 3, 20], CONV, weight=weight, output_scale=1.0)
        inputs = [np.full((1, 3, 3, depth), -32768, np.int16)]
    else:
        m = model(rng, operator, [5, depth], [20, depth], [5, 20], DENSE, weight=weight, output_scale=1.0)
        inputs = [np.full((5, depth), -32768, np.int16)]
    assert_fast(m, inputs)


@pytest.mark.parametrize(
    ("operator", "input", "filter"), [("CONV_2D", [2, 5, 6, 300], [70, 3, 2, 300]), ("FULLY_CONNECTED", [9, 1200], [70, 1200])]
)
def test_wide_sums_of_random_codes(tier, operator, input, filter):
    rng = np.random.default_rng(8)
    m = model(rng, operator, input, filter, [*input[:-1], 70], CONV if operator == "CONV_2D" else DENSE, output_scale=0.01)
    assert_fast(m, random_inputs(m, rng))


def test_a_bias_beyond_32_bits(tier):
    rng = np.random.default_rng(9)
    m = model(rng, "CONV_2D", [1, 4, 4, 8], [16, 1, 1, 8], [1, 4, 4, 16], CONV, greatest=WIDE, output_scale=100.0)
    assert_fast(m, random_inputs(m, rng))


@pytest.mark.parametrize("threads", [2, 3])
@pytest.mark.parametrize("operator", ["CONV_2D", "DEPTHWISE_CONV_2D"])
def test_threads_change_no_bit(threads, operator):
    rng = np.random.default_rng(10)
    filter, options = ([24, 3, 3, 24], {}) if operator == "CONV_2D" else ([1, 3, 3, 24], {"depth_multiplier": 1})
    m = model(rng, operator, [1, 9, 9, 24], filter, [1, 9, 9, 24], CONV | options)
    assert_fast(m, random_inputs(m, rng), threads=threads)


def test_sums_that_wrap_are_left_to_numpy():
    """With an int32 bias sums wrap to 32 bits; the native requantization has no room for those."""
    rng = np.random.default_rng(11)
    m = model(rng, "CONV_2D", [1, 2, 2, 1000], [8, 1, 1, 1000], [1, 2, 2, 8], CONV, bias="int32", weight=127)
    session, _ = run(m, random_inputs(m, rng), Settings(engine="fast"))
    executor = session.executor()
    assert str(lowered(executor.allocated(), executor.values)[0].reason).startswith("no requantization like DoubleRounding of sums up to")
