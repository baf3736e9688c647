"""Sums of float32 as XNNPACK's kernels for AVX-512 take them, so that they round alike.

Products are fused: multiplied and added with a single rounding. They are summed in turn, from the bias on; those of a depthwise
convolution column by column of the filter. Sums without products are taken in vectors of 16, whose lanes are added up as a tree.

Source (XNNPACK, February 2026): src/f32-gemm/avx512-broadcast.c.in, src/f32-igemm/avx512-broadcast.c.in, src/f32-dwconv/simd.c.in,
src/f32-rsum/simd.c.in, src/f32-rdsum/simd.c.in, src/f32-avgpool/avgpool.c.in, src/f32-raddstoreexpminusmax/avx512f-rr2-p5.c.in.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import EllipsisType

import numpy as np
from numpy.typing import NDArray

Reals = NDArray[np.float32]

Place = tuple[EllipsisType, slice, slice]

VECTOR = 16
"""float32 numbers of a vector."""

TILE = 1 << 15
"""Sums that are taken at once."""

POOLED = 9
"""Pixels of a window that are averaged at a time."""


def fused(x: Reals | np.float32, y: Reals | np.float32, z: Reals | np.float32) -> Reals:
    """``x * y + z`` of float32[...], rounded once."""
    return np.asarray(np.multiply(x, y, dtype=np.float64) + z).astype(np.float32)


def products(x: Reals, filter: Reals, bias: Reals | None = None) -> Reals:
    """float32[..., rows, channels] of float32[..., rows, depth] and float32[..., channels, depth]; bias: [..., 1, channels]."""
    total = np.zeros((*np.broadcast_shapes(x.shape[:-2], filter.shape[:-2]), x.shape[-2], filter.shape[-2]), np.float32)
    total += 0 if bias is None else bias
    for tile, columns, lines in tiles(total, x, filter):
        sums, wide = np.ascontiguousarray(total[tile]), np.empty(total[tile].shape)
        for column, line in zip(columns, lines, strict=True):
            np.multiply(column, line, out=wide, dtype=np.float64)
            wide += sums
            sums[...] = wide
        total[tile] = sums
    return total


def tiles(total: Reals, x: Reals, filter: Reals) -> Iterator[tuple[Place, Reals, Reals]]:
    """The sums of products [..., rows, channels] in parts that stay in the processor's cache.

    Yields:
        the part's place; x as [depth, ..., rows, 1] and the filter as [depth, ..., 1, channels].
    """
    rows = max(1, TILE * max(1, total.shape[-2]) // max(1, total.size))
    lines = np.ascontiguousarray(np.moveaxis(filter, -1, 0))[..., np.newaxis, :]
    for first in range(0, total.shape[-2], rows):
        tile: Place = (..., slice(first, first + rows), slice(None))
        yield tile, np.ascontiguousarray(np.moveaxis(x[tile], -1, 0))[..., np.newaxis], lines


def row_sums(x: Reals) -> Reals:
    """float32[rows] of float32[rows, depth]: two accumulators by turns, then a vector that is left over, then the rest."""
    return _in_vectors(x, 2)


def sums_of_exponentials(x: Reals) -> Reals:
    """float32[rows] of float32[rows, depth]: two accumulators by turns, four vectors at a time; then the rest vector by vector."""
    return _in_vectors(x, 4)


def _in_vectors(x: Reals, unrolled: int) -> Reals:
    rows, depth = x.shape
    padded = np.zeros((rows, -(-depth // VECTOR), VECTOR), np.float32)
    padded.reshape(rows, -1)[:, :depth] = x
    vectors = padded.swapaxes(0, 1)
    first = depth // (unrolled * VECTOR) * unrolled
    lanes = np.zeros((2, rows, VECTOR), np.float32)
    for i in range(first):
        lanes[i % 2] += vectors[i]
    rest = [*vectors[first:]]
    if unrolled == 2 and depth // VECTOR > first:
        lanes[0] += rest.pop(0)
    total: Reals = lanes[0] + lanes[1]
    for vector in rest:
        total = total + vector
    width = VECTOR
    while width > 1:
        width //= 2
        total = total[:, :width] + total[:, width:]
    return total[:, 0]


def window_sums(x: Reals) -> Reals:
    """float32[...] of float32[pixels, ...]: sums of windows, nine pixels at a time."""
    total = np.zeros(x.shape[1:], np.float32)
    for first in range(0, len(x), POOLED):
        p = np.zeros((POOLED, *x.shape[1:]), np.float32)
        some = x[first : first + POOLED]
        p[: len(some)] = some
        total = total + (((p[2] + p[3]) + (p[4] + p[5])) + (((p[0] + p[1]) + p[8]) + (p[6] + p[7])))
    return total
