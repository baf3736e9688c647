"""The processor's estimates: near enough for one step of Newton's."""

from __future__ import annotations

import numpy as np
import pytest

from qcore.kernels.fast.estimates import RECIPROCAL, RECIPROCAL_ROOT, Instruction, available, estimate


@pytest.mark.parametrize(("instruction", "power", "error"), [(RECIPROCAL, -1.0, 2.0**-11), (RECIPROCAL_ROOT, -0.5, 2.0**-13)])
def test_estimates_have_a_dozen_bits(instruction: Instruction, power: float, error: float) -> None:
    if not available(instruction):
        pytest.skip("this processor has no such instruction")
    x = np.exp(np.linspace(-20, 20, 101)).astype(np.float32).reshape(1, 101)
    got = estimate(instruction, x)
    assert (got.shape, got.dtype) == (x.shape, np.float32)
    np.testing.assert_allclose(got, x.astype(np.float64) ** power, rtol=error)
    assert estimate(instruction, x[:, :0]).shape == (1, 0)
