"""Elementary functions of float32 as the GNU C library computes them, which is what TensorFlow Lite's reference kernels call.

exp and log are polynomials in float64 beside a table, rounded once to float32: nearly always to the nearest. tanh is taken from
``exp(x) - 1``, each step rounded to float32, and is off by up to two units in the last place; versions from 2.41 on round it correctly.

Source (GNU C library 2.28 to 2.40): sysdeps/ieee754/flt-32/e_expf.c, e_logf.c, s_tanhf.c, s_expm1f.c.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Reals = NDArray[np.float32]

EXP_STEPS = 32
"""Of the table of powers of two."""
EXP_CUBIC, EXP_SQUARE, EXP_LINEAR = 0.05550361559341535, 0.2402284522445722, 0.6931471806916203
"""Of ``2**r - 1`` by powers of r."""
EXP_ZERO = np.float32(-103.972084)
"""Inputs below which the exponential is 0."""

LOGISTIC_ONE = np.float32(16.619047164916992)
"""Inputs above which the logistic function is 1."""

LOG_RECIPROCALS = (
    *(1.398907162146528, 1.3403141896637998, 1.286432210124115, 1.2367150214269895),
    *(1.1906977166711752, 1.1479821020556429, 1.1082251448272158, 1.0711297413057381),
    *(1.036437278977283, 1.0, 0.9492859795739057, 0.8951049428609004),
    *(0.8476821620351103, 0.8050314851692001, 0.7664671008843108, 0.731428603316328),
)
"""One over a number in each sixteenth of the mantissas from 0.7 to 1.4."""
LOG_LEAST = 0x3F330000
"""The float whose bits are least among those of these mantissas."""
LOG_QUARTIC, LOG_CUBIC, LOG_SQUARE = -0.25089342214237154, 0.333456765744066, -0.4999997485802103
"""Of ``log(1 + r) - r`` by powers of r."""

EXPM1_LN2 = np.float32(6.9313812256e-1), np.float32(9.0580006145e-6)
"""ln(2) as a sum."""
EXPM1_LOG2_E = np.float32(1.4426950216)
EXPM1_COEFFICIENTS = (-2.0109921195e-7, 4.0082177293e-6, -7.936507609e-5, 1.5873016091e-3, -3.3333335072e-2, 1.0)
EXPM1_WHOLE, EXPM1_ONCE = np.float32(0.346573591), np.float32(1.03972077)
"""Magnitudes up to which nothing, and ln(2) once, is taken off an input."""

TANH_ONE = np.float32(22)


def exp(x: Reals) -> Reals:
    """``exp(x)`` of float32[...]."""
    steps = x.astype(np.float64) * (np.log2(np.e) * EXP_STEPS)
    with np.errstate(all="ignore"):
        whole = np.clip(np.nan_to_num(np.rint(steps)), -9999, 9999)
        r = (steps - whole) / EXP_STEPS
        mantissa = (EXP_CUBIC * r + EXP_SQUARE) * (r * r) + (EXP_LINEAR * r + 1)
        power = np.exp2(np.arange(EXP_STEPS) / EXP_STEPS)[whole.astype(np.int64) % EXP_STEPS]
        exponential = np.ldexp(mantissa * power, (whole // EXP_STEPS).astype(np.int32)).astype(np.float32)
    return np.where(x < EXP_ZERO, np.float32(0), exponential)


def logistic(x: Reals) -> Reals:
    """``1 / (1 + exp(-x))`` of float32[...]. Below -9 it is ``exp(x)``, up to 0.012 % too much."""
    one = np.float32(1)
    with np.errstate(over="ignore"):
        return np.where(x > LOGISTIC_ONE, one, np.where(x < -9, exp(x), one / (one + exp(-x))))


def log(x: Reals) -> Reals:
    """``log(x)`` of float32[...], positive normal numbers."""
    bits = x.view(np.int32) - LOG_LEAST
    reciprocal = np.array(LOG_RECIPROCALS)[bits >> 19 & 15]
    exponent = bits >> 23
    r = np.ldexp(x.astype(np.float64), -exponent) * reciprocal - 1
    square = r * r
    logarithm = (LOG_QUARTIC * square + (LOG_CUBIC * r + LOG_SQUARE)) * square + (exponent * np.log(2) - np.log(reciprocal) + r)
    return np.asarray(logarithm).astype(np.float32)


def tanh(x: Reals) -> Reals:
    """``tanh(x)`` of float32[...]: ``1 - 2 / (expm1(2 x) + 2)`` from 1 on, ``-expm1(-2 x) / (expm1(-2 x) + 2)`` up to there."""
    magnitude, one, two = np.abs(x), np.float32(1), np.float32(2)
    large = magnitude >= one
    e = expm1(np.where(large, two, -two) * np.minimum(magnitude, TANH_ONE))
    curve = np.where(large, one - two / (e + two), -e / (e + two))
    return np.copysign(curve, x)


def expm1(x: Reals) -> Reals:
    """``exp(x) - 1`` of float32[...], with ``x = k ln(2) + r``."""
    magnitude, half, one, two = np.abs(x), np.float32(0.5), np.float32(1), np.float32(2)
    with np.errstate(all="ignore"):
        nearest = np.trunc(EXPM1_LOG2_E * x + np.copysign(half, x))
        k: Reals = np.select([magnitude <= EXPM1_WHOLE, magnitude < EXPM1_ONCE], [np.float32(0), np.copysign(one, x)], nearest)
        high, low = x - k * EXPM1_LN2[0], k * EXPM1_LN2[1]
        r = high - low
        lost = (high - r) - low
        halved = half * r
        square = r * halved
        ratio = np.full_like(x, EXPM1_COEFFICIENTS[0])
        for coefficient in EXPM1_COEFFICIENTS[1:]:
            ratio = ratio * square + np.float32(coefficient)
        t = np.float32(3) - ratio * halved
        e = square * ((ratio - t) / (np.float32(6) - r * t))
        small = r - (r * e - square)
        e = (r * (e - lost) - lost) - square
        power = k.astype(np.int32)
        minus = np.ldexp(one, -power)
        few = np.ldexp((one - minus) - (e - r), power)
        many = np.ldexp((r - (e + minus)) + one, power)
        once = np.where(r < -0.25, -two * (e - (r + half)), one + two * (r - e))
        below = np.ldexp(one - (e - r), power) - one
    cases = [k == 0, k == -1, k == 1, (k <= -2) | (k > 56), k < 23]
    return np.asarray(np.select(cases, [small, half * (r - e) - half, once, below, few], many))
