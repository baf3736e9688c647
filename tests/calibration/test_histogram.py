"""The histogram against exact rational arithmetic; merging does not depend on order or grouping."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcore.calibration.histogram import BINS, HALF, LARGEST_EXPONENT, SMALLEST_EXPONENT, Histogram

FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)


def histogram(values: list[float]) -> Histogram:
    h = Histogram()
    array = np.array(values, np.float32)
    if array.size:
        h.add(array, float(np.abs(array).max()))
    return h


def same(a: Histogram, b: Histogram) -> bool:
    return a.exponent == b.exponent and np.array_equal(a.counts, b.counts)


def exact_bin(value: float, exponent: int) -> int:
    return math.floor(Fraction(value) * HALF / Fraction(2) ** exponent) + HALF


@given(st.lists(FLOATS, min_size=1, max_size=30))
def test_every_value_counts_in_the_bin_of_exact_arithmetic(values: list[float]) -> None:
    h = histogram(values)
    assert np.array_equal(h.counts, np.bincount([exact_bin(v, h.exponent) for v in values], minlength=BINS))


@given(st.lists(FLOATS, max_size=30), st.randoms(), st.integers(1, 5))
def test_order_and_grouping_do_not_matter(values: list[float], random: object, groups: int) -> None:
    shuffled = list(values)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    merged = Histogram()
    for k in range(groups):
        merged = histogram(shuffled[k::groups]).merged(merged)
    assert same(merged, histogram(values))


@pytest.mark.parametrize(
    ("value", "exponent"),
    [(0.0, SMALLEST_EXPONENT), (1.0, 1), (0.999, 0), (-1.0, 1), (1e-45, SMALLEST_EXPONENT), (3.4028234663852886e38, LARGEST_EXPONENT)],
)
def test_the_exponent_is_the_least_that_exceeds_every_magnitude(value: float, exponent: int) -> None:
    assert histogram([value]).exponent == exponent


def test_a_tiny_negative_value_stays_below_zero_beside_a_great_one() -> None:
    h = histogram([-1e-45, 3e38])
    assert h.counts[HALF - 1] == 1


def test_widening_makes_one_bin_of_two_neighbours() -> None:
    h = histogram([0.25, 0.25 + 2**-12, -(2.0**-12), 0.9])
    widened = Histogram(h.exponent, h.counts)
    widened.widen(h.exponent + 1)
    assert widened.counts.sum() == 4
    assert np.array_equal(widened.counts[HALF // 2 : -HALF // 2], h.counts.reshape(-1, 2).sum(axis=1))
    widened.widen(h.exponent + 50)
    assert (widened.counts[HALF - 1], widened.counts[HALF]) == (1, 3)


def test_merging_leaves_both_parts_as_they_were() -> None:
    a, b = histogram([1.0]), histogram([100.0, -3.0])
    before = a.counts.copy(), b.counts.copy()
    a.merged(b)
    b.merged(a)
    assert np.array_equal(a.counts, before[0])
    assert np.array_equal(b.counts, before[1])
