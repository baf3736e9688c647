"""Means and sums: rounding, wrapping, order of float sums."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qcore.errors import ModelError, QCoreError
from tests.conformance.harness import T, one_operator, run_qcore


def reduce(
    name: str, x: Any, axes: list[int], scales: tuple[float, float] | None = None, zero_points: tuple[int, int] = (0, 0), keep: bool = False
) -> Any:
    """The result of MEAN or SUM; scales and zero points are the input's and the output's."""
    x = np.asarray(x)
    ends = [T(x.dtype.name, shape, None if scales is None else scales[i], zero_points[i]) for i, shape in enumerate((x.shape, ()))]
    model = one_operator(name, [ends[0], T("int32", (len(axes),), value=axes)], [ends[1]], {"keep_dims": keep})
    return run_qcore(model, [x])[0]


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16"])
def test_a_quantized_mean_rounds_half_away_from_its_zero_point(dtype: str) -> None:
    zero = 0 if dtype == "int16" else 100
    x = np.array([[1, 2, 3, 4], [-1, -2, -3, -4], [0, 0, 0, 0], [9, 9, 9, 9]]) + zero
    got = reduce("MEAN", x.astype(dtype), [1], (0.5, 0.5), (zero, zero))
    np.testing.assert_array_equal(got, np.array([3, -3, 0, 9]) + zero)


def test_the_two_roundings_of_a_quantized_mean_make_one_of_a_quarter() -> None:
    """1/4 is reached as 1/2, rounded up to 1, halved and rounded away to 1; -1/4 as -1/2, rounded up to 0."""
    x = np.array([[0, 0, 0, 1], [0, 0, 0, -1]], np.int8)
    np.testing.assert_array_equal(reduce("MEAN", x, [1], (1, 1)), [1, 0])


def test_a_quantized_mean_changes_scale_and_saturates() -> None:
    x = np.array([[10, 20], [100, 101]], np.int8)
    np.testing.assert_array_equal(reduce("MEAN", x, [1], (0.5, 0.25), (0, 7)), [37, 127])


def test_a_mean_over_everything_is_a_scalar_or_keeps_its_axes() -> None:
    x = np.full((2, 3, 4), 5, np.int8)
    assert reduce("MEAN", x, [0, 1, 2], (1, 1)).shape == ()
    assert reduce("MEAN", x, [0, 1, 2], (1, 1), keep=True).tolist() == [[[5]]]


def test_an_integer_mean_is_cut_off_towards_zero() -> None:
    assert reduce("MEAN", np.array([-7, 2, 0], np.int32), [0]) == -1
    assert reduce("MEAN", np.array([7, 1, 0], np.int64), [0]) == 2


def test_the_sum_for_an_int32_mean_is_wide_and_that_for_int64_wraps() -> None:
    assert reduce("MEAN", np.full(3, 2**31 - 1, np.int32), [0]) == 2**31 - 1
    assert reduce("MEAN", np.full(2, 2**63 - 1, np.int64), [0]) == -1


def test_the_mean_of_nothing_is_nan_or_code_0() -> None:
    assert np.isnan(reduce("MEAN", np.zeros((2, 0), np.float32), [1])).all()
    assert reduce("MEAN", np.zeros((2, 0), np.int8), [1], (1, 1), (5, 5)).tolist() == [0, 0]
    assert reduce("MEAN", np.zeros((2, 0), np.int32), [1]).tolist() == [0, 0]


@pytest.mark.parametrize("shape", [(1000,), (1000, 3), (3, 1000), (4, 10, 25, 2)])
def test_floats_are_added_one_after_the_other(shape: tuple[int, ...]) -> None:
    """The order is visible in the last bits: 0.1 added a thousand times is not a thousand times 0.1."""
    x = np.random.default_rng(0).random(shape, np.float32)
    axes = {1: [0], 2: [int(np.argmax(shape))], 4: [1, 2]}[len(shape)]
    kept = [a for a in range(x.ndim) if a not in axes]
    columns = x.transpose(axes + kept).reshape(1000 if len(shape) < 4 else 250, -1)
    total = np.zeros(columns.shape[1], np.float32)
    for row in columns:
        total = total + row
    np.testing.assert_array_equal(reduce("SUM", x, axes).ravel(), total)
    np.testing.assert_array_equal(reduce("MEAN", x, axes).ravel(), total / np.float32(len(columns)))


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16"])
def test_a_quantized_sum_is_the_sum_of_real_values(dtype: str) -> None:
    zero = 0 if dtype == "int16" else 40
    steps = np.array([[4, 8, 12], [0, 0, 0], [-4, -8, -4]])
    got = reduce("SUM", (steps + zero).astype(dtype), [1], (0.5, 2.0), (zero, zero))
    np.testing.assert_array_equal(got, np.array([6, 0, -4]) + zero)


def test_a_quantized_sum_saturates() -> None:
    assert reduce("SUM", np.full(9, 127, np.int8), [0], (1, 1)) == 127
    assert reduce("SUM", np.full(9, -(2**15), np.int16), [0], (1, 1)) == -(2**15)


def test_refuses_a_quantized_type_without_scale() -> None:
    with pytest.raises(ModelError, match="has 0 scales"):
        reduce("MEAN", np.zeros(2, np.int8), [0])


@pytest.mark.parametrize("name", ["MEAN", "SUM", "REDUCE_PROD"])
@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_refuses_scales_that_leave_no_factor(name: str, dtype: str) -> None:
    with pytest.raises(ModelError, match="output has scale 0.0, expected one above 0"):
        reduce(name, np.zeros(2, dtype), [0], (1, 0))


def test_refuses_scales_too_far_apart() -> None:
    with pytest.raises(QCoreError, match=r"MEAN \(op 0.*shift"):
        reduce("MEAN", np.zeros(2, np.int8), [0], (1e20, 1e-20))
