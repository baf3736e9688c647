"""Confidence intervals: what samples tell about the population that they were drawn from."""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Interval = tuple[float, float]

RESAMPLES = 5000
DRAWN_AT_ONCE = 1 << 18
"""Numbers of samples that the bootstrap holds in memory, unless a single resample takes more."""


def quantile(confidence: float) -> float:
    """How many standard deviations around the mean of a normal distribution hold that part of it."""
    return NormalDist().inv_cdf((1 + confidence) / 2)


def wilson_interval(successes: int, count: int, confidence: float) -> Interval:
    """Wilson's score interval of a proportion: within [0, 1], and of use for few samples and for proportions near its ends.

    Source: E. B. Wilson, Probable inference, the law of succession, and statistical inference, JASA 22 (1927), 209-212.
    """
    z, p = quantile(confidence), successes / count
    spread = z * math.sqrt(p * (1 - p) / count + (z / count) ** 2 / 4)
    middle, width = p + z * z / count / 2, 1 + z * z / count
    return max(0.0, (middle - spread) / width), min(1.0, (middle + spread) / width)


def paired_interval(better: int, worse: int, count: int, confidence: float) -> Interval:
    """The interval of the difference of two proportions of the same samples: Wald's, each kind of unequal pair counted once more.

    Args:
        better: samples on which only the first succeeds.
        worse: those on which only the second does.
        count: all samples.
        confidence: of the interval.

    Source: D. G. Bonett, R. M. Price, Adjusted Wald confidence interval for a difference of binomial proportions based on paired data,
    Journal of Educational and Behavioral Statistics 37 (2012), 479-488.
    """
    p, q = (better + 1) / (count + 2), (worse + 1) / (count + 2)
    spread = quantile(confidence) * math.sqrt((p + q - (p - q) ** 2) / (count + 2))
    return max(-1.0, p - q - spread), min(1.0, p - q + spread)


def mcnemar(better: int, worse: int) -> float:
    """The exact two-sided p-value of McNemar's test: how likely unequal pairs are to be so uneven if either kind is as likely.

    Source: Q. McNemar, Note on the sampling error of the difference between correlated proportions or percentages, Psychometrika 12 (1947).
    """
    n = better + worse

    def probability(k: int) -> float:
        return math.exp(math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) - n * math.log(2))

    return min(1.0, 2 * math.fsum(probability(k) for k in range(min(better, worse) + 1)))


def bootstrap_interval(rows: Floats, statistic: Callable[[Floats], Any], confidence: float) -> Interval:
    """The bias-corrected and accelerated bootstrap interval of a statistic. The resamples are the same each time.

    Args:
        rows: float64[samples, columns].
        statistic: of means over samples, float64[..., columns], to float64[...].
        confidence: of the interval.

    Returns:
        Both ends; infinite for less than two samples; the statistic itself where that is infinite or NaN.

    Source: B. Efron, Better bootstrap confidence intervals, JASA 82 (1987), 171-185.
    """
    count = len(rows)
    if count < 2:
        return -math.inf, math.inf
    estimate = float(statistic(rows.mean(axis=0)))
    if not math.isfinite(estimate):
        return estimate, estimate
    rng = np.random.default_rng(RESAMPLES)
    drawn = max(1, DRAWN_AT_ONCE // count)
    shares = [range(first, min(first + drawn, RESAMPLES)) for first in range(0, RESAMPLES, drawn)]
    resampled = np.sort(np.concatenate([statistic(rows[rng.integers(count, size=(len(share), count))].mean(axis=1)) for share in shares]))
    below = (np.searchsorted(resampled, estimate, "left") + np.searchsorted(resampled, estimate, "right")) / 2
    normal = NormalDist()
    bias = normal.inv_cdf(min(max(float(below), 1), RESAMPLES - 1) / RESAMPLES)
    skew = acceleration(statistic((rows.sum(axis=0) - rows) / (count - 1)))
    ends = []
    for z in (-quantile(confidence), quantile(confidence)):
        part = normal.cdf(bias + (bias + z) / (1 - skew * (bias + z)))
        ends.append(float(resampled[min(max(round(part * (RESAMPLES + 1)) - 1, 0), RESAMPLES - 1)]))
    return min(ends), max(ends)


def acceleration(left_out: Floats) -> float:
    """How the standard error changes with the statistic, from its values with one sample left out each; 0 where that cannot be told."""
    with np.errstate(invalid="ignore"):
        deviations = np.mean(left_out) - left_out
    largest = float(np.max(np.abs(deviations)))
    if largest == 0 or not math.isfinite(largest):
        return 0.0
    deviations /= largest
    return float(np.sum(deviations**3) / (6 * np.sum(np.square(deviations)) ** 1.5))
