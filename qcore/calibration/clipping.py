"""What clipping a distribution to a range and quantizing it costs, from its histogram.

Exact zeros are left out wherever codes matter: every range contains 0, and its zero point stands for 0 without error. Elsewhere a bin's
values are taken as spread evenly over it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qcore.calibration.histogram import HALF, Histogram

SMOOTHING = 1e-4
"""Part of the probability that ``divergence`` spreads evenly, so that a value which has no code costs much but not everything."""


def clipping_errors(
    histogram: Histogram, zeros: int, lows: NDArray[np.float64], highs: NDArray[np.float64], steps: int
) -> NDArray[np.float64]:
    """Sums of the expected squared errors of all values, for each pair of ends.

    A value within a range errs by ``step**2 / 12`` on average, the step being the range's width divided by steps; a value beyond it by the
    square of its distance from the end.

    Args:
        histogram: of the values.
        zeros: how many of the values are exactly 0.
        lows: float64[n], real units, at most 0: lower ends.
        highs: float64[m], real units, at least 0: upper ends.
        steps: codes less one.

    Returns:
        float64[n, m], real units squared.
    """
    centers, counts = histogram.centers, _without_zeros(histogram, zeros)
    # Counts, sums and sums of squares of all values before each bin: a value's mean square in its bin is center**2 + width**2 / 12.
    moments = [counts, counts * centers, counts * (centers**2 + histogram.width**2 / 12)]
    count, total, square = (np.concatenate([[0.0], np.cumsum(moment)]) for moment in moments)
    first, last = np.searchsorted(centers, lows), np.searchsorted(centers, highs)
    below = count[first] * lows**2 - 2 * lows * total[first] + square[first]
    above_count, above_total, above_square = (moment[-1] - moment[last] for moment in (count, total, square))
    above = above_count * highs**2 - 2 * highs * above_total + above_square
    inside = count[last] - count[first][:, np.newaxis]
    step = (highs - lows[:, np.newaxis]) / steps
    return np.asarray(np.maximum(below, 0)[:, np.newaxis] + np.maximum(above, 0) + inside * step**2 / 12)


def clipped_values(histogram: Histogram, low: float, high: float) -> int:
    """How many values lie beyond a range, to a bin's width."""
    first, last = np.searchsorted(histogram.centers, (low, high))
    return int(histogram.counts[:first].sum() + histogram.counts[last:].sum())


def divergence(histogram: Histogram, zeros: int, low: float, high: float, steps: int) -> float:
    """Kullback-Leibler divergence of what codes of a range tell of a distribution from the distribution itself, in nats.

    The distribution has the values beyond each end in the last bin before it. Codes tell how many values a step holds, and nothing of
    where in it they lie, nor of values beyond the ends.

    Args:
        histogram: of the values.
        zeros: how many of them are exactly 0.
        low: real units, at most 0: the lower end.
        high: real units, at least 0: the upper end.
        steps: codes less one.
    """
    counts = _without_zeros(histogram, zeros)
    first, last = np.searchsorted(histogram.centers, (low, high))
    inside = counts[first:last]
    total = inside.sum()
    if total == 0:
        return 0.0 if counts.sum() == 0 else np.inf
    clipped = inside.copy()
    clipped[0] += counts[:first].sum()
    clipped[-1] += counts[last:].sum()
    codes = np.rint((histogram.centers[first:last] - low) * (steps / (high - low))).astype(np.intp)
    filled = inside > 0
    mean = np.bincount(codes, inside) / np.maximum(np.bincount(codes, filled), 1)
    told = (1 - SMOOTHING) * np.where(filled, mean[codes], 0) / total + SMOOTHING / inside.size
    seen = clipped > 0
    real = clipped[seen] / counts.sum()
    return float(np.sum(real * np.log(real / told[seen])))


def _without_zeros(histogram: Histogram, zeros: int) -> NDArray[np.float64]:
    counts = histogram.counts.astype(np.float64)
    counts[HALF] -= zeros
    return counts
