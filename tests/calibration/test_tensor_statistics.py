"""What is kept of one tensor: NaN and infinities, moving averages, extremes, and merging to the last bit."""

from __future__ import annotations

import math
from functools import reduce

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import qcore
from qcore.calibration import Statistics, TensorStatistics
from qcore.calibration.extremes import KEPT, RECENT

VALUES = st.lists(st.floats(width=32), max_size=6)


def observed(*samples: list[float], first: int = 0) -> TensorStatistics:
    t = TensorStatistics("t")
    for number, values in enumerate(samples, first):
        t.observe(number, np.array(values, np.float32))
    return t


def content(t: TensorStatistics) -> bytes:
    return Statistics(tensors={(0, 0): t}).to_bytes()


@given(st.lists(VALUES, max_size=20), st.randoms(), st.integers(1, 4))
def test_merging_gives_the_same_bytes_in_any_order_and_grouping(samples: list[list[float]], random: object, groups: int) -> None:
    parts = []
    for k in range(groups):
        part = TensorStatistics("t")
        for number in range(k, len(samples), groups):
            part.observe(number, np.array(samples[number], np.float32))
        parts.append(part)
    random.shuffle(parts)  # type: ignore[attr-defined]
    middle = len(parts) // 2
    left = reduce(TensorStatistics.merged, parts[:middle], TensorStatistics("t"))
    right = reduce(TensorStatistics.merged, parts[middle:], TensorStatistics("t"))
    assert content(left.merged(right)) == content(observed(*samples))


def test_nan_and_infinities_are_counted_and_left_out() -> None:
    t = observed([1, -2], [math.nan, 0, math.inf, 3], [-math.inf], [math.nan])
    assert (t.count, t.zeros, t.nan, t.infinite, t.first_nonfinite) == (4, 1, 2, 2, 1)
    assert (t.minimum, t.maximum) == (-2, 3)
    assert t.histogram.counts.sum() == 4


def test_a_tensor_without_finite_values_has_no_range() -> None:
    for t in (observed(), observed([]), observed([math.nan, math.inf])):
        assert not t.has_range


@pytest.mark.parametrize("count", [1, 2, 40, RECENT])
def test_the_moving_average_is_the_recursion_in_float32(count: int) -> None:
    rng = np.random.default_rng(count)
    samples = rng.normal(size=(count, 5)).astype(np.float32)
    low, high = samples[0].min(), samples[0].max()
    for sample in samples[1:]:
        low = np.float32(0.95) * low + np.float32(1 - 0.95) * sample.min()
        high = np.float32(0.95) * high + np.float32(1 - 0.95) * sample.max()
    assert observed(*samples.tolist()).recent.average() == (low, high)


def test_samples_too_long_ago_do_not_count_in_the_moving_average() -> None:
    t = observed(*([[1e30, -1e30]] * 5 + [[1.0, 2.0]] * RECENT))
    assert t.recent.average() == pytest.approx((1, 2), rel=1e-6)
    assert t.recent.samples.tolist() == list(range(5, RECENT + 5))


def test_values_that_stand_for_infinity_do_not_count_in_the_moving_average() -> None:
    t = observed([-3.4e38, -1, 2], [-3.4e38], [0, 4])
    assert t.recent.samples.tolist() == [0, 2]
    assert (t.recent.lows.tolist(), t.recent.highs.tolist()) == ([-1, 0], [2, 4])
    assert t.minimum == np.float32(-3.4e38)


def test_several_values_of_one_sample_make_one_range() -> None:
    t = TensorStatistics("t")
    for value in (1, 5, -2):
        t.observe(7, np.array([value], np.float32))
    assert (t.recent.samples.tolist(), t.recent.lows.tolist(), t.recent.highs.tolist()) == ([7], [-2], [5])
    assert (t.highest.samples.tolist(), t.highest.values.tolist()) == ([7], [5])


def test_parts_that_share_a_sample_make_one_of_it() -> None:
    merged = observed([1, 5], first=3).merged(observed([-4, 2], first=3))
    assert (merged.recent.samples.tolist(), merged.recent.lows.tolist(), merged.recent.highs.tolist()) == ([3], [-4], [5])
    assert (merged.lowest.samples.tolist(), merged.lowest.values.tolist()) == ([3], [4])


def test_the_most_extreme_samples_are_kept_with_the_earlier_of_equals_first() -> None:
    values = [3.0, 9, 1, 9, 5, 0, 2, 8, 7, 6, 4, -1]
    t = observed(*([v] for v in values))
    assert t.highest.values.tolist() == sorted(values, reverse=True)[:KEPT]
    assert t.highest.samples.tolist()[:2] == [1, 3]
    assert (-t.lowest.values).tolist() == sorted(values)[:KEPT]


def test_statistics_of_tensors_of_different_names_do_not_merge() -> None:
    with pytest.raises(qcore.InputError, match="of a tensor 't' and of a tensor 'u'"):
        observed([1]).merged(TensorStatistics("u"))
