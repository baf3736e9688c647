"""What accumulators can reach: exact bounds over all inputs that a tensor's codes allow, and the input that reaches one.

A sum of ``weight * (code - zero_point)`` is greatest where positive weights meet the greatest code and negative ones the least; so the
bound is reached. Kernels add the terms one by one, some of them with the bias first and some last, and some take zero points off all terms
at once, ``sum of weight * code + (bias - zero_point * sum of weights)``. Whatever the order, no sum on the way leaves the bounds called
partial.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcore.analysis.ranging.terms import Terms
from qcore.kernels.opdef import Array

Exact = NDArray[np.object_]
"""Python integers, which do not overflow."""


@dataclass(frozen=True, eq=False)
class Bounds:
    """What the accumulators of each channel cannot leave.

    least, greatest: Python integers[channels]; both are reached.
    least_at, greatest_at: int64[channels, 2], row and column of an output that reaches them.
    partial_least, partial_greatest: Python integers[channels], of all sums on the way, in whatever order.
    """

    least: Exact
    greatest: Exact
    least_at: NDArray[np.int64]
    greatest_at: NDArray[np.int64]
    partial_least: Exact
    partial_greatest: Exact


def bounds(terms: Terms) -> Bounds:
    """The bounds of an operator's accumulators; sums grow steadily with the zero point, so its ends tell."""
    return reduce(_hull, (_bounds(terms, zero_point) for zero_point in terms.zero_points))


def _hull(a: Bounds, b: Bounds) -> Bounds:
    below, above = b.least < a.least, b.greatest > a.greatest
    return Bounds(
        least=np.where(below, b.least, a.least),
        greatest=np.where(above, b.greatest, a.greatest),
        least_at=np.where(below[:, np.newaxis], b.least_at, a.least_at),
        greatest_at=np.where(above[:, np.newaxis], b.greatest_at, a.greatest_at),
        partial_least=np.minimum(a.partial_least, b.partial_least),
        partial_greatest=np.maximum(a.partial_greatest, b.partial_greatest),
    )


def _bounds(terms: Terms, zero_point: int) -> Bounds:
    positive, negative = (part(terms.weights, 0).sum(axis=-1, dtype=np.int64) for part in (np.maximum, np.minimum))
    low, high = (code - zero_point for code in terms.codes)
    greatest, greatest_at = _greatest(terms, high * positive + low * negative)
    least, least_at = _greatest(terms, -(low * positive + high * negative))
    # The same sums, of codes that still hold the zero point; padding, which is the zero point's code, is among them.
    positive, negative = (sums.sum(axis=(1, 2)).astype(object) for sums in (positive, negative))
    offset = terms.bias - zero_point * (positive + negative)
    low, high = terms.codes
    held_least, held_greatest = low * positive + high * negative, high * positive + low * negative

    def below(x: Exact) -> Any:
        return np.minimum(x, 0)

    def above(x: Exact) -> Any:
        return np.maximum(x, 0)

    half = _greatest(terms, np.ones(terms.weights.shape[:-1], np.int64))[0] // 2 if terms.averaged else 0
    return Bounds(
        least=terms.bias - least - half,
        greatest=terms.bias + greatest + half,
        least_at=least_at,
        greatest_at=greatest_at,
        partial_least=np.minimum(below(terms.bias) + below(-least), below(offset) + below(held_least)) - half,
        partial_greatest=np.maximum(above(terms.bias) + above(greatest), above(offset) + above(held_greatest)) + half,
    )


def _greatest(terms: Terms, values: NDArray[np.int64]) -> tuple[Exact, NDArray[np.int64]]:
    """The greatest total over outputs of int64[channels, height, width], and where."""
    by_column, columns = terms.width.totals(values)
    totals, rows = terms.height.totals(by_column.swapaxes(1, 2))
    flat = totals.reshape(len(totals), -1)
    best = flat.argmax(axis=1)
    column, row = np.unravel_index(best, totals.shape[1:])
    return flat.max(axis=1).astype(object), np.stack([rows[row], columns[column]], axis=1)


def reaching(terms: Terms, channel: int, at: tuple[int, int], greatest: bool) -> dict[int, Array]:
    """The input of an integer operator that makes a channel's accumulator as great, or as small, as it can be at an output.

    Returns:
        By place among the operator's inputs, codes: of the terms' view but for the batch, or a scalar where all are alike.
    """
    if terms.fill:
        return {slot: np.array(codes[greatest]) for slot, codes in terms.fill.items()}
    (least, most), weights = terms.codes, terms.weights[channel]
    upward, downward = (most, least) if greatest else (least, most)
    depth = weights.shape[-1]
    start = channel // (len(terms.weights) // terms.groups) * depth
    (zero_point,) = terms.zero_points
    codes = np.full(terms.view[1:], zero_point, np.int64)
    for ky in terms.height.taps(at[0]):
        for kx in terms.width.taps(at[1]):
            w = weights[ky, kx]
            place = terms.height.input(at[0], ky), terms.width.input(at[1], kx), slice(start, start + depth)
            codes[place] = np.where(w > 0, upward, np.where(w < 0, downward, zero_point))
    return {terms.slot: codes}


def headroom(least: int, greatest: int, width: int) -> float:
    """Bits between what is reached and a signed integer of that width: negative where it does not fit; each bit is a factor of 2."""
    return width - 1 - math.log2(max(greatest + 1, -least))


def fits(least: int, greatest: int, width: int) -> bool:
    """A signed integer of that width holds both."""
    return -(1 << (width - 1)) <= least and greatest < 1 << (width - 1)
