"""Elementary functions of float32 as XNNPACK's kernels for AVX-512 compute them: polynomials whose steps are fused, in vectors of 16.

A fused step rounds once what it multiplies and adds. It is taken in float64, in which the product is exact; the sum, rounded to float64
and then to float32, could differ from a single rounding in one of about 2**29 steps. On processors without AVX-512 XNNPACK takes other
kernels, whose last bits differ.

Source (XNNPACK, February 2026): src/f32-raddstoreexpminusmax/avx512f-rr2-p5.c.in,
src/f32-vsigmoid/avx512f-rr2-lut32-p2-perm2-scalef.c.in, src/f32-vtanh/rational-9-8.c.in, src/f32-vgelu/rational-12-10.c.in,
src/f32-vapproxgelu/rational-12-10.c.in, src/f32-vrsqrt/gen/f32-vrsqrt-avx512f-rsqrt.c, src/f32-vsqrt/gen/f32-vsqrt-avx512f-rsqrt.c.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from qcore.kernels.delegate_sums import fused

Reals = NDArray[np.float32]

LOG2_E = np.float32(1.44269502)

EXP_COEFFICIENTS = (0.00828929059, 0.0418978222, 0.166676521, 0.499991506, 0.999999702)
"""Of the powers of r in ``(exp(r) - 1) / r``, the highest first."""

EXP_LN2 = np.float32(0.693145752), np.float32(1.42860677e-06)
"""ln(2) as a sum, to be subtracted in turn."""

EXP_BIAS = np.float32(12583039.0)
"""1.5 * 2**23 + 127: added to a float, leaves its whole part, as an exponent, in the last bits."""

EXP_ZERO = np.float32(-87.3365402)
"""Inputs below which the exponential is 0."""

LOGISTIC_LN2 = np.float32(0.693147182), np.float32(-1.90465421e-09)
LOGISTIC_STEPS = 32
"""Of the table of powers of two."""
LOGISTIC_BIAS = np.float32(1.5 * 2**18)
"""Added to a float, leaves its 32nds in the last bits."""
LOGISTIC_COEFFICIENTS = (0.5, 1.00001466)

TANH_ONE = np.float32(7.9807181358)
TANH_NUMERATOR = (1.4248920266e-8, 2.1235626264e-5, 3.5330520477e-3, 1.3412411511e-1, 1.0)
TANH_DENOMINATOR = (8.1365948290e-7, 3.3472978976e-4, 2.6018999517e-2, 4.6745735407e-1, 1.0)
"""Of ``tanh(x) = x * numerator(x**2) / denominator(x**2)``."""

GELU_ONE = np.float32(5.1638283730)
GELU_NUMERATOR = (4.5835321316e-8, 1.2609783880e-5, 3.2973114867e-4, 9.3065137044e-3, 6.6972173750e-2, 7.9788452387e-1)
GELU_DENOMINATOR = (1.1988805682e-6, 7.2267655923e-5, 1.8622842617e-3, 2.8431978077e-2, 2.5060352683e-1, 1.0)
"""Of ``erf(x / sqrt(2)) = x * numerator(x**2) / denominator(x**2)``."""

GELU_BY_TANH_ONE = np.float32(4.84974098)
GELU_BY_TANH_NUMERATOR = (4.9544411240e-8, 1.4302649106e-5, 2.6887017884e-4, 7.2898347862e-3, 6.0803253204e-2, 7.9788458347e-1)
GELU_BY_TANH_DENOMINATOR = (1.3433452750e-6, 7.6477612311e-5, 1.3060354395e-3, 2.4381054565e-2, 2.4369759858e-1, 1.0)
"""Of ``tanh(sqrt(2 / pi) * (x + 0.044715 x**3)) = x * numerator(x**2) / denominator(x**2)``."""


def polynomial(x: Reals, coefficients: Sequence[float]) -> Reals:
    """By Horner's rule in fused steps, the highest power's coefficient first."""
    value = np.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        value = fused(x, value, np.float32(coefficient))
    return value


def odd_ratio(x: Reals, greatest: np.float32, numerator: Sequence[float], denominator: Sequence[float]) -> Reals:
    """``x * numerator(x**2) / denominator(x**2)`` of x within plus or minus the greatest."""
    x = np.clip(x, -greatest, greatest)
    square = x * x
    return x * polynomial(square, numerator) / polynomial(square, denominator)


def tanh(x: Reals) -> Reals:
    """``tanh(x)`` of float32[...]."""
    return odd_ratio(x, TANH_ONE, TANH_NUMERATOR, TANH_DENOMINATOR)


def gelu(x: Reals) -> Reals:
    """``x / 2 * (1 + erf(x / sqrt(2)))`` of float32[...]."""
    return x * np.float32(0.5) * (odd_ratio(x, GELU_ONE, GELU_NUMERATOR, GELU_DENOMINATOR) + np.float32(1))


def gelu_by_tanh(x: Reals) -> Reals:
    """``x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x**3)))`` of float32[...]."""
    return x * np.float32(0.5) * (odd_ratio(x, GELU_BY_TANH_ONE, GELU_BY_TANH_NUMERATOR, GELU_BY_TANH_DENOMINATOR) + np.float32(1))


def exp_below_zero(x: Reals) -> Reals:
    """``exp(x)`` of float32[...] up to 0."""
    x = x.astype(np.float32, copy=False)
    with np.errstate(invalid="ignore", over="ignore"):
        biased = fused(x, LOG2_E, EXP_BIAS)
        power = (biased.view(np.int32) << 23).view(np.float32)
        r = x
        for part in EXP_LN2:
            r = fused(biased - EXP_BIAS, -part, r)
        exponential = fused(r * power, polynomial(r, EXP_COEFFICIENTS), power)
    return np.where(x < EXP_ZERO, np.float32(0), exponential)


def logistic(x: Reals) -> Reals:
    """``1 / (1 + exp(-x))`` of float32[...], with ``exp(-abs(x)) = 2**(n / 32) * exp(r)``."""
    negative = -np.abs(x)
    with np.errstate(invalid="ignore", over="ignore"):
        biased = fused(negative, LOG2_E, LOGISTIC_BIAS)
        root = np.exp2(np.arange(LOGISTIC_STEPS) / LOGISTIC_STEPS).astype(np.float32)[biased.view(np.int32) % LOGISTIC_STEPS]
        n = biased - LOGISTIC_BIAS
        r = negative
        for part in LOGISTIC_LN2:
            r = fused(n, -part, r)
        mantissa = fused(r * root, polynomial(r, LOGISTIC_COEFFICIENTS), root)
        e = np.ldexp(mantissa, np.maximum(np.nan_to_num(np.floor(n)), -1000).astype(np.int32))
        share = np.where(np.isneginf(n), np.float32(0), e / (e + np.float32(1)))
    return np.where(x > 0, np.float32(1) - share, share)


def rsqrt(estimate: Callable[[Reals], Reals], x: Reals) -> Reals:
    """``1 / sqrt(x)`` of float32[...], by one step of Newton's from the processor's estimate."""
    y, half, one = estimate(x), np.float32(0.5), np.float32(1)
    with np.errstate(invalid="ignore"):
        return np.where(np.isposinf(x), np.float32(0), y - (x * (y * y) - one) * (half * y))


def sqrt(estimate: Callable[[Reals], Reals], x: Reals) -> Reals:
    """``sqrt(x)`` of float32[...] as ``x * rsqrt(x)``."""
    y, half, one = estimate(x), np.float32(0.5), np.float32(1)
    with np.errstate(invalid="ignore"):
        return x * np.where(x == 0, np.float32(0), y - (x * (y * y) - one) * (half * y))
