"""Fixed-point arithmetic the slow way: Python's unbounded integers and fractions, one number at a time, straight from the definitions."""

from __future__ import annotations

import math
from fractions import Fraction

INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1
HALF = Fraction(1, 2)


def half_up(x: Fraction) -> int:
    return math.floor(x + HALF)


def half_away(x: Fraction) -> int:
    return math.floor(x + HALF) if x >= 0 else -math.floor(-x + HALF)


def half_even(x: Fraction) -> int:
    return round(x)


def wrap32(x: int) -> int:
    """What a 32-bit register keeps of x."""
    return (x - INT32_MIN) % 2**32 + INT32_MIN


def to_float(x: Fraction, bits: int) -> Fraction:
    """The nearest float of that many significant bits, ties to even; no limits on the exponent."""
    if x == 0:
        return x
    exponent = math.floor(math.log2(abs(x)))
    # log2 may be off by one next to a power of two.
    while abs(x) >= Fraction(2) ** (exponent + 1):
        exponent += 1
    while abs(x) < Fraction(2) ** exponent:
        exponent -= 1
    unit = Fraction(2) ** (exponent - bits + 1)
    return half_even(x / unit) * unit


def quantize_multiplier(real: float) -> tuple[int, int]:
    if real == 0:
        return 0, 0
    shift = 0
    exact = Fraction(real)
    while exact >= Fraction(2) ** shift:
        shift += 1
    while exact < Fraction(2) ** (shift - 1):
        shift -= 1
    multiplier = half_away(exact / Fraction(2) ** shift * 2**31)
    if multiplier == 2**31:
        multiplier, shift = 2**30, shift + 1
    return (0, 0) if shift < -31 else (multiplier, shift)


def high_mul(a: int, b: int) -> int:
    """As gemmlowp words it: a nudge of the product's sign, then division towards zero."""
    if a == b == INT32_MIN:
        return INT32_MAX
    nudged = a * b + (2**30 if a * b >= 0 else 1 - 2**30)
    return nudged // 2**31 if nudged >= 0 else -(-nudged // 2**31)


def divide_by_pot(x: int, exponent: int) -> int:
    """As gemmlowp words it: the remainder decides, by a threshold that depends on the sign."""
    mask = 2**exponent - 1
    return (x >> exponent) + ((x & mask) > (mask >> 1) + (x < 0))


def double_rounding(x: int, multiplier: int, shift: int) -> int:
    return divide_by_pot(high_mul(wrap32(wrap32(x) << max(shift, 0)), multiplier), max(-shift, 0))


def half_up_rounding(x: int, multiplier: int, shift: int) -> int:
    return half_up(Fraction(high_mul(wrap32(wrap32(x) << max(shift, 0)), multiplier), 2 ** max(-shift, 0)))


def single_rounding(x: int, multiplier: int, shift: int) -> int:
    return wrap32(half_up(Fraction(x * multiplier) / Fraction(2) ** (31 - shift)))


def reduced_multiplier(x: int, multiplier: int, shift: int) -> int:
    reduced = min(half_up(Fraction(multiplier, 2**16)), 2**15 - 1)
    return wrap32(half_up(Fraction(x * reduced) / Fraction(2) ** (15 - shift)))


def float32_rounding(x: int, scale: Fraction) -> int:
    rounded = half_even(to_float(to_float(Fraction(x), 24) * scale, 24))
    return min(max(rounded, INT32_MIN), 2**31 - 128)


def float64_rounding(x: int, scale: Fraction) -> int:
    rounded = half_away(to_float(Fraction(x) * scale, 53))
    return rounded if INT32_MIN < rounded <= INT32_MAX else INT32_MIN
