"""TRANSPOSE_CONV of 8 and 16 bits and of dynamic range as native code: the reference's values on every tier."""

from __future__ import annotations

import numpy as np
import pytest

from tests.conformance.harness import T, one_operator, random_inputs
from tests.kernels.fast.compare import assert_fast
from tests.kernels.fast.test_hybrid import ARITHMETICS, one_arithmetic_each, values

OPTIONS = {"stride_h": 2, "stride_w": 2, "padding": "SAME", "fused_activation_function": "NONE"}

CASES = {
    "doubled": ([1, 5, 6, 8], [16, 3, 3, 8], [1, 10, 12, 16], {}),
    "odd output": ([2, 5, 4, 7], [20, 3, 2, 7], [2, 9, 7, 20], {}),
    "valid": ([1, 4, 4, 12], [70, 4, 5, 12], [1, 10, 11, 70], {"padding": "VALID"}),
    "stride 1": ([1, 4, 5, 6], [5, 3, 3, 6], [1, 4, 5, 5], {"stride_h": 1, "stride_w": 1}),
    "strides above the filter": ([1, 3, 3, 4], [8, 2, 1, 4], [1, 9, 9, 8], {"stride_h": 3, "stride_w": 3}),
    "more than the filter reaches": ([1, 3, 3, 4], [8, 2, 2, 4], [1, 8, 7, 8], {"padding": "VALID", "stride_h": 3}),
    "one pixel": ([1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1], {"stride_h": 1, "stride_w": 1}),
    "filter larger than the image": ([1, 1, 2, 3], [4, 5, 6, 3], [1, 5, 8, 4], {"padding": "VALID"}),
}


def model(rng, dtype, case, zero_points=(3, -5)):
    input, filter, output, options = CASES[case]
    scales = rng.uniform(0.001, 0.02, filter[0]).astype(np.float32)
    shape = T("int32", [4], value=np.array(output))
    weights = T("int8", filter, scales, 0, 0, rng.integers(-127, 128, filter))
    if dtype == "float32":
        tensors = [shape, weights, T("float32", input), T("float32", [filter[0]], value=rng.uniform(-1, 1, filter[0]))]
        return one_operator("TRANSPOSE_CONV", tensors, [T("float32", output)], OPTIONS | options, version=3)
    if dtype == "int16":
        zero_points = 0, 0
    bias = T("int32" if dtype == "int8" else "int64", [filter[0]], 0.05 * scales, 0, 0, rng.integers(-3000, 3000, filter[0]))
    tensors = [shape, weights, T(dtype, input, 0.05, zero_points[0]), bias]
    return one_operator("TRANSPOSE_CONV", tensors, [T(dtype, output, 0.7, zero_points[1])], OPTIONS | options, version=3)


@pytest.mark.parametrize("dtype", ["int8", "int16"])
@pytest.mark.parametrize(("case", "arithmetic"), one_arithmetic_each(CASES))
def test_codes(tier, case, dtype, arithmetic):
    rng = np.random.default_rng(1)
    m = model(rng, dtype, case)
    assert_fast(m, random_inputs(m, rng), arithmetic)


@pytest.mark.parametrize(("case", "arithmetic"), one_arithmetic_each(CASES))
def test_dynamic_range(tier, case, arithmetic):
    rng = np.random.default_rng(2)
    m = model(rng, "float32", case)
    assert_fast(m, [values(rng, CASES[case][0])], arithmetic)


@pytest.mark.parametrize("arithmetic", ARITHMETICS)
@pytest.mark.parametrize("dtype", ["int8", "int16", "float32"])
def test_every_arithmetic(dtype, arithmetic):
    rng = np.random.default_rng(5)
    m = model(rng, dtype, "odd output")
    assert_fast(m, [values(rng, CASES["odd output"][0])] if dtype == "float32" else random_inputs(m, rng), arithmetic)


@pytest.mark.parametrize("zero_points", [(-128, 127), (127, -128)])
def test_zero_points_at_the_ends(zero_points):
    rng = np.random.default_rng(3)
    m = model(rng, "int8", "odd output", zero_points)
    assert_fast(m, random_inputs(m, rng))


@pytest.mark.parametrize("dtype", ["int8", "int16", "float32"])
@pytest.mark.parametrize("threads", [2, 3])
def test_threads_change_no_bit(threads, dtype):
    rng = np.random.default_rng(4)
    m = model(rng, dtype, "odd output")
    assert_fast(m, [values(rng, CASES["odd output"][0])] if dtype == "float32" else random_inputs(m, rng), threads=threads)
