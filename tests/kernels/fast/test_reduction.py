"""MEAN and SUM of 8-bit codes as native code: the reference's integers on every tier."""

from __future__ import annotations

import numpy as np
import pytest

from tests.conformance.harness import T, one_operator, random_inputs
from tests.kernels.fast.compare import assert_fast

ARITHMETICS = ["reference", "builtin", "xnnpack"]


def model(operator, shape, axes, *, keep_dims=True, scales=(0.05, 0.04), zero_points=(3, -5), dtype="int8"):
    if keep_dims:
        output = [1 if i in axes else size for i, size in enumerate(shape)]
    else:
        output = [size for i, size in enumerate(shape) if i not in axes]
    tensors = [T(dtype, shape, scales[0], zero_points[0]), T("int32", [len(axes)], value=axes)]
    return one_operator(operator, tensors, [T(dtype, output, scales[1], zero_points[1])], {"keep_dims": keep_dims}, version=2)


CASES = {
    "images": ([2, 7, 7, 80], [1, 2]),
    "few channels": ([1, 6, 5, 6], [1, 2]),
    "one pixel": ([1, 1, 1, 64], [1, 2]),
    "the last axis": ([3, 4, 19], [2]),
    "the first axis": ([9, 130], [0]),
    "all": ([3, 5, 7], [0, 1, 2]),
}


@pytest.mark.parametrize("arithmetic", ARITHMETICS)
@pytest.mark.parametrize("operator", ["MEAN", "SUM"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_axes(tier, case, operator, arithmetic):
    m = model(operator, *CASES[case])
    assert_fast(m, random_inputs(m, np.random.default_rng(1)), arithmetic)


@pytest.mark.parametrize("arithmetic", ARITHMETICS)
@pytest.mark.parametrize("operator", ["MEAN", "SUM"])
@pytest.mark.parametrize("extreme", [0, 255])
@pytest.mark.parametrize("scales", [(0.05, 0.05), (0.05, 1e-3), (0.001, 3.0)], ids=str)
def test_zero_points_at_the_ends_and_the_greatest_sums(operator, extreme, scales, arithmetic):
    for dtype, offset in (("int8", -128), ("uint8", 0)):
        zero_points = 255 - extreme + offset, extreme + offset
        m = model(operator, [1, 70, 70, 17], [1, 2], scales=scales, zero_points=zero_points, dtype=dtype, keep_dims=False)
        x = np.full((1, 70, 70, 17), extreme + offset, dtype)
        assert_fast(m, [x], arithmetic)
        assert_fast(m, random_inputs(m, np.random.default_rng(2)), arithmetic)


@pytest.mark.parametrize("threads", [2, 5])
def test_threads_change_no_bit(threads):
    m = model("MEAN", [1, 5, 5, 300], [1, 2])
    assert_fast(m, random_inputs(m, np.random.default_rng(3)), threads=threads)
