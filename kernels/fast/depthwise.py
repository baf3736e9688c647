"""Sums over the windows of each channel by itself: depthwise convolutions.

A lane of 32 bits sums four products of 8-bit codes at a time, so four rows of a window are laid side by side first: byte k of each
channel's four is its code in row k. That is done once for each column of the image that is read, for a chunk of channels at a time.
Then every output adds up its columns, and is requantized. Output rows whose windows lie within the same rows are computed together, each
with weights of 0 for the rows that are not its own. Codes of 16 bits go by pairs of rows likewise; there "four" is two.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numpy.typing import NDArray

from qcore.kernels.fast.bytes_out import channel_order
from qcore.kernels.fast.cpu import Tier
from qcore.kernels.fast.ir import I8, I16, I32, I64, Code, Value, number, vector
from qcore.kernels.fast.outputs import Output, vector_bytes
from qcore.kernels.fast.products import STEP, Dot, WordDot

REGISTERS = 20
"""Vectors of weights, at most, that output rows which are computed together have in all."""

SHORT = 32
"""Outputs of a short row."""


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
    scratch: address of room for the columns of each thread; scratch_stride: bytes for a thread.
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
    vectors: of sums, for a chunk of channels. partial: there are fewer channels than that.
    lifted, words: as in ``products``.
    """

    height: int
    width: int
    rows: int
    step: int
    output: Output
    vectors: int
    partial: bool
    lifted: bool = False
    words: bool = False

    @property
    def item(self) -> int:
        """Bytes of a code."""
        return 2 if self.words else 1

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
        self.bytes = vector(I8, STEP * tier.lanes)
        self.codes = vector(I16 if kernel.words else I8, kernel.vectors * tier.lanes)
        self.flip = code.load(self.codes, code.pointer("input_flip"))
        self.dot = WordDot(code, tier) if kernel.words else Dot(code, tier)
        self.columns = code.at(code.pointer("scratch"), code.multiply(code.thread, code["scratch_stride"]))
        self.of_row = kernel.output.row(code, I64(0), tier.lanes)

    def rows(self, chunk: Value, number: Value) -> None:
        """The outputs of a pass."""
        code, kernel, lanes = self.code, self.kernel, self.tier.lanes
        first = code.smaller(code.multiply(chunk, self.codes.count * kernel.item), code["last_chunk"])
        self.interleave(code.at(code.pointer("line_offsets"), code.multiply(number, 8 * kernel.lines)), first)
        size = vector_bytes(kernel.output, lanes)
        constants = code.at(code.pointer("constants"), code.multiply(chunk, kernel.vectors * size))
        planes = [kernel.output.load(code, code.at(constants, v * size + 4 * lanes), lanes) for v in range(kernel.vectors)]
        weights = code.at(code.pointer("weights"), code.multiply(chunk, kernel.rows * self.place(kernel.taps)))
        loaded = {
            (r, tap, v): self.dot.weights(code.load(self.bytes, weights, self.place(r * kernel.taps + tap, v)))
            for r in range(kernel.rows)
            for tap in range(kernel.taps)
            for v in range(kernel.vectors)
        }
        firsts = [code.load(vector(I32, lanes), constants, v * size) for v in range(kernel.vectors)]
        row = code.load(I64, code.pointer("first_rows"), code.multiply(number, 8))
        output = code.at(code.pointer("output"), code.multiply(first, kernel.output.item // kernel.item))
        line = code.multiply(code["outputs"], code["output_stride"])
        outputs = [code.at(output, code.multiply(code.add(row, r), line)) for r in range(kernel.rows)]
        with code.loop(0, code["outputs"]) as x:
            totals = self.sums(x, firsts, loaded)
            steps = [
                self.in_order([kernel.output.step(code, total, p, self.of_row) for total, p in zip(of_row, planes, strict=True)])
                for of_row in totals
            ]
            for elements, start in zip(kernel.output.rows(code, self.tier, steps), outputs, strict=True):
                place = code.at(start, code.multiply(x, code["output_stride"]))
                if kernel.partial:
                    code.store_first(elements, place, code["last"])
                else:
                    code.store(elements, place)

    def sums(self, x: Value, firsts: list[Value], weights: Mapping[tuple[int, int, int], object]) -> list[list[Value]]:
        """The accumulators of an output in each row, by vector; weights: by row, tap and vector."""
        code, kernel, lanes = self.code, self.kernel, vector(I32, self.tier.lanes)
        column = code.at(self.columns, code.multiply(x, code["stride"]))
        totals = [list(firsts) for _ in range(kernel.rows)]
        window_sums = [[number(lanes, 0)] * kernel.vectors for _ in totals]
        for tap, (kx, group) in enumerate((kx, group) for kx in range(kernel.width) for group in range(kernel.groups)):
            place = code.at(column, code.multiply(code["tap"], kx))
            for v in range(kernel.vectors):
                codes = self.dot.inputs(code.load(lanes, place, self.place(group, v)))
                for r in range(kernel.rows):
                    totals[r][v] = self.dot.add(totals[r][v], codes, weights[r, tap, v])
                    if kernel.lifted:
                        window_sums[r][v] = self.dot.add(window_sums[r][v], codes, self.ones(group, r))
        return [[self.lifted(*sums) for sums in zip(*of_row, strict=True)] for of_row in zip(totals, window_sums, strict=True)]

    def lifted(self, total: Value, window_sum: Value) -> Value:
        """A sum with what weights were held less."""
        code, b = self.code, self.code.builder
        if not self.kernel.lifted:
            return total
        return b.add(total, b.mul(code.splat(b.trunc(code["offset"], I32), self.tier.lanes), window_sum))

    def place(self, position: int, v: int = 0) -> int:
        """Bytes to a vector of so many positions that have them all."""
        return (position * self.kernel.vectors + v) * STEP * self.tier.lanes

    def ones(self, group: int, row: int) -> object:
        """Weights of 1 for those rows of a group that an output row reads."""
        first = row * self.kernel.step - group * STEP
        read = [int(first <= k < first + self.kernel.height) for k in range(STEP)]
        return self.dot.weights(ir.Constant(self.bytes, read * self.tier.lanes))

    def in_order(self, vectors: list[Value]) -> list[Value]:
        """Vectors in ``channel_order`` as the output takes them."""
        code, lanes = self.code, self.tier.lanes
        if self.tier.name != "avx512" or self.kernel.output.item == 1:
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
    """Four rows of bytes, or two of words, with each channel's codes of all rows side by side: bytes of vectors of 32-bit lanes.

    Channels are in ``channel_order``.
    """
    kind = rows[0].type
    lanes = vector(I8, STEP * tier.lanes)
    if tier.name != "avx512":
        # In steps of two, which processors have instructions for.
        while len(rows) > 1:
            wider = vector(ir.IntType(2 * rows[0].type.element.width), kind.count)
            alternating = [n for i in range(kind.count) for n in (i, kind.count + i)]
            pairs = [code.shuffle(one, other, alternating) for one, other in zip(rows[::2], rows[1::2], strict=True)]
            rows = [code.builder.bitcast(pair, wider) for pair in pairs]
        whole = code.builder.bitcast(rows[0], vector(I8, STEP * kind.count))
        return [code.shuffle(whole, whole, range(start, start + lanes.count)) for start in range(0, STEP * kind.count, lanes.count)]
    if kind.count * kind.element.width == 8 * lanes.count:
        vectors = _unpacked(code, rows)
    else:
        low, high = (code.joined(rows[start : start + len(rows) // 2]) for start in (0, len(rows) // 2))
        order = channel_order(tier, kind.count // tier.lanes)
        vectors = [code.shuffle(low, high, [kind.count * row + channel for channel in part for row in range(len(rows))]) for part in order]
    return [code.builder.bitcast(one, lanes) for one in vectors]


def _unpacked(code: Code, rows: list[Value]) -> list[Value]:
    """The same for rows that fill a vector each, by instructions that work within parts of 128 bits."""
    if len(rows) == 1:
        return rows
    kind = rows[0].type
    lane = 128 // kind.element.width
    wider = vector(ir.IntType(2 * kind.element.width), kind.count // 2)
    results = []
    for half in (0, 1):
        starts = [part + half * lane // 2 for part in range(0, kind.count, lane)]
        lanes = [n for start in starts for i in range(start, start + lane // 2) for n in (i, kind.count + i)]
        pairs = [code.shuffle(one, other, lanes) for one, other in zip(rows[::2], rows[1::2], strict=True)]
        results += _unpacked(code, [code.builder.bitcast(pair, wider) for pair in pairs])
    return results


def chunk_vectors(tier: Tier, channels: int, item: int, outputs: int) -> int:
    """Of 32-bit lanes, for a chunk.

    Args:
        tier: whose instructions are used; with AVX-512 half a vector of bytes keeps weights and constants in registers, but it takes more
            chunks, whose beginnings cost more than that in rows of few outputs.
        channels: of a pixel.
        item: bytes of a code.
        outputs: of a row.
    """
    vectors = STEP // item
    short = outputs <= SHORT and channels % (vectors * tier.lanes) == 0
    return 2 if tier.name == "avx512" and not short else vectors


def chunk_order(tier: Tier, channels: int, pixels: int, vectors: int) -> NDArray[np.int64]:
    """int64[chunks, vectors, lanes]: the channel in each lane; -1 for none. The last chunk overlaps the one before.

    pixels: neighbours that one chunk holds, all channels of each.
    vectors: of a chunk.
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
