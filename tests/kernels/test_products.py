"""Exact integer products: the bound that chooses the type, and products at that bound."""

from __future__ import annotations

import numpy as np
import pytest

from qcore.errors import UnsupportedError
from qcore.kernels.products import exact_type, greatest_magnitude, pack


@pytest.mark.parametrize(("bound", "wanted"), [(0, np.float32), (2**24 - 1, np.float32), (2**24, np.float64), (2**53 - 1, np.float64)])
def test_the_narrowest_type_that_is_exact(bound: int, wanted: type) -> None:
    assert exact_type(bound) == wanted


def test_sums_that_even_float64_might_round_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="up to 9007199254740992 are not exact"):
        exact_type(2**53)


@pytest.mark.parametrize(("dtype", "wanted"), [("int8", 128), ("uint8", 255), ("int16", 32768)])
def test_greatest_magnitude(dtype: str, wanted: int) -> None:
    assert greatest_magnitude(dtype) == wanted


@pytest.mark.parametrize(
    ("depth", "matrix", "sums"),
    [
        (1032, np.float32, np.int32),  # one float32 product
        (1033, np.float32, np.int32),  # 127 * 128 * 1033 passes 2**24: two
        (5000, np.float32, np.int32),  # five
        (132_105, np.float64, np.int64),  # passes 2**31
    ],
)
def test_products_on_both_sides_of_the_bounds_are_exact(depth: int, matrix: type, sums: type) -> None:
    packed = pack(np.full((1, depth), 127, np.int8), 0, 128)
    assert packed.matrix.dtype == matrix
    x = np.full((2, depth), -128, np.int8)
    x[1, -1] = -127
    got = packed.product(x)
    assert got.dtype == sums
    assert got.ravel().tolist() == [-128 * 127 * depth, -128 * 127 * depth + 127]


def test_the_bound_follows_the_actual_weights() -> None:
    """A long filter of small weights stays in float32."""
    assert pack(np.ones((3, 100_000), np.int8), 0, 128).matrix.dtype == np.float32


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16"])
@pytest.mark.parametrize("stack", [(), (3,)])
def test_products_and_sums_less_the_zero_point(dtype: str, stack: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    limits = np.iinfo(dtype)
    for zero_point in (limits.min, 0, limits.max):
        filter = rng.integers(limits.min, limits.max + 1, (*stack, 5, 17)).astype(dtype)
        x = rng.integers(limits.min, limits.max + 1, (*stack, 4, 17)).astype(dtype)
        packed = pack(filter, zero_point, greatest_magnitude(dtype))
        real = filter.astype(np.int64) - zero_point
        np.testing.assert_array_equal(packed.product(x), x.astype(np.int64) @ real.swapaxes(-1, -2))
        np.testing.assert_array_equal(packed.sums, real.sum(axis=-1))


def test_no_depth_and_no_outputs() -> None:
    assert pack(np.zeros((2, 0), np.int8), 0, 128).product(np.zeros((3, 0), np.int8)).tolist() == [[0, 0]] * 3
    assert pack(np.zeros((0, 4), np.int8), 0, 128).product(np.zeros((3, 4), np.int8)).shape == (3, 0)
