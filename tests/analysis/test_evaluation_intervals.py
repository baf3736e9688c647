"""Intervals and tests of ``evaluate``: published examples, ends and degenerate cases, and how often an interval holds the truth."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from qcore.analysis.evaluation.intervals import Floats, acceleration, bootstrap_interval, mcnemar, paired_interval, wilson_interval


def mean(means: Floats) -> Floats:
    return means[..., 0]


@pytest.mark.parametrize(
    ("successes", "count", "expected"),
    [(81, 263, (0.2553, 0.3662)), (15, 148, (0.0624, 0.1605)), (0, 20, (0, 0.1611)), (1, 29, (0.0061, 0.1718))],
)
def test_the_score_interval_is_that_of_published_examples(successes: int, count: int, expected: tuple[float, float]) -> None:
    """Newcombe, Two-sided confidence intervals for the single proportion, Statistics in Medicine 17 (1998), table I, method 3."""
    assert wilson_interval(successes, count, 0.95) == pytest.approx(expected, abs=5e-5)


def test_the_score_interval_mirrors_and_stays_within_0_and_1() -> None:
    low, high = wilson_interval(0, 1, 0.999)
    assert (1 - high, 1 - low) == pytest.approx(wilson_interval(1, 1, 0.999))
    assert 0 <= low < high < 1


def test_the_paired_interval_is_that_of_a_published_example() -> None:
    """Fagerland, Lydersen, Laake, Recommended tests and confidence intervals for paired binomial proportions, Stat. Med. 33 (2014)."""
    assert paired_interval(1, 7, 21, 0.95) == pytest.approx((-0.508, -0.013), abs=5e-4)


def test_the_paired_interval_mirrors_and_stays_within_minus_1_and_1() -> None:
    low, high = paired_interval(0, 1, 1, 0.999)
    assert (-high, -low) == pytest.approx(paired_interval(1, 0, 1, 0.999))
    assert low == -1


@pytest.mark.parametrize(("better", "worse"), [(0, 0), (1, 7), (7, 1), (5, 5), (0, 30), (40, 61)])
def test_mcnemars_test_is_the_exact_binomial_one(better: int, worse: int) -> None:
    n = better + worse
    exact = min(Fraction(1), 2 * Fraction(sum(math.comb(n, k) for k in range(min(better, worse) + 1)), 2**n))
    assert mcnemar(better, worse) == pytest.approx(float(exact), rel=1e-12)


def test_the_bootstrap_interval_of_symmetric_values_is_students() -> None:
    values = np.random.default_rng(1).normal(5, 2, 400)
    half = 1.966 * values.std(ddof=1) / 20  # 0.975 quantile of Student's t with 399 degrees of freedom
    low, high = bootstrap_interval(values[:, None], mean, 0.95)
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.1 * half)


def test_the_bootstrap_interval_of_skewed_values_reaches_farther_to_the_long_side() -> None:
    values = np.random.default_rng(2).exponential(size=30)
    low, high = bootstrap_interval(values[:, None], mean, 0.95)
    assert high - values.mean() > 1.2 * (values.mean() - low)


def test_the_bootstrap_interval_holds_the_truth_as_often_as_it_says() -> None:
    """240 draws of 60 skewed values: 90 % of the intervals, within three standard errors and a little for so few values."""
    rng = np.random.default_rng(3)
    intervals = [bootstrap_interval(rng.exponential(size=(60, 1)), mean, 0.9) for _ in range(240)]
    assert 0.83 < np.mean([low <= 1 <= high for low, high in intervals]) < 0.96


def test_the_bootstrap_interval_is_the_same_each_time_and_whatever_it_draws_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(4).uniform(size=(50, 1))
    expected = bootstrap_interval(values, mean, 0.95)
    assert bootstrap_interval(values, mean, 0.95) == expected
    monkeypatch.setattr("qcore.analysis.evaluation.intervals.DRAWN_AT_ONCE", 777)
    assert bootstrap_interval(values, mean, 0.95) == expected


def test_degenerate_samples_have_the_intervals_that_they_deserve() -> None:
    assert bootstrap_interval(np.array([[3.0]]), mean, 0.95) == (-math.inf, math.inf)
    assert bootstrap_interval(np.full((9, 1), 3.0), mean, 0.95) == (3, 3)
    assert bootstrap_interval(np.array([[1.0], [math.inf]]), mean, 0.95) == (math.inf, math.inf)
    assert all(map(math.isnan, bootstrap_interval(np.array([[1.0], [math.nan]]), mean, 0.95)))


@pytest.mark.parametrize("size", [1e-150, 1, 1e150])
def test_the_acceleration_does_not_depend_on_the_unit(size: float) -> None:
    values = np.array([0.0, 0.1, 0.2, 3.0])
    assert acceleration(values * size) == pytest.approx(acceleration(values))
    assert acceleration(np.full(4, size)) == acceleration(np.array([math.inf, size])) == 0
