"""Functions of one 8-bit code, and ADD, SUB and MUL of two, as calls of ``elementwise``.

There are no more than 65536 pairs of codes. So a cheaper arithmetic may stand in for the reference's where it is seen to give the same
code for every one of them; where it does not, the reference's own is generated.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from qcore.kernels import addition, multiplication
from qcore.kernels.fast import copies
from qcore.kernels.fast.bytes_out import FLIP
from qcore.kernels.fast.cpu import Tier
from qcore.kernels.fast.elementwise import HIGH, Arguments, Lookup, LookupArguments, Operation, Pairs, Width, block_bytes, packed_table
from qcore.kernels.fast.memory import aligned_bytes
from qcore.kernels.fast.program import Call
from qcore.kernels.fast.requantization import Constants, constants, packed
from qcore.kernels.fast.site import Site
from qcore.kernels.opdef import Array
from qcore.numerics.fixed_point import DoubleRounding, SingleRounding
from qcore.numerics.lookup_table import all_codes
from qcore.numerics.shifting import RightRounding

ROW = 4096
"""Codes of a row where both operands go on and on."""

REPEATED = 1024
"""Operands that repeat are laid side by side up to so many codes: short rows are slow."""

TILTS, RISES = (0, 1, -1, 2, -2), tuple(range(0, 97, 16)) + tuple(range(-16, -97, -16))
"""What is tried on top of the nearest factors and offset of a linear sum, one with the other."""

CHANGES = sorted(product(TILTS, TILTS, RISES), key=lambda change: sum(map(abs, change)))
"""Two tilts and a rise, the least first."""

NEAR_TIE = 2 * 2 * 255 + 96 + 255
"""As much as that, and the nearest factors, may move a sum; others than those so near to a tie keep their code."""

PARTS = (1 - 2.0**-6, 1.0, 1 + 2.0**-6, 0.0)
"""How much of what the first of two roundings adds to ties is added to a half."""

WIDTHS: dict[int, Width] = {1: 1, 2: 2, 4: 4}

GREATEST_PRODUCT = 255 * 255
"""Of two codes less their zero points."""

LARGEST = 1 << 30
"""Steps below this, in magnitude, are within int32 however they are rounded."""


def lower_look_up(site: Site) -> list[Call]:
    """A function of one code: a table of codes, or of real numbers."""
    site.require(site.params.itemsize <= 4, f"a table of {site.params.dtype}")
    return look_up_calls(site.tier, site.input(0), site.params, site.outputs[0])


def look_up_calls(tier: Tier, x: Array, table: Array, output: Array) -> list[Call]:
    """The table's entry for each code."""
    if x.size == 0:
        return []
    blocks = tier.name == "avx512" and x.itemsize == 1 and table.itemsize in (1, 4) and x.size >= block_bytes(tier)
    held = packed_table(tier, table) if blocks and table.itemsize == 4 else np.ascontiguousarray(table)
    arguments = LookupArguments(x.ctypes.data, held.ctypes.data, output.ctypes.data, x.size)
    return [Call(Lookup(WIDTHS[x.itemsize], WIDTHS[table.itemsize], blocks), arguments, (held, x))]


def lower_sum(site: Site) -> list[Call]:
    """ADD and SUB."""
    p: addition.Params = site.params
    site.require(p.combine is np.add or p.combine is np.subtract, "a squared difference")
    site.require(site.outputs[0].itemsize == 1, "codes of 16 bits")
    if (calls := with_scalar(site)) is not None:
        return calls
    site.require(isinstance(p.requantize, RightRounding | SingleRounding), f"no requantization like {type(p.requantize).__name__}")
    assert isinstance(p.requantize, RightRounding | SingleRounding)
    if (linear := as_linear(p, site.outputs[0].dtype)) is not None:
        by = Constants("shift", (np.full(1, linear.shift, np.int32),))
        return pair_calls(site, Pair("linear", by, p.output_zero_point, p.activation_min, p.activation_max, linear=linear))
    tables = signed_tables(p)
    requantize: object = p.requantize
    if isinstance(requantize, RightRounding):
        site.require(requantize.shift <= 0, "a factor above 1, which leaves the sign alone")
        requantize = DoubleRounding(requantize.multiplier, requantize.shift)
    elif isinstance(requantize, SingleRounding) and requantize.shift >= 0:
        # The same factor with a shift to the right.
        requantize = SingleRounding(requantize.multiplier << requantize.shift + 1, -1)
    by = requantization(site, requantize, sum(int(np.abs(table).max()) for table in tables), p)
    return pair_calls(site, Pair("tables", by, p.output_zero_point, p.activation_min, p.activation_max, tables=tables))


def lower_product(site: Site) -> list[Call]:
    """MUL."""
    p: multiplication.Params = site.params
    site.require(site.outputs[0].itemsize == 1, "codes of 16 bits")
    if (calls := with_scalar(site)) is not None:
        return calls
    by = as_float32(p, site.outputs[0].dtype) or requantization(site, p.requantize, GREATEST_PRODUCT, p)
    zero_points = p.input1_zero_point, p.input2_zero_point
    return pair_calls(site, Pair("product", by, p.output_zero_point, p.activation_min, p.activation_max, zero_points=zero_points))


def requantization(site: Site, requantize: object, bound: int, p: addition.Params | multiplication.Params) -> Constants:
    """What instructions need for a requantization of one factor."""
    by = constants(requantize, 1, bound, p.activation_min >= p.output_zero_point)
    site.require(by is not None, f"no requantization like {type(requantize).__name__} of sums up to {bound}")
    assert by is not None
    return by


class Linear(NamedTuple):
    """``(factor1 * x + factor2 * y + offset) >> shift`` of uint8 codes: steps of the output."""

    factors: tuple[int, int]
    offset: int
    shift: int


def as_linear(p: addition.Params, dtype: np.dtype[Any]) -> Linear | None:
    """A linear sum that does as the tables and the requantization for every pair of codes; None where none is found.

    Tables are straight lines but for roundings, which matter to pairs next to a tie alone. So factors and offset near the lines' own
    are tried on those pairs, and the first that gives all their codes on all others too.
    """
    assert isinstance(p.requantize, RightRounding | SingleRounding)
    codes = np.sort(all_codes(dtype.name)).astype(dtype)
    want = addition.add_rescaled(p, codes[:, np.newaxis], codes)
    factor = float(p.requantize.multiplier) * 2.0 ** (float(p.requantize.shift) - 31)
    x = np.arange(256)
    steps1, steps2 = (table[codes.view(np.uint8)] * factor for table in signed_tables(p))
    shift = 31 - int(np.ceil(np.log2(np.abs(steps1).max() + np.abs(steps2).max() + 1)))
    if shift < 1:
        return None
    lines = [Line.through(steps * 2.0**shift) for steps in (steps1, steps2)]
    sums = np.add.outer(steps1, steps2) + 0.5
    critical = np.nonzero(np.abs(sums - np.rint(sums)) < NEAR_TIE / 2.0**shift)

    def wrong(factor1: Array, factor2: Array, offset: Array, pairs: tuple[Array, ...]) -> Array:
        """bool[pairs, candidates]: which give another code, or pass int32."""
        sums = np.multiply.outer(x[pairs[0]], factor1) + np.multiply.outer(x[pairs[1]], factor2) + offset
        codes = np.clip((sums >> shift) + p.output_zero_point, p.activation_min, p.activation_max)
        return np.asarray((codes != want[pairs][:, np.newaxis]) | (sums != sums.astype(np.int32)))

    tilt1, tilt2, rise = np.array(CHANGES).T
    factor1, factor2 = lines[0].factor + tilt1, lines[1].factor + tilt2
    offset = round(lines[0].offset + lines[1].offset) + (1 << (shift - 1)) + rise - lines[0].zero * tilt1 - lines[1].zero * tilt2
    best = slice(first := int(wrong(factor1, factor2, offset, critical).sum(axis=0).argmin()), first + 1)
    if wrong(factor1[best], factor2[best], offset[best], np.nonzero(np.ones_like(want))).any():
        return None
    return Linear((int(factor1[first]), int(factor2[first])), int(offset[first]), shift)


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


def with_scalar(site: Site) -> list[Call] | None:
    """The calls where one operand is a constant of one value: a table. None where there is no such operand."""
    for which in (0, 1):
        other, x = site.input(which), site.input(1 - which)
        if site.constant[which] and other.size == 1 and x.size == site.outputs[0].size:
            codes = np.arange(256).astype(np.uint8).view(x.dtype)
            operands = (other.reshape(1), codes) if which == 0 else (codes, other.reshape(1))
            return look_up_calls(site.tier, x, np.asarray(site.step.kernel(site.params, *operands)), site.outputs[0])
    return None


@dataclass(frozen=True, eq=False)
class Pair:
    """A function of two codes.

    tables: int32[256] for each input, by code. linear: likewise for a linear sum. zero_points: of both inputs, for a product.
    """

    operation: Operation
    by: Constants
    zero_point: int
    low: int
    high: int
    tables: tuple[NDArray[np.int32], NDArray[np.int32]] | None = None
    linear: Linear | None = None
    zero_points: tuple[int, int] = (0, 0)


def pair_calls(site: Site, pair: Pair) -> list[Call]:
    """The function of both inputs, of which one may repeat along the last axes of the other."""
    output = site.outputs[0]
    if output.size == 0:
        return []
    order = (0, 1) if site.input(0).size == output.size else (1, 0)
    x, y = (site.readable(i) for i in order)
    repeats = y.size < output.size
    fits = x.size == output.size and (not repeats or is_end(y.shape, output.shape))
    site.require(fits, f"operands of {x.shape} and {y.shape}, neither of which repeats as the other's last axes")
    flip = FLIP if output.dtype == np.int8 else 0
    zero_points = [pair.zero_points[i] + flip for i in order]
    tables = [packed_table(site.tier, pair.tables[i]) if pair.tables else aligned_bytes(0) for i in order]
    parts = [split(pair.linear.factors[i]) if pair.linear else (0, 0) for i in order]
    calls: list[Call] = []
    if repeats:
        length, rows = y.size, output.size // y.size
        times = next(n for n in range(max(1, REPEATED // length), 0, -1) if rows % n == 0)
        if times > 1:
            repeated = site.scratch.take(times * length)
            calls.append(Call(copies.Runs(), copies.RunArguments(y.ctypes.data, repeated.ctypes.data, times, length, 0, length), (y,)))
            y, length, rows = repeated, times * length, rows // times
    else:
        length = min(output.size, ROW)
        rows = -(-output.size // length)
    size = block_bytes(site.tier)
    planes = packed(pair.by.planes, np.zeros((1, site.tier.lanes), np.int64))
    arguments = Arguments(
        input1=x.ctypes.data,
        input2=y.ctypes.data,
        output=output.ctypes.data,
        rows=rows,
        last_row=output.size - length,
        length=length,
        blocks=-(-length // size),
        last_block=max(0, length - size),
        table1=tables[0].ctypes.data,
        table2=tables[1].ctypes.data,
        factors_high=parts[0][0] & 0xFFFF | parts[1][0] << 16,
        factors_low=parts[0][1] & 0xFFFF | parts[1][1] << 16,
        offset=pair.linear.offset if pair.linear else 0,
        zero_point1=zero_points[0],
        zero_point2=zero_points[1],
        input_flip=flip,
        constants=planes.ctypes.data,
        zero_point=pair.zero_point + flip,
        low=pair.low + flip,
        high=pair.high + flip,
        flip=flip,
    )
    kernel = Pairs(pair.operation, pair.by.kind, repeats, length < size)
    return [*calls, Call(kernel, arguments, (*tables, planes, x, y))]


def split(factor: int) -> tuple[int, int]:
    """A factor's high and low part."""
    low = (factor + (1 << (HIGH - 1))) % (1 << HIGH) - (1 << (HIGH - 1))
    return (factor - low) >> HIGH, low


def is_end(shape: tuple[int, ...], whole: tuple[int, ...]) -> bool:
    """A shape is that of the last axes of another, but for axes of 1 before."""
    trimmed = list(shape)
    while trimmed and trimmed[0] == 1:
        trimmed.pop(0)
    return tuple(trimmed) == whole[len(whole) - len(trimmed) :]
