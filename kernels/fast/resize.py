"""RESIZE_BILINEAR of 8-bit codes and RESIZE_NEAREST_NEIGHBOR of anything: each output row from two input rows, each column likewise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from qcore.kernels import resize
from qcore.kernels.fast.bytes_out import FLIP, GROUP, Range, to_bytes
from qcore.kernels.fast.copies import PixelArguments, Pixels
from qcore.kernels.fast.cpu import Tier
from qcore.kernels.fast.depthwise import interleaved
from qcore.kernels.fast.elementwise import block_bytes, widened
from qcore.kernels.fast.ir import F32, I8, I32, I64, Code, Value, number, vector
from qcore.kernels.fast.products import WordDot
from qcore.kernels.fast.program import Call
from qcore.kernels.fast.site import Site

Arithmetic = Literal["integers", "by_columns", "by_rows"]
"""Integers; or float32, by columns each pixel times its row's weight and then its column's, by rows times the product of both."""

LARGEST_WEIGHT = (1 << 15) - 1
"""Weights of rows are multiplied as int16."""


class Arguments(NamedTuple):
    """What a call is about.

    input, output: addresses of codes [images, height, width, channels].
    rows: of the output, all images together; columns. channels; chunks: of them, a block each; last_chunk: where the last begins.
    row_offsets: address of int64[2, rows], in bytes from the input to both rows; column_offsets: int64[2, columns], from there on.
    row_weights, column_weights: addresses of int32[2, rows], int32[2, columns], or of float32.
    first: what sums of integers begin with, for codes that were moved by ``flip``. shift: to the right; half: of a step before it.
    away: -1 where ties go away from zero, else 0.
    """

    input: int
    output: int
    rows: int
    columns: int
    channels: int
    chunks: int
    last_chunk: int
    row_offsets: int
    column_offsets: int
    row_weights: int
    column_weights: int
    first: int
    away: int
    half: int
    shift: int
    zero_point: int
    low: int
    high: int
    flip: int


@dataclass(frozen=True)
class Bilinear:
    """A kernel.

    arithmetic: of weights and sums.
    partial: there are fewer channels than a block has codes.
    """

    arithmetic: Arithmetic
    partial: bool

    def emit(self, name: str, tier: Tier) -> Code:
        """Write the function. Threads share the rows."""
        code = Code(name, Arguments)
        writer, output = _Writer(self.arithmetic, code, tier), Range.of(code, tier)
        with code.loop(*code.share(code["rows"])) as row, code.loop(0, code["columns"]) as column:
            place = code.multiply(code.add(code.multiply(row, code["columns"]), column), code["channels"])
            with code.loop(0, code["chunks"]) as chunk:
                start = code.smaller(code.multiply(chunk, block_bytes(tier)), code["last_chunk"])
                (codes,) = to_bytes(code, tier, [writer.steps(row, column, start, output.flip)], output)
                to = code.at(code.pointer("output"), code.add(place, start))
                if self.partial:
                    code.store_first(codes, to, code["channels"])
                else:
                    code.store(codes, to)
        return code


class _Writer:
    """Writes the means for one output pixel."""

    def __init__(self, arithmetic: Arithmetic, code: Code, tier: Tier):
        self.arithmetic, self.code, self.tier = arithmetic, code, tier
        self.dot, self.lanes, self.reals = WordDot(code, tier), vector(I32, tier.lanes), vector(F32, tier.lanes)

    def steps(self, row: Value, column: Value, start: Value, flip: Value) -> list[Value]:
        """int32, in ``channel_order``, for a block of channels."""
        code = self.code
        rows = [self.entry(I64, "row_offsets", which, row, "rows") for which in (0, 1)]
        columns = [self.entry(I64, "column_offsets", which, column, "columns") for which in (0, 1)]

        def codes(y: int, x: int) -> Value:
            place = code.add(rows[y], columns[x], start)
            return code.builder.xor(code.load(vector(I8, block_bytes(self.tier)), code.pointer("input"), place), flip)

        return (self.in_integers if self.arithmetic == "integers" else self.in_float32)(row, column, codes)

    def entry(self, kind: object, table: str, which: int, index: Value, count: str) -> Value:
        """An entry of one of two rows."""
        code, size = self.code, 8 if kind is I64 else 4
        return code.load(kind, code.pointer(table), code.multiply(code.add(code.multiply(which, code[count]), index), size), size)

    def in_integers(self, row: Value, column: Value, codes: Callable[[int, int], Value]) -> list[Value]:
        """Rows first: both of a column are the words of a lane."""
        code, b, count = self.code, self.code.builder, self.tier.lanes
        low, high = (self.entry(I32, "row_weights", which, row, "rows") for which in (0, 1))
        weights = self.dot.weights(code.splat(b.or_(b.and_(low, I32(0xFFFF)), b.shl(high, I32(16))), count))
        first, away, half, shift = (code.splat(b.trunc(code[name], I32), count) for name in ("first", "away", "half", "shift"))
        totals = [first] * GROUP
        for x in (0, 1):
            by = code.splat(self.entry(I32, "column_weights", x, column, "columns"), count)
            top, bottom = codes(0, x), codes(1, x)
            zero = number(top.type, 0)
            for v, words in enumerate(interleaved(code, self.tier, [top, zero, bottom, zero])):
                mean = self.dot.add(number(self.lanes, 0), self.dot.inputs(words), weights)
                totals[v] = b.add(totals[v], b.mul(mean, by))
        below = [b.and_(b.ashr(total, number(self.lanes, 31)), away) for total in totals]
        return [b.ashr(b.add(b.add(total, half), one), shift) for total, one in zip(totals, below, strict=True)]

    def in_float32(self, row: Value, column: Value, codes: Callable[[int, int], Value]) -> list[Value]:
        """The sum of four products and a half, cut off."""
        code, b, count = self.code, self.code.builder, self.tier.lanes
        row_weights = [self.entry(F32, "row_weights", which, row, "rows") for which in (0, 1)]
        column_weights = [self.entry(F32, "column_weights", which, column, "columns") for which in (0, 1)]
        twice = self.arithmetic == "by_columns"
        totals = [number(self.reals, 0.0)] * GROUP
        for y, x in ((0, 0), (1, 0), (0, 1), (1, 1)) if twice else ((0, 0), (0, 1), (1, 0), (1, 1)):
            pixels = [b.sitofp(lanes, self.reals) for lanes in widened(code, self.tier, codes(y, x))]
            if twice:
                weighed = [b.fmul(lanes, code.splat(row_weights[y], count)) for lanes in pixels]
                terms = [b.fmul(lanes, code.splat(column_weights[x], count)) for lanes in weighed]
            else:
                by = code.splat(b.fmul(row_weights[y], column_weights[x]), count)
                terms = [b.fmul(lanes, by) for lanes in pixels]
            totals = [b.fadd(total, term) for total, term in zip(totals, terms, strict=True)]
        return [b.fptosi(b.fadd(total, number(self.reals, 0.5)), self.lanes) for total in totals]


def lower_bilinear(site: Site) -> list[Call]:
    """RESIZE_BILINEAR by integer weights."""
    assert isinstance(site.step.kernel, partial)
    (scheme,) = site.step.kernel.args
    by = scheme.round_in_place
    site.require(site.input(0).itemsize == 1 and by is not None, f"elements of {site.input(0).dtype}")
    height, width = scheme.taps(site.params.height), scheme.taps(site.params.width)
    return bilinear_calls(site, "integers", height, width, by.keywords["exponent"], by.keywords["ties"] == "away")


def lower_bilinear_uint8(site: Site) -> list[Call]:
    """RESIZE_BILINEAR by float32 weights."""
    assert isinstance(site.step.kernel, partial)
    (weighs_twice,) = site.step.kernel.args
    taps = resize.float_taps(site.params.height), resize.float_taps(site.params.width)
    return bilinear_calls(site, "by_columns" if weighs_twice else "by_rows", *taps, 0, False)


def bilinear_calls(site: Site, arithmetic: Arithmetic, height: resize.Taps, width: resize.Taps, shift: int, away: bool) -> list[Call]:
    """The call of a kernel. Both weights of a row or column add up to the square root of ``2**shift``."""
    x, output = site.readable(0), site.outputs[0]
    if output.size == 0:
        return []
    images, rows, columns, channels = x.shape
    line = columns * channels
    of_image = np.arange(images).reshape(-1, 1) * rows * line
    row_offsets = np.stack([(of_image + line * taps).reshape(-1) for taps in (height.lower, height.upper)])
    column_offsets = np.stack([width.lower, width.upper]) * channels
    row_weights, column_weights = (np.stack([taps.lower_weight, taps.upper_weight]) for taps in (height, width))
    row_weights = np.tile(row_weights, (1, images))
    if arithmetic == "integers":
        row_weights, column_weights = row_weights.astype(np.int32), column_weights.astype(np.int32)
        most = [int(np.abs(weights.astype(np.int64)).sum(axis=0).max()) for weights in (row_weights, column_weights)]
        site.require(most[0] <= LARGEST_WEIGHT and 256 * most[0] * most[1] < 1 << 31, "positions lie too far outside of the image")
    flip, size = FLIP if x.dtype == np.int8 else 0, block_bytes(site.tier)
    arguments = Arguments(
        input=x.ctypes.data,
        output=output.ctypes.data,
        rows=row_offsets.shape[1],
        columns=column_offsets.shape[1],
        channels=channels,
        chunks=-(-channels // size),
        last_chunk=max(0, channels - size),
        row_offsets=row_offsets.ctypes.data,
        column_offsets=column_offsets.ctypes.data,
        row_weights=row_weights.ctypes.data,
        column_weights=column_weights.ctypes.data,
        first=-flip << shift,
        away=-int(away),
        half=1 << shift >> 1,
        shift=shift,
        zero_point=flip,
        low=0,
        high=255,
        flip=flip,
    )
    keep: tuple[NDArray[np.generic], ...] = (row_offsets, column_offsets, row_weights, column_weights, x)
    return [Call(Bilinear(arithmetic, channels < size), arguments, keep)]


def lower_nearest(site: Site) -> list[Call]:
    """RESIZE_NEAREST_NEIGHBOR."""
    p: resize.Params = site.params
    x, output = site.input(0), site.outputs[0]
    if output.size == 0:
        return []
    images, rows, columns, channels = x.shape
    line = columns * channels * x.itemsize
    of_image = np.arange(images).reshape(-1, 1) * rows * line
    row_offsets = (of_image + line * resize.nearest_positions(p.height)).reshape(-1)
    column_offsets = channels * x.itemsize * resize.nearest_positions(p.width)
    arguments = PixelArguments(
        x.ctypes.data,
        output.ctypes.data,
        len(row_offsets),
        len(column_offsets),
        row_offsets.ctypes.data,
        column_offsets.ctypes.data,
        channels * x.itemsize,
    )
    return [Call(Pixels(), arguments, (row_offsets, column_offsets, x))]
