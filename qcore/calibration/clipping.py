"""What clipping a distribution to a range and quantizing it costs.

A range [low, high] that contains 0 gets codes one step apart, 0 among them: ``step = (high - low) / steps``, the least code at
``-step * round(-low / step)``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qcore.calibration.histogram import BINS, HALF
from qcore.calibration.tensor_statistics import TensorStatistics

SMOOTHING = 1e-4
"""Part of the probability that ``divergence`` spreads evenly, so that a value which has no code costs much but not everything."""


@dataclass(frozen=True, eq=False)
class Distribution:
    """A tensor's values but for exact zeros, which every range quantizes without error. Those of a bin count as spread evenly over it.

    centers: float64[n], real units: the middle of each bin that holds any, ascending.
    counts: float64[n], at least 1: how many it holds.
    width: of a bin, real units.
    """

    centers: NDArray[np.float64]
    counts: NDArray[np.float64]
    width: float

    @classmethod
    def of(cls, tensor: TensorStatistics) -> Distribution:
        """The distribution that a histogram shows."""
        counts = tensor.histogram.counts.astype(np.float64)
        counts[HALF] -= tensor.zeros
        filled = counts > 0
        return cls(tensor.histogram.centers[filled], counts[filled], tensor.histogram.width)

    def beyond(self, low: float, high: float) -> float:
        """How many values lie beyond a range, to a bin's width."""
        half = self.width / 2
        return float(self.counts[(self.centers + half <= low) | (self.centers - half > high)].sum())


def squared_error(values: Distribution, low: float, high: float, steps: int) -> float:
    """Sum of the squared errors of all values after quantization to a range.

    Args:
        values: to be quantized.
        low: at most 0, real units: the lower end.
        high: at least 0, real units: the upper end.
        steps: codes less one.

    Returns:
        Real units squared.
    """
    step, least = _codes(low, high, steps)
    if step == 0:
        return float(np.dot(values.counts, values.centers**2 + values.width**2 / 12))

    def integral(x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Of the squared error from 0 to x: a twelfth of a cubed step for each whole code, a third of the cubed rest."""
        nearest = np.clip(np.rint(x / step), least, least + steps)
        rest = x - nearest * step
        return np.asarray(nearest * (step**3 / 12) + rest * rest * rest / 3)

    half = values.width / 2
    errors = integral(values.centers + half) - integral(values.centers - half)
    return float(np.dot(values.counts, errors) / values.width)


def divergence(values: Distribution, low: float, high: float, steps: int) -> float:
    """Kullback-Leibler divergence of what the codes of a range tell of a distribution from the distribution itself, in nats.

    Codes tell how many values are nearest to each of them, which are taken as spread over the bins of that code that hold values at all.
    They tell nothing of values beyond the range.

    Args:
        values: to be quantized.
        low: at most 0, real units: the lower end.
        high: at least 0, real units: the upper end.
        steps: codes less one.

    Source: Migacz, "8-bit inference with TensorRT", 2017; there values beyond the range count as its outermost ones, which makes ranges
    look good that clip nearly everything.
    """
    step, least = _codes(low, high, steps)
    if step == 0 or not values.counts.size:
        return 0.0
    codes = np.rint(values.centers / step) - least
    inside = (codes >= 0) & (codes <= steps)
    _, place = np.unique(codes[inside], return_inverse=True)
    told = np.zeros_like(values.counts)
    told[inside] = (np.bincount(place, values.counts[inside]) / np.bincount(place))[place]
    total = values.counts.sum()
    smooth = (1 - SMOOTHING) * told / total + SMOOTHING / BINS
    real = values.counts / total
    return float(np.sum(real * np.log(real / smooth)))


def _codes(low: float, high: float, steps: int) -> tuple[float, float]:
    """The step, and the least code counted from that of 0."""
    step = (high - low) / steps
    return step, float(np.rint(low / step)) if step else 0.0
