"""Eigen's elementary functions: how near they are, and what vectors leave over."""

from __future__ import annotations

import math

import numpy as np

from qcore.kernels import float_functions as functions
from qcore.kernels import library_functions

X = np.linspace(-11, 11, 3001).astype(np.float32)


def test_the_exponential_is_near() -> None:
    np.testing.assert_allclose(functions.exp(X), np.exp(X.astype(np.float64)), rtol=2e-7)
    assert functions.exp(np.float32([0, 89, -105, -np.inf])).tolist() == [1, np.inf, 0, 0]


def test_the_complementary_error_function_is_near() -> None:
    np.testing.assert_allclose(functions.erfc(X), [math.erfc(x) for x in X.astype(float)], rtol=1e-5, atol=1e-37)


def test_gelu_has_two_forms() -> None:
    exact = [x * math.erfc(-x / math.sqrt(2)) / 2 for x in X.astype(float)]
    by_tanh = [x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2 for x in X.astype(float)]
    np.testing.assert_allclose(functions.gelu(X), exact, rtol=1e-5, atol=1e-30)
    np.testing.assert_allclose(functions.gelu_by_tanh(X), by_tanh, rtol=2e-6, atol=2e-6)


def test_a_reciprocal_is_improved_from_an_estimate() -> None:
    def estimate(x: np.ndarray) -> np.ndarray:
        with np.errstate(divide="ignore"):
            return (np.float32(1 + 2.0**-12) / x).astype(np.float32)

    x = np.float32([0.3, 1, 3, 1e6])
    np.testing.assert_allclose(functions.improved(estimate, x), 1 / x, rtol=2e-7)
    assert functions.improved(estimate, np.float32([0, np.inf])).tolist() == [np.inf, 0]


def test_what_vectors_leave_over_is_taken_another_way() -> None:
    rows = np.arange(14, dtype=np.float32).reshape(2, 7)
    taken = functions.in_vectors(lambda x: -x, lambda x: x * 100, 4, rows)
    assert taken.tolist() == [[0, -1, -2, -3, 400, 500, 600], [-7, -8, -9, -10, 1100, 1200, 1300]]


def test_one_number_alone_is_the_c_library_s_logistic_function() -> None:
    e = library_functions.exp(X)
    np.testing.assert_array_equal(functions.logistic_of_one(X)[X < 16], (e / (np.float32(1) + e))[X < 16])
    assert functions.logistic_of_one(np.float32([20])).tolist() == [1]
