"""Reductions: axes, shapes, identities, NaN, wrapping, and the product of quantized values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qcore.errors import ModelError, UnsupportedError
from tests.conformance.harness import T, one_operator, run_qcore

LOWEST = float(np.finfo(np.float32).min)


def reduce(name: str, x: Any, axes: Any, keep_dims: bool = False, scales: tuple[float, float] | None = None, zero_point: int = 0) -> Any:
    """The result of one reduction; scales are the input's and the output's."""
    x, axes = np.asarray(x), np.asarray(axes, np.int32)
    given, got = scales or (None, None)
    ends = T(x.dtype.name, x.shape, given, zero_point), T(x.dtype.name, (), got, zero_point)
    model = one_operator(name, [ends[0], T("int32", axes.shape, value=axes)], [ends[1]], {"keep_dims": keep_dims})
    return run_qcore(model, [x])[0]


@pytest.mark.parametrize(
    ("axes", "keep_dims", "shape"),
    [
        ([0], False, (3, 4)),
        ([-1], False, (2, 3)),
        ([2, 0], True, (1, 3, 1)),
        ([1, -2, 1], False, (2, 4)),
        ([], False, (2, 3, 4)),
        (1, True, (2, 1, 4)),
    ],
)
def test_axes_count_from_either_end_repeat_and_may_be_none_or_a_scalar(axes: Any, keep_dims: bool, shape: tuple[int, ...]) -> None:
    x = np.arange(24, dtype=np.int32).reshape(2, 3, 4)
    got = reduce("REDUCE_MAX", x, axes, keep_dims)
    assert got.shape == shape
    np.testing.assert_array_equal(got, x.max(axis=tuple({a % 3 for a in np.ravel(axes).astype(int)}), keepdims=keep_dims))


def test_axes_may_come_at_run_time() -> None:
    model = one_operator("REDUCE_MIN", [T("int8", (2, 2)), T("int32", (1,))], [T("int8", ())])
    x = np.array([[1, -2], [3, 4]], np.int8)
    np.testing.assert_array_equal(run_qcore(model, [x, np.array([0], np.int32)])[0], [1, -2])
    np.testing.assert_array_equal(run_qcore(model, [x, np.array([1], np.int32)])[0], [-2, 3])


def test_a_scalar_is_its_own_reduction_whatever_the_axes() -> None:
    assert reduce("REDUCE_MAX", np.float32(3), [7]) == 3


def test_nan_never_compares_and_infinity_does_not_pass_the_identity() -> None:
    x = np.array([[np.nan, 2], [np.nan, np.nan], [-np.inf, -np.inf]], np.float32)
    np.testing.assert_array_equal(reduce("REDUCE_MAX", x, [1]), np.array([2, LOWEST, LOWEST], np.float32))
    np.testing.assert_array_equal(reduce("REDUCE_MIN", x, [1]), np.array([2, -LOWEST, -np.inf], np.float32))


def test_over_all_axes_the_first_value_stands_even_if_nan() -> None:
    assert np.isnan(reduce("REDUCE_MAX", np.array([np.nan, 1], np.float32), [0]))
    assert reduce("REDUCE_MAX", np.array([1, np.nan], np.float32), [0]) == 1
    assert reduce("REDUCE_MAX", np.array([-np.inf], np.float32), [0]) == -np.inf


@pytest.mark.parametrize(
    ("name", "identity"), [("REDUCE_MAX", -128), ("REDUCE_MIN", 127), ("REDUCE_PROD", 1), ("SUM", 0)], ids=lambda v: str(v)
)
def test_no_values_give_the_identity(name: str, identity: int) -> None:
    scales = (1.0, 1.0) if name == "SUM" else None
    np.testing.assert_array_equal(reduce(name, np.zeros((2, 0), np.int8), [1], scales=scales), [identity, identity])


def test_integer_products_and_sums_wrap() -> None:
    x = np.array([2**31 - 1, 2], np.int32)
    assert reduce("REDUCE_PROD", x, [0]) == -2
    assert reduce("SUM", x, [0]) == -(2**31) + 1
    assert reduce("REDUCE_PROD", np.array([16, 16], np.int8), [0]) == 0


def test_any_and_all() -> None:
    x = np.array([[True, False], [False, False], [True, True]])
    assert reduce("REDUCE_ANY", x, [1]).tolist() == [True, False, True]
    assert reduce("REDUCE_ALL", x, [1]).tolist() == [False, False, True]


def test_a_quantized_product_is_the_product_of_real_values() -> None:
    # 1.5 * -2 * 0.5 = -1.5 in steps of 1/4.
    assert reduce("REDUCE_PROD", np.array([3, -4, 1], np.int8), [0], scales=(0.5, 0.25)) == -6
    assert reduce("REDUCE_PROD", np.array([13, 6, 11], np.int8), [0], scales=(0.5, 0.25), zero_point=10) == 4
    assert reduce("REDUCE_PROD", np.array([100, 100], np.int16), [0], scales=(0.5, 0.25)) == 10000


def test_a_quantized_product_rounds_after_every_factor_and_saturates() -> None:
    # Half at every step, ties up: 1 -> 1 -> 4 -> 2, but 7 -> 4 -> 2 -> 1.
    assert reduce("REDUCE_PROD", np.array([1, 1, 7], np.int8), [0], scales=(0.5, 1.0)) == 2
    assert reduce("REDUCE_PROD", np.array([7, 1, 1], np.int8), [0], scales=(0.5, 1.0)) == 1
    assert reduce("REDUCE_PROD", np.array([100, -100], np.int8), [0], scales=(0.5, 0.25)) == -128


@pytest.mark.parametrize("axis", [2, -3])
def test_refuses_an_axis_that_is_not_there(axis: int) -> None:
    with pytest.raises(ModelError, match=rf"REDUCE_MAX \(op 0.*axis {axis} is out of range for rank 2"):
        reduce("REDUCE_MAX", np.zeros((2, 2), np.int8), [axis])


def test_refuses_a_maximum_that_would_need_another_scale() -> None:
    with pytest.raises(ModelError, match="scale"):
        reduce("REDUCE_MAX", np.zeros(2, np.int8), [0], scales=(0.5, 0.25))


def test_refuses_asymmetric_int16() -> None:
    with pytest.raises(ModelError, match="zero point 3, expected 0"):
        reduce("REDUCE_MAX", np.zeros(2, np.int16), [0], scales=(0.5, 0.5), zero_point=3)


def test_refuses_quantized_products_that_tflite_does_not_have() -> None:
    with pytest.raises(UnsupportedError, match="product of quantized uint8"):
        reduce("REDUCE_PROD", np.zeros(2, np.uint8), [0], scales=(0.5, 0.5))
    with pytest.raises(ModelError, match="is of no values"):
        reduce("REDUCE_PROD", np.zeros((2, 0), np.int8), [1], scales=(0.5, 0.5))


def test_refuses_other_types() -> None:
    with pytest.raises(UnsupportedError, match="int64, qcore has int32"):
        one = one_operator("REDUCE_MAX", [T("int8", (2,)), T("int64", (1,), value=[0])], [T("int8", ())])
        run_qcore(one, [np.zeros(2, np.int8)])
    with pytest.raises(ModelError, match="expected one type"):
        run_qcore(one_operator("SUM", [T("float32", (2,)), T("int32", (1,), value=[0])], [T("int32", ())]), [np.zeros(2, np.float32)])
