"""Functions of one float32 as native code: the reference's bits on every tier, or near them where it computes in float64."""

from __future__ import annotations

import numpy as np
import pytest

from qcore.runtime.plan import Settings
from tests.conformance.harness import T, one_operator
from tests.kernels.fast.compare import assert_fast, run

FUNCTIONS = ["ABS", "NEG", "SQUARE", "SQRT", "FLOOR", "CEIL", "ROUND", "RELU", "RELU6", "RELU_N1_TO_1", "LEAKY_RELU"]
SPECIAL = np.float32([np.nan, np.inf, -np.inf, 0.0, -0.0, 0.5, 1.5, 2.5, -0.5, 1e-40, 3e38, 6, -1, 2.0**23 + 1])


def model(operator, count):
    options = {"alpha": 0.3} if operator == "LEAKY_RELU" else None
    return one_operator(operator, [T("float32", [count])], [T("float32", [count])], options)


@pytest.mark.parametrize("count", [0, 1, 15, 16, 100])
@pytest.mark.parametrize("operator", FUNCTIONS)
def test_functions_of_numbers_of_every_kind(tier, operator, count):
    rng = np.random.default_rng(1)
    x = np.where(rng.random(count) < 0.5, rng.choice(SPECIAL, count), rng.normal(0, 4, count)).astype(np.float32)
    with np.errstate(all="ignore"):
        assert_fast(model(operator, count), [x])


@pytest.mark.parametrize("arithmetic", ["reference", "xnnpack"])
def test_exponentials_are_near(tier, arithmetic):
    """To a few units in the last place; beyond float32 they are infinite, and of what is no number none."""
    x = np.linspace(-110, 90, 5000).astype(np.float32)
    x[:3] = np.nan, np.inf, -np.inf
    m = model("EXP", 5000)
    with np.errstate(all="ignore"):
        (_, (got,)), (_, (want,)) = (run(m, [x], Settings(arithmetic, engine=engine)) for engine in ("fast", "reference"))
    np.testing.assert_allclose(got, want, rtol=2e-6, atol=3e-45)  # two steps of subnormal numbers


def test_threads_change_no_bit():
    x = np.random.default_rng(2).normal(0, 3, 9001).astype(np.float32)
    assert_fast(model("LEAKY_RELU", 9001), [x], threads=3)
