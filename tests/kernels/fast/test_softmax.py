"""SOFTMAX of 8-bit codes as native code: the reference's integers on every tier."""

from __future__ import annotations

import numpy as np
import pytest

from tests.conformance.harness import T, one_operator, random_inputs
from tests.kernels.fast.compare import assert_fast


def model(shape, *, scale=0.1, zero_point=3, beta=1.0, dtype="int8"):
    output = T(dtype, shape, 1 / 256, -128 if dtype == "int8" else 0)
    return one_operator("SOFTMAX", [T(dtype, shape, scale, zero_point)], [output], {"beta": beta}, version=2)


@pytest.mark.parametrize("arithmetic", ["reference", "builtin", "xnnpack"])
@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("shape", [[1, 1], [3, 10], [2, 3, 259]], ids=str)
def test_rows(tier, shape, dtype, arithmetic):
    m = model(shape, dtype=dtype)
    assert_fast(m, random_inputs(m, np.random.default_rng(1)), arithmetic)


@pytest.mark.parametrize("arithmetic", ["reference", "builtin"])
@pytest.mark.parametrize("rows", [1, 3, 4, 5, 9])
def test_rows_whose_sums_are_taken_together(tier, rows, arithmetic):
    for depth in (15, 64, 65):
        m = model([rows, depth])
        assert_fast(m, random_inputs(m, np.random.default_rng(3)), arithmetic)


@pytest.mark.parametrize("threads", [2, 3])
def test_threads_change_no_bit(threads):
    m = model([13, 70])
    assert_fast(m, random_inputs(m, np.random.default_rng(4)), threads=threads)


@pytest.mark.parametrize("arithmetic", ["reference", "builtin", "xnnpack"])
@pytest.mark.parametrize("scale", [1e-5, 0.01, 2.0])
@pytest.mark.parametrize("beta", [0.3, 1.0, 4.0])
def test_scales(scale, beta, arithmetic):
    m = model([5, 100], scale=scale, beta=beta)
    assert_fast(m, random_inputs(m, np.random.default_rng(2)), arithmetic)


@pytest.mark.parametrize("arithmetic", ["reference", "builtin"])
@pytest.mark.parametrize("depth", [1, 2, 512, 9000])
def test_rows_of_equal_codes(depth, arithmetic):
    """Their sums are the greatest; those beyond 8192 count as 8192."""
    assert_fast(model([1, depth]), [np.full((1, depth), 127, np.int8)], arithmetic)
