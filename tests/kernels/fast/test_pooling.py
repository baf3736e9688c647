"""AVERAGE_POOL_2D and MAX_POOL_2D of 8-bit codes as native code: the reference's integers on every tier."""

from __future__ import annotations

import numpy as np
import pytest

from tests.conformance.harness import T, one_operator, random_inputs
from tests.kernels.fast.compare import assert_fast

CASES = {
    "halves": ([1, 8, 6, 64], [1, 4, 3, 64], (2, 2), (2, 2), "VALID"),
    "overlapping, padded": ([2, 9, 7, 80], [2, 5, 4, 80], (3, 3), (2, 2), "SAME"),
    "few channels": ([1, 5, 5, 3], [1, 5, 5, 3], (3, 2), (1, 1), "SAME"),
    "whole image": ([1, 7, 7, 70], [1, 1, 1, 70], (7, 7), (1, 1), "VALID"),
    "window larger than the image": ([1, 2, 3, 5], [1, 2, 3, 5], (6, 6), (1, 1), "SAME"),
    "one pixel": ([1, 1, 1, 1], [1, 1, 1, 1], (1, 1), (1, 1), "VALID"),
}


def model(operator, case, *, dtype="int8", zero_point=3, activation="NONE"):
    input, output, (height, width), (stride_h, stride_w), padding = CASES[case]
    options = {"filter_height": height, "filter_width": width, "stride_h": stride_h, "stride_w": stride_w, "padding": padding}
    tensors = T(dtype, input, 0.05, zero_point), T(dtype, output, 0.05, zero_point)
    return one_operator(operator, tensors[:1], tensors[1:], options | {"fused_activation_function": activation}, version=2)


@pytest.mark.parametrize("operator", ["AVERAGE_POOL_2D", "MAX_POOL_2D"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_windows(tier, operator, case):
    m = model(operator, case)
    assert_fast(m, random_inputs(m, np.random.default_rng(1)))


@pytest.mark.parametrize("arithmetic", ["reference", "builtin", "xnnpack"])
@pytest.mark.parametrize("operator", ["AVERAGE_POOL_2D", "MAX_POOL_2D"])
@pytest.mark.parametrize(("dtype", "zero_point"), [("int8", -128), ("int8", 127), ("uint8", 0), ("uint8", 255)])
@pytest.mark.parametrize("activation", ["NONE", "RELU6"])
def test_types_zero_points_and_activations(operator, dtype, zero_point, activation, arithmetic):
    m = model(operator, "overlapping, padded", dtype=dtype, zero_point=zero_point, activation=activation)
    assert_fast(m, random_inputs(m, np.random.default_rng(2)), arithmetic)


@pytest.mark.parametrize("threads", [2, 5])
@pytest.mark.parametrize("operator", ["AVERAGE_POOL_2D", "MAX_POOL_2D"])
def test_threads_change_no_bit(operator, threads):
    m = model(operator, "overlapping, padded")
    assert_fast(m, random_inputs(m, np.random.default_rng(3)), threads=threads)
