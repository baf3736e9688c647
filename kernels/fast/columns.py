"""Matrices that are computed at run time, packed as the weights of ``products``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from qcore.kernels.fast.bytes_out import GROUP
from qcore.kernels.fast.cpu import Tier
from qcore.kernels.fast.depthwise import interleaved
from qcore.kernels.fast.ir import I8, I32, I64, Code, Value, number, vector
from qcore.kernels.fast.products import STEP, Dot


class Arguments(NamedTuple):
    """What a call is about.

    input: address of int8[depth, columns], or of int8[columns, depth] where swapped.
    steps: of four, of the depth; blocks: of columns.
    weights: address of int8[blocks, steps, vectors, lanes, 4] to write.
    lanes: address of int32[vectors * lanes], the place among a block's lanes of each of its columns.
    constants: address of the first block's first values; constants_step: bytes from one vector's to the next. They become
        ``times * (sum of the column + plus) + start``.
    """

    input: int
    depth: int
    columns: int
    steps: int
    blocks: int
    weights: int
    lanes: int
    constants: int
    constants_step: int
    times: int
    plus: int
    start: int


@dataclass(frozen=True)
class Columns:
    """A kernel.

    swapped: columns lie one after another.
    vectors: of a block; GROUP, or fewer where channels are in order in them.
    """

    swapped: bool
    vectors: int

    def emit(self, name: str, tier: Tier) -> Code:
        """Write the function. Threads share the blocks."""
        code = Code(name, Arguments)
        writer = _Writer(code, tier, self.vectors)
        with code.loop(*code.share(code["blocks"])) as block:
            if self.swapped:
                writer.copy_columns(block)
            else:
                writer.interleave_rows(block)
            writer.first_values(block)
        return code


class _Writer:
    """Writes one block."""

    def __init__(self, code: Code, tier: Tier, vectors: int):
        self.code, self.tier, self.vectors = code, tier, vectors
        self.width = vectors * tier.lanes
        self.step_bytes = STEP * self.width

    def weights(self, block: Value) -> Value:
        """Where those of a block begin."""
        code = self.code
        return code.at(code.pointer("weights"), code.multiply(code.multiply(block, code["steps"]), self.step_bytes))

    def interleave_rows(self, block: Value) -> None:
        """Four rows at a time; those beyond the depth are zeros, columns beyond the last may be any."""
        code, b = self.code, self.code.builder
        kind = vector(I8, GROUP * self.tier.lanes)
        first, to = code.at(code.pointer("input"), code.multiply(block, self.width)), self.weights(block)
        with code.loop(0, code["steps"]) as step:
            rows = []
            for k in range(STEP):
                row = code.add(code.multiply(step, STEP), k)
                inside = b.icmp_signed("<", row, code["depth"])
                loaded = code.load(kind, first, code.multiply(code.smaller(row, code.add(code["depth"], -1)), code["columns"]))
                rows.append(b.select(inside, loaded, number(kind, 0)))
            for v, lanes in enumerate(interleaved(code, self.tier, rows)[: self.vectors]):
                code.store(lanes, to, code.add(code.multiply(step, self.step_bytes), v * STEP * self.tier.lanes))

    def copy_columns(self, block: Value) -> None:
        """Four codes at a time; those beyond the depth are made zeros, columns beyond the last repeat it."""
        code, b, to = self.code, self.code.builder, self.weights(block)
        with code.loop(0, self.width) as i:
            column = code.smaller(code.add(code.multiply(block, self.width), i), code.add(code["columns"], -1))
            source = code.at(code.pointer("input"), code.multiply(column, code["depth"]))
            lane = b.sext(code.load(I32, code.pointer("lanes"), code.multiply(i, 4)), I64)
            with code.loop(0, code["steps"]) as step:
                place = code.multiply(step, STEP)
                bits = code.multiply(code.smaller(b.sub(code["depth"], place), STEP), 8)
                mask = b.trunc(b.sub(b.shl(I64(1), bits), I64(1)), I32)
                four = b.and_(code.load(I32, source, place), mask)
                code.store(four, to, code.add(code.multiply(step, self.step_bytes), code.multiply(lane, STEP)))

    def first_values(self, block: Value) -> None:
        """Those of the block's sums."""
        code, b, lanes, dot = self.code, self.code.builder, self.tier.lanes, Dot(self.code, self.tier)
        wide, weights = vector(I32, lanes), self.weights(block)
        ones = dot.inputs(number(wide, 0x01010101))
        totals = [code.variable(number(wide, 0)) for _ in range(self.vectors)]
        with code.loop(0, code["steps"]) as step:
            for v, total in enumerate(totals):
                place = code.add(code.multiply(step, self.step_bytes), v * STEP * lanes)
                total.set(dot.add(total.get(), ones, dot.weights(code.load(vector(I8, STEP * lanes), weights, place))))
        times, plus, start = (code.splat(b.trunc(code[name], I32), lanes) for name in ("times", "plus", "start"))
        for v, total in enumerate(totals):
            place = code.multiply(code.add(code.multiply(block, self.vectors), v), code["constants_step"])
            code.store(b.add(b.mul(b.add(total.get(), plus), times), start), code.pointer("constants"), place)
