"""Biases and the guards against scales that are too small for them."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcore.errors import InputError, QuantizationError
from qcore.numerics import guarded_filter_range, quantize_bias
from tests.oracles import fixed_point as oracle

SCALES = st.floats(2.0**-30, 2.0**10, width=32)


@given(bias=st.floats(-1e6, 1e6, width=32), input_scale=SCALES, filter_scale=SCALES, bits=st.sampled_from([32, 64]))
def test_codes_in_exact_arithmetic(bias: float, input_scale: float, filter_scale: float, bits: Any) -> None:
    """float32 scale, float32 reciprocal by way of double, float32 product, half away, clamped to what a double can hold of the type."""
    result = quantize_bias([bias], input_scale, filter_scale, bits, guard=False)
    scale = oracle.to_float(Fraction(input_scale) * Fraction(filter_scale), 24)
    reciprocal = oracle.to_float(oracle.to_float(1 / scale, 53), 24)
    code = oracle.half_away(oracle.to_float(Fraction(bias) * reciprocal, 24))
    limit = min(2 ** (bits - 1) - 1, 2**63 - 1024)
    assert result.scale.tolist() == [float(scale)]
    assert result.data.tolist() == [min(max(code, -limit), limit)]
    assert result.data.dtype == f"int{bits}"


def test_the_guard_raises_only_the_channels_that_need_it() -> None:
    bias, filter_scale = np.float32([1.3281845, -1.0]), np.float32([1e-9, 0.01])
    result = quantize_bias(bias, 0.5, filter_scale)
    assert result.data.tolist() == [2**30, -200]
    assert result.scale.tolist() == [float(np.float32(float(bias[0]) / (2**30 - 1))), float(np.float32(0.5 * 0.01))]
    assert result.filter_scale.tolist() == [float(np.float32(float(bias[0]) / (2**30 - 1) / 0.5)), float(filter_scale[1])]
    assert abs(float(result.data[0]) * float(result.scale[0]) - bias[0]) < 1e-6


def test_without_the_guard_the_bias_is_clipped() -> None:
    result = quantize_bias(np.float32([1.3, -1.3]), 0.5, np.float32([1e-12]), guard=False)
    assert result.data.tolist() == [2**31 - 1, -(2**31) + 1]
    assert result.filter_scale.tolist() == [float(np.float32(1e-12))]


def test_the_guard_of_a_whole_tensor_goes_by_its_greatest_bias() -> None:
    result = quantize_bias(np.float32([0.5, -2.0, 0.0]), 1.0, 1e-12)
    assert result.data.tolist() == [2**28, -(2**30), 0]
    assert result.scale.shape == result.filter_scale.shape == (1,)


def test_a_filter_scale_of_zero_gives_zeros() -> None:
    """Unguarded: a dead channel of a 16x8 file."""
    assert quantize_bias(np.float32([0.5, 1.0]), 1.0, np.float32([0, 1]), 64).data.tolist() == [0, 1]


def test_empty_biases() -> None:
    assert quantize_bias(np.zeros(0), 1.0, 1.0).data.shape == (0,)


def test_the_guard_for_16_bit_activations_makes_the_bias_half_of_int32() -> None:
    """The greatest filter magnitude m gives the scale m / 127, at which the bias takes half of int32; others stay."""
    bias, ranges = np.float32([1.5, -1.0, 0.0]), np.float32([1e-10, 1.0, 0.0])
    result = guarded_filter_range(bias, 0.25, ranges)
    assert result[0] == pytest.approx(2 * 1.5 / (2**31 - 1) * 127 / 0.25, rel=1e-6)
    assert result[1:].tolist() == [1.0, 0.0]
    scale = float(result[0]) / 127
    assert abs(bias[0]) / (0.25 * scale) == pytest.approx((2**31 - 1) / 2, rel=1e-6)
    assert guarded_filter_range(bias, 0.25, 1e-10).shape == (1,)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (([np.nan], 1.0, 1.0), QuantizationError),
        (([np.inf], 1.0, 1.0), QuantizationError),
        (([1.0], 0.0, 1.0), QuantizationError),
        (([1.0], np.nan, 1.0), QuantizationError),
        (([1.0], 1.0, -1.0), QuantizationError),
        (([1.0], 1.0, np.inf), QuantizationError),
        (([1.0, 2.0], 1.0, [1.0, 1.0, 1.0]), InputError),
        (([[1.0]], 1.0, 1.0), InputError),
        ((["a"], 1.0, 1.0), InputError),
        (([1.0], 1.0, 1.0, 16), InputError),
    ],
)
def test_biases_and_scales_that_make_no_sense_are_refused(arguments: tuple[Any, ...], error: type[Exception]) -> None:
    with pytest.raises(error):
        quantize_bias(*arguments)
    if len(arguments) == 3:
        with pytest.raises(error):
            guarded_filter_range(*arguments)
