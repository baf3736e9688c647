"""Rounding shifts beyond 31 bits, against the instructions they come from."""

from __future__ import annotations

import numpy as np
import pytest

from qcore.numerics.fixed_point import DoubleRounding, rounding_divide_by_pot
from qcore.numerics.shifting import RightRounding, rounding_divide_by_any_pot

X = np.array([-(2**31), -(2**31) + 1, -1000, -3, -2, -1, 0, 1, 2, 3, 1000, 2**31 - 1], np.int32)


def wrap(x: int, bits: int) -> int:
    return (x + (1 << (bits - 1))) % (1 << bits) - (1 << (bits - 1))


def by_instructions(x: int, exponent: int) -> int:
    """The C++ of RoundingDivideByPOT, one machine instruction at a time: shl by 6 bits, sar by 5."""
    mask = wrap(wrap(1 << (exponent & 63), 64) - 1, 32)
    remainder = x & mask
    threshold = (mask >> 1) + (x < 0)
    return wrap((x >> (exponent & 31)) + (remainder > threshold), 32)


@pytest.mark.parametrize("exponent", [*range(-40, 130)])
def test_every_exponent_is_what_the_instructions_give(exponent: int) -> None:
    assert rounding_divide_by_any_pot(X, exponent).tolist() == [by_instructions(int(x), exponent) for x in X]


def test_proper_exponents_round() -> None:
    exponents = np.arange(32, dtype=np.int32)[:, np.newaxis]
    np.testing.assert_array_equal(rounding_divide_by_any_pot(X, exponents), rounding_divide_by_pot(X, exponents))


def test_zero_becomes_one_past_31_bits() -> None:
    assert rounding_divide_by_any_pot(np.int32(0), [31, 32, 40]).tolist() == [0, 1, 1]


@pytest.mark.parametrize("shift", [-31, -5, 0])
def test_right_rounding_is_double_rounding_up_to_one(shift: int) -> None:
    np.testing.assert_array_equal(RightRounding(1518500250, shift)(X), DoubleRounding(1518500250, shift)(X))


def test_a_factor_above_one_leaves_the_sign() -> None:
    assert RightRounding(2038431744, 8)(X).tolist() == [-1, -1, -1, -1, -1, -1, 1, 1, 1, 1, 1, 1]
