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
from qcore.kernels.fast.products import STEP, Dot
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
    partial: there are fewer sums side by side than a block has codes.
    """

    kind: Kind
    partial: bool

    def emit(self, name: str, tier: Tier) -> Code:
        """Write the function. Threads share the chunks."""
        code = Code(name, Arguments)
        b, lanes = code.builder, vector(I32, tier.lanes)
        size = plane_bytes(self.kind, tier.lanes) + 4 * tier.lanes
        output, dot = Range.of(code, tier), Dot(code, tier)
        flip = code.splat(b.trunc(code["input_flip"], I8), block_bytes(tier))
        ones = dot.weights(number(flip.type, 1))
        fours = code.multiply(b.sdiv(code["summed"], I64(STEP)), STEP)
        with code.loop(0, code["outer"]) as image, code.loop(*code.share(code["chunks"])) as chunk:
            first = code.smaller(code.multiply(chunk, block_bytes(tier)), code["last_chunk"])
            constants = code.at(code.pointer("constants"), code.multiply(chunk, GROUP * size))
            totals = [code.variable(code.load(lanes, constants, v * size)) for v in range(GROUP)]
            start = code.at(code.pointer("input"), code.add(code.multiply(image, code.multiply(code["summed"], code["inner"])), first))

            def row(i: Value, start: Value = start) -> Value:
                return b.xor(code.load(flip.type, start, code.multiply(i, code["inner"])), flip)

            with code.loop(0, fours, STEP) as i:
                for total, four in zip(totals, interleaved(code, tier, [row(code.add(i, k)) for k in range(STEP)]), strict=True):
                    total.set(dot.add(total.get(), dot.inputs(b.bitcast(four, lanes)), ones))
            with code.loop(fours, code["summed"]) as i:
                add_to(totals, widened(code, tier, row(i)), code)
            steps = []
            for v, total in enumerate(totals):
                planes = requantization.load(code, self.kind, code.at(constants, v * size + 4 * tier.lanes), tier.lanes)
                steps.append(requantization.emit(code, self.kind, total.get(), planes))
            (codes,) = to_bytes(code, tier, [steps], output)
            to = code.at(code.pointer("output"), code.add(code.multiply(image, code["inner"]), first))
            if self.partial:
                code.store_bytes(codes, to, code["inner"])
            else:
                code.store(codes, to)
        return code


def add_to(totals: list[Variable], terms: list[Value], code: Code) -> None:
    """Add a vector to each total."""
    for total, term in zip(totals, terms, strict=True):
        total.set(code.builder.add(total.get(), term))
