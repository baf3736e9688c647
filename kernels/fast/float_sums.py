"""Sums of float32 products, for a tile of rows and channels at a time, in the orders of ``qcore.kernels.float_products``.

A row is what one output position reads: inputs, each at an offset of its own (``taps``) from where the row begins. So a convolution
needs no copy of its windows. Products and sums are rounded one by one; vectors run along the channels, so that each lane adds up its
own sum.

Where the order is free sums may be fused: each product is added without being rounded, by processors that can.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from llvmlite import ir
from numpy.typing import NDArray

from qcore.kernels.fast.cpu import Tier
from qcore.kernels.fast.ir import F32, I32, I64, Code, Value, Variable, number, vector
from qcore.kernels.float_products import Reals, Way

EIGHT = 8

FLOAT = 4
"""Bytes."""

Manner = Way | Literal["as dots"]
"""How a sum is taken: in one of an ``Order``'s ways, or as a dot product, ``dot`` with one accumulator."""

TILES: Mapping[Manner, Mapping[int, int]] = {
    "in turn": {3: 7, 2: 8, 1: 8},
    "in pairs": {1: 8},
    "in eights": {1: 3},
    "as dots": {2: 1, 1: 3},
}
"""Rows of a tile, by its vectors; the preferred vectors first."""

OTHER_TILES: Mapping[Manner, Mapping[int, int]] = {"in turn": {2: 5, 1: 8}, "in pairs": {1: 5}, "in eights": {1: 1}, "as dots": {1: 1}}
"""The same for processors with 16 registers."""

FUSED_TILES: Mapping[int, int] = {2: 7, 3: 7}
"""The same for fused sums of more than one vector."""

OTHER_FUSED_TILES: Mapping[int, int] = {2: 6}
"""The same for processors with 16 registers."""

FUSED_ROWS = 10
"""Rows of a tile of fused sums of one vector."""


class Arguments(NamedTuple):
    """What a call is about; offsets and strides in bytes.

    input: address. rows: address of int64[row_count], from input to where each row begins.
    taps: address of int64[depth], from where a row begins to each of its inputs; or of int64[depth, row_count], of each row.
    parts: address of int64[parts + 1]: the k where each part of the depth begins, and the last ends.
    weights: address of float32[blocks, depth, vectors, lanes]; block: bytes of a block.
    bias: address of float32[blocks, vectors, lanes]. low, high: bits of the activation's bounds.
    output: address. places: address of int64[row_count], from output to where each row's begins.
    last: channels of the last block.
    """

    input: int
    rows: int
    row_count: int
    taps: int
    parts: int
    part_count: int
    weights: int
    block: int
    bias: int
    low: int
    high: int
    output: int
    places: int
    blocks: int
    last: int


@dataclass(frozen=True)
class FloatSums:
    """A kernel.

    rows, vectors: of a tile. Tiles of rows that are left over overlap the one before.
    way: in which the sum of a part of the depth is taken; the parts' are added up in turn.
    finished: bias and activation follow; else the sums are written as they are.
    depthwise: each channel has an input of its own, and sums begin with the bias.
    fused: products are not rounded.
    own_taps: each row has taps of its own.
    """

    rows: int
    vectors: int
    way: Manner
    finished: bool = True
    depthwise: bool = False
    fused: bool = False
    own_taps: bool = False

    def emit(self, name: str, tier: Tier) -> Code:
        """Write the function. Tiles of a block follow one another; of a depthwise kernel, blocks of a tile, which lie close together."""
        code = Code(name, Arguments)
        b = code.builder
        writer = _Writer(self, code, tier)
        tiles = b.sdiv(code.add(code["row_count"], self.rows - 1), I64(self.rows))
        inner = code["blocks"] if self.depthwise else tiles
        with code.loop(*code.share(code.multiply(code["blocks"], tiles))) as piece:
            outer, within = b.sdiv(piece, inner), b.srem(piece, inner)
            block, tile = (within, outer) if self.depthwise else (outer, within)
            writer.tile(block, code.smaller(code.multiply(tile, self.rows), code.add(code["row_count"], -self.rows)))
        return code


Sums = list[list[Variable]]
"""By row and vector."""


class _Writer:
    """Writes one tile."""

    def __init__(self, kernel: FloatSums, code: Code, tier: Tier):
        self.kernel, self.code, self.lanes = kernel, code, tier.lanes
        self.kind = vector(F32, tier.lanes)
        self.width = FLOAT * tier.lanes
        self.low, self.high = (self.splat(code.builder.bitcast(code.builder.trunc(code[name], I32), F32)) for name in ("low", "high"))
        self.starts: list[Value] = []
        self.taps: Value = code.pointer("taps")
        self.weights: Value = None

    def tile(self, block: Value, row: Value) -> None:
        """All channels of a block for the rows from this one on."""
        code, kernel = self.code, self.kernel
        first = code.multiply(block, self.width * kernel.vectors)
        inputs = code.at(code.pointer("input"), first if kernel.depthwise else 0)
        offsets = code.at(code.pointer("rows"), code.multiply(row, 8))
        if kernel.own_taps:
            self.taps = code.at(code.pointer("taps"), code.multiply(row, 8))
        self.starts = [code.at(inputs, code.load(I64, offsets, 8 * i)) for i in range(kernel.rows)]
        self.weights = code.at(code.pointer("weights"), code.multiply(block, code["block"]))
        biases = [code.load(self.kind, code.at(code.pointer("bias"), first), self.width * v) for v in range(kernel.vectors)]
        totals = self.zeros()
        if kernel.depthwise:
            for of_row in totals:
                for total, bias in zip(of_row, biases, strict=True):
                    total.set(bias)
            with code.loop(0, self.part(code["part_count"])) as k:
                self.step(k, totals)
        else:
            with code.loop(0, code["part_count"]) as i:
                accumulate(totals, getattr(self, kernel.way.replace(" ", "_"))(self.part(i), self.part(code.add(i, 1))), code)
        count = code.builder.select(
            code.builder.icmp_signed("==", code.add(block, 1), code["blocks"]), code["last"], I64(self.lanes * kernel.vectors)
        )
        output, places = code.at(code.pointer("output"), first), code.at(code.pointer("places"), code.multiply(row, 8))
        for i, of_row in enumerate(totals):
            to = code.at(output, code.load(I64, places, 8 * i))
            for v, (total, bias) in enumerate(zip(of_row, biases, strict=True)):
                self.store(self.finish(total.get(), bias), code.at(to, self.width * v), code.add(count, -self.lanes * v))

    def part(self, index: Value) -> Value:
        """The k where a part begins."""
        return self.code.load(I64, self.code.pointer("parts"), self.code.multiply(index, 8))

    def in_turn(self, start: Value, end: Value) -> Sums:
        """Terms of k = 0, 1, 2, ..."""
        sums = self.zeros()
        with self.code.loop(start, end) as k:
            self.step(k, sums)
        return sums

    def in_pairs(self, start: Value, end: Value) -> Sums:
        """Even and odd k apart, as far as whole eights go."""
        even, odd = self.zeros(), self.zeros()
        eights = self.whole(start, end, EIGHT)
        with self.code.loop(start, eights, 2) as k:
            self.step(k, even)
            self.step(self.code.add(k, 1), odd)
        accumulate(even, odd, self.code)
        with self.code.loop(eights, end) as k:
            self.step(k, even)
        return even

    def in_eights(self, start: Value, end: Value) -> Sums:
        """Terms apart by the remainder of k by 8."""
        eights, pairs = self.whole(start, end, EIGHT), self.whole(start, end, 2)
        sums = self.remainders(start, eights)
        for one, other in ((0, 2), (1, 3), (4, 6), (5, 7), (0, 4), (1, 5)):
            accumulate(sums[one], sums[other], self.code)
        with self.code.loop(eights, pairs, 2) as k:
            self.step(k, sums[0])
            self.step(self.code.add(k, 1), sums[1])
        accumulate(sums[0], sums[1], self.code)
        with self.code.loop(pairs, end) as k:
            self.step(k, sums[0])
        return sums[0]

    def as_dots(self, start: Value, end: Value) -> Sums:
        """Terms apart by the remainder of k by 8, each such sum a lane of what ``dot`` adds up."""
        eights = self.whole(start, end, EIGHT)
        sums = self.remainders(start, eights)
        for one, other in ((0, 4), (1, 5), (2, 6), (3, 7), (0, 2), (1, 3), (0, 1)):
            accumulate(sums[one], sums[other], self.code)
        with self.code.loop(eights, end) as k:
            self.step(k, sums[0])
        return sums[0]

    def remainders(self, start: Value, end: Value) -> list[Sums]:
        """Sums of k apart by its remainder of 8, from start; end: after whole eights."""
        sums = [self.zeros() for _ in range(EIGHT)]
        with self.code.loop(start, end, EIGHT) as k:
            for i, some in enumerate(sums):
                self.step(self.code.add(k, i), some)
        return sums

    def whole(self, start: Value, end: Value, step: int) -> Value:
        """The end of as many k as make whole steps."""
        b = self.code.builder
        return b.sub(end, b.srem(b.sub(end, start), I64(step)))

    def step(self, k: Value, sums: Sums) -> None:
        """Add one product to each sum."""
        code = self.code
        weights = code.at(self.weights, code.multiply(k, self.width * self.kernel.vectors))
        loaded = [code.load(self.kind, weights, self.width * v) for v in range(self.kernel.vectors)]
        own = self.kernel.own_taps
        taps = code.at(self.taps, code.multiply(8, code.multiply(k, code["row_count"]) if own else k))
        common = code.load(I64, taps)
        for i, (start, of_row) in enumerate(zip(self.starts, sums, strict=True)):
            tap = code.load(I64, taps, 8 * i) if own else common
            x = None if self.kernel.depthwise else self.splat(code.load(F32, start, tap))
            for v, (total, weight) in enumerate(zip(of_row, loaded, strict=True)):
                one = code.load(self.kind, code.at(start, tap), self.width * v) if x is None else x
                if self.kernel.fused:
                    total.set(code.elementwise("fmuladd", one, weight, total.get()))
                else:
                    total.set(code.builder.fadd(total.get(), code.builder.fmul(one, weight)))

    def finish(self, total: Value, bias: Value) -> Value:
        """Bias and bounds of the activation."""
        if not self.kernel.finished:
            return total
        b = self.code.builder
        return bounded(self.code, total if self.kernel.depthwise else b.fadd(total, bias), self.low, self.high)

    def store(self, value: Value, output: Value, count: Value) -> None:
        """Write as many lanes as there are channels."""
        code = self.code
        lanes = ir.Constant(vector(I32, self.lanes), list(range(self.lanes)))
        mask = code.builder.icmp_signed("<", lanes, self.splat(code.builder.trunc(count, I32)))
        code.call(f"llvm.masked.store.v{self.lanes}f32.p0", ir.VoidType(), [value, output, ir.Constant(I32, 1), mask])

    def zeros(self) -> Sums:
        """Sums of nothing."""
        zero = number(self.kind, 0.0)
        return [[self.code.variable(zero) for _ in range(self.kernel.vectors)] for _ in range(self.kernel.rows)]

    def splat(self, value: Value) -> Value:
        """A vector with this value in every lane."""
        return self.code.splat(value, self.lanes)


def accumulate(sums: Sums, others: Sums, code: Code) -> None:
    """Add sums to sums."""
    for of_row, others_of_row in zip(sums, others, strict=True):
        for total, other in zip(of_row, others_of_row, strict=True):
            total.set(code.builder.fadd(total.get(), other.get()))


def bounded(code: Code, value: Value, low: Value, high: Value) -> Value:
    """Clamped; not a number stays that."""
    b = code.builder
    value = b.select(b.fcmp_ordered("<", value, low), low, value)
    return b.select(b.fcmp_ordered(">", value, high), high, value)


class ShareArguments(NamedTuple):
    """What a call is about that adds up shares.

    shares: address of float32[shares, rows, channels]; size: bytes of a share.
    singles: outputs from this one on, in the order of memory, are summed one by one.
    bias, output: addresses of float32[channels] and [rows, channels]. low, high: bits of the activation's bounds.
    """

    shares: int
    size: int
    singles: int
    rows: int
    channels: int
    bias: int
    low: int
    high: int
    output: int


@dataclass(frozen=True)
class ShareSums:
    """A kernel that adds up the sums of shares of the depth, two to four of them, with bias and activation."""

    shares: int

    def emit(self, name: str, tier: Tier) -> Code:
        """Write the function."""
        code = Code(name, ShareArguments)
        b = code.builder
        low, high = (b.bitcast(b.trunc(code[name], I32), F32) for name in ("low", "high"))
        with code.loop(*code.share(code["rows"])) as row, code.loop(0, code["channels"]) as channel:
            index = code.add(code.multiply(row, code["channels"]), channel)
            place = code.multiply(index, FLOAT)
            parts = [code.load(F32, code.at(code.pointer("shares"), code.multiply(code["size"], i)), place) for i in range(self.shares)]
            bias = code.load(F32, code.pointer("bias"), code.multiply(channel, FLOAT))
            total = self.total(code, parts, b.icmp_signed(">=", index, code["singles"]))
            code.store(bounded(code, b.fadd(total, bias), low, high), code.pointer("output"), place)
        return code

    def total(self, code: Code, parts: list[Value], single: Value) -> Value:
        """The sum of the shares."""
        b = code.builder
        if self.shares == 4:
            one, two, three, four = parts
            apart = b.fadd(one, b.fadd(b.fadd(two, three), four))
            return b.select(single, apart, b.fadd(b.fadd(one, two), b.fadd(three, four)))
        total = parts[0]
        for part in parts[1:]:
            total = b.fadd(total, part)
        return total


def pack_filter(filter: Reals, vectors: int, lanes: int) -> Reals:
    """float32[channels, depth] as a kernel takes it: [blocks, depth, vectors, lanes], zeros where there is no channel."""
    channels, depth = filter.shape
    blocks = -(-channels // (vectors * lanes))
    padded = np.zeros((blocks * vectors * lanes, depth), np.float32)
    padded[:channels] = filter
    return np.ascontiguousarray(padded.reshape(blocks, vectors, lanes, depth).transpose(0, 3, 1, 2))


def pack_channels(values: NDArray[np.float32], vectors: int, lanes: int) -> Reals:
    """float32[channels], with zeros up to whole blocks."""
    return pack_filter(values.reshape(-1, 1), vectors, lanes).reshape(-1)


def tile_of(tier: Tier, way: Manner, channels: int, rows: int, fused: bool = False) -> tuple[int, int]:
    """Rows and vectors of a tile: those that ran fastest, of those that waste the fewest lanes."""
    needed = -(-channels // tier.lanes)
    if fused and needed == 1:
        return min(rows, FUSED_ROWS), 1
    many = tier.name == "avx512"
    most = (FUSED_TILES if many else OTHER_FUSED_TILES) if fused else (TILES if many else OTHER_TILES)[way]
    vectors = min(most, key=lambda v: -(-needed // v) * v)
    return min(rows, most[vectors]), vectors
