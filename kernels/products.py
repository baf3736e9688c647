"""Exact integer matrix products through floating-point BLAS.

A float holds every integer up to 2**24 (float32) or 2**53 (float64). While the magnitudes of all terms of a sum add up to less than
that, every partial sum is such an integer, whatever the order in which BLAS takes them, and nothing is ever rounded. The bound is
proven from the filter's actual values when it is packed, and decides the type::

    |sum over k of x[k] * w[k]| <= max|x| * sum over k of |w[k]|

Where float32 cannot hold the whole sum but can hold long parts of it, the parts are summed as integers: that takes half the time and
memory of float64.

Zero points are expanded, so that the filter is packed once and inputs are taken as they are::

    sum (x - zx) * (w - zw) = sum x * (w - zw) - zx * sum (w - zw)
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from qcore.errors import UnsupportedError
from qcore.kernels.opdef import Array

FLOAT32_EXACT, INT32_EXACT, FLOAT64_EXACT = 2**24, 2**31, 2**53
"""Integers of magnitudes below these are held exactly."""

LEAST_STEP = 128
"""Depth of the parts from which float32 products cost less than one product in float64."""


def real_weights(codes: Array, zero_point: int) -> NDArray[np.int16] | NDArray[np.int32]:
    """Codes less their zero point, of the same shape: int16 of 8-bit codes, else int32."""
    wide: Any = np.int16 if codes.itemsize == 1 else np.int32
    return np.subtract(codes, zero_point, dtype=wide)


def exact_type(bound: int) -> np.dtype[Any]:
    """The narrowest float type that sums exactly while magnitudes add up to no more than the bound.

    Raises:
        UnsupportedError: float64 does not either.
    """
    if bound >= FLOAT64_EXACT:
        raise UnsupportedError(f"accumulators of up to {bound} are not exact, qcore sums up to {FLOAT64_EXACT - 1}")
    return np.dtype(np.float32 if bound < FLOAT32_EXACT else np.float64)


@dataclass(frozen=True, eq=False)
class PackedFilter:
    """An integer filter ready for exact products.

    codes: integers[..., outputs, depth]. zero_point: of the codes.
    dtype: float32 or float64, in which products are taken.
    step: elements of depth over which products are exact in that type; longer sums are taken in steps, as integers.
    sums: int64[..., outputs], of the weights over depth: what one step of the input's zero point takes off an accumulator.
    """

    codes: Array
    zero_point: int
    dtype: np.dtype[Any]
    step: int
    sums: NDArray[np.int64]

    @property
    def weights(self) -> NDArray[np.int16] | NDArray[np.int32]:
        """[..., outputs, depth]: the codes less their zero point."""
        return real_weights(self.codes, self.zero_point)

    @cached_property
    def matrix(self) -> Array:
        """dtype[..., depth, outputs]: the weights; made when they are first multiplied, since native kernels do without."""
        return self.weights.astype(self.dtype).swapaxes(-1, -2)

    def product(self, x: Array) -> NDArray[np.int32] | NDArray[np.int64]:
        """``x @ matrix``, exact.

        Args:
            x: integers or floats of integers[..., rows, depth], within the range that the filter was packed for.

        Returns:
            [..., rows, outputs]: int32 where it is sure to hold the sums, which is where matrix is float32; else int64.
        """
        x = x.astype(self.dtype, copy=False)
        total = as_integers(np.matmul(x[..., : self.step], self.matrix[..., : self.step, :]))
        for start in range(self.step, self.matrix.shape[-2], self.step):
            part = slice(start, start + self.step)
            total += as_integers(np.matmul(x[..., part], self.matrix[..., part, :]))
        return total


def pack(filter: Array, zero_point: int, greatest: int) -> PackedFilter:
    """Pack a filter for inputs of limited magnitude.

    Args:
        filter: int8 | uint8 | int16[..., outputs, depth].
        zero_point: of the filter, within its type.
        greatest: no input has a greater magnitude, e.g. 128 for int8 (``greatest_magnitude``).

    Raises:
        UnsupportedError: sums may pass 2**53.
    """
    real = real_weights(filter, zero_point)
    magnitudes = np.abs(real)
    bound = greatest * int(magnitudes.sum(axis=-1, dtype=np.int64).max(initial=0))
    dtype, step = exact_type(bound), real.shape[-1]
    if dtype == np.float64 and bound < INT32_EXACT:
        float32_step = (FLOAT32_EXACT - 1) // (greatest * int(magnitudes.max()))
        if float32_step >= LEAST_STEP:
            dtype, step = np.dtype(np.float32), float32_step
    return PackedFilter(filter, zero_point, dtype, max(step, 1), real.sum(axis=-1, dtype=np.int64))


def as_integers(sums: Array) -> NDArray[np.int32] | NDArray[np.int64]:
    """Exact sums as int32 where they are float32, as int64 where they are float64."""
    return sums.astype(np.int32) if sums.dtype == np.float32 else sums.astype(np.int64)


def greatest_magnitude(dtype: DTypeLike) -> int:
    """The greatest magnitude of an integer type's values, e.g. 128 for int8."""
    limits = np.iinfo(np.dtype(dtype))
    return max(-int(limits.min), int(limits.max))
