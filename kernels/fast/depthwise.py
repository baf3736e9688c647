"""Sums over the windows of each channel by itself: depthwise convolutions.

A lane of 32 bits sums four products of 8-bit codes at a time, so four rows of a window are laid side by side first: byte k of each
channel's four is its code in row k. That is done once for each column of the image that is read, for as many channels as fill a vector
of bytes. Then every output adds up its columns. Output rows whose windows lie within the same rows are computed together, each with
weights of 0 for the rows that are not its own. Codes of 16 bits go by pairs of rows likewise; there "four" is two.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numpy.typing import NDArray

from qcore.kernels.fast.bytes_out import channel_order
from qcore.kernels.fast.cpu import Tier
from qcore.kernels.fast.ir import I8, I16, I32, I64, Code, Value, number, vector
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

    input: address of the codes; input_flip: as in ``products``.
    passes: of output rows that are computed together. first_rows: address of int64[passes], the number of the first of them, all images
        together. line_offsets: address of int64[passes, lines], where each row of codes that they read begins.
    column: from one column of the image to the next; columns: how many an output row reads. before, end: from which column on they are in
        the image, and from which on no more; around it every code is ``outside``.
    outputs: of a row. stride: columns from one output to the next, in multiples of the room that a column takes. tap: likewise from one
        tap to the next.
    chunks: of channels; last_chunk: where the last begins, so that it does not pass the last channel.
    weights: address of int8[chunks, rows, width, groups, vectors, lanes, 4], or of int16 with 2 in the last place.
    offset: what every weight lacks (see ``Depthwise.lifted``).
    constants: as in ``products``, by chunk.
    scratch: address of room for PART sums and the columns of each thread; scratch_stride: bytes for a thread.
    output, output_stride: address; from one output to the next.
    last: elements of each output that a chunk writes, fewer than it has where there are fewer channels.
    zero_point, low, high, flip, row_scales, row_scales_step: see ``outputs``; all rows have the first one's.
    """

    input: int
    input_flip: int
    passes: int
    first_rows: int
    line_offsets: int
    column: int
    columns: int
    before: int
    end: int
    outside: int
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
    rows: of outputs that are computed together. step: rows of codes from one of them to the next.
    output: what becomes of the sums, which are of 32 bits.
    partial: there are fewer channels than codes in a vector.
    lifted, words: as in ``products``.
    """

    height: int
    width: int
    rows: int
    step: int
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
    def lines(self) -> int:
        """Rows of codes that are read together."""
        return (self.rows - 1) * self.step + self.height

    @property
    def groups(self) -> int:
        """Of rows of codes."""
        return -(-self.lines // self.group)

    @property
    def taps(self) -> int:
        """Vectors of weights for a vector of sums."""
        return self.width * self.groups

    @property
    def vectors_at_a_time(self) -> int:
        """So many that their weights fit the registers."""
        return next((n for n in (4, 2) if n <= self.vectors and n * self.taps * self.rows <= REGISTERS), 1)

    def emit(self, name: str, tier: Tier) -> Code:
        """Write the function. Threads share the passes."""
        code = Code(name, Arguments)
        writer = _Writer(self, code, tier)
        # The chunks of a pass come one after another, while its codes are in the nearest caches.
        with code.loop(*code.share(code["passes"])) as number, code.loop(0, code["chunks"]) as chunk:
            writer.rows(chunk, number)
        return code


class _Writer:
    """Writes the rows of one pass of one chunk of channels."""

    def __init__(self, kernel: Depthwise, code: Code, tier: Tier):
        self.kernel, self.code, self.tier = kernel, code, tier
        self.width = STEP * tier.lanes
        self.bytes = vector(I8, self.width)
        self.codes = vector(I16, self.width // 2) if kernel.words else self.bytes
        self.flip = code.load(self.bytes, code.pointer("input_flip"))
        self.dot = WordDot(code, tier) if kernel.words else Dot(code, tier)
        self.scratch = code.at(code.pointer("scratch"), code.multiply(code.thread, code["scratch_stride"]))
        self.columns = code.at(self.scratch, PART * kernel.rows * kernel.vectors * self.width)
        self.of_row = kernel.output.row(code, I64(0), tier.lanes)

    def rows(self, chunk: Value, number: Value) -> None:
        """The outputs of a pass, in parts whose sums fit the nearest cache."""
        code, kernel, lanes = self.code, self.kernel, self.tier.lanes
        first = code.smaller(code.multiply(chunk, self.width), code["last_chunk"])
        self.interleave(code.at(code.pointer("line_offsets"), code.multiply(number, 8 * kernel.lines)), first)
        size = vector_bytes(kernel.output, lanes)
        constants = code.at(code.pointer("constants"), code.multiply(chunk, kernel.vectors * size))
        weights = code.at(code.pointer("weights"), code.multiply(chunk, kernel.rows * self.place(kernel.taps)))
        row = code.load(I64, code.pointer("first_rows"), code.multiply(number, 8))
        output = code.at(code.pointer("output"), code.multiply(first, kernel.output.item // kernel.item))
        line = code.multiply(code["outputs"], code["output_stride"])
        outputs = [code.at(output, code.multiply(code.add(row, r), line)) for r in range(kernel.rows)]
        with code.loop(0, code["outputs"], PART) as start:
            end = code.smaller(code.add(start, PART), code["outputs"])
            for v in range(0, kernel.vectors, kernel.vectors_at_a_time):
                self.sums(range(v, v + kernel.vectors_at_a_time), start, end, weights, constants, size)
            self.requantize(start, end, constants, size, outputs)

    def sums(self, vectors: range, start: Value, end: Value, weights: Value, constants: Value, size: int) -> None:
        """The accumulators of some vectors, for outputs from start to end."""
        code, kernel, lanes = self.code, self.kernel, vector(I32, self.tier.lanes)
        firsts = [code.load(lanes, constants, v * size) for v in vectors]
        taps = [(kx, group) for kx in range(kernel.width) for group in range(kernel.groups)]
        loaded = {
            (r, tap, v): self.dot.weights(code.load(self.bytes, weights, self.place(r * kernel.taps + tap, v)))
            for r in range(kernel.rows)
            for tap in range(kernel.taps)
            for v in vectors
        }
        with code.loop(start, end) as x:
            column = code.at(self.columns, code.multiply(x, code["stride"]))
            totals = {(r, v): first for r in range(kernel.rows) for v, first in zip(vectors, firsts, strict=True)}
            window_sums = dict.fromkeys(totals, number(lanes, 0))
            for tap, (kx, group) in enumerate(taps):
                place = code.at(column, code.multiply(code["tap"], kx))
                codes = {v: self.dot.inputs(code.load(lanes, place, self.place(group, v))) for v in vectors}
                for r, v in totals:
                    totals[r, v] = self.dot.add(totals[r, v], codes[v], loaded[r, tap, v])
                    if kernel.lifted:
                        window_sums[r, v] = self.dot.add(window_sums[r, v], codes[v], self.ones(group, r))
            to = code.at(self.scratch, code.multiply(code.builder.sub(x, start), self.place(kernel.rows)))
            for (r, v), total in totals.items():
                code.store(self.lifted(total, window_sums[r, v]), to, self.place(r, v))

    def lifted(self, total: Value, window_sum: Value) -> Value:
        """A sum with what weights were held less."""
        code, b = self.code, self.code.builder
        if not self.kernel.lifted:
            return total
        return b.add(total, b.mul(code.splat(b.trunc(code["offset"], I32), self.tier.lanes), window_sum))

    def place(self, position: int, v: int = 0) -> int:
        """Bytes to a vector of so many positions that have them all."""
        return (position * self.kernel.vectors + v) * self.width

    def ones(self, group: int, row: int) -> object:
        """Weights of 1 for those rows of a group that an output row reads."""
        first = row * self.kernel.step - group * STEP
        read = [int(first <= k < first + self.kernel.height) for k in range(STEP)]
        return self.dot.weights(ir.Constant(self.bytes, read * self.tier.lanes))

    def requantize(self, start: Value, end: Value, constants: Value, size: int, outputs: list[Value]) -> None:
        """From the accumulators to the output rows, for outputs from start to end."""
        code, kernel, lanes = self.code, self.kernel, self.tier.lanes
        planes = [kernel.output.load(code, code.at(constants, v * size + 4 * lanes), lanes) for v in range(kernel.vectors)]
        with code.loop(start, end) as x:
            sums = code.at(self.scratch, code.multiply(code.builder.sub(x, start), self.place(kernel.rows)))
            for r, output in enumerate(outputs):
                totals = [code.load(vector(I32, lanes), sums, self.place(r, v)) for v in range(kernel.vectors)]
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

    def interleave(self, line_offsets: Value, first: Value) -> None:
        """Lays the rows of each group side by side, for every column that is read; first: bytes to the chunk's first channel."""
        code, kernel = self.code, self.kernel
        offsets = [code.load(I64, line_offsets, 8 * k) for k in range(kernel.lines)]
        lines = [code.at(code.pointer("input"), code.add(offset, first)) for offset in offsets]
        b, element = code.builder, self.codes.element
        outside = self.unsigned(code.splat(b.trunc(code["outside"], element), self.codes.count))
        for start, end in ((0, code["before"]), (code["end"], code["columns"])):
            with code.loop(start, end) as column:
                self.lay(column, [outside] * kernel.lines)
        with code.loop(code["before"], code["end"]) as column:
            place = code.multiply(column, code["column"])
            self.lay(column, [self.unsigned(code.load(self.codes, line, place)) for line in lines])

    def lay(self, column: Value, codes: list[Value]) -> None:
        """Stores what one column holds in each row, side by side."""
        code, kernel = self.code, self.kernel
        to = code.at(self.columns, code.multiply(column, self.place(kernel.groups)))
        # A row beyond those that are read may be any: its weights are 0.
        filled = codes + [codes[-1]] * (kernel.groups * kernel.group - len(codes))
        for group in range(kernel.groups):
            rows = filled[group * kernel.group : (group + 1) * kernel.group]
            for v, lanes in enumerate(interleaved(code, self.tier, rows)):
                code.store(lanes, to, self.place(group, v))

    def unsigned(self, codes: Value) -> Value:
        """Bytes as unsigned ones; words as they are."""
        return codes if self.kernel.words else self.code.builder.xor(codes, self.flip)


def interleaved(code: Code, tier: Tier, rows: list[Value]) -> list[Value]:
    """Four vectors of bytes as VECTORS vectors of four bytes for each channel, channels in ``channel_order``; or two of words as two."""
    b, width = code.builder, STEP * tier.lanes
    if len(rows) == 2:
        if tier.name == "avx512":
            return [_unpacked(code, rows[0], rows[1], half, 8) for half in (0, 1)]
        pairs = code.shuffle(rows[0], rows[1], [n for c in range(width // 2) for n in (c, width // 2 + c)])
        return [code.shuffle(pairs, pairs, range(v * width // 2, (v + 1) * width // 2)) for v in range(2)]
    if tier.name != "avx512":
        pairs = [code.shuffle(rows[i], rows[i + 1], [n for c in range(width) for n in (c, width + c)]) for i in (0, 2)]
        words = [b.bitcast(pair, vector(I16, width)) for pair in pairs]
        fours = code.shuffle(words[0], words[1], [n for c in range(width) for n in (c, width + c)])
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


def pack_weights(weights: NDArray[Any], order: NDArray[np.int64], kernel: Depthwise) -> NDArray[Any]:
    """int8[chunks, rows, width, groups, vectors, lanes, 4] of int8[height, width, channels]; of int16, with 2 in the last place."""
    height, width, channels = weights.shape
    padded = np.zeros((kernel.rows, kernel.groups * kernel.group, width, channels + 1), weights.dtype)
    for row in range(kernel.rows):
        padded[row, row * kernel.step : row * kernel.step + height, :, :channels] = weights
    in_lanes = padded[..., order].reshape(kernel.rows, kernel.groups, kernel.group, width, *order.shape)
    # From [rows, groups, 4, width, chunks, vectors, lanes].
    return np.ascontiguousarray(in_lanes.transpose(4, 0, 3, 1, 5, 6, 2))
