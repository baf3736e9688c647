"""Elementary functions of float32 as TensorFlow Lite's builtin kernels for x86-64 compute them: polynomials, each step rounded to float32.

They come from Eigen, compiled for AVX without fused multiply-add. Where it is compiled for SSE alone, whole vectors of 4 are taken so, and
what is left over at the end by the C library's functions (``in_vectors``).

Source (TensorFlow 2.21: Eigen 5.0.1-dev): Eigen/src/Core/functors/UnaryFunctors.h#scalar_logistic_op,
arch/Default/GenericPacketMathFunctions.h#ptanh_float, #pexp_float; unsupported/Eigen/src/SpecialFunctions/SpecialFunctionsImpl.h
#generic_fast_erfc.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from qcore.kernels import library_functions

Reals = NDArray[np.float32]
Function = Callable[[Reals], Reals]

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

EXP_GREATEST, EXP_ZERO = np.float32(88.723), np.float32(-104)
"""Inputs above which the exponential is infinite, and below which it is 0."""

EXP_EVEN = (1.37449637986719608306884765625e-3, 4.166965186595916748046875e-2, 0.49999988079071044921875)
EXP_ODD = (8.36894474923610687255859375e-3, 0.16666518151760101318359375)

ERFC_BOUND = np.float32(11)
ERFC_SMALL = (
    *(5.61802298761904239654541015625e-4, -4.9138166941702365875244140625e-3, 2.670751512050628662109375e-2),
    *(-0.112800106406211853027343750, 0.376122951507568359375, -1.1283791065216064453125),
)
"""Of ``erfc(x) = 1 + x * small(x**2)`` up to 1."""
ERFC_NUMERATOR = (0.10208116471767425537109375, 0.4292066693305969238281250, 0.3237907886505126953125, 5.3971976041793823242187500e-2)
ERFC_DENOMINATOR = (
    *(1.7251677811145782470703125e-2, 0.39137163758277893066406250, 1.0),
    *(0.62173241376876831054687500, 9.5662862062454223632812500e-2),
)
"""Of ``erfc(x) = exp(-x**2) * numerator(1 / x**2) / (x * denominator(1 / x**2))`` beyond 1."""


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


def logistic_of_one(x: Reals) -> Reals:
    """``1 / (1 + exp(-x))`` of float32[...] as ``e / (1 + e)``, where numbers are taken one by one."""
    e = library_functions.exp(np.minimum(x, LOGISTIC_ONE))
    return e / (np.float32(1) + e)


def exp(x: Reals) -> Reals:
    """Exponential function of float32[...]: with ``x = m * ln(2) + r``, a power of two times a polynomial of r."""
    bounded, one = np.minimum(x, EXP_GREATEST), np.float32(1)
    m = np.floor(bounded * LOG2_E + np.float32(0.5))
    with np.errstate(all="ignore"):
        r = (bounded - m * LN2_HIGH) - m * LN2_LOW
        square = r * r
        mantissa = square * (r * polynomial(square, EXP_ODD) + polynomial(square, EXP_EVEN)) + (r + one)
        exponential = np.maximum(np.ldexp(mantissa, np.nan_to_num(m, neginf=-999).astype(np.int32)), x)
    return np.where(x < EXP_ZERO, np.float32(0), exponential)


def improved(estimate: Function, x: Reals) -> Reals:
    """``1 / x`` of float32[...], by one step of Newton's from an estimate."""
    y = estimate(x)
    with np.errstate(invalid="ignore"):
        rest = np.float32(1) - x * y
        return np.where(np.isnan(rest), y, y * rest + y)


def erfc(x: Reals, reciprocal: Function = np.reciprocal, exponential: Function = exp) -> Reals:
    """Complementary error function of float32[...].

    reciprocal: ``1 / x``, which kernels compiled for AVX take from the processor's estimate (see ``improved``).
    exponential: ``exp(x)``, which is the C library's where numbers are taken one by one.
    """
    x = np.clip(x, -ERFC_BOUND, ERFC_BOUND)
    square, one = x * x, np.float32(1)
    small = x * polynomial(square, ERFC_SMALL) + one
    lost = (x.astype(np.float64) * x - square).astype(np.float32)
    power = exponential(-square)
    power = power - power * lost
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        inverse = reciprocal(square)
        ratio = polynomial(inverse, ERFC_NUMERATOR) / (x * polynomial(inverse, ERFC_DENOMINATOR))
        large = power * ratio + np.where(x < 0, np.float32(2), np.float32(0))
    return np.where(square > one, large, small)


def gelu(x: Reals, reciprocal: Function = np.reciprocal, exponential: Function = exp) -> Reals:
    """``x / 2 * erfc(-x / sqrt(2))`` of float32[...]; reciprocal, exponential: see ``erfc``."""
    return np.float32(0.5) * x * erfc(x * np.float32(-np.sqrt(0.5)), reciprocal, exponential)


def gelu_by_tanh(x: Reals) -> Reals:
    """``x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x**3)))`` of float32[...]."""
    cubic = x + np.float32(0.044715) * (x * x * x)
    return np.float32(0.5) * x * (np.float32(1) + tanh(np.float32(np.sqrt(2 / np.pi)) * cubic))


def in_vectors(of_vectors: Function, of_one: Function, size: int, x: Reals) -> Reals:
    """A function of float32[..., depth] that takes whole vectors along the depth one way, and what is left over another."""
    whole = x.shape[-1] // size * size
    return np.concatenate([of_vectors(x[..., :whole]), of_one(x[..., whole:])], axis=-1)
