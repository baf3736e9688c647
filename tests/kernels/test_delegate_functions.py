"""XNNPACK's elementary functions: how near they are, and where they are exact."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from qcore.kernels import delegate_functions as functions

X = np.concatenate([np.linspace(-12, 12, 4001), [-87.3, -87.4, -200, 0, 1e-30]]).astype(np.float32)


def gelu(x: float) -> float:
    return x * (1 + math.erf(x / math.sqrt(2))) / 2


def gelu_by_tanh(x: float) -> float:
    return x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2


@pytest.mark.parametrize(
    ("function", "real", "error"),
    [
        (functions.tanh, math.tanh, 3e-7),
        (functions.gelu, gelu, 2e-6),
        (functions.gelu_by_tanh, gelu_by_tanh, 2e-6),
        (functions.logistic, lambda x: 1 / (1 + math.exp(-x)), 3e-7),
    ],
)
def test_functions_are_near(function: Callable[..., np.ndarray], real: Callable[[float], float], error: float) -> None:
    got = function(X)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, [real(float(x)) for x in X], rtol=error, atol=error)


def test_the_exponential_is_near_and_zero_far_below() -> None:
    x = X[X <= 0]
    np.testing.assert_allclose(functions.exp_below_zero(x), np.where(x < functions.EXP_ZERO, 0, np.exp(x.astype(np.float64))), rtol=2e-7)
    assert functions.exp_below_zero(np.float32([0, -np.inf])).tolist() == [1, 0]


def test_the_logistic_function_is_symmetric() -> None:
    share = functions.logistic(X[X < 0])
    np.testing.assert_array_equal(functions.logistic(-X[X < 0]), np.float32(1) - share)
    assert functions.logistic(np.float32([0, np.inf, -np.inf])).tolist() == [0.5, 1, 0]


def test_roots_are_improved_estimates() -> None:
    def estimate(x: np.ndarray) -> np.ndarray:
        with np.errstate(divide="ignore"):
            return (1 / np.sqrt(x) * (1 + 2.0**-15)).astype(np.float32)

    x = np.float32([0.3, 1, 2, 1e6])
    np.testing.assert_allclose(functions.rsqrt(estimate, x), 1 / np.sqrt(x), rtol=3e-7)
    np.testing.assert_allclose(functions.sqrt(estimate, x), np.sqrt(x), rtol=3e-7)
    assert functions.sqrt(estimate, np.float32([0])).tolist() == [0]
    assert functions.rsqrt(estimate, np.float32([np.inf])).tolist() == [0]
