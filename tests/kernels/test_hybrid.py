"""Dynamic range: how float32 rows become int8 codes, and accumulators real values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from qcore.kernels.hybrid import (
    channels_first,
    cut_to_bfloat16,
    dynamic_range,
    quantize_rows,
    quantize_rows_to_even,
    real_values,
    rows_first,
    unrounded_values,
)

REALS = st.floats(-1e6, 1e6, width=32).map(lambda x: x if abs(x) > 1e-30 else 0.0)
ROWS = arrays.arrays(np.float32, arrays.array_shapes(min_dims=2, max_dims=2, max_side=9), elements=REALS)


def rows(*values: list[float]) -> np.ndarray:
    return np.array(values, np.float32)


def test_symmetric_maps_the_greatest_magnitude_of_each_row_to_127() -> None:
    codes, scale, zero_point = quantize_rows(rows([254, -127, 1], [0, 0.5, -1]), asymmetric=False)
    assert codes.tolist() == [[127, -64, 1], [0, 64, -127]]
    assert scale.tolist() == [2.0, float(np.float32(1 / 127))]
    assert zero_point.tolist() == [0, 0]


def test_asymmetric_spreads_each_row_over_all_codes() -> None:
    codes, scale, zero_point = quantize_rows(rows([0, 255, 100], [-255, 0, -1], [-100, 155, 0]), asymmetric=True)
    assert scale.tolist() == [1, 1, 1]
    assert zero_point.tolist() == [-128, 127, -28]
    assert codes.tolist() == [[-128, 127, -28], [-128, 127, 126], [-128, 127, -28]]


def test_asymmetric_ranges_are_widened_to_hold_zero() -> None:
    codes, scale, zero_point = quantize_rows(rows([510, 255], [-510, -255]), asymmetric=True)
    assert scale.tolist() == [2, 2]
    assert zero_point.tolist() == [-128, 127]
    # 255 / 2 is rounded to 128 before the zero point is added.
    assert codes.tolist() == [[127, 0], [-128, -1]]


@pytest.mark.parametrize("asymmetric", [False, True])
def test_rows_of_higher_rank(asymmetric: bool) -> None:
    x = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)
    flat = quantize_rows(x.reshape(6, 4), asymmetric)
    assert all((a.reshape(b.shape) == b).all() for a, b in zip(quantize_rows(x, asymmetric), flat, strict=True))


@pytest.mark.parametrize("asymmetric", [False, True])
def test_a_row_of_zeros_has_scale_one(asymmetric: bool) -> None:
    codes, scale, zero_point = quantize_rows(np.zeros((2, 3), np.float32), asymmetric)
    assert (codes.any(), scale.tolist(), zero_point.tolist()) == (False, [1, 1], [0, 0])


@pytest.mark.parametrize("asymmetric", [False, True])
@pytest.mark.parametrize("shape", [(0, 3), (3, 0)])
def test_empty_rows(asymmetric: bool, shape: tuple[int, int]) -> None:
    codes, scale, zero_point = quantize_rows(np.zeros(shape, np.float32), asymmetric)
    assert (codes.shape, scale.shape, zero_point.shape) == (shape, shape[:1], shape[:1])


def test_ties_go_away_from_zero() -> None:
    codes, _, _ = quantize_rows(rows([127, 0.5, -0.5, 1.5, -1.5, 2.5, -2.5]), asymmetric=False)
    assert codes.tolist() == [[127, 1, -1, 2, -2, 3, -3]]


def test_values_are_multiplied_by_the_float32_reciprocal_not_divided() -> None:
    """Divided by the scale, the first value is 80.5 and the second 108.49999; times the reciprocal, 80.49999 and 108.5."""
    assert quantize_rows(rows([1720, 1090.2362]), asymmetric=False).codes.tolist() == [[127, 80]]
    assert quantize_rows(rows([865, 738.99603]), asymmetric=False).codes.tolist() == [[127, 109]]


@pytest.mark.parametrize(("asymmetric", "least"), [(False, -127), (True, -128)])
def test_nan_counts_for_no_range_and_becomes_the_least_code(asymmetric: bool, least: int) -> None:
    codes, scale, _ = quantize_rows(rows([np.nan, 2, -2]), asymmetric)
    assert codes[0, 0] == least
    assert scale == quantize_rows(rows([0, 2, -2]), asymmetric).scale


@pytest.mark.parametrize("asymmetric", [False, True])
@pytest.mark.parametrize("value", [np.inf, -np.inf, 3e38, 1e-45])
def test_extreme_ranges_give_codes_without_a_warning(asymmetric: bool, value: float) -> None:
    codes = quantize_rows(rows([value, -value, 0]), asymmetric).codes
    assert codes.dtype == np.int8


@given(ROWS, st.booleans())
def test_codes_lie_within_half_a_step_of_the_value(x: np.ndarray, asymmetric: bool) -> None:
    """Half a step, and a little for the rounding of the scale, its reciprocal and the zero point."""
    codes, scale, zero_point = quantize_rows(x, asymmetric)
    real = (codes.astype(np.float64) - zero_point[:, np.newaxis]) * scale[:, np.newaxis]
    steps = 1.01 if asymmetric else 0.51
    assert (np.abs(real - x) <= steps * scale[:, np.newaxis]).all()


@given(ROWS, st.booleans())
def test_rows_do_not_know_of_each_other(x: np.ndarray, asymmetric: bool) -> None:
    together = quantize_rows(x, asymmetric)
    for i in range(len(x)):
        alone = quantize_rows(x[i : i + 1], asymmetric)
        assert all((a[i : i + 1] == b).all() for a, b in zip(together, alone, strict=True))


@given(ROWS)
def test_zero_is_held_exactly(x: np.ndarray) -> None:
    x[:, 0] = 0
    codes, _, zero_point = quantize_rows(x, asymmetric=True)
    assert (codes[:, 0] == zero_point).all()


def test_real_values_scale_rows_and_channels() -> None:
    accumulator = np.array([[1, 2], [3, -4]], np.int32)
    scale, filter_scale = np.array([1, 10], np.float32), np.array([0.5, 2], np.float32)
    assert real_values(accumulator, scale, filter_scale).tolist() == [[0.5, 4], [15, -80]]
    assert real_values(accumulator, scale, filter_scale[:1]).tolist() == [[0.5, 1], [15, -20]]


def test_real_values_of_images_take_the_scale_of_their_image() -> None:
    accumulator = np.ones((2, 3, 1, 2), np.int32)
    real = real_values(accumulator, np.array([1, 10], np.float32), np.array([1, 2], np.float32))
    assert (real[0] == [1, 2]).all()
    assert (real[1] == [10, 20]).all()


def test_xnnpacks_rows_round_half_to_even() -> None:
    codes, scale, zero_point = quantize_rows_to_even(rows([0, 255, 2.5, 1.5], [-255, 0, -2.5, -1.5], [0, 0, 0, 0]))
    assert scale.tolist() == [1, 1, 1]
    assert zero_point.tolist() == [-128, 127, 127]
    assert codes.tolist() == [[-128, 127, -126, -126], [-128, 127, 125, 125], [127, 127, 127, 127]]


def test_xnnpacks_zero_point_is_a_tie_that_goes_to_even() -> None:
    """One step is 1; the range from -100.5 has its zero at -27.5, which away from zero would be -28 as well, and -101.5 at -26.5."""
    zero_point = quantize_rows_to_even(rows([-100.5, 154.5], [-101.5, 153.5])).zero_point
    assert zero_point.tolist() == [-28, -26]
    assert quantize_rows(rows([-100.5, 154.5], [-101.5, 153.5]), asymmetric=True).zero_point.tolist() == [-28, -27]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e-45, 3e38])
def test_xnnpacks_rows_take_any_number(value: float) -> None:
    assert quantize_rows_to_even(rows([value, -value, 0])).codes.dtype == np.int8


@given(ROWS)
def test_xnnpacks_codes_lie_within_a_step_of_the_value(x: np.ndarray) -> None:
    codes, scale, zero_point = quantize_rows_to_even(x)
    real = (codes.astype(np.float64) - zero_point[:, np.newaxis]) * scale[:, np.newaxis]
    assert (np.abs(real - x) <= 1.01 * scale[:, np.newaxis]).all()


@given(ROWS, arrays.arrays(np.float32, 3, elements=st.floats(2.0**-9, 1, width=32)))
def test_scalings_agree_but_for_the_last_bits(x: np.ndarray, filter_scale: np.ndarray) -> None:
    accumulator = np.rint(np.resize(x, (len(x), 3))).astype(np.int64)
    scale = np.linspace(0.1, 1, len(x), dtype=np.float32)
    exact = accumulator.astype(np.float32).astype(np.float64) * scale[:, np.newaxis] * filter_scale
    for scaling in (real_values, channels_first, rows_first, unrounded_values):
        np.testing.assert_allclose(scaling(accumulator, scale, filter_scale), exact, rtol=2.0**-22)
    first = accumulator.astype(np.float32) * scale[:, np.newaxis]
    np.testing.assert_array_equal(unrounded_values(accumulator, scale, filter_scale), first.astype(np.float64) * filter_scale)
    np.testing.assert_array_equal(rows_first(accumulator, scale, filter_scale), first * filter_scale)
    other = accumulator.astype(np.float32) * filter_scale
    np.testing.assert_array_equal(channels_first(accumulator, scale, filter_scale), other * scale[:, np.newaxis])


def test_what_xnnpack_takes_it_does_its_own_way() -> None:
    assert dynamic_range(asymmetric=False, delegated=True).quantize is quantize_rows_to_even
    assert dynamic_range(asymmetric=False, delegated=False, builtin=rows_first).real_values is rows_first
    assert dynamic_range(asymmetric=False, delegated=False).quantize(rows([254, 0])).zero_point.tolist() == [0]


def test_bfloat16_scales_are_cut_off() -> None:
    assert cut_to_bfloat16(rows([1, 1 + 2**-7, 1 + 2**-7 + 2**-8, 2 - 2**-20])).tolist() == [[1, 1 + 2**-7, 1 + 2**-7, 2 - 2**-7]]
