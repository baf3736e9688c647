"""Elementary functions of float32 as TensorFlow Lite's builtin kernels for x86-64 compute them: polynomials, each step rounded to float32.

They come from Eigen, compiled for AVX without fused multiply-add.

Source (TensorFlow 2.21: Eigen 5.0.1-dev): Eigen/src/Core/functors/UnaryFunctors.h#scalar_logistic_op,
arch/Default/GenericPacketMathFunctions.h#ptanh_float.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Reals = NDArray[np.float32]

LOGISTIC_ONE, LOGISTIC_ZERO = np.float32(16.6355324), np.float32(-104)
"""Inputs above and below which the logistic function is 1 and 0."""

LOGISTIC_EVEN = (4.1898667812347412109375e-2, 0.49999141693115234375)
LOGISTIC_ODD = (8.33471305668354034423828125e-3, 0.16666877269744873046875)
"""Of the even and odd powers of exp, less 1 + r, which the rest makes ``r**2 * (even(r**2) + r * odd(r**2))``."""

LOG2_E, LN2_HIGH, LN2_LOW = np.float32(1.44269504088896341), np.float32(0.693359375), np.float32(-2.12194440e-4)

TANH_ONE = np.float32(7.90738964080810547)
TANH_NUMERATOR = (1.394553628e-8, 2.102733560e-5, 3.520756727e-3, 1.340216100e-1)
TANH_DENOMINATOR = (8.015776984e-7, 3.326951409e-4, 2.597254514e-2, 4.673548340e-1, 1.0)
"""Of ``tanh(x) = (x + x**3 * numerator(x**2)) / denominator(x**2)``."""


def polynomial(x: Reals, coefficients: Sequence[float]) -> Reals:
    """By Horner's rule, the highest power's coefficient first."""
    value = np.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        value *= x
        value += np.float32(coefficient)
    return value


def tanh(x: Reals) -> Reals:
    """``tanh(x)`` of float32[...]."""
    x = np.clip(x, -TANH_ONE, TANH_ONE)
    square = x * x
    return (square * x * polynomial(square, TANH_NUMERATOR) + x) / polynomial(square, TANH_DENOMINATOR)


def logistic(x: Reals) -> Reals:
    """``1 / (1 + exp(-x))`` of float32[...]: ``e / (1 + e)`` with ``e = exp(x / 2)**2``, and ``x / 2 = m * ln(2) + r``."""
    half = np.float32(0.5)
    halved = np.minimum(x, LOGISTIC_ONE) * half
    m = np.floor(halved * LOG2_E + half)
    r = (halved - m * LN2_HIGH) - m * LN2_LOW
    square = r * r
    rest = r * polynomial(square, LOGISTIC_ODD) + polynomial(square, LOGISTIC_EVEN)
    root = np.ldexp(square * rest + (r + np.float32(1)), np.nan_to_num(m).astype(np.int32))
    e = root * root
    return np.where(x < LOGISTIC_ZERO, np.float32(0), e / (np.float32(1) + e))
