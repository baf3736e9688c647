"""Cheaper arithmetic that stands in for the reference's ADD, SUB and MUL of 8-bit codes.

There are no more than 65536 pairs of codes. So anything may stand in that is seen to give the same code for every one of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from qcore.kernels import addition, multiplication
from qcore.kernels.fast.requantization import Constants
from qcore.kernels.opdef import Array
from qcore.numerics.fixed_point import DoubleRounding, SingleRounding
from qcore.numerics.lookup_table import all_codes
from qcore.numerics.shifting import RightRounding

TILTS, RISES = (0, 1, -1, 2, -2), tuple(range(0, 97, 16)) + tuple(range(-16, -97, -16))
"""What is tried on top of the nearest factors and offset of a linear sum, one with the other."""

CHANGES = sorted(product(TILTS, TILTS, RISES, (False, True)), key=lambda change: (change[3], sum(map(abs, change))))
"""Two tilts, a rise, and whether negative sums are lowered by twice as much, so that ties go away from zero; the least first."""

TRIED = 1024
"""Pairs that changes are tried on, at most."""

MARGINS = tuple(product(range(-1, 3), range(-2, 3)))
"""What is tried on top of the rise that ties need in a sum of tables, and of what negative ones lose again."""

NEAR_TIE = 2 * 2 * 255 + 96 + 255
"""As much as that, and the nearest factors, may move a sum; others than those so near to a tie keep their code."""

PARTS = (1 - 2.0**-6, 1.0, 1 + 2.0**-6, 0.0)
"""How much of what the first of two roundings adds to ties is added to a half."""

GREATEST_PRODUCT = 255 * 255
"""Of two codes less their zero points."""

LARGEST = 1 << 30
"""Steps below this, in magnitude, are within int32 however they are rounded."""


class Linear(NamedTuple):
    """``(factor1 * x + factor2 * y + offset) >> shift`` of uint8 codes: steps of the output. Sums below half a step lose ``away`` first."""

    factors: tuple[int, int]
    offset: int
    shift: int
    away: int
    bends: tuple[NDArray[np.uint8], NDArray[np.uint8]] | None = None
    """Of each code, by its bits: what is added to its multiple."""


class Tables(NamedTuple):
    """The same of int32[256] for each code, by its bits, instead of multiples; the offset is in the first."""

    tables: tuple[NDArray[np.int32], NDArray[np.int32]]
    shift: int
    away: int

    def straightened(self, dtype: np.dtype[Any]) -> Linear | None:
        """As multiples and bytes; None where these are too small."""
        x = all_codes(dtype.name).astype(np.int64) - np.iinfo(dtype).min
        lines = [Line.through(table[np.argsort(x)].astype(np.float64)) for table in self.tables]
        rests = [table - line.factor * x for table, line in zip(self.tables, lines, strict=True)]
        if max(np.ptp(rest) for rest in rests) > 255:
            return None
        bends = tuple((rest - rest.min()).astype(np.uint8) for rest in rests)
        factors = lines[0].factor, lines[1].factor
        return Linear(factors, int(rests[0].min() + rests[1].min()), self.shift, self.away, (bends[0], bends[1]))


@dataclass(frozen=True, eq=False)
class Sum:
    """What is to be met. Codes are in ascending order.

    want: [256, 256], codes of the output.
    steps: float64[256] of each operand, steps of the output but for roundings.
    shift: as great as 32 bits allow.
    """

    p: addition.Params
    bits: NDArray[np.uint8]
    want: Array
    steps: tuple[NDArray[np.float64], NDArray[np.float64]]
    shift: int

    @classmethod
    def of(cls, p: addition.Params, dtype: np.dtype[Any]) -> Sum:
        """Of codes of 8 bits."""
        assert isinstance(p.requantize, RightRounding | SingleRounding)
        codes = np.sort(all_codes(dtype.name)).astype(dtype)
        bits, factor = codes.view(np.uint8), float(p.requantize.multiplier) * 2.0 ** (float(p.requantize.shift) - 31)
        one, other = (table[bits] * factor for table in signed_tables(p))
        shift = 31 - int(np.ceil(np.log2(np.abs(one).max() + np.abs(other).max() + 1)))
        return cls(p, bits, addition.add_rescaled(p, codes[:, np.newaxis], codes), (one, other), shift)

    def missed(self, sums: Array, away: Array | int, want: Array) -> Array:
        """Where sums give another code, or pass 32 bits."""
        lowered = sums - away * (sums < 1 << (self.shift - 1))
        codes = np.clip((lowered >> self.shift) + self.p.output_zero_point, self.p.activation_min, self.p.activation_max)
        return np.asarray((codes != want) | (lowered != lowered.astype(np.int32)))


def as_linear(wanted: Sum) -> Linear | None:
    """A linear sum that does as the tables and the requantization for every pair of codes; None where none is found.

    Tables are straight lines but for roundings, which matter to pairs next to a tie alone. So factors and offset near the lines' own
    are tried on those pairs, and the best is taken if it gives all others their codes too.
    """
    shift, (steps1, steps2), x = wanted.shift, wanted.steps, np.arange(256)
    if shift < 1:
        return None
    lines = [Line.through(steps * 2.0**shift) for steps in (steps1, steps2)]
    sums = np.add.outer(steps1, steps2) + 0.5
    critical = np.nonzero(np.abs(sums - np.rint(sums)) < NEAR_TIE / 2.0**shift)
    one, other = (code[:: len(code) // TRIED + 1] for code in critical)
    tilt1, tilt2, rise, signed = np.array(CHANGES).T
    factor1, factor2 = lines[0].factor + tilt1, lines[1].factor + tilt2
    level = round(lines[0].offset + lines[1].offset) + (1 << (shift - 1))
    offset = level + rise - lines[0].zero * tilt1 - lines[1].zero * tilt2
    away = signed * (2 * np.maximum(rise, 0) + 1)
    tried = np.multiply.outer(x[one], factor1) + np.multiply.outer(x[other], factor2) + offset
    best = int(wanted.missed(tried, away, wanted.want[one, other][:, np.newaxis]).sum(axis=0).argmin())
    if wanted.missed(np.add.outer(factor1[best] * x, factor2[best] * x) + offset[best], away[best], wanted.want).any():
        return None
    return Linear((int(factor1[best]), int(factor2[best])), int(offset[best]), shift, int(away[best]))


def as_tables(wanted: Sum) -> Tables | None:
    """A sum of tables that does as the reference's and the requantization for every pair of codes; None where none is found.

    A first rounding of sums takes to a tie what lies up to half of its unit below, from where it goes away from zero.
    """
    shift, requantize = wanted.shift, wanted.p.requantize
    if not isinstance(requantize, RightRounding) or not 0 <= shift + requantize.shift - 1 < shift - 1:
        return None
    unit = 1 << (shift + requantize.shift - 1)
    one, other = (np.rint(steps * 2.0**shift).astype(np.int64) for steps in wanted.steps)
    for more, less in MARGINS:
        offset, away = (1 << (shift - 1)) + unit + more, 2 * unit + less
        if not wanted.missed(np.add.outer(one + offset, other), away, wanted.want).any():
            by_bits = np.argsort(wanted.bits)
            return Tables(((one + offset)[by_bits].astype(np.int32), other[by_bits].astype(np.int32)), shift, away)
    return None


class Line(NamedTuple):
    """``factor * x + offset`` of a code, taken as unsigned; zero: where it is nearest to 0."""

    factor: int
    offset: float
    zero: int

    @classmethod
    def through(cls, values: NDArray[np.float64]) -> Line:
        """The line near float64[256]."""
        factor = round((values[-1] - values[0]) / 255)
        return cls(factor, float((values - factor * np.arange(256)).mean()), int(np.abs(values).argmin()))


def signed_tables(p: addition.Params) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Both tables, of which a difference takes the second with its sign changed."""
    return p.rescaled1, p.rescaled2 if p.combine is np.add else -p.rescaled2


def as_float32(p: multiplication.Params, dtype: np.dtype[Any]) -> Constants | None:
    """A requantization in float32 that does as the one in integers for every product; None where none is found.

    A first rounding of products to ``2**shift`` steps takes what lies half of that below a tie up to it, and so away from zero.
    """
    if not isinstance(p.requantize, DoubleRounding):
        return None
    factor = float(p.requantize.multiplier) * 2.0 ** (float(p.requantize.shift) - 31)
    if factor * GREATEST_PRODUCT >= LARGEST:
        return None
    centred1, centred2 = (all_codes(dtype.name) - np.int32(zero_point) for zero_point in (p.input1_zero_point, p.input2_zero_point))
    products = np.multiply.outer(centred1, centred2)

    def codes(steps: NDArray[np.int32]) -> NDArray[np.int32]:
        return np.clip(steps + p.output_zero_point, p.activation_min, p.activation_max)

    want = codes(p.requantize(products))
    scale = np.float32(factor)
    steps = products.astype(np.float32) * scale
    for part in PARTS:
        half = np.float32(0.5 + part * 2.0 ** (float(p.requantize.shift) - 1))
        if (codes(np.trunc(steps + np.copysign(half, steps)).astype(np.int32)) == want).all():
            return Constants("away", tuple(np.full(1, value, np.float32) for value in (scale, 0, half)))
    return None
