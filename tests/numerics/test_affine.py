"""Codes of real numbers and back, in every type and granularity."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcore.errors import InputError, QuantizationError
from qcore.numerics import (
    QuantParams,
    choose_params,
    dequantize,
    element_type,
    fake_quantize,
    fake_quantize_mask,
    quantize,
    quantize_by_reciprocal,
    round_to_codes,
)
from tests.oracles import fixed_point as oracle

CODES = ["int8", "uint8", "int16", "uint16", "int4", "uint4", "int2", "int32", "int64"]
SCALES = st.floats(2.0**-20, 2.0**20, width=32)


def one(scale: float, zero_point: int, dtype: str = "int8", narrow: bool = False) -> QuantParams:
    return QuantParams(np.float32([scale]), np.array([zero_point]), dtype, narrow_range=narrow)


def clamp(code: int, params: QuantParams) -> int:
    return min(max(code, params.quantized_min), params.quantized_max)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int4", "uint4", "int2", "int16"])
@pytest.mark.parametrize("scale", [1.0, 0.018039215, 3.1e-6])
def test_every_code_survives_the_way_to_real_and_back(dtype: str, scale: float) -> None:
    kind = element_type(dtype)
    codes = np.arange(kind.quantized_min, kind.quantized_max + 1)
    for zero_point in (kind.quantized_min, 0, kind.quantized_max):
        params = one(scale, zero_point, dtype)
        back = quantize(dequantize(codes, params), params)
        assert (back == codes).all()
        assert back.dtype == kind.storage


@given(x=st.lists(st.floats(-1e6, 1e6, width=32), min_size=1), scale=SCALES, zero_point=st.integers(-128, 127))
def test_quantize_in_exact_arithmetic(x: list[float], scale: float, zero_point: int) -> None:
    """The quotient is rounded to float32, then half away; no other rounding."""
    params = one(scale, zero_point)
    exact = [clamp(oracle.half_away(oracle.to_float(Fraction(v) / Fraction(scale), 24)) + zero_point, params) for v in x]
    assert quantize(x, params).tolist() == exact


@given(x=st.lists(st.floats(-1e6, 1e6, width=32), min_size=1), scale=SCALES)
def test_quantize_by_reciprocal_in_exact_arithmetic(x: list[float], scale: float) -> None:
    params = one(scale, 0, narrow=True)
    reciprocal = oracle.to_float(oracle.to_float(1 / Fraction(scale), 53), 24)
    exact = [clamp(oracle.half_away(oracle.to_float(Fraction(v) * reciprocal, 24)), params) for v in x]
    assert quantize_by_reciprocal(x, params).tolist() == exact


@pytest.mark.parametrize("dtype", CODES)
def test_out_of_range_saturates_and_nan_is_real_zero(dtype: str) -> None:
    kind = element_type(dtype)
    zero_point = 0 if kind.bits == 64 else min(kind.quantized_max, 5)
    params = one(0.5, zero_point, dtype)
    with np.errstate(all="raise"):
        codes = quantize(np.float32([np.inf, -np.inf, np.nan, 3e38, -3e38, 1e10, -1e10, 0.0, -0.0]), params)
    top = kind.quantized_max if kind.bits < 64 else 2**63 - 1024
    if kind.bits < 32:
        assert codes.tolist() == [top, kind.quantized_min, zero_point] + [top, kind.quantized_min] * 2 + [zero_point] * 2
    else:
        assert codes[:5].tolist() == [top, kind.quantized_min, zero_point, top, kind.quantized_min]


def test_int32_codes_keep_all_their_bits() -> None:
    params = one(1.0, 0, "int32")
    codes = np.array([2**31 - 1, -(2**31), 2**24 + 1, 5], np.int32)
    assert quantize(np.float64([2.0**31, -(2.0**31), 2.0**24, 5.0]), params).tolist() == [2**31 - 1, -(2**31), 2**24, 5]
    assert (dequantize(codes, params) == codes.astype(np.float32)).all()
    assert (round_to_codes(codes.astype(np.float64), params) == codes).all()
    shifted = one(1.0, -7, "int32")
    assert dequantize(codes, shifted).tolist() == [float(np.float32(int(c) + 7)) for c in codes]


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_per_channel_equals_each_channel_alone(axis: int) -> None:
    x = np.random.default_rng(0).standard_normal((3, 4, 5)).astype(np.float32)
    channels = x.shape[axis]
    params = QuantParams(np.linspace(0.01, 0.03, channels), np.arange(channels) - 2, "int8", axis)
    codes = quantize(x, params)
    for i in range(channels):
        alone = one(params.scale[i], int(params.zero_point[i]))
        assert (codes.take(i, axis) == quantize(x.take(i, axis), alone)).all()
        assert (dequantize(codes, params).take(i, axis) == dequantize(codes.take(i, axis), alone)).all()


def test_blockwise_equals_each_block_alone() -> None:
    x = np.random.default_rng(0).standard_normal((2, 6)).astype(np.float32)
    params = QuantParams(np.linspace(0.1, 0.3, 6).reshape(2, 3), np.zeros(1, int), "int4", 1, 2)
    codes = quantize(x, params)
    for row in range(2):
        for block in range(3):
            part = slice(2 * block, 2 * block + 2)
            assert (codes[row, part] == quantize(x[row, part], one(params.scale[row, block], 0, "int4"))).all()


def test_a_part_whose_scale_is_zero_holds_zeros() -> None:
    """16x8 files of TensorFlow Lite give dead channels a scale of 0."""
    params = QuantParams(np.float32([0, 1]), np.zeros(1, int), quantized_dimension=0)
    x = np.float32([[5, -5, 0], [5, -5, 0]])
    for codes in (quantize(x, params), quantize_by_reciprocal(x, params)):
        assert codes.tolist() == [[0, 0, 0], [5, -5, 0]]
        assert dequantize(codes, params).tolist() == [[0, 0, 0], [5, -5, 0]]


def test_scales_without_a_reciprocal_saturate_and_keep_zero() -> None:
    params = one(1e-45, 0, narrow=True)
    assert quantize_by_reciprocal([0.0, 1e-30, -1.0], params).tolist() == [0, 127, -127]


def test_any_type_and_layout_of_reals() -> None:
    params = one(0.25, 3)
    x = np.arange(-8, 8, dtype=np.float32).reshape(4, 4) / 8
    expected = quantize(x, params)
    for other in (
        x.astype(np.float16),
        x.astype(np.float64),
        x.astype(">f4"),
        x.astype(ml_dtypes.bfloat16),
        x.tolist(),
        np.asfortranarray(x),
    ):
        assert (quantize(other, params) == expected).all()
    assert (quantize(x[::2, ::-1], params) == expected[::2, ::-1]).all()
    assert quantize(np.zeros((0, 3)), params).shape == (0, 3)
    assert quantize(0.5, params).shape == ()
    assert quantize(np.array([True, False]), params).tolist() == [7, 3]


@pytest.mark.parametrize("x", [np.array(["a"]), np.array([1j]), np.array([None]), [[1, 2], [3]]])
def test_arrays_that_hold_no_reals_are_refused(x: Any) -> None:
    for function in (quantize, quantize_by_reciprocal, fake_quantize, fake_quantize_mask):
        with pytest.raises(InputError, match="real numbers"):
            function(x, one(1.0, 0))


def test_shapes_and_codes_that_do_not_fit_are_refused() -> None:
    params = QuantParams(np.ones(3), np.zeros(1, int), quantized_dimension=0)
    with pytest.raises(QuantizationError, match="tensor of shape"):
        quantize(np.zeros((2, 3)), params)
    with pytest.raises(QuantizationError, match="tensor of shape"):
        dequantize(np.zeros((2, 3), np.int8), params)
    with pytest.raises(InputError, match="expected integers"):
        dequantize(np.zeros(3), one(1.0, 0))


@given(low=st.floats(-1e3, 0, width=32), high=st.floats(0, 1e3, width=32), dtype=st.sampled_from(["int8", "uint8", "int4", "int16"]))
def test_fake_quantize_is_idempotent_monotonic_and_half_a_step_off(low: float, high: float, dtype: str) -> None:
    params = choose_params(low, high, dtype)
    x = np.linspace(low - 1, high + 1, 301, dtype=np.float32)
    fake = fake_quantize(x, params)
    assert (fake_quantize(fake, params) == fake).all()
    assert (np.diff(fake) >= 0).all()
    inside = fake_quantize_mask(x, params)
    slack = params.scale[0] * (0.5 + (params.quantized_max - params.quantized_min) * 2.0**-23)
    assert (np.abs(fake - x)[inside] <= slack).all()


def test_the_gradient_passes_at_the_ends_and_stops_beyond() -> None:
    params = one(0.5, 10)
    low, high = 0.5 * (-128 - 10), 0.5 * (127 - 10)
    x = np.array([low, high, np.nextafter(np.float32(low), -np.inf), np.nextafter(np.float32(high), np.inf), np.nan], np.float32)
    assert fake_quantize_mask(x, params).tolist() == [True, True, False, False, False]
