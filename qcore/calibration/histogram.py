"""A histogram that comes out the same whatever the order of the values, and however they were split and merged."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

BINS = 4096
HALF = BINS // 2
SMALLEST_EXPONENT = -100
"""Of a histogram of nothing but zeros; so small that the width of its bins makes no difference to anyone."""
LARGEST_EXPONENT = 128
"""The magnitude of every float32 is below 2**128."""


@dataclass(eq=False)
class Histogram:
    """Counts of real numbers in bins of equal width over [-2**exponent, 2**exponent).

    A value v counts in bin ``floor(v * HALF / 2**exponent) + HALF``, computed without error, and the exponent is the least that
    exceeds every magnitude. One exponent more makes one bin of two neighbours, which adds their counts and moves no value to another
    bin than its own. So the histogram is a function of the multiset of values alone: merging is associative, commutative and exact.

    exponent: SMALLEST_EXPONENT to LARGEST_EXPONENT.
    counts: int64[BINS].
    """

    exponent: int = SMALLEST_EXPONENT
    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(BINS, np.int64))

    @property
    def width(self) -> float:
        """Width of a bin, real units."""
        return math.ldexp(1.0, self.exponent) / HALF

    @property
    def centers(self) -> NDArray[np.float64]:
        """float64[BINS], real units: the middle of each bin."""
        centers: NDArray[np.float64] = np.arange(-HALF + 0.5, HALF)
        return centers * self.width

    def add(self, values: NDArray[np.float32], reach: float) -> None:
        """Count values.

        Args:
            values: float32[n], finite.
            reach: their greatest magnitude.
        """
        # Here, so that what does not calibrate starts without LLVM.
        from qcore.kernels.fast.bin_counts import count_bins

        if reach:
            self.widen(max(self.exponent, math.frexp(reach)[1]))
        # A float32 product of a tiny value and a small factor would vanish, and with it the sign that tells bins HALF - 1 and HALF apart.
        self.counts += count_bins(values, math.ldexp(HALF, -self.exponent), BINS, precise=self.exponent > 11)

    def widen(self, exponent: int) -> None:
        """Make the range that of a greater exponent, or leave it where it has that exponent already."""
        if exponent == self.exponent:
            return
        # Beyond this many doublings everything is in the two bins next to 0.
        doublings = min(exponent - self.exponent, HALF.bit_length() - 1)
        merged = self.counts.reshape(-1, 1 << doublings).sum(axis=1)
        self.exponent = exponent
        self.counts = np.zeros(BINS, np.int64)
        self.counts[HALF - merged.size // 2 : HALF + merged.size // 2] = merged

    def merged(self, other: Histogram) -> Histogram:
        """The histogram of the values of both."""
        both = Histogram(self.exponent, self.counts)
        both.widen(max(self.exponent, other.exponent))
        aligned = Histogram(other.exponent, other.counts)
        aligned.widen(both.exponent)
        return Histogram(both.exponent, both.counts + aligned.counts)
