"""How far an approximation is from what it stands for. All sums run in float64.

Edge cases, the same everywhere: with no elements, as with equal arrays, there is no error. NaN in either array makes a metric NaN.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qcore.errors import InputError
from qcore.numerics.real import as_real


@dataclass(frozen=True)
class ErrorMetrics:
    """What ``error_metrics`` measures; see the functions of the same names."""

    sqnr_db: float
    cosine_similarity: float
    max_abs_error: float
    mean_abs_error: float
    mean_squared_error: float


def error_metrics(reference: ArrayLike, approximation: ArrayLike) -> ErrorMetrics:
    """Every metric of an approximation.

    Args:
        reference: real type[...].
        approximation: real type[...], same shape.

    Raises:
        InputError: the shapes differ.
    """
    return ErrorMetrics(
        sqnr_db=sqnr_db(reference, approximation),
        cosine_similarity=cosine_similarity(reference, approximation),
        max_abs_error=max_abs_error(reference, approximation),
        mean_abs_error=mean_abs_error(reference, approximation),
        mean_squared_error=mean_squared_error(reference, approximation),
    )


def sqnr_db(reference: ArrayLike, approximation: ArrayLike) -> float:
    """Signal to quantization noise ratio, ``10 log10(sum(reference**2) / sum(error**2))``, in dB.

    Infinite without error; minus infinite where there is error but no signal. About 6.02 dB more for each bit.

    Args:
        reference: real type[...].
        approximation: real type[...], same shape.

    Raises:
        InputError: the shapes differ.
    """
    signal, approximate = _pair(reference, approximation)
    noise_power = float(np.sum(np.square(signal - approximate)))
    signal_power = float(np.sum(np.square(signal)))
    if noise_power == 0:
        return float("inf")
    with np.errstate(divide="ignore"):
        return float(10 * np.log10(signal_power / noise_power))


def cosine_similarity(reference: ArrayLike, approximation: ArrayLike) -> float:
    """Cosine of the angle between the two arrays taken as vectors, in [-1, 1].

    1 where both are zero vectors, or empty; 0 where only one is.

    Args:
        reference: real type[...].
        approximation: real type[...], same shape.

    Raises:
        InputError: the shapes differ.
    """
    a, b = _pair(reference, approximation)
    length_a, length_b = float(np.linalg.norm(a)), float(np.linalg.norm(b))
    if length_a == 0 or length_b == 0:
        return float(length_a == length_b)
    return float(np.clip(np.dot(a / length_a, b / length_b), -1.0, 1.0))


def max_abs_error(reference: ArrayLike, approximation: ArrayLike) -> float:
    """Greatest ``|reference - approximation|``; 0 with no elements.

    Args:
        reference: real type[...].
        approximation: real type[...], same shape.

    Raises:
        InputError: the shapes differ.
    """
    a, b = _pair(reference, approximation)
    return float(np.max(np.abs(a - b), initial=0.0))


def mean_abs_error(reference: ArrayLike, approximation: ArrayLike) -> float:
    """Mean of ``|reference - approximation|``; 0 with no elements.

    Args:
        reference: real type[...].
        approximation: real type[...], same shape.

    Raises:
        InputError: the shapes differ.
    """
    a, b = _pair(reference, approximation)
    return float(np.mean(np.abs(a - b))) if a.size else 0.0


def mean_squared_error(reference: ArrayLike, approximation: ArrayLike) -> float:
    """Mean of ``(reference - approximation)**2``; 0 with no elements.

    Args:
        reference: real type[...].
        approximation: real type[...], same shape.

    Raises:
        InputError: the shapes differ.
    """
    a, b = _pair(reference, approximation)
    return float(np.mean(np.square(a - b))) if a.size else 0.0


def _pair(reference: ArrayLike, approximation: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    a, b = as_real(reference, np.float64), as_real(approximation, np.float64)
    if a.shape != b.shape:
        raise InputError(f"metrics: got shapes {a.shape} and {b.shape}, expected the same")
    return a.reshape(-1), b.reshape(-1)
