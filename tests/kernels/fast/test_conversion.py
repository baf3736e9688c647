"""QUANTIZE of float32 and DEQUANTIZE as native code: the reference's bits on every tier."""

from __future__ import annotations

import numpy as np
import pytest

from qcore.kernels.fast.conversion import affine
from qcore.numerics.lookup_table import all_codes
from tests.conformance.harness import T, one_operator, random_inputs
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
@pytest.mark.parametrize(("dtype", "zero_point"), [("int8", -128), ("int8", 127), ("uint8", 0), ("uint8", 255), ("int16", 0)])
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


@pytest.mark.parametrize("arithmetic", ["reference", "builtin", "xnnpack"])
@pytest.mark.parametrize("count", [1, 7, 63, 64, 3000])
@pytest.mark.parametrize(
    ("dtype", "zero_point"), [("int8", -128), ("int8", 127), ("int8", 0), ("uint8", 0), ("uint8", 255), ("uint8", 9), ("int16", 0)]
)
def test_real_numbers_of_codes(tier, dtype, zero_point, count, arithmetic):
    m = one_operator("DEQUANTIZE", [T(dtype, [count], 0.0371, zero_point)], [T("float32", [count])], version=3)
    assert_fast(m, random_inputs(m, np.random.default_rng(3)), arithmetic)


def test_tables_of_sixteen_bit_codes_are_seen_to_be_products(tier):
    """Tensors with more elements than codes have a table."""
    m = one_operator("DEQUANTIZE", [T("int16", [70000], 0.0371, 0)], [T("float32", [70000])], version=3)
    assert_fast(m, random_inputs(m, np.random.default_rng(4)))


@pytest.mark.parametrize("zero_point", [-128, -5, 127])
def test_a_table_is_affine_or_not(zero_point):
    codes = all_codes("int8")
    table = (codes - np.int32(zero_point)).astype(np.float32) * np.float32(0.1)
    assert affine(table, np.dtype(np.int8)) == (zero_point, np.float32(0.1))
    assert affine(np.nextafter(table, np.float32(9)), np.dtype(np.int8)) is None
