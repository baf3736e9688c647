"""XNNPACK's arithmetic of codes, against exact fractions."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from qcore.numerics.xnnpack import affine_codes, common_multipliers, short_rescaling
from tests.oracles.fixed_point import half_away, half_even, half_up, to_float

CODES = np.arange(-255, 256, dtype=np.int32)


@pytest.mark.parametrize("factor", [2.0**-8, 0.3, 1.0, 1.5 / 256, 2.5 / 256, 127.99, 128.0, -0.3, -127.99])
def test_short_rescalings_keep_eight_fractional_bits_of_the_factor(factor: float) -> None:
    multiplier = half_even(256 * Fraction(float(np.float32(factor))))
    expected = [half_up(Fraction(int(x) * multiplier, 256)) for x in CODES]
    assert short_rescaling(np.float32(factor))(CODES).tolist() == expected


@pytest.mark.parametrize("factors", [(1.0, 1.0), (0.3, 0.007), (2.0**-10, 2.0**-10), (255.9, 0.001), (0.9999999, 0.5), (1.3, 200.0)])
def test_common_multipliers_share_the_power_of_two_that_suits_the_greater(factors: tuple[float, float]) -> None:
    first, second = (np.float32(factor) for factor in factors)
    multiplier1, multiplier2, requantize = common_multipliers(first, second)
    shift = 20 - math.floor(math.log2(max(first, second)))
    assert 2**20 <= max(multiplier1, multiplier2) <= 2**21
    for factor, multiplier in ((first, multiplier1), (second, multiplier2)):
        assert multiplier == half_even(Fraction(float(factor)) * 2**shift)
    sums = CODES * multiplier1 + CODES[::-1] * multiplier2
    assert requantize(sums).tolist() == [half_up(Fraction(int(x), 2**shift)) for x in sums]


def test_the_greatest_sum_fits_int32() -> None:
    below_256 = np.nextafter(np.float32(256), np.float32(0))
    multiplier1, multiplier2, requantize = common_multipliers(below_256, below_256)
    total = 255 * (multiplier1 + multiplier2)
    assert total + 2**12 < 2**31
    assert requantize(np.array([total], np.int32)).tolist() == [255 * 512]


@pytest.mark.parametrize(("dtype", "offset"), [("int8", 0.0), ("int8", -128.0), ("int8", 5.5), ("uint8", 128.0)])
def test_affine_codes_round_the_sum_in_float32_and_saturate(dtype: str, offset: float) -> None:
    limits, factor = np.iinfo(dtype), np.float32(0.25)
    sums = [to_float(to_float(Fraction(int(x)) * Fraction(1, 4), 24) + Fraction(offset), 24) for x in 10 * CODES]
    expected = [min(max(half_away(total), limits.min), limits.max) for total in sums]
    codes = affine_codes(10 * CODES, factor, np.float32(offset), dtype)
    assert codes.dtype == dtype
    assert codes.tolist() == expected


def test_ties_of_affine_codes_go_away_from_code_0() -> None:
    """-2.5 steps from a zero point of 1 are -1.5, which becomes -2; from a zero point of 3 they are 0.5, which becomes 1."""
    x = np.float32([-2.5])
    assert affine_codes(x, np.float32(1), np.float32(1), "int8").tolist() == [-2]
    assert affine_codes(x, np.float32(1), np.float32(3), "int8").tolist() == [1]
