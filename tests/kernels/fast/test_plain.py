"""Functions of two numbers that stand for themselves, as native code: the reference's bits on every tier."""

from __future__ import annotations

import numpy as np
import pytest

from qcore.kernels.fast.rows import LONGEST, rows_of
from tests.conformance.harness import T, one_operator
from tests.kernels.fast.compare import assert_fast

EXTREMA = ["MAXIMUM", "MINIMUM"]
COMPARISONS = ["EQUAL", "NOT_EQUAL", "LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL"]
ARITHMETIC = {"ADD": ["float32", "int32", "int64"], "SUB": ["float32", "int32"], "MUL": ["float32", "int32", "uint32"], "DIV": ["float32"]}


def model(operator, dtype, shape1, shape2, activation="NONE"):
    output = T("bool" if operator in COMPARISONS else dtype, list(np.broadcast_shapes(tuple(shape1), tuple(shape2))))
    options = {"fused_activation_function": activation} if operator in ARITHMETIC else None
    return one_operator(operator, [T(dtype, shape1), T(dtype, shape2)], [output], options, version=2)


def numbers(rng, dtype, shape):
    """Of the whole range, some equal to others; of floats some that are none, both infinities and both zeros."""
    if dtype != "float32":
        info = np.iinfo(dtype)
        some = rng.choice(np.array([info.min, info.max, 0, 1, 7], dtype), shape)
        return np.where(rng.random(shape) < 0.5, some, rng.integers(info.min, info.max, shape, dtype=dtype, endpoint=True)).astype(dtype)
    special = rng.choice(np.float32([np.nan, np.inf, -np.inf, 0.0, -0.0, 1, 3e38]), shape)
    return np.where(rng.random(shape) < 0.5, special, rng.normal(0, 3, shape)).astype(np.float32)


SHAPES = [
    ([1], [1]),
    ([63], [63]),
    ([64], [64]),
    ([3, 67], [3, 67]),
    ([1, 5000], [1, 5000]),
    ([2, 5, 80], [80]),
    ([6], [2, 9, 6]),
    ([4, 5, 70], [4, 5, 1]),
    ([1], [300]),
    ([3, 1, 2], [1, 4, 1]),
    ([2, 1, 90], [1, 3, 90]),
    ([0, 3], [1, 3]),
]


@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8", "int16", "int32", "int64"])
@pytest.mark.parametrize("operator", EXTREMA)
def test_extrema(tier, operator, dtype):
    rng = np.random.default_rng(1)
    for one, other in SHAPES:
        m = model(operator, dtype, one, other)
        assert_fast(m, [numbers(rng, dtype, one), numbers(rng, dtype, other)])


@pytest.mark.parametrize("dtype", ["float32", "int16", "int32"])
@pytest.mark.parametrize("operator", COMPARISONS)
def test_comparisons(tier, operator, dtype):
    rng = np.random.default_rng(2)
    for one, other in SHAPES[2:7]:
        m = model(operator, dtype, one, other)
        assert_fast(m, [numbers(rng, dtype, one), numbers(rng, dtype, other)])


@pytest.mark.parametrize(("operator", "dtype"), [(operator, dtype) for operator, types in ARITHMETIC.items() for dtype in types])
@pytest.mark.parametrize("activation", ["NONE", "RELU6"])
def test_arithmetic(tier, operator, dtype, activation):
    rng = np.random.default_rng(3)
    with np.errstate(all="ignore"):
        for one, other in SHAPES[2:8]:
            m = model(operator, dtype, one, other, activation)
            assert_fast(m, [numbers(rng, dtype, one), numbers(rng, dtype, other)])


@pytest.mark.parametrize("dtype", ["float32", "int32"])
def test_squared_differences(tier, dtype):
    rng = np.random.default_rng(4)
    with np.errstate(all="ignore"):
        m = model("SQUARED_DIFFERENCE", dtype, [3, 67], [67])
        assert_fast(m, [numbers(rng, dtype, [3, 67]), numbers(rng, dtype, [67])])


@pytest.mark.parametrize("threads", [2, 3])
def test_threads_change_no_bit(threads):
    rng = np.random.default_rng(5)
    m = model("MAXIMUM", "int16", [3, 9000], [3, 1])
    assert_fast(m, [numbers(rng, "int16", [3, 9000]), numbers(rng, "int16", [3, 1])], threads=threads)


@pytest.mark.parametrize("shapes", SHAPES[:-1], ids=str)
def test_rows_meet_every_element_of_the_output(shapes):
    one, other = (np.arange(int(np.prod(shape))).reshape(shape) for shape in shapes)
    rows = rows_of(*shapes).cut()
    assert rows.length <= LONGEST
    steps = np.arange(rows.length)[:, np.newaxis] * [int(rows.single != which) for which in range(3)]
    places = (rows.starts[:, np.newaxis] + steps).reshape(-1, 3)
    want = np.broadcast_arrays(one, other)
    assert set(places[:, 2]) == set(range(want[0].size))
    for which in (0, 1):
        np.testing.assert_array_equal(want[which].reshape(-1)[places[:, 2]], places[:, which])
