"""How far an approximation is from what it stands for. All sums run in float64.

Edge cases, the same everywhere: with no elements, as with equal arrays, there is no error. Elements that are NaN, or the same infinity, in
both arrays are left out. NaN in one of them alone makes a metric NaN.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from qcore.errors import InputError
from qcore.numerics.real import as_real


@dataclass(frozen=True)
class ErrorMetrics:
    """What ``error_metrics`` measures; see the functions of the same names."""

    sqnr_db: float
    cosine_similarity: float
    max_abs_error: float
    mean_error: float
    mean_abs_error: float
    mean_squared_error: float

    @property
    def root_mean_squared_error(self) -> float:
        """The square root of mean_squared_error; in the unit of the values."""
        return math.sqrt(self.mean_squared_error)


@dataclass
class ErrorSums:
    """Sums over any number of pairs of arrays, from which every metric of all of them together follows. It keeps no array.

    count: elements. The others: float64 sums over the elements, by what they sum up; max_abs_error is a maximum.
    """

    count: int = 0
    squared_reference: float = 0.0
    squared_approximation: float = 0.0
    product: float = 0.0
    error: float = 0.0
    abs_error: float = 0.0
    squared_error: float = 0.0
    max_abs_error: float = 0.0

    def add(self, reference: ArrayLike, approximation: ArrayLike) -> None:
        """Take up a pair.

        Args:
            reference: real type[...].
            approximation: real type[...], same shape.

        Raises:
            InputError: the shapes differ.
        """
        a, b = as_real(reference, np.float64), as_real(approximation, np.float64)
        if a.shape != b.shape:
            raise InputError(f"metrics: got shapes {a.shape} and {b.shape}, expected the same")
        with np.errstate(over="ignore", invalid="ignore"):
            error = b - a
            if not np.isfinite(error).all():
                unlike = np.isfinite(a) | np.isfinite(b) | ((a != b) & ~(np.isnan(a) & np.isnan(b)))
                a, b, error = a[unlike], b[unlike], error[unlike]
            distance = np.abs(error)
            self.count += error.size
            self.squared_reference += float(np.sum(np.square(a)))
            self.squared_approximation += float(np.sum(np.square(b)))
            self.product += float(np.sum(a * b))
            self.error += float(np.sum(error))
            self.abs_error += float(np.sum(distance))
            self.squared_error += float(np.sum(np.square(error)))
            self.max_abs_error = float(np.maximum(self.max_abs_error, np.max(distance, initial=0.0)))

    def metrics(self) -> ErrorMetrics:
        """Every metric of the pairs so far."""
        count = max(self.count, 1)
        return ErrorMetrics(
            sqnr_db=self._sqnr_db(),
            cosine_similarity=self._cosine_similarity(),
            max_abs_error=self.max_abs_error,
            mean_error=self.error / count,
            mean_abs_error=self.abs_error / count,
            mean_squared_error=self.squared_error / count,
        )

    def _sqnr_db(self) -> float:
        if self.squared_error == 0:
            return math.inf
        with np.errstate(divide="ignore", invalid="ignore"):
            return float(10 * np.log10(np.float64(self.squared_reference) / self.squared_error))

    def _cosine_similarity(self) -> float:
        if self.squared_reference == 0 or self.squared_approximation == 0:
            return float(self.squared_reference == self.squared_approximation)
        # In this order, equal arrays give exactly 1.
        with np.errstate(over="ignore", invalid="ignore"):
            cosine = self.product / self.squared_reference * np.sqrt(np.float64(self.squared_reference) / self.squared_approximation)
        return float(np.clip(cosine, -1.0, 1.0))


def error_metrics(reference: ArrayLike, approximation: ArrayLike) -> ErrorMetrics:
    """Every metric of an approximation.

    Args:
        reference: real type[...].
        approximation: real type[...], same shape.

    Raises:
        InputError: the shapes differ.
    """
    sums = ErrorSums()
    sums.add(reference, approximation)
    return sums.metrics()


def sqnr_db(reference: ArrayLike, approximation: ArrayLike) -> float:
    """Signal to quantization noise ratio, ``10 log10(sum(reference**2) / sum(error**2))``, in dB; equation (40).

    Infinite without error; minus infinite where there is error but no signal. About 6.02 dB more for each bit.

    Args:
        reference: real type[...].
        approximation: real type[...], same shape.

    Raises:
        InputError: the shapes differ.
    """
    return error_metrics(reference, approximation).sqnr_db


def cosine_similarity(reference: ArrayLike, approximation: ArrayLike) -> float:
    """Cosine of the angle between the two arrays taken as vectors, in [-1, 1].

    1 where both are zero vectors, or empty; 0 where only one is.

    Args:
        reference: real type[...].
        approximation: real type[...], same shape.

    Raises:
        InputError: the shapes differ.
    """
    return error_metrics(reference, approximation).cosine_similarity


def max_abs_error(reference: ArrayLike, approximation: ArrayLike) -> float:
    """Greatest ``|approximation - reference|``; 0 with no elements.

    Args:
        reference: real type[...].
        approximation: real type[...], same shape.

    Raises:
        InputError: the shapes differ.
    """
    return error_metrics(reference, approximation).max_abs_error


def mean_error(reference: ArrayLike, approximation: ArrayLike) -> float:
    """Mean of ``approximation - reference``, the bias; 0 with no elements.

    Args:
        reference: real type[...].
        approximation: real type[...], same shape.

    Raises:
        InputError: the shapes differ.
    """
    return error_metrics(reference, approximation).mean_error


def mean_abs_error(reference: ArrayLike, approximation: ArrayLike) -> float:
    """Mean of ``|approximation - reference|``; 0 with no elements.

    Args:
        reference: real type[...].
        approximation: real type[...], same shape.

    Raises:
        InputError: the shapes differ.
    """
    return error_metrics(reference, approximation).mean_abs_error


def mean_squared_error(reference: ArrayLike, approximation: ArrayLike) -> float:
    """Mean of ``(approximation - reference)**2``; 0 with no elements.

    Args:
        reference: real type[...].
        approximation: real type[...], same shape.

    Raises:
        InputError: the shapes differ.
    """
    return error_metrics(reference, approximation).mean_squared_error
