"""Sums of products of codes and weights, for a tile of rows and channels at a time: convolutions and dense layers.

A row is what one output position reads: some runs of consecutive bytes, each at an offset of its own (``taps``) from where the row
begins. So a convolution needs no copy of its windows: in NHWC, all columns and channels of one row of the filter follow one another.

Codes of 8 bits are unsigned to most instructions, weights signed (``gained``). The zero points are in the first value of each sum: it is
the bias less ``input_zero_point * sum(weights)``. Codes of 16 bits are signed, and meet weights of 16 bits; where their sums may pass 32
bits, those of each run do not, and are added up in 64.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from qcore.kernels.fast.bytes_out import FLIP
from qcore.kernels.fast.cpu import Tier
from qcore.kernels.fast.ir import I8, I16, I32, I64, Code, Value, Variable, number, vector
from qcore.kernels.fast.outputs import Output, vector_bytes
from qcore.kernels.fast.requantization import packed

STEP = 4
"""Bytes of inputs that are multiplied and summed at a time in each lane of 32 bits."""

UNCHANGED, FLIPPED = np.zeros(64, np.uint8), np.full(64, FLIP, np.uint8)
"""Vectors of bytes that are xored to codes which gain nothing, and to others."""

DOTS: Mapping[str, str] = MappingProxyType(
    {
        "avx512": "llvm.x86.avx512.vpdpbusd.512",
        "avxvnni": "llvm.x86.avx512.vpdpbusd.256",
        "i8mm": "llvm.aarch64.neon.usdot.v4i32.v16i8",
        "dotprod": "llvm.aarch64.neon.sdot.v4i32.v16i8",
    }
)
"""By tier: what adds four products of bytes to each lane. Codes are unsigned and weights signed, but both are signed to "dotprod"."""

COUNTS: Mapping[str, str] = MappingProxyType({**DOTS, "dotprod": "llvm.aarch64.neon.udot.v4i32.v16i8"})
"""The same for unsigned codes and weights of 0 to 127."""

WORD_DOTS: Mapping[str, str] = MappingProxyType(
    {"avx512": "llvm.x86.avx512.vpdpwssd.512", "avxvnni": "llvm.x86.avx512.vpdpwssd.256"},
)
"""The same for two products of signed words."""


def gained(tier: Tier, codes: np.dtype[Any]) -> int:
    """What codes gain to be as the tier's instruction takes them: those of 8 bits become unsigned, or signed on "dotprod".

    A sum then begins with as many times the sum of its weights less, which is exact: nothing saturates, and sums wrap at 32 bits.
    """
    return 0 if codes.itemsize > 1 else FLIP * (int(codes == np.int8) - int(tier.name == "dotprod"))


def input_flip(tier: Tier, codes: np.dtype[Any]) -> NDArray[np.uint8]:
    """The vector of bytes that makes codes gain that."""
    return FLIPPED if gained(tier, codes) else UNCHANGED


class Arguments(NamedTuple):
    """What a call is about.

    input: address of codes. input_flip: address of a vector of bytes that are xored to those of 8 bits (``input_flip``).
    row_offsets: address of int32[rows], from input to where each row begins; 0 where row r begins at ``r * row_stride``.
    row_stride, output_stride: bytes.
    rows: at least ``Product.rows``.
    tap_offsets: address of int64[taps], from where a row begins to each run of ``4 * steps`` bytes; up to 3 may be read beyond it.
    weights: address of int8[blocks, taps, steps, vectors, lanes, 4], or of int16 with 2 in the last place.
    ones: address of int8[taps, steps, 4], 1 where there is a weight; offset: what every weight lacks (see ``Product.lifted``).
    constants: address; for each block and vector those that ``outputs`` speaks of.
    output: address; output_stride: from one row to the next. places: address of int64[rows], which row of the output each makes.
    blocks: of channels. by_blocks: threads share them, not the rows.
    last: elements of each row that the last block writes.
    zero_point, low, high, flip, row_scales, row_scales_step: see ``outputs``.
    """

    input: int
    input_flip: int
    row_offsets: int
    row_stride: int
    rows: int
    tap_offsets: int
    taps: int
    steps: int
    weights: int
    ones: int
    offset: int
    constants: int
    output: int
    output_stride: int
    places: int
    blocks: int
    by_blocks: int
    last: int
    zero_point: int
    low: int
    high: int
    flip: int = 0
    row_scales: int = 0
    row_scales_step: int = 0


@dataclass(frozen=True)
class Product:
    """A kernel.

    rows, vectors: of a tile. Tiles of rows that are left over overlap the one before.
    output: what becomes of the sums.
    partial: the last block may write less than its vectors' elements.
    gathered: rows begin at offsets of their own.
    lifted: weights less their zero point pass 8 bits; they are held less an offset, which counts once for the sum of each row.
    words: codes and weights are of 16 bits.
    scattered: the rows of the output are not in order.
    single: rows are single runs.
    """

    rows: int
    vectors: int
    output: Output
    partial: bool
    gathered: bool
    lifted: bool = False
    words: bool = False
    scattered: bool = False
    single: bool = False

    def emit(self, name: str, tier: Tier) -> Code:
        """Write the function."""
        code = Code(name, Arguments)
        writer = _Writer(self, code, tier)
        tiles = code.builder.sdiv(code.add(code["rows"], self.rows - 1), I64(self.rows))
        first_block, end_block = code.share(code["blocks"])
        first_tile, end_tile = code.share(tiles)
        by_blocks = code.builder.icmp_signed("!=", code["by_blocks"], I64(0))
        choose = code.builder.select
        block_range = choose(by_blocks, first_block, I64(0)), choose(by_blocks, end_block, code["blocks"])
        tile_range = choose(by_blocks, I64(0), first_tile), choose(by_blocks, tiles, end_tile)
        with code.loop(*block_range) as block, code.loop(*tile_range) as tile:
            writer.tile(block, code.smaller(code.multiply(tile, self.rows), code.add(code["rows"], -self.rows)))
        return code


class _Writer:
    """Writes one tile."""

    def __init__(self, product: Product, code: Code, tier: Tier):
        self.product, self.code, self.tier = product, code, tier
        self.lanes = vector(I32, tier.lanes)
        self.flip = code.load(self.lanes, code.pointer("input_flip"))
        self.dot = WordDot(code, tier) if product.words else Dot(code, tier)

    def tile(self, block: Value, row: Value) -> None:
        """All channels of a block for the rows from this one on."""
        code, product, output, lanes = self.code, self.product, self.product.output, self.tier.lanes
        size = vector_bytes(output, lanes)
        constants = code.at(code.pointer("constants"), code.multiply(block, product.vectors * size))
        sums = self.sums(block, [self.row_start(row, i) for i in range(product.rows)], constants, size)
        of_rows = [output.row(code, code.add(row, i), lanes) for i in range(product.rows)]
        steps: list[list[Value]] = [[] for _ in sums]
        for v in range(product.vectors):
            planes = output.load(code, code.at(constants, (v + 1) * size - output.constant_bytes(lanes)), lanes)
            for of_vectors, totals, of_row in zip(steps, sums, of_rows, strict=True):
                of_vectors.append(output.step(code, totals[v], planes, of_row))
        width = product.vectors * lanes
        place = code.at(code.pointer("output"), code.multiply(block, width * output.item))
        for i, elements in enumerate(output.rows(code, self.tier, steps)):
            self.store(elements, code.at(place, code.multiply(self.made_row(row, i), code["output_stride"])), block, width)

    def made_row(self, row: Value, i: int) -> Value:
        """Which row of the output a row of the tile makes."""
        code = self.code
        made = code.add(row, i)
        return code.load(I64, code.pointer("places"), code.multiply(made, 8)) if self.product.scattered else made

    def row_start(self, row: Value, i: int) -> Value:
        """Where a row of the tile begins."""
        code = self.code
        if self.product.gathered:
            offset = code.load(I32, code.pointer("row_offsets"), code.multiply(code.add(row, i), 4))
            return code.at(code.pointer("input"), code.builder.sext(offset, I64))
        return code.at(code.pointer("input"), code.multiply(code.add(row, i), code["row_stride"]))

    def sums(self, block: Value, rows: list[Value], constants: Value, size: int) -> list[list[Any]]:
        """The accumulators of each row, by vector."""
        code, product, tier = self.code, self.product, self.tier
        wide = product.output.wide
        firsts = [code.load(self.lanes, constants, v * size) for v in range(product.vectors)]
        totals = [[code.variable(first) for first in firsts] for _ in rows]
        wide_totals = [[self.wide_total(code.at(constants, v * size)) for v in range(product.vectors)] for _ in rows if wide]
        row_sums = [code.variable(number(self.lanes, 0)) for _ in rows if product.lifted]
        step_bytes = STEP * product.vectors * tier.lanes
        tap_bytes = code.multiply(code["steps"], step_bytes)
        weights = code.at(code.pointer("weights"), code.multiply(code.multiply(block, code["taps"]), tap_bytes))
        with nullcontext(0) if product.single else code.loop(0, code["taps"]) as tap:
            offset = code.load(I64, code.pointer("tap_offsets"), code.multiply(tap, 8))
            of_tap = code.at(weights, code.multiply(tap, tap_bytes))
            if wide:
                for total in (total for of_row in totals for total in of_row):
                    total.set(number(self.lanes, 0))
            with code.loop(0, code["steps"]) as step:
                of_step = code.at(of_tap, code.multiply(step, step_bytes))
                loaded = [
                    self.dot.weights(code.load(vector(I8, STEP * tier.lanes), of_step, v * STEP * tier.lanes))
                    for v in range(product.vectors)
                ]
                ones = self.ones(tap, step) if product.lifted else None
                place = code.add(offset, code.multiply(step, STEP))
                for i, (row, of_row) in enumerate(zip(rows, totals, strict=True)):
                    x = code.splat(code.load(I32, row, place), tier.lanes)
                    x = self.dot.inputs(x if product.words else code.builder.xor(x, self.flip))
                    for total, w in zip(of_row, loaded, strict=True):
                        total.set(self.dot.add(total.get(), x, w))
                    if product.lifted:
                        row_sums[i].set(self.dot.add(row_sums[i].get(), x, ones))
            if wide:
                for of_row, of_wide_row in zip(totals, wide_totals, strict=True):
                    for total, wide_total in zip(of_row, of_wide_row, strict=True):
                        self.widen(total.get(), wide_total)
        if wide:
            return [[[half.get() for half in total] for total in of_row] for of_row in wide_totals]
        if not product.lifted:
            return [[total.get() for total in of_row] for of_row in totals]
        b, lift = code.builder, code.splat(code.builder.trunc(code["offset"], I32), tier.lanes)
        lifts = [b.mul(total.get(), lift) for total in row_sums]
        return [[b.add(total.get(), more) for total in of_row] for of_row, more in zip(totals, lifts, strict=True)]

    def wide_total(self, firsts: Value) -> list[Variable]:
        """Sums of 64 bits, as their even lanes and their odd ones."""
        kind, size = vector(I64, self.tier.lanes // 2), 4 * self.tier.lanes
        return [self.code.variable(self.code.load(kind, firsts, i * size)) for i in range(2)]

    def widen(self, total: Value, wide: list[Variable]) -> None:
        """Add 32-bit sums to 64-bit ones."""
        b, kind = self.code.builder, vector(I64, self.tier.lanes // 2)
        pairs, bits = b.bitcast(total, kind), number(kind, 32)
        for half, lanes in zip(wide, (b.shl(pairs, bits), pairs), strict=True):
            half.set(b.add(half.get(), b.ashr(lanes, bits)))

    def ones(self, tap: Value, step: Value) -> object:
        """Weights of 1 for the inputs of a step."""
        code = self.code
        place = code.multiply(code.add(code.multiply(tap, code["steps"]), step), STEP)
        four = code.splat(code.load(I32, code.pointer("ones"), place), self.tier.lanes)
        return self.dot.weights(code.builder.bitcast(four, vector(I8, STEP * self.tier.lanes)))

    def store(self, elements: Value, output: Value, block: Value, width: int) -> None:
        """Write a row's elements of a block."""
        code = self.code
        if not self.product.partial:
            code.store(elements, output)
            return
        b = code.builder
        is_last = b.icmp_signed("==", code.add(block, 1), code["blocks"])
        code.store_first(elements, output, b.select(is_last, code["last"], I64(width)))


class Dot:
    """Sums of four products in each lane, with what the processor has for that: DOTS or COUNTS where they have the tier."""

    def __init__(self, code: Code, tier: Tier, instructions: Mapping[str, str] = DOTS):
        self.code, self.tier, self.instruction = code, tier, instructions.get(tier.name)
        self.wide, self.words = vector(I32, tier.lanes), vector(I16, 2 * tier.lanes)

    def inputs(self, x: Value) -> object:
        """Four bytes in each lane, as the instruction takes them; unsigned where there is none."""
        if self.instruction:
            return self.code.builder.bitcast(x, vector(I8, STEP * self.tier.lanes))
        return self.unpacked(x, signed=False)

    def weights(self, w: Value) -> object:
        """Four signed bytes in each lane."""
        if self.instruction:
            return w
        return self.unpacked(self.code.builder.bitcast(w, self.wide), signed=True)

    def unpacked(self, lanes: Value, signed: bool) -> tuple[Value, Value]:
        """The even and the odd bytes of each lane, as 16 bits."""
        b, eight = self.code.builder, number(self.words, 8)
        words = b.bitcast(lanes, self.words)
        shift = b.ashr if signed else b.lshr
        return shift(b.shl(words, eight), eight), shift(words, eight)

    def add(self, total: Value, x: object, w: object) -> Value:
        """The sum plus the products of four."""
        if self.instruction:
            return self.code.call(self.instruction, self.wide, [total, x, w])
        assert isinstance(x, tuple) and isinstance(w, tuple)
        for one, other in zip(x, w, strict=True):
            total = self.code.builder.add(total, self.pairs(one, other))
        return total

    def pairs(self, one: Value, other: Value) -> Value:
        """Products of 16 bits, each two neighbours added."""
        code, b = self.code, self.code.builder
        if self.tier.name == "avx2":
            return code.call("llvm.x86.avx2.pmadd.wd", self.wide, [one, other])
        sixteen = number(self.wide, 16)

        def halves(words: Value) -> list[Value]:
            lanes = b.bitcast(words, self.wide)
            return [b.ashr(b.shl(lanes, sixteen), sixteen), b.ashr(lanes, sixteen)]

        low, high = (b.mul(p, q) for p, q in zip(halves(one), halves(other), strict=True))
        return b.add(low, high)


class WordDot(Dot):
    """Sums of two products of 16 bits in each lane."""

    def __init__(self, code: Code, tier: Tier):
        super().__init__(code, tier, WORD_DOTS)

    def inputs(self, x: Value) -> object:
        """Two signed words in each lane."""
        return self.code.builder.bitcast(x, self.words)

    def weights(self, w: Value) -> object:
        """Likewise."""
        return self.code.builder.bitcast(w, self.words)

    def add(self, total: Value, x: object, w: object) -> Value:
        """The sum plus the products of two."""
        if self.instruction:
            return self.code.call(self.instruction, self.wide, [total, x, w])
        return self.code.builder.add(total, self.pairs(x, w))


def pack_weights(weights: NDArray[np.int8], order: NDArray[np.int64], steps: int) -> NDArray[np.int8]:
    """Weights as a kernel takes them: int8[blocks, taps, steps, vectors, lanes, 4].

    Args:
        weights: int8[channels, taps, depth], or the bytes of int16.
        order: int64[blocks, vectors, lanes]: the channel in each lane; -1 for none.
        steps: of four, of each tap's depth.
    """
    channels, taps, depth = weights.shape
    padded = np.zeros((channels + 1, taps, steps * STEP), np.int8)
    padded[:-1, :, :depth] = weights
    return np.ascontiguousarray(padded.reshape(channels + 1, taps, steps, STEP)[order].transpose(0, 3, 4, 1, 2, 5))


def pack_constants(
    firsts: NDArray[np.int64], planes: tuple[NDArray[Any], ...], order: NDArray[np.int64], wide: bool = False
) -> NDArray[np.uint8]:
    """First values of the sums, int64[channels], and the output's other constants, as a kernel takes them.

    wide: sums are of 64 bits, not of 32.
    """
    return packed((firsts.astype(np.int64 if wide else np.int32), *planes), order.reshape(-1, order.shape[-1]))


def block_order(tier: Tier, channels: int, vectors: int, output: Output) -> NDArray[np.int64]:
    """int64[blocks, vectors, lanes]: the channel in each lane; -1 for none."""
    width = vectors * tier.lanes
    blocks = -(-channels // width)
    order = output.order(tier, vectors) + width * np.arange(blocks).reshape(-1, 1, 1)
    return np.where(order < channels, order, -1)
