"""SOFTMAX of 8-bit codes, with a table of the exponentials by how far a code lies below its row's greatest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from qcore.kernels import softmax
from qcore.kernels.fast import requantization
from qcore.kernels.fast.bytes_out import FLIP, GROUP, Range, in_order, to_bytes
from qcore.kernels.fast.cpu import Tier
from qcore.kernels.fast.elementwise import CODES, ByteTable, block_bytes, in_turn, packed_table
from qcore.kernels.fast.ir import BOOL, F32, I8, I16, I32, I64, Code, Value, number, short_name, vector
from qcore.kernels.fast.program import Call
from qcore.kernels.fast.requantization import BELOW_HALF
from qcore.kernels.fast.site import Site
from qcore.kernels.opdef import Array
from qcore.numerics.fixed_point_functions import NEWTON_STEPS_RECIPROCAL, Width

STEP_BITS = 8
"""Output codes are steps of 2**-8, from the least code up."""

STEPS = 1 << STEP_BITS

LEAST_SCALE = 2.0**-30
"""Of an output: its steps are within int32."""


UNUSED = np.float32(0)

TOGETHER = 4
"""Rows whose sums are taken side by side: an addition waits for the one before."""


class Arguments(NamedTuple):
    """What a call is about.

    input, output: addresses of codes [rows, depth]; input_flip, flip: 128 where these are int8, else 0.
    table: address of int32[256] in Q0, or float32[256], by how far a code lies below its row's greatest, as ``packed_table`` has it.
    scale: bits of a float32: the output's.
    scratch: address of room for exponentials and sums; scratch_stride: bytes for a thread; row: bytes for the exponentials of a row.
    """

    input: int
    output: int
    rows: int
    depth: int
    input_flip: int
    flip: int
    table: int
    scale: int
    scratch: int
    scratch_stride: int
    row: int


@dataclass(frozen=True)
class Softmax:
    """A kernel.

    arithmetic: of the exponentials and their sum.
    together: rows whose sums are taken side by side; the last of them overlap those before.
    partial: a row is shorter than a block; else the last block overlaps the one before.
    half: what is added to steps of float32 before their fraction is cut off.
    """

    arithmetic: Literal["fixed", "float32"]
    together: int
    partial: bool
    half: float = 0.0

    def emit(self, name: str, tier: Tier) -> Code:
        """Write the function. Threads share the rows."""
        code = Code(name, Arguments)
        writer = _Writer(self, code, tier)
        b, together = code.builder, self.together
        exponentials = code.at(code.pointer("scratch"), code.multiply(code.thread, code["scratch_stride"]))
        sums = code.at(exponentials, code.multiply(code["row"], together))
        with code.loop(*code.share(b.sdiv(code.add(code["rows"], together - 1), I64(together)))) as group:
            first = code.smaller(code.multiply(group, together), code.add(code["rows"], -together))
            with code.loop(0, together) as i:
                codes = code.at(code.pointer("input"), code.multiply(code.add(first, i), code["depth"]))
                writer.exponentials(codes, code.at(exponentials, code.multiply(i, code["row"])))
            totals = [code.variable(writer.zero) for _ in range(together)]
            with code.loop(0, code["depth"]) as place:
                for i, total in enumerate(totals):
                    row = code.at(exponentials, code.multiply(code["row"], i))
                    total.set(writer.sum(total.get(), code.at(row, code.multiply(place, 4))))
            for i, total in enumerate(totals):
                code.store(total.get(), sums, 8 * i)
            with code.loop(0, together) as i:
                total = code.load(writer.zero.type, sums, code.multiply(i, 8))
                to = code.at(code.pointer("output"), code.multiply(code.add(first, i), code["depth"]))
                writer.codes(code.at(exponentials, code.multiply(i, code["row"])), total, to)
        return code


class _Writer:
    """Writes what is done with a row."""

    def __init__(self, kernel: Softmax, code: Code, tier: Tier):
        self.kernel, self.code, self.tier, self.size = kernel, code, tier, block_bytes(tier)
        self.element = I32 if kernel.arithmetic == "fixed" else F32
        self.zero = I64(0) if kernel.arithmetic == "fixed" else F32(0)
        self.kind, self.lanes = vector(I8, self.size), vector(self.element, tier.lanes)
        self.input_flip = code.splat(code.builder.trunc(code["input_flip"], I8), self.size)
        least, greatest, flip = (
            number(self.kind, 0),
            number(self.kind, STEPS - 1),
            code.splat(code.builder.trunc(code["flip"], I8), self.size),
        )
        self.range = Range(number(vector(I16, self.size // 2), 0), least, greatest, flip)
        self.tables = [ByteTable(code, code.at(code.pointer("table"), k * CODES)) for k in range(4)] if tier.name == "avx512" else None

    @contextmanager
    def blocks(self) -> Iterator[Value]:
        """Where the blocks of a row are."""
        with self.code.loop(0, self.code["depth"], self.size) as start:
            yield start if self.kernel.partial else self.code.smaller(start, self.code.add(self.code["depth"], -self.size))

    def exponentials(self, source: Value, to: Value) -> None:
        """Writes them, of a row of codes."""
        code, b = self.code, self.code.builder
        greatest = code.variable(number(self.kind, 0))
        with self.blocks() as start:
            codes = b.xor(code.load(self.kind, source, start), self.input_flip)
            if self.kernel.partial:
                codes = b.select(code.first(self.size, code["depth"]), codes, number(self.kind, 0))
            greatest.set(code.elementwise("umax", greatest.get(), codes))
        most = code.call(f"llvm.vector.reduce.umax.{short_name(self.kind)}", I8, [greatest.get()])
        with self.blocks() as start:
            codes = b.xor(code.load(self.kind, source, start), self.input_flip)
            self.look_up(b.sub(code.splat(most, self.size), codes), code.at(to, code.multiply(start, 4)))

    def look_up(self, below: Value, to: Value) -> None:
        """Writes the entries of a block."""
        code = self.code
        if self.tables:
            for i, entries in enumerate(in_turn(code, self.tier, [table.look_up(below) for table in self.tables])):
                code.store(entries, to, i * self.size)
            return
        for place in range(self.size):
            index = code.builder.zext(code.builder.extract_element(below, I32(place)), I64)
            code.store(code.load(I32, code.pointer("table"), code.multiply(index, 4), 4), to, 4 * place)

    def sum(self, total: Value, place: Value) -> Value:
        """A sum and one more exponential: in Q12, rounded; or of float32."""
        code, b = self.code, self.code.builder
        term = code.load(self.element, place, 0, 4)
        if self.kernel.arithmetic == "float32":
            return b.fadd(total, term)
        return b.add(total, b.lshr(code.add(b.zext(term, I64), 1 << (softmax.SUM_BITS - 1)), I64(softmax.SUM_BITS)))

    def codes(self, exponentials: Value, total: Value, to: Value) -> None:
        """Writes the codes of a row."""
        code = self.code
        steps = self.fixed(total) if self.kernel.arithmetic == "fixed" else self.float32(total)
        with self.blocks() as start:
            source = code.at(exponentials, code.multiply(start, 4))
            row = [steps(code.load(self.lanes, source, i * self.size)) for i in range(GROUP)]
            (packed,) = to_bytes(code, self.tier, [row], self.range)
            codes = in_order(code, self.tier, packed)
            if self.kernel.partial:
                code.store_first(codes, to, code["depth"])
            else:
                code.store(codes, to, start)

    def fixed(self, total: Value) -> Callable[[Value], Value]:
        """Exponentials times the reciprocal of their sum: a requantization of accumulators that are not negative.

        The greatest code's own term is 2**19, so that there is a reciprocal, and the shift is at least 23. One of more than 32 leaves
        nothing, as 32 does.
        """
        code, b = self.code, self.code.builder
        sum_ = code.smaller(total, (1 << 32) - 1)
        headroom = b.sub(code.call("llvm.ctlz.i64", I64, [sum_, BOOL(0)]), I64(32))
        mantissa = _one_over_one_plus(code, b.sub(b.shl(sum_, headroom), I64(1 << 31)))
        shift = code.smaller(b.sub(I64(softmax.SUM_BITS + 31 - STEP_BITS), headroom), 32)
        half = code.add(b.shl(I64(1), code.add(shift, 30)), 1 << 30)
        planes = [code.splat(value, self.tier.lanes // 2) for value in (mantissa, mantissa, half, half)]
        planes.append(code.splat(b.trunc(code.add(shift, -1), I32), self.tier.lanes))
        return lambda lanes: requantization.emit(code, "narrow", lanes, planes)

    def float32(self, total: Value) -> Callable[[Value], Value]:
        """The same in float32."""
        code, b = self.code, self.code.builder
        scale = b.bitcast(b.trunc(code["scale"], I32), F32)
        factor = code.splat(b.fdiv(F32(1), b.fmul(total, scale)), self.tier.lanes)
        half, integers = number(self.lanes, self.kernel.half), vector(I32, self.tier.lanes)
        return lambda lanes: b.fptosi(b.fadd(b.fmul(lanes, factor), half), integers)


def _one_over_one_plus(code: Code, x: Value) -> Value:
    """``fixed_point_functions.one_over_one_plus_x`` of one number, held as int64."""
    b, width = code.builder, Width(32)

    def scaled_up(value: Value, exponent: int) -> Value:
        shifted = b.shl(value, I64(exponent))
        return code.elementwise("smin", code.elementwise("smax", shifted, I64(-width.greatest - 1)), I64(width.greatest))

    divisor = b.ashr(code.add(x, width.greatest + 1), I64(1))
    y = code.add(_product(code, divisor, I64(width.constant(-32 / 17, 2))), width.constant(48 / 17, 2))
    for _ in range(NEWTON_STEPS_RECIPROCAL):
        error = b.sub(I64(width.constant(1, 2)), _product(code, divisor, y))
        y = code.add(y, scaled_up(_product(code, y, error), 2))
    return scaled_up(y, 1)


def _product(code: Code, one: Value, other: Value) -> Value:
    """``saturating_rounding_doubling_high_mul`` of numbers of 32 bits, held as int64."""
    high = code.builder.ashr(code.add(code.multiply(one, other), 1 << 30), I64(31))
    return code.smaller(high, (1 << 31) - 1)


def lower_softmax_by_table(site: Site) -> list[Call]:
    """The reference's SOFTMAX."""
    p: softmax.TableParams = site.params
    return softmax_calls(site, "fixed", np.ascontiguousarray(p.differences.exponential, np.int32))


def lower_softmax_in_float32(site: Site) -> list[Call]:
    """SOFTMAX of the other arithmetics."""
    p: softmax.Float32Params = site.params
    exponential = np.ascontiguousarray(p.exponential, np.float32)
    site.require(bool((exponential <= 1).all() and p.scale >= LEAST_SCALE), "exponentials above 1, or an output scale below 2**-30")
    site.require(p.storage != np.int8 or p.zero_point == -128, f"an output zero point of {p.zero_point}")
    return softmax_calls(site, "float32", exponential, p.scale, 0.5 if p.storage == np.uint8 else BELOW_HALF)


def softmax_calls(
    site: Site, arithmetic: Literal["fixed", "float32"], exponential: Array, scale: np.float32 = UNUSED, half: float = 0.0
) -> list[Call]:
    """The call of a kernel; exponential: by difference."""
    x, output = site.readable(0), site.outputs[0]
    site.require(x.itemsize == output.itemsize == 1, "codes of 16 bits")
    if output.size == 0:
        return []
    depth, size = output.shape[-1], block_bytes(site.tier)
    rows = output.size // depth
    kernel = Softmax(arithmetic, TOGETHER if rows >= TOGETHER else 1, depth < size, half)
    row = 4 * max(depth, size)
    stride = kernel.together * (row + 8)
    scratch, table = site.scratch.take(site.threads * stride), packed_table(site.tier, exponential)
    arguments = Arguments(
        input=x.ctypes.data,
        output=output.ctypes.data,
        rows=rows,
        depth=depth,
        input_flip=FLIP if x.dtype == np.int8 else 0,
        flip=FLIP if output.dtype == np.int8 else 0,
        table=table.ctypes.data,
        scale=int(scale.view(np.int32)),
        scratch=scratch.ctypes.data,
        scratch_stride=stride,
        row=row,
    )
    return [Call(kernel, arguments, (table, scratch, x))]
