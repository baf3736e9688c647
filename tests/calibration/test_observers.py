"""The calibration methods: what range each finds."""

from __future__ import annotations

import numpy as np
import pytest

import qcore
from qcore.calibration import Statistics, TensorStatistics
from qcore.calibration.clipping import Distribution, squared_error
from qcore.numerics import choose_params, fake_quantize

RNG = np.random.default_rng(3)
LAPLACE = RNG.laplace(size=200_000).astype(np.float32)
RECTIFIED = np.maximum(RNG.normal(size=100_000), 0).astype(np.float32)
NORMAL = RNG.normal(size=100_000).astype(np.float32)
SHIFTED = (2 + RNG.gamma(2, size=100_000)).astype(np.float32)
WITH_OUTLIER = np.append(NORMAL, np.float32(800))
DISTRIBUTIONS = {"laplace": LAPLACE, "rectified": RECTIFIED, "one outlier": WITH_OUTLIER, "shifted": SHIFTED}


def statistics(*samples: np.ndarray, **options: object) -> Statistics:
    t = TensorStatistics("t")
    for number, values in enumerate(samples):
        t.observe(number, np.asarray(values, np.float32))
    return Statistics(samples=len(samples), tensors={(0, 0): t}, **options)  # type: ignore[arg-type]


def quantization_error(values: np.ndarray, low: float, high: float, dtype: str) -> float:
    return float(np.mean(np.square(values - fake_quantize(values, choose_params(low, high, dtype)), dtype=np.float64)))


def test_minmax_is_the_least_and_the_greatest_value() -> None:
    assert statistics([-1, 2.5], [0.5, 7]).range(0, 0) == (-1, 7)


def test_minmax_of_a_negative_tensor_ends_where_tensorflows_search_starts() -> None:
    assert statistics([-6, -2]).range(0, 0) == (-6, float(np.float32(1.17549435e-38)))


def test_moving_average_of_three_samples() -> None:
    low, high = statistics([0, 1], [-1, 3], [1, 1], method="moving_average").range(0, 0)
    assert low == pytest.approx(0.05 * -1 * 0.95 + 0.05 * 1)
    assert high == pytest.approx((0.95 * 1 + 0.05 * 3) * 0.95 + 0.05 * 1)


def test_moving_average_is_the_whole_range_where_no_value_counts() -> None:
    assert statistics([3.2e38], method="moving_average").range(0, 0) == (np.float32(3.2e38), np.float32(3.2e38))


@pytest.mark.parametrize("name", DISTRIBUTIONS)
@pytest.mark.parametrize("percentile", [60, 99, 99.9, 99.99])
def test_percentiles_are_exact_to_a_bin(name: str, percentile: float) -> None:
    values = DISTRIBUTIONS[name]
    stats = statistics(values, method="percentile", percentile=percentile)
    ends, width = stats.range(0, 0), stats.tensors[0, 0].histogram.width
    for end, rank in zip(ends, (values.size * (100 - percentile) / 100, values.size * percentile / 100), strict=True):
        assert np.count_nonzero(values < end - width) <= rank <= np.count_nonzero(values <= end + width)


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_percentile_100_is_exactly_the_least_and_the_greatest_value(name: str) -> None:
    values = DISTRIBUTIONS[name]
    assert statistics(values, method="percentile", percentile=100).range(0, 0) == (values.min(), values.max())


@pytest.mark.parametrize("name", DISTRIBUTIONS)
@pytest.mark.parametrize("dtype", ["int8", "int4"])
def test_the_range_of_least_expected_error_has_nearly_the_least_error(name: str, dtype: str) -> None:
    values = DISTRIBUTIONS[name]
    chosen = quantization_error(values, *statistics(values, method="mse").range(0, 0, dtype), dtype)
    low, high = min(float(values.min()), 0), float(values.max())
    # Within 5 %: the model of the error spreads a bin's values evenly, and the ends tried lie 9 % apart.
    tried = [quantization_error(values, low * p, high * q, dtype) for p in (1, 0.7, 0.5, 0.3) for q in (1, 0.8, 0.6, 0.4, 0.2, 0.006)]
    assert chosen <= 1.05 * min(tried)


@pytest.mark.parametrize("name", DISTRIBUTIONS)
@pytest.mark.parametrize("part", [1, 0.5, 0.1])
def test_the_expected_error_is_near_the_measured_one(name: str, part: float) -> None:
    values = DISTRIBUTIONS[name]
    t = statistics(values).tensors[0, 0]
    low, high = min(t.minimum, 0) * part, t.maximum * part
    expected = squared_error(Distribution.of(t), low, high, 255) / t.count
    # The model knows a value's place only to a bin, and the outlier makes bins wide.
    assert expected == pytest.approx(quantization_error(values, low, high, "int8"), rel=0.1)


@pytest.mark.parametrize("method", ["percentile", "entropy"])
def test_a_single_far_value_is_dropped(method: str) -> None:
    low, high = statistics(np.append(NORMAL, 100), method=method).range(0, 0)
    assert low == pytest.approx(NORMAL.min(), abs=1.5)
    assert high < 15


def test_the_narrower_the_type_the_tighter_mse_clips() -> None:
    widths = [high - low for low, high in (statistics(LAPLACE).range(0, 0, dtype, "mse") for dtype in ("int4", "int8", "int16"))]
    assert widths[0] < widths[1] < widths[2]
    assert widths[2] == pytest.approx(LAPLACE.max() - LAPLACE.min(), rel=1e-6)


def test_entropy_keeps_an_even_distribution_and_clips_long_tails() -> None:
    even = RNG.uniform(-1, 1, 100_000)
    low, high = statistics(even).range(0, 0, method="entropy")
    assert high - low > 1.9
    low, high = statistics(LAPLACE).range(0, 0, "int4", "entropy")
    assert high - low < 0.6 * (LAPLACE.max() - LAPLACE.min())


def test_entropy_of_a_type_with_more_codes_than_bins_is_the_whole_range() -> None:
    assert statistics(LAPLACE).range(0, 0, "int16", "entropy") == (LAPLACE.min(), LAPLACE.max())


@pytest.mark.parametrize("method", ["minmax", "moving_average", "percentile", "entropy", "mse"])
@pytest.mark.parametrize("values", [[0.0], [0.0] * 9, [5.0], [-5.0] * 3, [1e-40], [3.4e38, -3.4e38], [0.1, -0.1]])
def test_degenerate_tensors_have_a_range_that_holds_together(method: str, values: list[float]) -> None:
    low, high = statistics(values, method=method).range(0, 0)
    assert np.isfinite([low, high]).all()
    assert low <= high
    assert min(np.float32(values).min(), 0) <= low
    assert high <= max(np.float32(values).max(), np.finfo(np.float32).tiny)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "median"}, "method is 'median', expected one of minmax, moving_average, percentile, entropy, mse"),
        ({"percentile": 50}, "percentile is 50, expected"),
        ({"percentile": "99"}, "percentile is '99'"),
        ({"percentile": float("nan")}, "percentile is nan"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(qcore.InputError, match=message):
        statistics([1], **arguments)


def test_a_type_without_codes_is_refused() -> None:
    with pytest.raises(qcore.InputError, match="float32"):
        statistics([1]).range(0, 0, "float32")
