"""Exponential, logarithm, reciprocal, inverse square root, logistic and tanh of fixed-point numbers, in integers alone.

``Qi`` is a number of 32 bits (or 16) with a sign, i integer bits and the rest fractional bits: the integer n stands for
``n / 2**(31 - i)`` (or ``n / 2**(15 - i)``). Q0 covers [-1, 1); its greatest number stands for 1 where 1 is meant.

These are approximations, and every rounding in them is part of the result. All round products to nearest with ties up, as
``saturating_rounding_doubling_high_mul``, and shift right with ties away from zero, as ``rounding_divide_by_pot``.

Source: gemmlowp fixedpoint/fixedpoint.h; tflite/kernels/internal/common.h.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qcore.numerics.fixed_point import rounding_divide_by_pot, saturating_rounding_doubling_high_mul
from qcore.numerics.rounding import round_half_away

Bits = Literal[16, 32]
Integers = NDArray[np.int64]

NEWTON_STEPS_RECIPROCAL = 3
NEWTON_STEPS_INVERSE_SQRT = 5


@dataclass(frozen=True)
class Width:
    """Arithmetic on fixed-point numbers of one width.

    They are held as int64, so that plain sums and differences are exact, and stand for themselves divided by a power of two that
    the caller keeps track of.

    bits: 16 or 32.
    """

    bits: Bits

    @property
    def greatest(self) -> int:
        """The greatest number; in Q0 it stands for 1."""
        return (1 << (self.bits - 1)) - 1

    def fractional_bits(self, integer_bits: int) -> int:
        """What Qi leaves beside the sign and i."""
        return self.bits - 1 - integer_bits

    def constant(self, real: float, integer_bits: int = 0) -> int:
        """A real number in Qi: rounded to 32 bits, and from there to 16 where that is the width."""
        return int(rounding_divide_by_pot(round(math.ldexp(real, 31 - integer_bits)), 32 - self.bits))

    def multiply(self, a: Integers, b: Integers | int) -> Integers:
        """Qi times Qj, in Q(i + j)."""
        aligned = np.asarray(b, np.int64) << (32 - self.bits)
        return np.minimum(saturating_rounding_doubling_high_mul(a, aligned), np.int64(self.greatest))

    def scale_up(self, a: Integers, exponent: Integers | int) -> Integers:
        """``a * 2**exponent``, saturating: a number in Qi brought to Q(i - exponent)."""
        shifted: Integers = np.left_shift(a, exponent)
        return np.clip(shifted, -self.greatest - 1, self.greatest)

    def scale_down(self, a: Integers, exponent: int) -> Integers:
        """``a / 2**exponent``: a number in Qi brought to Q(i + exponent).

        A shift by the whole width leaves 1, or -1 of a number below 0: there gemmlowp's mask for the remainder is all ones.
        """
        if exponent >= self.bits:
            return np.where(a < 0, -1, 1)
        return rounding_divide_by_pot(a, exponent).astype(np.int64)

    def half_sum(self, a: Integers, b: int) -> Integers:
        """``(a + b) / 2``, ties away from zero."""
        return self.scale_down(a + b, 1)

    def store(self, a: Integers) -> NDArray[Any]:
        """As int16 or int32."""
        return a.astype(np.int16 if self.bits == 16 else np.int32)


def exp_on_negative_values(x: ArrayLike, integer_bits: int, bits: Bits = 32) -> NDArray[Any]:
    """``exp(x)`` for x up to 0.

    x is split into a remainder in [-1/4, 0), whose exponential is a Taylor polynomial around -1/8, and quarters below it, each of
    whose binary digits multiplies by its own constant ``exp(-2**k)``.

    Args:
        x: int32[...] (int16 where bits is 16) in Qi, not positive.
        integer_bits: i, at least 1.
        bits: width of the numbers.

    Returns:
        int32[...] (int16) in Q0.

    Source: gemmlowp fixedpoint/fixedpoint.h#exp_on_negative_values.
    """
    width, x = Width(bits), np.asarray(x, np.int64)
    point = width.fractional_bits(integer_bits)
    quarter = 1 << (point - 2)
    remainder = (x & (quarter - 1)) - quarter
    quarters = remainder - x
    result = _exp_around_minus_eighth(width, width.scale_up(remainder, integer_bits))
    for k in range(-2, min(integer_bits, 5)):
        digit = (quarters >> (point + k)) & 1
        result = np.where(digit == 1, width.multiply(result, width.constant(math.exp(-(2.0**k)))), result)
    if integer_bits > 5:
        result = np.where(x < -(32 << point), 0, result)
    return width.store(np.where(x == 0, width.greatest, result))


def _exp_around_minus_eighth(width: Width, x: Integers) -> Integers:
    """Taylor polynomial of degree 4 for x in [-1/4, 0), Q0 to Q0."""
    d = x + width.constant(1 / 8)
    d2 = width.multiply(d, d)
    d3 = width.multiply(d2, d)
    d4 = width.multiply(d2, d2)
    third = width.multiply(width.scale_down(d4, 2) + d3, width.constant(1 / 3))
    terms = d + width.scale_down(third + d2, 1)
    centre = width.constant(math.exp(-1 / 8))
    return np.minimum(width.multiply(terms, centre) + centre, width.greatest)


def _twice_reciprocal_of_one_plus(width: Width, x: Integers) -> Integers:
    """``2 / (1 + x)`` for x in [0, 1], Q0 to Q2, by Newton's division of 1 by ``(1 + x) / 2``."""
    divisor = width.half_sum(x, width.greatest)
    one = width.constant(1, 2)
    y = width.multiply(divisor, width.constant(-32 / 17, 2)) + width.constant(48 / 17, 2)
    for _ in range(NEWTON_STEPS_RECIPROCAL):
        error = one - width.multiply(divisor, y)
        y = y + width.scale_up(width.multiply(y, error), 2)
    return y


def one_over_one_plus_x(x: ArrayLike, bits: Bits = 32) -> NDArray[Any]:
    """``1 / (1 + x)`` for x in [0, 1].

    Args:
        x: int32[...] (int16 where bits is 16) in Q0, not negative.
        bits: width of the numbers.

    Returns:
        int32[...] (int16) in Q0.

    Source: gemmlowp fixedpoint/fixedpoint.h#one_over_one_plus_x_for_x_in_0_1.
    """
    width = Width(bits)
    return width.store(width.scale_up(_twice_reciprocal_of_one_plus(width, np.asarray(x, np.int64)), 1))


def logistic(x: ArrayLike, integer_bits: int, bits: Bits = 32) -> NDArray[Any]:
    """``1 / (1 + exp(-x))``.

    Args:
        x: int32[...] (int16 where bits is 16) in Qi.
        integer_bits: i, at least 1.
        bits: width of the numbers.

    Returns:
        int32[...] (int16) in Q0.

    Source: gemmlowp fixedpoint/fixedpoint.h#logistic.
    """
    width, x = Width(bits), np.asarray(x, np.int64)
    positive = one_over_one_plus_x(exp_on_negative_values(-np.abs(x), integer_bits, bits), bits).astype(np.int64)
    result = np.where(x > 0, positive, width.greatest - positive)
    return width.store(np.where(x == 0, width.constant(1 / 2), result))


def tanh(x: ArrayLike, integer_bits: int, bits: Bits = 32) -> NDArray[Any]:
    """``tanh(x) = (1 - exp(-2 x)) / (1 + exp(-2 x))``.

    Args:
        x: int32[...] (int16 where bits is 16) in Qi.
        integer_bits: i.
        bits: width of the numbers.

    Returns:
        int32[...] (int16) in Q0.

    Source: gemmlowp fixedpoint/fixedpoint.h#tanh.
    """
    width, x = Width(bits), np.asarray(x, np.int64)
    # The same integers in Q(i + 1) are twice the number.
    decay = exp_on_negative_values(-np.abs(x), integer_bits + 1, bits).astype(np.int64)
    magnitude = width.scale_up(_twice_reciprocal_of_one_plus(width, decay) - width.constant(1, 2), 2)
    return width.store(np.sign(x) * magnitude)


def reciprocal(x: ArrayLike, integer_bits: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """``1 / x`` as ``mantissa * 2**-exponent``.

    Args:
        x: int64[...] in (0, 2**32), a number with integer_bits integer bits and 31 - integer_bits fractional ones.
        integer_bits: i.

    Returns:
        mantissa: int32[...] in Q0, from 1/2 to 1.
        exponent: int32[...], ``floor(log2(x))``; below 0 for x under 1.

    Source: tflite/kernels/internal/common.h#GetReciprocal.
    """
    x = np.asarray(x, np.int64)
    headroom = 32 - _bit_length(x)
    return one_over_one_plus_x((x << headroom) - (1 << 31)), (integer_bits - headroom).astype(np.int32)


def log_of_positive(x: ArrayLike, integer_bits: int, output_integer_bits: int) -> NDArray[np.int32]:
    """Natural logarithm.

    x is written as ``2**k * r`` twice over: with the greatest whole k, r in [1/2, 1), and with a k that lies half a step aside, by
    way of ``x * sqrt(1/2)``. The smaller r, which lies within a factor ``2**(1/4)`` of ``c = 2**(-1/4)``, goes into a rational
    approximation of ``log(r / c)``.

    Args:
        x: int32[...] in Qi, at least ``1 / 2**i``.
        integer_bits: i.
        output_integer_bits: integer bits of the result, enough to hold the logarithm of ``2**i``.

    Returns:
        int32[...] in Q(output_integer_bits).

    Source: tflite/kernels/internal/common.h#log_x_for_x_greater_than_or_equal_to_1_impl.
    """
    width, x = Width(32), np.asarray(x, np.int64)
    accumulator_bits = output_integer_bits + 1
    point = width.fractional_bits(accumulator_bits)
    sqrt_half, centre = width.constant(math.sqrt(0.5)), width.constant(2**-0.25)
    quarter = 1 << (point - 2)

    headroom = 31 - _bit_length(x)
    whole = width.scale_up(width.multiply(width.scale_up(x, headroom), sqrt_half), 1)
    whole_power = width.scale_up(integer_bits - 1 - headroom, point) + quarter
    headroom = 31 - _bit_length(width.multiply(x, sqrt_half))
    aside = width.scale_up(x, headroom)
    aside_power = width.scale_up(integer_bits - headroom, point) - quarter
    r, power = np.minimum(whole, aside), np.maximum(whole_power, aside_power)

    half_sum, twice_difference = width.half_sum(r, centre), 2 * (r - centre)
    square = width.multiply(twice_difference, twice_difference)
    root = 2**0.25
    numerator = width.multiply(twice_difference, r) + width.multiply(
        width.multiply(twice_difference, square), width.constant(11 / 240 * root)
    )
    slope = width.constant(2 / root - root) + twice_difference + width.multiply(square, width.constant(root / 20))
    denominator_minus_one = width.multiply(half_sum, slope) + width.multiply(twice_difference, width.constant(root / 4))
    quotient = width.multiply(width.scale_down(numerator, accumulator_bits), one_over_one_plus_x(denominator_minus_one))
    return np.asarray(width.scale_up(width.multiply(power, width.constant(math.log(2))) + quotient, 1), np.int32)


def inverse_sqrt_multiplier(x: ArrayLike) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """``1 / sqrt(x)`` of an integer, as ``multiplier * 2**(shift - 31)``.

    x is brought into [1/4, 1) by a power of 4; from there Newton's method, ``y (3 - x y**2) / 2``, starts at 1.

    Args:
        x: int32[...]; 1 stands in for all that is less.

    Returns:
        multiplier: int32[...], not always normalized.
        shift: int32[...], positive to the left; never positive here.

    Source: tflite/kernels/internal/common.h#GetInvSqrtQuantizedMultiplierExp.
    """
    width, x = Width(32), np.asarray(x, np.int64)
    invalid = x <= 1
    safe = np.where(invalid, 2, x)
    powers_of_four = (31 - _bit_length(safe)) // 2 - 1
    scaled = np.where(powers_of_four < 0, safe >> 2, safe << (2 * np.maximum(powers_of_four, 0))) >> 1
    half = width.scale_down(scaled, 1)
    three_halves = width.constant(1.5, 3)
    y = np.full_like(safe, width.constant(1, 3))
    for _ in range(NEWTON_STEPS_INVERSE_SQRT):
        cube = width.scale_up(width.multiply(width.multiply(y, y), y), 6)
        y = width.scale_up(width.multiply(y, three_halves) - width.multiply(half, cube), 3)
    y = width.multiply(y, width.constant(math.sqrt(0.5)))
    shift = powers_of_four - 11
    multiplier = np.where(invalid, width.greatest, y << np.maximum(shift, 0)).astype(np.int32)
    return multiplier, np.where(invalid, 0, np.minimum(shift, 0)).astype(np.int32)


def logistic_samples() -> NDArray[np.int32]:
    """The logistic function at 0, 1/24, ..., 255/24 in units of 2**-16, for straight lines in between.

    Each sample is raised by half of what its line falls short of the function at the middle, which halves the greatest error. The
    last one is the greatest number of 16 bits.

    Returns:
        int32[256].

    Source: tflite/kernels/internal/common.h#sigmoid_table_uint16.
    """
    starts, middles = np.arange(257) / 24, (np.arange(256) + 0.5) / 24
    at_starts, at_middles = 1 / (1 + np.exp(-starts)), 1 / (1 + np.exp(-middles))
    shortfall = at_middles - (at_starts[:-1] + at_starts[1:]) / 2
    samples = round_half_away(65536 * (at_starts[:-1] + shortfall / 2)).astype(np.int32)
    samples[-1] = 65535
    return samples


def _bit_length(x: Integers) -> Integers:
    """Binary digits of positive integers below 2**53."""
    return np.frexp(x.astype(np.float64))[1].astype(np.int64)
