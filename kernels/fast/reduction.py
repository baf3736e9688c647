"""Sums of 8-bit codes along axes that follow one another: MEAN and SUM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from qcore.kernels.fast import requantization
from qcore.kernels.fast.bytes_out import GROUP, Range, to_bytes
from qcore.kernels.fast.cpu import Tier
from qcore.kernels.fast.depthwise import interleaved
from qcore.kernels.fast.elementwise import block_bytes, widened
from qcore.kernels.fast.ir import I8, I32, I64, Code, Value, Variable, number, vector
from qcore.kernels.fast.products import COUNTS, STEP, Dot
from qcore.kernels.fast.requantization import Kind, plane_bytes


class Arguments(NamedTuple):
    """What a call is about; the input is [outer, summed, inner] of codes, the output [outer, inner].

    input, output: addresses; input_flip: 128 where the codes are int8, else 0.
    chunks: of inner, a block each; last_chunk: where the last begins, so that it does not pass the end.
    constants: address; for each chunk and vector, int32[lanes] first values of the sums and the constants of the requantization.
    """

    input: int
    input_flip: int
    outer: int
    summed: int
    inner: int
    chunks: int
    last_chunk: int
    constants: int
    output: int
    zero_point: int
    low: int
    high: int
    flip: int


@dataclass(frozen=True)
class Sums:
    """A kernel.

    kind: of the requantization.
    together: chunks that are summed side by side, so that a row is read once; a divisor of their number.
    partial: there are fewer sums side by side than a block has codes.
    """

    kind: Kind
    together: int
    partial: bool

    def emit(self, name: str, tier: Tier) -> Code:
        """Write the function. Threads share the chunks."""
        code = Code(name, Arguments)
        writer = _Writer(self, code, tier)
        parts = code.builder.sdiv(code["chunks"], I64(self.together))
        with code.loop(0, code["outer"]) as image, code.loop(*code.share(parts)) as part:
            chunks = [writer.chunk(image, code.add(code.multiply(part, self.together), i)) for i in range(self.together)]
            fours = code.multiply(code.builder.sdiv(code["summed"], I64(STEP)), STEP)
            with code.loop(0, fours, STEP) as i:
                for chunk in chunks:
                    writer.add_four(chunk, i)
            with code.loop(fours, code["summed"]) as i:
                for chunk in chunks:
                    add_to(chunk.totals, widened(code, tier, writer.row(chunk, i)), code)
            for chunk in chunks:
                writer.finish(chunk)
        return code


class _Chunk(NamedTuple):
    """Addresses: of its first codes, its constants and its output; and its sums."""

    start: Value
    constants: Value
    output: Value
    totals: list[Variable]


class _Writer:
    """Writes what is done to a chunk."""

    def __init__(self, kernel: Sums, code: Code, tier: Tier):
        self.kernel, self.code, self.tier = kernel, code, tier
        self.lanes, self.dot, self.range = vector(I32, tier.lanes), Dot(code, tier, COUNTS), Range.of(code, tier)
        self.size = plane_bytes(kernel.kind, tier.lanes) + 4 * tier.lanes
        self.flip = code.splat(code.builder.trunc(code["input_flip"], I8), block_bytes(tier))
        self.ones = self.dot.weights(number(self.flip.type, 1))

    def chunk(self, image: Value, index: Value) -> _Chunk:
        """A chunk before anything is added."""
        code = self.code
        first = code.smaller(code.multiply(index, block_bytes(self.tier)), code["last_chunk"])
        constants = code.at(code.pointer("constants"), code.multiply(index, GROUP * self.size))
        totals = [code.variable(code.load(self.lanes, constants, v * self.size)) for v in range(GROUP)]
        start = code.add(code.multiply(image, code.multiply(code["summed"], code["inner"])), first)
        output = code.add(code.multiply(image, code["inner"]), first)
        return _Chunk(code.at(code.pointer("input"), start), constants, code.at(code.pointer("output"), output), totals)

    def row(self, chunk: _Chunk, i: Value) -> Value:
        """The codes that are added i-th."""
        code = self.code
        return code.builder.xor(code.load(self.flip.type, chunk.start, code.multiply(i, code["inner"])), self.flip)

    def add_four(self, chunk: _Chunk, i: Value) -> None:
        """Add four rows."""
        rows = [self.row(chunk, self.code.add(i, k)) for k in range(STEP)]
        for total, four in zip(chunk.totals, interleaved(self.code, self.tier, rows), strict=True):
            codes = self.dot.inputs(self.code.builder.bitcast(four, self.lanes))
            total.set(self.dot.add(total.get(), codes, self.ones))

    def finish(self, chunk: _Chunk) -> None:
        """From sums to codes."""
        code, kind, lanes = self.code, self.kernel.kind, self.tier.lanes
        steps = []
        for v, total in enumerate(chunk.totals):
            planes = requantization.load(code, kind, code.at(chunk.constants, v * self.size + 4 * lanes), lanes)
            steps.append(requantization.emit(code, kind, total.get(), planes))
        (codes,) = to_bytes(code, self.tier, [steps], self.range)
        if self.kernel.partial:
            code.store_first(codes, chunk.output, code["inner"])
        else:
            code.store(codes, chunk.output)


def add_to(totals: list[Variable], terms: list[Value], code: Code) -> None:
    """Add a vector to each total."""
    for total, term in zip(totals, terms, strict=True):
        total.set(code.builder.add(total.get(), term))
