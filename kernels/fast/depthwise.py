"""Sums over the windows of each channel by itself: depthwise convolutions.

A lane of 32 bits sums four products of 8-bit codes at a time, so four rows of a window are laid side by side first: byte k of each
channel's four is its code in row k. That is done once for each column of the image that an output row reads, for as many channels as
fill a vector of bytes. Then every output adds up its columns. Rows beyond the window have weights of 0. Codes of 16 bits go by pairs of
rows likewise; there "four" is two.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from qcore.kernels.fast.bytes_out import channel_order
from qcore.kernels.fast.cpu import Tier
from qcore.kernels.fast.ir import I8, I16, I32, I64, Code, Value, ir, number, vector
from qcore.kernels.fast.outputs import Codes, Output, vector_bytes
from qcore.kernels.fast.products import STEP, Dot, WordDot

REGISTERS = 20
"""Vectors of weights that are kept at hand."""

PART = 32
"""Outputs whose sums are kept at a time."""

VECTORS = 4
"""Vectors of 32-bit lanes for a vector of codes of 8 bits."""


class Arguments(NamedTuple):
    """What a call is about; offsets and strides are bytes.

    input: address of the first code of the first window; input_flip: as in ``products``.
    rows: output rows, all images together; row_offsets: address of int64[rows], where the first window of each begins.
    line: from one row of a window to the next. column: from one column of the image to the next; columns: how many a row reads.
    outputs: of a row. stride: columns from one output to the next, in multiples of the room that a column takes. tap: likewise from one
        tap to the next.
    chunks: of channels; last_chunk: where the last begins, so that it does not pass the last channel.
    weights: address of int8[chunks, width, groups, vectors, lanes, 4], or of int16 with 2 in the last place.
    offset: what every weight lacks (see ``Depthwise.lifted``).
    constants: as in ``products``, by chunk.
    scratch: address of room for PART sums and the columns of each thread; scratch_stride: bytes for a thread.
    output, output_stride: address; from one output to the next.
    last: elements of each output that a chunk writes, fewer than it has where there are fewer channels.
    zero_point, low, high, flip, row_scales, row_scales_step: see ``outputs``; all rows have the first one's.
    """

    input: int
    input_flip: int
    rows: int
    row_offsets: int
    line: int
    column: int
    columns: int
    outputs: int
    stride: int
    tap: int
    chunks: int
    last_chunk: int
    weights: int
    offset: int
    constants: int
    scratch: int
    scratch_stride: int
    output: int
    output_stride: int
    last: int
    zero_point: int
    low: int
    high: int
    flip: int = 0
    row_scales: int = 0
    row_scales_step: int = 0


@dataclass(frozen=True)
class Depthwise:
    """A kernel.

    height, width: of the windows.
    output: what becomes of the sums, which are of 32 bits.
    partial: there are fewer channels than codes in a vector.
    lifted, words: as in ``products``.
    """

    height: int
    width: int
    output: Output
    partial: bool
    lifted: bool = False
    words: bool = False

    @property
    def item(self) -> int:
        """Bytes of a code."""
        return 2 if self.words else 1

    @property
    def vectors(self) -> int:
        """Of 32-bit lanes, for a vector of codes."""
        return VECTORS // self.item

    @property
    def group(self) -> int:
        """Rows that are laid side by side."""
        return STEP // self.item

    @property
    def groups(self) -> int:
        """Of rows."""
        return -(-self.height // self.group)

    @property
    def taps(self) -> int:
        """Vectors of weights for a vector of sums."""
        return self.width * self.groups

    @property
    def vectors_at_a_time(self) -> int:
        """So many that their weights fit the registers."""
        return next((n for n in (4, 2) if n <= self.vectors and n * self.taps <= REGISTERS), 1)

    def emit(self, name: str, tier: Tier) -> Code:
        """Write the function. Threads share the rows."""
        code = Code(name, Arguments)
        writer = _Writer(self, code, tier)
        with code.loop(0, code["chunks"]) as chunk, code.loop(*code.share(code["rows"])) as row:
            writer.row(chunk, row)
        return code


class _Writer:
    """Writes one row of outputs of one chunk of channels."""

    def __init__(self, kernel: Depthwise, code: Code, tier: Tier):
        self.kernel, self.code, self.tier = kernel, code, tier
        self.width = STEP * tier.lanes
        self.bytes = vector(I8, self.width)
        self.codes = vector(I16, self.width // 2) if kernel.words else self.bytes
        self.flip = code.load(self.bytes, code.pointer("input_flip"))
        self.dot = WordDot(code, tier) if kernel.words else Dot(code, tier)
        self.scratch = code.at(code.pointer("scratch"), code.multiply(code.thread, code["scratch_stride"]))
        self.columns = code.at(self.scratch, PART * kernel.vectors * self.width)
        self.of_row = kernel.output.row(code, I64(0), tier.lanes)

    def row(self, chunk: Value, row: Value) -> None:
        """The outputs of a row, in parts whose sums fit the nearest cache."""
        code, kernel, lanes = self.code, self.kernel, self.tier.lanes
        first = code.smaller(code.multiply(chunk, self.width), code["last_chunk"])
        offset = code.load(I64, code.pointer("row_offsets"), code.multiply(row, 8))
        self.interleave(code.at(code.pointer("input"), code.add(offset, first)))
        size = vector_bytes(kernel.output, lanes)
        constants = code.at(code.pointer("constants"), code.multiply(chunk, kernel.vectors * size))
        weights = code.at(code.pointer("weights"), code.multiply(chunk, kernel.taps * kernel.vectors * self.width))
        output = code.at(code.pointer("output"), code.multiply(first, kernel.output.item // kernel.item))
        output = code.at(output, code.multiply(code.multiply(row, code["outputs"]), code["output_stride"]))
        with code.loop(0, code["outputs"], PART) as start:
            end = code.smaller(code.add(start, PART), code["outputs"])
            for v in range(0, kernel.vectors, kernel.vectors_at_a_time):
                self.sums(range(v, v + kernel.vectors_at_a_time), start, end, weights, constants, size)
            self.requantize(start, end, constants, size, output)

    def sums(self, vectors: range, start: Value, end: Value, weights: Value, constants: Value, size: int) -> None:
        """The accumulators of some vectors, for outputs from start to end."""
        code, kernel, b = self.code, self.kernel, self.code.builder
        lift = code.splat(b.trunc(code["offset"], I32), self.tier.lanes)
        firsts = [code.load(vector(I32, self.tier.lanes), constants, v * size) for v in vectors]
        taps = [(kx, group) for kx in range(kernel.width) for group in range(kernel.groups)]
        loaded = [
            [self.dot.weights(code.load(self.bytes, weights, self.place(kx * kernel.groups + group, v))) for v in vectors]
            for kx, group in taps
        ]
        with code.loop(start, end) as x:
            column, totals = code.at(self.columns, code.multiply(x, code["stride"])), list(firsts)
            window_sums = [number(vector(I32, self.tier.lanes), 0) for _ in vectors]
            for (kx, group), of_tap in zip(taps, loaded, strict=True):
                place = code.at(column, code.multiply(code["tap"], kx))
                for i, v in enumerate(vectors):
                    codes = self.dot.inputs(code.load(vector(I32, self.tier.lanes), place, self.place(group, v)))
                    totals[i] = self.dot.add(totals[i], codes, of_tap[i])
                    if kernel.lifted:
                        window_sums[i] = self.dot.add(window_sums[i], codes, self.ones(group))
            if kernel.lifted:
                totals = [b.add(total, b.mul(lift, more)) for total, more in zip(totals, window_sums, strict=True)]
            to = code.at(self.scratch, code.multiply(code.builder.sub(x, start), self.place(1)))
            for total, v in zip(totals, vectors, strict=True):
                code.store(total, to, v * self.width)

    def place(self, position: int, v: int = 0) -> int:
        """Bytes to a vector of so many positions that have them all."""
        return (position * self.kernel.vectors + v) * self.width

    def ones(self, group: int) -> object:
        """Weights of 1 for the rows of a group."""
        rows = min(STEP, self.kernel.height - group * STEP)
        return self.dot.weights(ir.Constant(self.bytes, [int(k < rows) for _ in range(self.tier.lanes) for k in range(STEP)]))

    def requantize(self, start: Value, end: Value, constants: Value, size: int, output: Value) -> None:
        """From the accumulators to the output, for outputs from start to end."""
        code, kernel, lanes = self.code, self.kernel, self.tier.lanes
        planes = [kernel.output.load(code, code.at(constants, v * size + 4 * lanes), lanes) for v in range(kernel.vectors)]
        with code.loop(start, end) as x:
            sums = code.at(self.scratch, code.multiply(code.builder.sub(x, start), self.place(1)))
            totals = [code.load(vector(I32, lanes), sums, v * self.width) for v in range(kernel.vectors)]
            steps = [kernel.output.step(code, total, of_vector, self.of_row) for total, of_vector in zip(totals, planes, strict=True)]
            (elements,) = kernel.output.rows(code, self.tier, [self.in_order(steps)])
            place = code.at(output, code.multiply(x, code["output_stride"]))
            if kernel.partial:
                code.store_first(elements, place, code["last"])
            else:
                code.store(elements, place)

    def in_order(self, vectors: list[Value]) -> list[Value]:
        """Vectors in ``channel_order`` as the output takes them."""
        code, lanes = self.code, self.tier.lanes
        if self.tier.name != "avx512" or isinstance(self.kernel.output, Codes):
            return vectors
        whole, places = code.joined(vectors), np.argsort(channel_order(self.tier, len(vectors)).reshape(-1))
        return [code.shuffle(whole, whole, places[start : start + lanes].tolist()) for start in range(0, len(places), lanes)]

    def interleave(self, source: Value) -> None:
        """Lays the rows of each group side by side, for every column that the row of outputs reads."""
        code, kernel = self.code, self.kernel
        with code.loop(0, code["columns"]) as column:
            start = code.at(source, code.multiply(column, code["column"]))
            to = code.at(self.columns, code.multiply(column, self.place(kernel.groups)))
            for group in range(kernel.groups):
                rows = []
                for k in range(group * kernel.group, (group + 1) * kernel.group):
                    # A row beyond the window may be any: its weights are 0.
                    rows.append(self.codes_of(start, k) if k < kernel.height else rows[-1])
                for v, lanes in enumerate(interleaved(code, self.tier, rows)):
                    code.store(lanes, to, self.place(group, v))

    def codes_of(self, column: Value, row: int) -> Value:
        """A column's codes in a row of the window."""
        code = self.code
        codes = code.load(self.codes, column, code.multiply(code["line"], row))
        return codes if self.kernel.words else code.builder.xor(codes, self.flip)


def interleaved(code: Code, tier: Tier, rows: list[Value]) -> list[Value]:
    """Four vectors of bytes as VECTORS vectors of four bytes for each channel, channels in ``channel_order``; or two of words as two."""
    b, width = code.builder, STEP * tier.lanes
    if len(rows) == 2:
        if tier.name == "avx512":
            return [_unpacked(code, *rows, half, 8) for half in (0, 1)]
        pairs = code.shuffle(*rows, [n for c in range(width // 2) for n in (c, width // 2 + c)])
        return [code.shuffle(pairs, pairs, range(v * width // 2, (v + 1) * width // 2)) for v in range(2)]
    if tier.name != "avx512":
        pairs = [code.shuffle(rows[i], rows[i + 1], [n for c in range(width) for n in (c, width + c)]) for i in (0, 2)]
        words = [b.bitcast(pair, vector(I16, width)) for pair in pairs]
        fours = code.shuffle(*words, [n for c in range(width) for n in (c, width + c)])
        every = b.bitcast(fours, vector(I8, STEP * width))
        return [code.shuffle(every, every, range(v * width, (v + 1) * width)) for v in range(VECTORS)]
    words = []
    for half in (0, 1):
        low, high = (_unpacked(code, rows[i], rows[i + 1], half, 16) for i in (0, 2))
        low, high = (b.bitcast(part, vector(I16, width // 2)) for part in (low, high))
        words += [b.bitcast(_unpacked(code, low, high, quarter, 8), vector(I8, width)) for quarter in (0, 1)]
    return words


def _unpacked(code: Code, one: Value, other: Value, half: int, lane: int) -> Value:
    """The lower or upper halves of each part of 128 bits, interleaved; lane: elements in such a part."""
    count = one.type.count
    starts = [part + half * lane // 2 for part in range(0, count, lane)]
    return code.shuffle(one, other, [n for start in starts for i in range(lane // 2) for n in (start + i, count + start + i)])


def chunk_order(tier: Tier, channels: int, pixels: int, vectors: int = VECTORS) -> NDArray[np.int64]:
    """int64[chunks, vectors, lanes]: the channel in each lane; -1 for none. The last chunk overlaps the one before.

    pixels: neighbours that one chunk holds, all channels of each.
    vectors: of 32-bit lanes, for a vector of codes.
    """
    width = vectors * tier.lanes
    starts = np.minimum(np.arange(0, channels, width), max(0, channels - width))
    order = channel_order(tier, vectors) + starts.reshape(-1, 1, 1)
    return np.where(order < channels * pixels, order % channels, -1)


def pack_weights(weights: NDArray[Any], order: NDArray[np.int64]) -> NDArray[Any]:
    """int8[chunks, width, groups, vectors, lanes, 4] of int8[height, width, channels]; the same of int16, with 2 in the last place."""
    height, width, channels = weights.shape
    group = STEP // weights.itemsize
    groups = -(-height // group)
    padded = np.zeros((groups * group, width, channels + 1), weights.dtype)
    padded[:height, :, :channels] = weights
    in_lanes = padded[:, :, order].reshape(groups, group, width, *order.shape)  # [groups, 4, width, chunks, vectors, lanes]
    return np.ascontiguousarray(in_lanes.transpose(3, 2, 0, 4, 5, 1))
