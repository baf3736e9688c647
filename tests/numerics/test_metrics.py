"""Metrics by their definitions, and at their edges."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from qcore.errors import InputError
from qcore.numerics import (
    ErrorSums,
    cosine_similarity,
    error_metrics,
    max_abs_error,
    mean_abs_error,
    mean_error,
    mean_squared_error,
    quantize_tensor,
    sqnr_db,
)

ALL = [sqnr_db, cosine_similarity, max_abs_error, mean_error, mean_abs_error, mean_squared_error]


def test_definitions_on_small_numbers() -> None:
    r, a = [3.0, -4.0], [3.0, -3.0]
    assert sqnr_db(r, a) == pytest.approx(10 * math.log10(25 / 1))
    assert cosine_similarity(r, a) == pytest.approx((9 + 12) / (5 * math.sqrt(18)))
    assert (max_abs_error(r, a), mean_error(r, a), mean_abs_error(r, a), mean_squared_error(r, a)) == (1.0, 0.5, 0.5, 0.5)
    assert mean_error([1.0, 1.0, 1.0], [0.0, 2.0, 0.0]) == pytest.approx(-1 / 3)
    assert error_metrics([0.0, 0.0], [3.0, 3.0]).root_mean_squared_error == 3.0


@pytest.mark.parametrize("values", [[], [0.0, 0.0], [1.0, -2.0]])
def test_equal_arrays_have_no_error(values: list[float]) -> None:
    assert [metric(values, values) for metric in ALL] == [math.inf, 1.0, 0.0, 0.0, 0.0, 0.0]


def test_error_without_signal() -> None:
    assert sqnr_db([0.0], [1.0]) == -math.inf
    assert cosine_similarity([0.0], [1.0]) == cosine_similarity([1.0], [0.0]) == 0.0


def test_signal_that_vanishes_is_zero_decibels() -> None:
    assert sqnr_db([1.0, 2.0], [0.0, 0.0]) == 0.0


def test_opposite_directions() -> None:
    assert cosine_similarity([1.0, 2.0], [-1.0, -2.0]) == pytest.approx(-1.0)


@pytest.mark.parametrize("metric", ALL)
def test_nan_shows(metric: Callable[..., Any]) -> None:
    assert math.isnan(metric([1.0, 2.0], [1.0, math.nan]))


def test_nan_and_infinities_in_both_arrays_alike_are_left_out() -> None:
    r, a = [1.0, math.nan, math.inf, -math.inf, 3.0], [1.5, math.nan, math.inf, -math.inf, 3.0]
    assert error_metrics(r, a) == error_metrics([1.0, 3.0], [1.5, 3.0])
    assert error_metrics([math.inf], [1.0]).max_abs_error == error_metrics([math.inf], [-math.inf]).max_abs_error == math.inf


def test_sums_over_parts_give_the_metrics_of_the_whole() -> None:
    r, a = np.arange(24.0).reshape(4, 6), np.arange(24.0).reshape(4, 6)[::-1]
    sums = ErrorSums()
    for part in range(4):
        sums.add(r[part], a[part])
    sums.add(np.zeros((0, 3)), np.zeros((0, 3)))
    # Integers: no sum rounds.
    assert sums.metrics() == error_metrics(r, a)


@pytest.mark.parametrize("metric", [*ALL, error_metrics])
def test_other_shapes_are_refused(metric: Callable[..., Any]) -> None:
    with pytest.raises(InputError, match="shapes"):
        metric([1.0, 2.0], [1.0])


def test_sums_do_not_overflow_or_vanish_in_float32() -> None:
    assert mean_squared_error(np.float32([1e30]), np.float32([0])) == pytest.approx(1e60)
    assert sqnr_db(np.float32([1e-30]), np.float32([0.9e-30])) == pytest.approx(20.0, abs=1e-5)


def test_the_record_holds_every_metric() -> None:
    x = np.random.default_rng(0).standard_normal(1000).astype(np.float32)
    quantized = quantize_tensor(x)
    record = quantized.error(x)
    approximation = quantized.dequantize()
    assert [getattr(record, metric.__name__) for metric in ALL] == [metric(x, approximation) for metric in ALL]


def test_a_bit_is_worth_six_decibels() -> None:
    x = np.random.default_rng(0).uniform(-1, 1, 100000)
    gain = quantize_tensor(x, "int16").error(x).sqnr_db - quantize_tensor(x, "int8").error(x).sqnr_db
    assert gain == pytest.approx(8 * 6.02, abs=0.3)
