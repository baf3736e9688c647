"""Functions of one 8-bit code, and arithmetic and comparisons of two, as calls of ``elementwise``."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qcore.kernels import addition, comparison, multiplication
from qcore.kernels.fast import word_pairs
from qcore.kernels.fast.bytes_out import FLIP
from qcore.kernels.fast.conversion import affine, dequantize_calls
from qcore.kernels.fast.cpu import Tier
from qcore.kernels.fast.elementwise import HIGH, Arguments, Lookup, LookupArguments, Operation, Pairs, Width, block_bytes, packed_table
from qcore.kernels.fast.memory import aligned_bytes
from qcore.kernels.fast.program import Call
from qcore.kernels.fast.requantization import Constants, constants, packed
from qcore.kernels.fast.rows import meeting
from qcore.kernels.fast.site import Site
from qcore.kernels.fast.stand_ins import GREATEST_PRODUCT, Linear, Sum, Tables, as_float32, as_linear, as_tables, signed_tables
from qcore.kernels.opdef import Array
from qcore.numerics.fixed_point import DoubleRounding, SingleRounding
from qcore.numerics.shifting import RightRounding

WIDTHS: dict[int, Width] = {1: 1, 2: 2, 4: 4}


def lower_look_up(site: Site) -> list[Call]:
    """A function of one code: a table of codes, or of real numbers."""
    site.require(site.params.itemsize <= 4, f"a table of {site.params.dtype}")
    if (found := affine(site.params, site.input(0).dtype)) is not None:
        return dequantize_calls(site, *found)
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
    """ADD, SUB and SQUARED_DIFFERENCE."""
    p: addition.Params = site.params
    words = site.outputs[0].itemsize == 2
    if not words and (calls := with_scalar(site)) is not None:
        return calls
    requantize: object = p.requantize
    site.require(isinstance(requantize, RightRounding | SingleRounding), f"no requantization like {type(requantize).__name__}")
    output = p.output_zero_point, p.activation_min, p.activation_max
    squared = p.combine is addition.squared_difference
    if not squared and not words:
        wanted = Sum.of(p, site.outputs[0].dtype)
        cheaper = as_linear(wanted) or as_tables(wanted)
        if isinstance(cheaper, Tables) and site.tier.name == "avx512":
            cheaper = cheaper.straightened(site.outputs[0].dtype) or cheaper
        if cheaper is not None:
            return pair_calls(site, Pair.shifted(cheaper, *output))
    if isinstance(requantize, RightRounding):
        site.require(requantize.shift <= 0, "a factor above 1, which leaves the sign alone")
        requantize = DoubleRounding(requantize.multiplier, requantize.shift)
    elif isinstance(requantize, SingleRounding) and requantize.shift >= 0:
        # The same factor with a shift to the right.
        requantize = SingleRounding(requantize.multiplier << requantize.shift + 1, -1)
    tables = signed_tables(p)
    bound = sum(int(np.abs(table).max()) for table in tables)
    by = requantization(site, requantize, bound**2 if squared else bound, squared or p.activation_min >= p.output_zero_point)
    if words:
        return word_pairs.sum_calls(site, p, by)
    return pair_calls(site, Pair("squares" if squared else "tables", by, *output, tables=tables))


def lower_product(site: Site) -> list[Call]:
    """MUL."""
    p: multiplication.Params = site.params
    from_zero = p.activation_min >= p.output_zero_point
    if site.outputs[0].itemsize == 2:
        return word_pairs.product_calls(site, p, requantization(site, p.requantize, word_pairs.GREATEST_PRODUCT, from_zero))
    if (calls := with_scalar(site)) is not None:
        return calls
    by = as_float32(p, site.outputs[0].dtype) or requantization(site, p.requantize, GREATEST_PRODUCT, from_zero)
    zero_points = p.input1_zero_point, p.input2_zero_point
    return pair_calls(site, Pair("product", by, p.output_zero_point, p.activation_min, p.activation_max, zero_points=zero_points))


def requantization(site: Site, requantize: object, bound: int, from_zero: bool) -> Constants:
    """What instructions need for a requantization of one factor."""
    by = constants(requantize, 1, bound, from_zero)
    site.require(by is not None, f"no requantization like {type(requantize).__name__} of sums up to {bound}")
    assert by is not None
    return by


def lower_comparison(site: Site) -> list[Call]:
    """Comparisons of codes by what they stand for.

    That both are equal shows in the square of the difference of their ranks among all values, below 512 each; other comparisons show in
    the sign of a difference, within 2**17.
    """
    p: comparison.Params = site.params
    site.require(site.input(0).itemsize == 1, "codes of 16 bits")
    if (calls := with_scalar(site)) is not None:
        return calls
    one, other = p.rescaled1, p.rescaled2
    if p.compare in (np.equal, np.not_equal):
        ranks = np.unique(np.concatenate([one, other]), return_inverse=True)[1].astype(np.int32)
        # A square, or 1 less a square, cut to 0 or 1.
        by, zero_point = (factor_of(1), 0) if p.compare is np.not_equal else (factor_of(-1), 1)
        return pair_calls(site, Pair("squares", by, zero_point, 0, 1, tables=(ranks[:256], -ranks[256:])))
    if p.compare in (np.less, np.less_equal):
        one, other = -one, -other
    zero_point = int(p.compare in (np.less_equal, np.greater_equal))
    return pair_calls(site, Pair("tables", shift_by(0), zero_point, 0, 1, tables=(one, -other)))


def shift_by(bits: int) -> Constants:
    """To the right, and no more."""
    return Constants("shift", (np.full(1, bits, np.int32),))


def factor_of(factor: int) -> Constants:
    """A product in float32."""
    return Constants("float32", (np.full(1, factor, np.float32),))


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
    half, away: sums below half have away taken off.
    """

    operation: Operation
    by: Constants
    zero_point: int
    low: int
    high: int
    tables: tuple[NDArray[np.int32], NDArray[np.int32]] | None = None
    linear: Linear | None = None
    zero_points: tuple[int, int] = (0, 0)
    half: int = 0
    away: int = 0

    @classmethod
    def shifted(cls, sums: Linear | Tables, zero_point: int, low: int, high: int) -> Pair:
        """One of the sums that need but a shift."""
        linear, tables = (sums, None) if isinstance(sums, Linear) else (None, sums.tables)
        operation: Operation = "tables" if linear is None else "bent" if linear.bends else "linear"
        half = 1 << (sums.shift - 1)
        return cls(operation, shift_by(sums.shift), zero_point, low, high, tables, linear, half=half, away=sums.away)


def pair_calls(site: Site, pair: Pair) -> list[Call]:
    """The function of both inputs."""
    output = site.outputs[0]
    if output.size == 0:
        return []
    rows, inputs, calls = meeting(site)
    to_code, input_flip = (FLIP if array.dtype == np.int8 else 0 for array in (output, inputs[0]))
    bends = pair.linear.bends if pair.linear else None
    tables = bends or [packed_table(site.tier, table) for table in pair.tables or ()] or [aligned_bytes(0)] * 2
    parts = [split(factor) for factor in pair.linear.factors] if pair.linear else [(0, 0)] * 2
    planes = packed(pair.by.planes, np.zeros((1, site.tier.lanes), np.int64))
    arguments = Arguments(
        input1=inputs[0].ctypes.data,
        input2=inputs[1].ctypes.data,
        output=output.ctypes.data,
        starts=rows.starts.ctypes.data,
        rows=len(rows.starts),
        length=rows.length,
        table1=tables[0].ctypes.data,
        table2=tables[1].ctypes.data,
        factors_high=parts[0][0] & 0xFFFF | parts[1][0] << 16,
        factors_low=parts[0][1] & 0xFFFF | parts[1][1] << 16,
        offset=pair.linear.offset if pair.linear else 0,
        half=pair.half,
        away=pair.away,
        zero_point1=pair.zero_points[0] + input_flip,
        zero_point2=pair.zero_points[1] + input_flip,
        input_flip=input_flip,
        constants=planes.ctypes.data,
        zero_point=pair.zero_point + to_code,
        low=pair.low + to_code,
        high=pair.high + to_code,
        flip=to_code,
    )
    kernel = Pairs(pair.operation, pair.by.kind, rows.walk(block_bytes(site.tier)), pair.away != 0)
    return [*calls, Call(kernel, arguments, (*tables, planes, *inputs, rows.starts))]


def split(factor: int) -> tuple[int, int]:
    """A factor's high and low part."""
    low = (factor + (1 << (HIGH - 1))) % (1 << HIGH) - (1 << (HIGH - 1))
    return (factor - low) >> HIGH, low
