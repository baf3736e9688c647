"""The four divisions that converters make codes of constants by, told apart by values on which they differ."""

from __future__ import annotations

import numpy as np
import pytest

from qcore.errors import QuantizationError
from qcore.numerics import (
    QuantParams,
    greatest_magnitude,
    quantize,
    quantize_by_division,
    quantize_by_reach,
    quantize_in_double,
    symmetric_params,
)

W = np.float32([[0.3483826, 0.061721325], [0, 0]])
"""127 / 0.3483826 * 0.061721325 is 22.4999997."""


def test_greatest_magnitude_of_a_tensor_and_of_channels() -> None:
    values = np.float32([[1, -3], [2, 0]])
    assert greatest_magnitude(values, None).tolist() == 3
    assert greatest_magnitude(values, 0).tolist() == [3, 2]
    assert greatest_magnitude(values, 1).tolist() == [2, 3]
    assert greatest_magnitude(values[:0], 0).tolist() == []
    assert greatest_magnitude(values[:0], None).tolist() == 0


def test_symmetric_params_widen_nothing() -> None:
    params = symmetric_params(np.float32([1e-9, 0]), "int16", axis=0)
    assert params.scale.tolist() == [np.float32(1e-9) / np.float32(32767), 0]
    assert (params.zero_point.tolist(), params.quantized_min, params.quantized_dimension) == ([0, 0], -32767, 0)


@pytest.mark.parametrize("reach", [-1.0, np.nan, np.inf])
def test_symmetric_params_refuse_what_is_no_magnitude(reach: float) -> None:
    with pytest.raises(QuantizationError, match="scale: got"):
        symmetric_params(reach)


def test_division_in_double_gives_22_where_a_reciprocal_in_float32_gives_23() -> None:
    assert quantize_by_division(W, "int8", 0).data.tolist() == [[127, 22], [0, 0]]
    reach = greatest_magnitude(W, 0)
    assert quantize_by_reach(W, reach, symmetric_params(reach, "int8", 0)).tolist() == [[127, 23], [0, 0]]


def test_division_gives_a_channel_of_zeros_the_least_scale() -> None:
    codes = quantize_by_division(np.float32([[0, 0], [127, 1]]), "int8", 0)
    assert codes.params.scale.tolist() == [np.float32(1e-6 / 254), 1]
    assert codes.data.tolist() == [[0, 0], [127, 1]]


def test_division_knows_int4() -> None:
    assert quantize_by_division(np.float32([7, -3.4, 3.5]), "int4", None).data.tolist() == [7, -3, 4]


def test_reach_of_a_whole_tensor() -> None:
    reach = greatest_magnitude(W, None)
    assert quantize_by_reach(W, reach, symmetric_params(reach)).tolist() == [[127, 23], [0, 0]]
    assert quantize_by_reach(W * 0, reach * 0, symmetric_params(0.0)).tolist() == [[0, 0], [0, 0]]


def test_in_double_the_zero_point_counts_before_rounding() -> None:
    """-1.5 steps and a zero point of 3 are 1.5, and so 2; ``quantize`` rounds -1.5 to -2, and gives 1."""
    params = QuantParams(np.float32([1]), np.array([3]))
    assert quantize_in_double(np.float32([-1.5, 1.5]), params).tolist() == [2, 5]
    assert quantize(np.float32([-1.5, 1.5]), params).tolist() == [1, 5]


def test_in_double_infinities_saturate_and_nan_is_zero() -> None:
    params = QuantParams(np.float32([0.5]), np.array([-7]))
    assert quantize_in_double(np.float32([np.inf, -np.inf, np.nan, 1e30]), params).tolist() == [127, -128, -7, 127]
