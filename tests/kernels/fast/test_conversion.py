"""QUANTIZE of float32 as native code: the reference's integers on every tier."""

from __future__ import annotations

import numpy as np
import pytest

from tests.conformance.harness import T, one_operator
from tests.kernels.fast.compare import assert_fast

SPECIAL = [
    np.nan,
    np.inf,
    -np.inf,
    3e38,
    -3e38,
    2.0**31,
    -(2.0**31),
    0.0,
    -0.0,
    0.025,
    -0.025,
    0.02499999,
    0.07500001,
    1e-40,
    32767.4 * 0.05,
]


@pytest.mark.parametrize("arithmetic", ["reference", "builtin", "xnnpack"])
@pytest.mark.parametrize(("dtype", "zero_point"), [("int8", -128), ("int8", 127), ("uint8", 0), ("uint8", 255)])
def test_real_numbers_of_every_kind(tier, dtype, zero_point, arithmetic):
    """Ties, numbers beyond the range of codes, of int16 and of int32, and what is no number."""
    rng = np.random.default_rng(1)
    m = one_operator("QUANTIZE", [T("float32", [2, 150])], [T(dtype, [2, 150], 0.05, zero_point)])
    ties = (rng.integers(-300, 300, 100) + 0.5) * 0.05
    x = np.concatenate([SPECIAL, ties, rng.uniform(-15, 15, 300 - 100 - len(SPECIAL))])
    with np.errstate(all="ignore"):
        assert_fast(m, [rng.permutation(x).astype(np.float32).reshape(2, 150)], arithmetic)


@pytest.mark.parametrize("arithmetic", ["reference", "builtin", "xnnpack"])
@pytest.mark.parametrize("count", [1, 7, 8, 63, 64, 65])
def test_counts_about_a_block(tier, count, arithmetic):
    m = one_operator("QUANTIZE", [T("float32", [count])], [T("int8", [count], 0.1, 3)])
    assert_fast(m, [np.random.default_rng(2).uniform(-15, 15, count).astype(np.float32)], arithmetic)
