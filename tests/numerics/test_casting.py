"""Float to integer as x86-64 does it."""

from __future__ import annotations

import numpy as np
import pytest

from qcore.numerics.casting import float_to_int32

LEAST = -(2**31)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_fractions_are_cut_off_and_the_rest_becomes_the_least_number(dtype: type) -> None:
    x = np.array([0.9, -0.9, 1.5, -2.5, 1e9, -(2.0**31), 2.0**31, -3e9, np.inf, -np.inf, np.nan], dtype)
    assert float_to_int32(x).tolist() == [0, 0, 1, -2, 10**9, LEAST, LEAST, LEAST, LEAST, LEAST, LEAST]


def test_float64_reaches_both_ends() -> None:
    assert float_to_int32(np.array([2**31 - 0.5, -(2**31) - 0.5, -(2**31) - 1.0])).tolist() == [2**31 - 1, LEAST, LEAST]
