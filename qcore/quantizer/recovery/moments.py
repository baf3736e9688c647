"""Means and covariances of what an operator's weights meet, in the float model and in the quantized one; sums that never keep a row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Real = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Moments:
    """What is known of pairs of rows: real inputs x_f of a float operator, and real inputs x_q of the quantized one at the same place.

    An operator has one or more groups of weights, each of which meets rows of its own: a convolution one, a depthwise one each channel.

    count: how many pairs of rows there were.
    mean_f, mean_q: float64[groups, depth], of x_f and x_q, real units.
    cov_q: float64[groups, depth, depth], covariance of x_q, real units squared.
    cov_fq: float64[groups, depth, depth], covariance of x_f, along the rows, and x_q.
    """

    count: int
    mean_f: Real
    mean_q: Real
    cov_q: Real
    cov_fq: Real

    @classmethod
    def of(cls, rows_f: Real, rows_q: Real) -> Moments:
        """The moments of some rows.

        Args:
            rows_f: float64[groups, rows, depth], real units; at least one row.
            rows_q: float64, same shape.
        """
        count = rows_f.shape[1]
        mean_f, mean_q = rows_f.mean(axis=1), rows_q.mean(axis=1)
        centred_q = rows_q - mean_q[:, np.newaxis]
        cov_q = centred_q.swapaxes(1, 2) @ centred_q
        cov_fq = (rows_f - mean_f[:, np.newaxis]).swapaxes(1, 2) @ centred_q
        return cls(count, mean_f, mean_q, cov_q / count, cov_fq / count)

    def __add__(self, other: Moments) -> Moments:
        """The moments of the rows of both.

        Source: Chan, Golub, LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances", 1979.
        """
        count = self.count + other.count
        mine, theirs = self.count / count, other.count / count
        apart_f, apart_q = other.mean_f - self.mean_f, other.mean_q - self.mean_q
        between = mine * theirs * apart_q[:, np.newaxis]
        return Moments(
            count,
            self.mean_f + theirs * apart_f,
            self.mean_q + theirs * apart_q,
            mine * self.cov_q + theirs * other.cov_q + apart_q[..., np.newaxis] * between,
            mine * self.cov_fq + theirs * other.cov_fq + apart_f[..., np.newaxis] * between,
        )

    def beside(self, other: Moments) -> Moments:
        """The moments of both, each about its own means: of operators that share weights, but have biases of their own."""
        count = self.count + other.count
        mine, theirs = self.count / count, other.count / count
        names = ("mean_f", "mean_q", "cov_q", "cov_fq")
        return Moments(count, *(mine * getattr(self, name) + theirs * getattr(other, name) for name in names))


class Collector:
    """Moments of rows that come a few at a time: they are kept until they are worth a product.

    chunk: elements of rows that are kept.
    """

    def __init__(self, chunk: int = 1 << 20) -> None:
        self._chunk = chunk
        self._waiting: list[tuple[Real, Real]] = []
        self._elements = 0
        self._moments: Moments | None = None

    def add(self, rows_f: Real, rows_q: Real) -> None:
        """Take up rows, float64[groups, rows, depth] both."""
        self._waiting.append((rows_f, rows_q))
        self._elements += rows_f.size
        if self._elements >= self._chunk:
            self._moments = self.moments()

    def moments(self) -> Moments | None:
        """The moments of all rows so far; None where there were none."""
        if self._waiting:
            rows_f, rows_q = (np.concatenate(rows, axis=1) for rows in zip(*self._waiting, strict=True))
            latest = Moments.of(rows_f, rows_q)
            self._moments = latest if self._moments is None else self._moments + latest
            self._waiting, self._elements = [], 0
        return self._moments
