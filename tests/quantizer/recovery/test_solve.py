"""The solvers of accuracy recovery against brute force and against what their definitions say."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from qcore.quantizer.recovery.moments import Collector, Moments
from qcore.quantizer.recovery.solve import (
    INT4,
    INT8,
    Curvature,
    Grid,
    best_pull,
    coordinate_descent,
    corrected_bias,
    curved_error,
    fitted,
    gptq,
    least_squares_target,
    refitted_scales,
    rounded,
    squared_error,
)

TINY = Grid(-2, 1, (1.0, 0.5))


def pair(rng: np.random.Generator, groups: int = 2, rows: int = 300, depth: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Correlated rows with a mean, and the same rows with noise and a shift."""
    x_f = rng.normal(size=(groups, rows, depth)) @ rng.normal(size=(groups, depth, depth)) + rng.normal(size=depth)
    return x_f, x_f + rng.normal(size=x_f.shape) * 0.2 + 0.1


def problem(seed: int, outputs: int = 3, depth: int = 4) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, Moments]:
    rng = np.random.default_rng(seed)
    x_f, x_q = pair(rng, depth=depth)
    return rng.normal(size=(2, outputs, depth)), rng.normal(size=(2, outputs)), x_f, x_q, Moments.of(x_f, x_q)


def measured(weights: np.ndarray, bias: np.ndarray, x: np.ndarray) -> np.ndarray:
    return np.einsum("god,gnd->gno", weights, x) + bias[:, np.newaxis]


def test_moments_of_parts_add_up_to_those_of_the_whole() -> None:
    x_f, x_q = pair(np.random.default_rng(0), rows=101)
    whole, collected = Moments.of(x_f, x_q), Collector(chunk=100)
    for start in range(0, 101, 7):
        collected.add(x_f[:, start : start + 7], x_q[:, start : start + 7])
    found = collected.moments()
    assert found is not None and found.count == 101
    for name in ("mean_f", "mean_q", "cov_q", "cov_fq"):
        np.testing.assert_allclose(getattr(found, name), getattr(whole, name), rtol=1e-10, atol=1e-12)


def test_moments_are_numpys_covariances() -> None:
    x_f, x_q = pair(np.random.default_rng(1))
    found = Moments.of(x_f, x_q)
    both = np.cov(x_f[1], x_q[1], rowvar=False, bias=True)
    np.testing.assert_allclose(found.cov_q[1], both[4:, 4:], rtol=1e-12)
    np.testing.assert_allclose(found.cov_fq[1], both[:4, 4:], rtol=1e-12)


def test_no_rows_have_no_moments() -> None:
    assert Collector().moments() is None


def test_the_corrected_bias_takes_the_whole_mean_error_out() -> None:
    weights, bias, x_f, x_q, moments = problem(2)
    quantized = np.round(weights)
    found = corrected_bias(weights, bias, quantized, moments)
    error = measured(weights, bias, x_f) - measured(quantized, found, x_q)
    np.testing.assert_allclose(error.mean(axis=1), 0, atol=1e-12)


def test_squared_errors_differ_as_those_measured_do() -> None:
    weights, bias, x_f, x_q, moments = problem(3)
    candidates = [(np.round(weights), bias), (np.round(weights * 2) / 2, bias + 0.3)]
    real = measured(weights, bias, x_f)
    by_rows = [((real - measured(w, b, x_q)) ** 2).mean(axis=1) for w, b in candidates]
    by_moments = [squared_error(weights, bias, w, b, moments) for w, b in candidates]
    np.testing.assert_allclose(by_moments[0] - by_moments[1], by_rows[0] - by_rows[1], rtol=1e-9, atol=1e-12)


def test_the_least_squares_target_is_numpys_where_shrinking_is_next_to_nothing() -> None:
    weights, _, x_f, x_q, moments = problem(4)
    found = least_squares_target(weights, moments, pull=1e-12)
    for g in range(2):
        centred_f, centred_q = x_f[g] - x_f[g].mean(axis=0), x_q[g] - x_q[g].mean(axis=0)
        expected = np.linalg.lstsq(centred_q, centred_f @ weights[g].T, rcond=None)[0].T
        np.testing.assert_allclose(found[g], expected, rtol=1e-6)


def test_the_least_squares_target_is_the_weights_themselves_where_inputs_are_the_same() -> None:
    rng = np.random.default_rng(5)
    x, _ = pair(rng)
    weights = rng.normal(size=(2, 3, 4))
    np.testing.assert_allclose(least_squares_target(weights, Moments.of(x, x), pull=0.1), weights, rtol=1e-9)


def noisy(rng: np.random.Generator, count: int, depth: int = 40) -> Moments:
    """Inputs that go together in few ways, and what rounding leaves of them."""
    x = rng.normal(size=(1, count, 3)) @ np.random.default_rng(7).normal(size=(1, 3, depth))
    return Moments.of(x, x + rng.normal(size=x.shape))


def test_the_best_pull_is_weak_after_many_rows_and_strong_after_few() -> None:
    rng = np.random.default_rng(8)
    weights, bias, others = rng.normal(size=(1, 5, 40)), rng.normal(size=(1, 5)), noisy(rng, 5000)
    pulls = [best_pull(weights, bias, noisy(rng, count), others) for count in (20000, 8)]
    assert pulls[0] < pulls[1]


def test_the_best_pull_all_but_leaves_weights_alone_where_nothing_is_to_be_learned() -> None:
    rng = np.random.default_rng(9)
    weights, bias = rng.normal(size=(1, 5, 40)), rng.normal(size=(1, 5))
    x, y = rng.normal(size=(2, 1, 30, 40))
    unrelated = Moments.of(x, rng.normal(size=x.shape)), Moments.of(y, y)
    assert best_pull(weights, bias, *unrelated) >= 10
    assert least_squares_target(weights, unrelated[0], np.inf) is weights


def test_gptq_follows_its_definition_column_by_column_past_a_block() -> None:
    """The textbook form: after each column the rest moves to its optimum, given by the inverse of what is left of the curvature."""
    rng = np.random.default_rng(6)
    depth = 70
    root = rng.normal(size=(1, 2 * depth, depth))
    curvature, target, scale = root.swapaxes(1, 2) @ root, rng.normal(size=(1, 2, depth)), np.full((1, 2), 0.3)
    found = gptq(target, scale, Curvature(curvature).factor, INT4)
    left = target[0].copy()
    for j in range(depth):
        inverse = np.linalg.inv(curvature[0, j:, j:])
        code = np.clip(np.round(left[:, j] / 0.3), -8, 7)
        np.testing.assert_array_equal(found[0, :, j], code)
        left[:, j:] -= ((left[:, j] - code * 0.3) / inverse[0, 0])[:, np.newaxis] * inverse[0]


def test_gptq_is_plain_rounding_where_inputs_are_independent() -> None:
    target, scale = np.random.default_rng(7).normal(size=(1, 3, 5)), np.full((1, 3), 0.2)
    np.testing.assert_array_equal(gptq(target, scale, Curvature(np.eye(5)[np.newaxis]).factor, INT4), rounded(target, scale, INT4))


@pytest.mark.parametrize("seed", range(5))
def test_gptq_and_descent_stay_close_to_the_best_of_all_codes(seed: int) -> None:
    """Descent never ends above where it started, nor below brute force; where it ends, no single code can be bettered."""
    weights, _, _, _, moments = problem(seed)
    curvature, scale = Curvature.of(moments).matrix, np.full((2, 3), 0.8)
    codes = gptq(weights, scale, Curvature(curvature).factor, TINY)
    refined = codes
    for _ in range(20):
        refined = coordinate_descent(refined, weights, scale, curvature, TINY)
    all_codes = [np.broadcast_to(np.array(c, float), weights.shape) for c in product(range(-2, 2), repeat=4)]
    best = np.min([curved_error(c, weights, scale, curvature) for c in all_codes], axis=0)
    start, end = curved_error(codes, weights, scale, curvature), curved_error(refined, weights, scale, curvature)
    assert (end <= start + 1e-12).all() and (end >= best - 1e-12).all()
    for j, value in product(range(4), range(-2, 2)):
        other = refined.copy()
        other[..., j] = value
        assert (curved_error(other, weights, scale, curvature) >= end - 1e-9).all()


def test_descent_moves_as_one_coordinate_at_a_time_past_a_block() -> None:
    rng = np.random.default_rng(8)
    depth = 70
    root = rng.normal(size=(1, 2 * depth, depth))
    curvature, target, scale = root.swapaxes(1, 2) @ root, rng.normal(size=(1, 2, depth)), np.full((1, 2), 0.3)
    expected = rounded(target, scale, INT4)
    found = coordinate_descent(expected, target, scale, curvature, INT4)
    for j in range(depth):
        slope = ((expected * 0.3 - target) @ curvature)[..., j]
        expected[..., j] = np.clip(np.round(expected[..., j] - slope / (curvature[0, j, j] * 0.3)), -8, 7)
    np.testing.assert_array_equal(found, expected)


def test_fitted_scales_are_the_best_of_the_candidates_for_each_row() -> None:
    weights, _, _, _, moments = problem(9)
    curvature, none = Curvature.of(moments).matrix, np.zeros((2, 3))
    _, scale = fitted(weights, curvature, INT4, none, True, lambda t, s: rounded(t, s, INT4))
    reach = np.abs(weights).max(axis=-1)
    errors = []
    for part in INT4.parts:
        tried = (reach * (part / 7)).astype(np.float32).astype(float)
        errors.append(curved_error(rounded(weights, tried, INT4), weights, tried, curvature))
    chosen = np.take(INT4.parts, np.argmin(errors, axis=0))
    np.testing.assert_allclose(scale, reach * chosen / 7, rtol=1e-6)


def test_one_scale_for_all_rows_stays_one() -> None:
    weights, _, _, _, moments = problem(10)
    _, scale = fitted(weights, Curvature.of(moments).matrix, INT8, np.zeros((2, 3)), False, lambda t, s: rounded(t, s, INT8))
    assert np.unique(scale).size == 1


def test_no_scale_falls_below_what_the_bias_needs() -> None:
    weights, _, _, _, moments = problem(11)
    least = np.full((2, 3), 5.0)
    codes, scale = fitted(weights, Curvature.of(moments).matrix, INT8, least, True, lambda t, s: rounded(t, s, INT8))
    assert (scale >= least).all()
    assert (refitted_scales(codes, weights, scale, Curvature.of(moments).matrix, least) >= least).all()


def test_refitted_scales_are_where_the_error_has_no_slope() -> None:
    weights, _, _, _, moments = problem(12)
    curvature, scale = Curvature.of(moments).matrix, np.full((2, 3), 0.4)
    codes = rounded(weights, scale, INT4)
    found = refitted_scales(codes, weights, scale, curvature, np.zeros((2, 3)))
    error = curved_error(codes, weights, found, curvature)
    for factor in (0.99, 1.01):
        assert (curved_error(codes, weights, found * factor, curvature) > error).all()


def test_dead_inputs_neither_fail_nor_move_weights() -> None:
    """One group sees constants alone, the other has a dead column: no matrix is singular, and nothing is NaN."""
    rng = np.random.default_rng(13)
    x_f, x_q = pair(rng)
    x_f[0], x_q[0], x_f[1, :, 2], x_q[1, :, 2] = 3.0, 3.0, 0.0, 0.0
    moments, weights, scale = Moments.of(x_f, x_q), rng.normal(size=(2, 3, 4)), np.full((2, 3), 0.2)
    target, curvature = least_squares_target(weights, moments, pull=0.1), Curvature.of(moments).matrix
    np.testing.assert_allclose(target[0], weights[0], rtol=1e-12)
    codes = gptq(target, scale, Curvature(curvature).factor, INT4)
    np.testing.assert_array_equal(codes[0], rounded(weights, scale, INT4)[0])
    assert np.isfinite(coordinate_descent(codes, target, scale, curvature, INT4)).all()


def test_rows_of_zeros_have_a_scale_and_codes_of_zero() -> None:
    _, _, _, _, moments = problem(14)
    zeros = np.zeros((2, 3, 4))
    codes, scale = fitted(zeros, Curvature.of(moments).matrix, INT8, np.zeros((2, 3)), True, lambda t, s: rounded(t, s, INT8))
    assert (scale > 0).all() and not codes.any()
