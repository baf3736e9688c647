"""The object that calibration gives: merging, ranges, choices, reports, and models that carry ranges."""

from __future__ import annotations

import numpy as np
import pytest

import qcore
from qcore.calibration import Statistics, TensorStatistics, calibrate
from qcore.model import Quantization
from tests.calibration.models import one_input, residual

RNG = np.random.default_rng(5)


def samples(count: int) -> list[np.ndarray]:
    return list(RNG.normal(size=(count, 1, 4)).astype(np.float32))


def test_a_tensor_never_seen_has_no_range() -> None:
    stats = calibrate(one_input(), samples(2))
    assert stats.range(0, 7) is None
    assert stats.range(3, 0) is None
    assert stats.choices(0, 7) == {}


def test_the_method_may_be_changed_after_the_recording() -> None:
    stats = calibrate(one_input(), samples(9))
    recorded = {m: stats.range(0, 0, method=m) for m in ("minmax", "moving_average", "percentile", "entropy", "mse")}
    for method, ends in recorded.items():
        stats.method = method  # type: ignore[assignment]
        assert stats.range(0, 0) == ends


def test_choices_tell_what_every_method_costs() -> None:
    values = RNG.laplace(size=(50, 1, 1000)).astype(np.float32)
    choices = calibrate(one_input((1, 1000)), values).choices(0, 0, "int4")
    assert set(choices) == {"minmax", "moving_average", "percentile", "entropy", "mse"}
    assert min(choices.values(), key=lambda c: c.mean_squared_error) == choices["mse"]
    assert choices["minmax"].clipped == 0
    low, high = choices["mse"].min, choices["mse"].max
    assert choices["mse"].clipped == pytest.approx(np.mean((values < low) | (values > high)), abs=1e-3)


def test_merging_refuses_other_methods_and_other_models() -> None:
    stats = calibrate(one_input(), samples(1))
    with pytest.raises(qcore.InputError, match=r"got methods minmax 99.99 and mse 99.99"):
        stats.merge(Statistics("mse"))
    with pytest.raises(qcore.InputError, match="of a tensor 'y' and of a tensor 'p'"):
        stats.merge(calibrate(residual(), samples(1)))


def test_merging_leaves_both_parts_as_they_were() -> None:
    a, b = calibrate(one_input(), samples(3)), calibrate(one_input(), samples(2), first_sample=3)
    before = a.to_bytes(), b.to_bytes()
    merged = a.merge(b)
    merged.tensors[0, 0].observe(9, np.ones(5, np.float32))
    assert (a.to_bytes(), b.to_bytes()) == before


def test_outliers_name_tensor_and_samples() -> None:
    data = samples(40)
    data[7][0, 2] = 1000
    data[31][0, 1] = -900
    stats = calibrate(one_input(), data)
    found = {o.name: o for o in stats.outliers()}
    assert set(found) == {"x", "y"}
    assert found["x"].samples == found["y"].samples == (7, 31)
    assert found["x"].range == (-900, 1000)
    assert found["y"].rest[1] == max(np.abs(s).max() for k, s in enumerate(data) if k not in (7, 31))
    assert found["y"].factor > 100
    assert "tensor 'y' (subgraph 0, tensor 1): samples 7, 31 make its range" in stats.report()


def test_a_sample_that_stretches_both_ends_alike_is_found() -> None:
    data = samples(40)
    data[5] *= 100
    (x, y) = calibrate(one_input(), data).outliers()
    assert x.samples == y.samples == (5,)


def test_data_without_outliers_has_none() -> None:
    assert calibrate(one_input(), samples(100)).outliers() == []
    assert calibrate(one_input(), [np.zeros((1, 4), np.float32)] * 20).outliers() == []
    with pytest.raises(qcore.InputError, match="factor is 1, expected"):
        Statistics().outliers(1)


def test_one_sample_that_is_not_zero_is_an_outlier_by_any_factor() -> None:
    data = [np.full((1, 4), n == 3, np.float32) for n in range(8)]
    assert [(o.name, o.samples, o.factor) for o in calibrate(one_input(), data).outliers(1e9)] == [
        ("x", (3,), np.inf),
        ("y", (3,), np.inf),
    ]


def test_two_samples_of_four_are_no_outliers() -> None:
    data = [np.full((1, 4), value, np.float32) for value in (1, 1, 50, 60)]
    assert calibrate(one_input(), data).outliers() == []


def test_the_report_names_where_nan_and_infinities_came_from() -> None:
    data = samples(3)
    data[1][0, 0], data[2][0, 3] = np.nan, np.inf
    report = calibrate(one_input(), data, nan="ignore").report()
    assert "tensor 'x' (subgraph 0, tensor 0): 1 NaN and 1 infinite values left out, first in sample 1" in report


def test_statistics_of_another_model_are_refused() -> None:
    stats = calibrate(residual(), samples(1))
    with pytest.raises(qcore.InputError, match="a tensor 1 'p' in subgraph 0, in the model it is 'y'"):
        stats.check(one_input())
    stats.tensors.pop((0, 1))
    with pytest.raises(qcore.InputError, match="a tensor 2 'q' in subgraph 0, the model has none of that number"):
        stats.check(one_input())


def test_ranges_go_into_a_copy_of_the_model_and_come_back() -> None:
    model = residual()
    stats = calibrate(model, samples(4))
    marked = qcore.load(stats.to_model(model).to_bytes())
    assert all(t.quantization is None for t in model.subgraphs[0].tensors)
    again = Statistics.from_model(marked)
    assert {key: again.range(*key) for key in again.tensors} == {key: stats.range(*key) for key in stats.tensors}
    with pytest.raises(qcore.InputError, match="tensor 0 'x' of subgraph 0: method 'mse' needs samples"):
        again.range(0, 0, method="mse")


def test_ranges_of_a_model_that_make_no_sense_are_left_out() -> None:
    model = residual()
    pairs: list[tuple[list[float], list[float]]] = [([1], [0]), ([-np.inf], [1]), ([np.nan], [1]), ([-1, -2], [1, 2]), ([], [])]
    for tensor, (low, high) in zip(model.subgraphs[0].tensors, pairs, strict=True):
        tensor.quantization = Quantization(min=np.array(low, np.float32), max=np.array(high, np.float32))
    assert Statistics.from_model(model).tensors == {}


def test_tensors_without_values_do_not_get_a_range_in_the_model() -> None:
    model = one_input()
    stats = Statistics(tensors={(0, 0): TensorStatistics("x")})
    assert stats.to_model(model).subgraphs[0].tensors[0].quantization is None
