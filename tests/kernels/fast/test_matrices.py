"""BATCH_MATMUL of codes and of dynamic range as native code: the reference's values on every tier."""

from __future__ import annotations

import numpy as np
import pytest

from qcore.runtime.plan import Settings
from qcore.runtime.stages import lowered
from tests.conformance.harness import T, one_operator, random_inputs
from tests.kernels.fast.compare import assert_fast, run
from tests.kernels.fast.test_hybrid import ARITHMETICS, values

CASES = {
    "one matrix": ([5, 16], [16, 64]),
    "batches": ([3, 2, 7, 24], [3, 2, 24, 70]),
    "odd sizes": ([2, 9, 13], [2, 13, 5]),
    "one y for all": ([4, 6, 10], [10, 33]),
    "one x for all": ([6, 10], [3, 10, 33]),
    "one row": ([2, 1, 130], [2, 130, 129]),
    "one number": ([1, 1], [1, 1]),
}


def model(rng, x, y, dtype="int8", adj_y=False, constant=False, zero_points=(3, -7, 5), output_scale=0.05, y_dtype=None):
    y_dtype = y_dtype or dtype
    output = [*np.broadcast_shapes(tuple(x[:-2]), tuple(y[:-2])), x[-2], y[-1]]
    y = [*y[:-2], y[-1], y[-2]] if adj_y else y
    value = rng.integers(-128, 128, y) if constant else None
    real = dtype == "float32"
    tensors = [T(dtype, x, *(() if real else (0.02, zero_points[0]))), T(y_dtype, y, 0.03, zero_points[1], 0, value)]
    outputs = [T(dtype, output, *(() if real else (output_scale, zero_points[2])))]
    return one_operator("BATCH_MATMUL", tensors, outputs, {"adj_y": adj_y}, version=4)


@pytest.mark.parametrize("constant", [False, True])
@pytest.mark.parametrize("adj_y", [False, True])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_codes(tier, case, adj_y, constant):
    rng = np.random.default_rng(1)
    m = model(rng, *CASES[case], adj_y=adj_y, constant=constant)
    assert_fast(m, random_inputs(m, rng))


@pytest.mark.parametrize("arithmetic", ARITHMETICS)
@pytest.mark.parametrize("zero_points", [(0, 0, 0), (-128, 127, 0), (127, -128, -128), (5, 0, 127)])
def test_zero_points_and_arithmetics(arithmetic, zero_points):
    rng = np.random.default_rng(2)
    m = model(rng, *CASES["batches"], zero_points=zero_points)
    assert_fast(m, random_inputs(m, rng), arithmetic)


@pytest.mark.parametrize("output_scale", [1e-5, 1e-3, 30.0])
def test_outputs_that_saturate(output_scale):
    rng = np.random.default_rng(3)
    m = model(rng, *CASES["odd sizes"], output_scale=output_scale)
    assert_fast(m, random_inputs(m, rng))


def test_int16_times_constant_int8(tier):
    rng = np.random.default_rng(4)
    m = model(rng, *CASES["batches"], dtype="int16", y_dtype="int8", zero_points=(0, 0, 0), constant=True)
    assert_fast(m, random_inputs(m, rng))


@pytest.mark.parametrize("arithmetic", ARITHMETICS)
@pytest.mark.parametrize("case", ["one matrix", "one y for all"])
def test_dynamic_range(tier, case, arithmetic):
    rng = np.random.default_rng(5)
    m = model(rng, *CASES[case], dtype="float32", y_dtype="int8", constant=True, zero_points=(0, 0, 0))
    assert_fast(m, [values(rng, CASES[case][0])], arithmetic)


@pytest.mark.parametrize("threads", [2, 3])
@pytest.mark.parametrize("adj_y", [False, True])
def test_threads_change_no_bit(threads, adj_y):
    rng = np.random.default_rng(6)
    m = model(rng, *CASES["batches"], adj_y=adj_y)
    assert_fast(m, random_inputs(m, rng), threads=threads)


def test_what_is_left_to_numpy_says_why():
    rng = np.random.default_rng(7)
    m = model(rng, [2, 4, 6], [2, 6, 5], dtype="int16", zero_points=(0, 0, 0))
    session, _ = run(m, random_inputs(m, rng), Settings(engine="fast"))
    executor = session.executor()
    assert lowered(executor.allocated(), executor.values)[0].reason == "codes of 16 bits"
