"""The float32, half-even rules of litert-quantizer, on numbers that can be followed by hand."""

from __future__ import annotations

import numpy as np
import pytest

from qcore.errors import InputError, QuantizationError
from qcore.numerics import QuantParams, choose_params, quantize
from qcore.numerics.half_even import (
    choose_half_even_params,
    quantize_bias_half_even,
    quantize_blocks_half_even,
    quantize_half_even,
)


def test_a_range_is_spread_over_all_codes_and_its_zero_point_goes_to_even() -> None:
    scale, zero_point = choose_half_even_params(-0.5, 254.5).single()
    assert (scale, zero_point) == (1.0, -128)  # -127.5 is a tie
    assert choose_params(-0.5, 254.5, precision="float32").single() == (1.0, -128)
    assert choose_half_even_params(-1.5, 253.5).single() == (1.0, -126)
    assert choose_params(-1.5, 253.5, precision="float32").single() == (1.0, -127)  # away from zero


def test_a_range_contains_zero_and_an_empty_one_has_a_scale() -> None:
    assert choose_half_even_params(2.0, 5.1).single() == (float(np.float32(5.1) / np.float32(255)), -128)
    scale, zero_point = choose_half_even_params(0.0, 0.0).single()
    assert scale == np.float32(1e-9) / np.float32(255)
    assert zero_point == -128


@pytest.mark.parametrize(("dtype", "least", "greatest"), [("int8", -127, 127), ("int16", -32767, 32767), ("int4", -8, 7)])
def test_symmetric_types_of_8_bits_leave_out_the_least_code_and_int4_does_not(dtype: str, least: int, greatest: int) -> None:
    params = choose_half_even_params(-1.0, 0.5, dtype, symmetric=True)
    assert params.single() == (float(np.float32(1) / np.float32(greatest)), 0)
    assert quantize_half_even([-9.0, 9.0], params).tolist() == [least, greatest]


def test_codes_go_to_even_after_the_zero_point_is_added() -> None:
    params = QuantParams(np.array([1.0], np.float32), np.array([3]))
    assert quantize_half_even([0.5, 1.5, -0.5], params).tolist() == [4, 4, 2]  # 3.5, 4.5, 2.5
    assert quantize([0.5, 1.5, -0.5], params).tolist() == [4, 5, 2]
    assert quantize_half_even([np.inf, -np.inf, np.nan], params).tolist() == [127, -128, 3]


def test_the_scales_of_blocks_are_numbers_that_bfloat16_has() -> None:
    x = np.zeros((2, 64), np.float32)
    x[0, :32], x[0, 5], x[1, 40] = 0.1, 7.03, -3.5
    quantized = quantize_blocks_half_even(x, 32)
    assert quantized.params.scale.tolist() == [[1.0078125, 2.0**-24], [2.0**-24, 0.5]]  # 7.03 / 7 = 1.00429
    assert quantized.data[0, 5] == 7
    assert quantized.data[1, 40] == -7
    with pytest.raises(InputError, match="blocks of 48"):
        quantize_blocks_half_even(x, 48)


def test_a_bias_is_divided_by_the_product_of_the_scales() -> None:
    quantized = quantize_bias_half_even([0.5, -1.5], 0.5, [0.5, 0.25])
    assert quantized.data.tolist() == [2, -12]
    assert quantized.params.scale.tolist() == [0.25, 0.125]
    assert quantized.data.dtype == np.int32


def test_the_precision_of_a_bias_is_that_of_its_scale() -> None:
    """The product of the scales has 48 bits; rounded to 24 it may move a quotient of millions by a step."""
    bias, first, second = np.float32(1920090), np.float32(3.8), np.float32(0.3)
    assert quantize_bias_half_even([bias], first, second, precision="float64").data.tolist() == [1684289]
    assert quantize_bias_half_even([bias], first, second).data.tolist() == [1684290]


@pytest.mark.parametrize("bits", [32, 64])
def test_a_bias_that_does_not_fit_saturates(bits: int) -> None:
    """litert-quantizer leaves it to the processor, which wraps the positive one on x86-64."""
    data = quantize_bias_half_even([1.0, -1.0, 0.0], 1e-9, 1e-9, bits).data  # type: ignore[arg-type]
    assert data.tolist() == [2**31 - 1, 1 - 2**31, 0]


def test_what_has_no_codes_is_refused() -> None:
    with pytest.raises(QuantizationError, match="range: got nan"):
        choose_half_even_params(np.nan, 1.0)
    with pytest.raises(QuantizationError, match="bias: got inf"):
        quantize_bias_half_even([np.inf], 1.0, 1.0)
    with pytest.raises(InputError, match="expected one for each or one"):
        quantize_bias_half_even([1.0, 2.0], 1.0, [1.0, 2.0, 3.0])
