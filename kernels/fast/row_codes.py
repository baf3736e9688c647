"""Real values as codes of 8 bits, each row by its own range, as ``kernels.hybrid`` does: the same float operations, in the same order.

Codes are written as uint8: 128 more than what they are. NaN counts for no range. A block of values is worked on at a time; the last of
a row overlaps the one before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from llvmlite import ir

from qcore.kernels.fast.bytes_out import Range, in_order, to_bytes
from qcore.kernels.fast.cpu import Tier
from qcore.kernels.fast.ir import BOOL, F32, F64, I8, I16, I32, I64, Code, Value, number, vector
from qcore.kernels.fast.requantization import BELOW_HALF, BELOW_HALF_F64
from qcore.kernels.hybrid import GREATEST_CODE, LEAST_CODE

CODES = GREATEST_CODE - LEAST_CODE
LIFT = -LEAST_CODE
"""What codes gain to become uint8."""

UNROLLED = 4
"""Vectors of a block, where a row is long enough."""

MOST_STEPS = 32767.0
"""Steps beyond this, on either side, are beyond the codes whatever the zero point."""

Way = Literal["symmetric", "asymmetric", "to_even"]


class RangeArguments(NamedTuple):
    """Address of float32[rows, length]; of float32[rows, threads, 2], each thread's lowest and highest value of a row, or 0."""

    input: int
    ranges: int
    rows: int
    length: int


@dataclass(frozen=True)
class Ranges:
    """A kernel that finds the range of each row, which threads share.

    vectors: of a block.
    partial: a row is shorter than a block, which is of one vector then.
    """

    vectors: int
    partial: bool

    def emit(self, name: str, tier: Tier) -> Code:
        """Write the function."""
        code = Code(name, RangeArguments)
        blocks = _Blocks(code, tier, self.vectors, self.partial, code["length"])
        with code.loop(0, code["rows"]) as row:
            source = code.at(code.pointer("input"), code.multiply(code.multiply(row, code["length"]), 4))
            found = blocks.extremes(source, code.share(blocks.count))
            place = code.multiply(code.add(code.multiply(row, code.threads), code.thread), 8)
            for i, value in enumerate(found):
                code.store(value, code.pointer("ranges"), code.add(place, 4 * i))
        return code


class Arguments(NamedTuple):
    """What a call is about.

    input: address of float32[rows, lines, length].
    ranges: for images as ``Ranges`` wrote them; else address of room for float32[2] for each row, in whole vectors of rows.
    codes: address of uint8[rows, top + lines + bottom, left + length + right]; around images go their zero points.
    row_scales: address; for each row its float32 scale, and as int32 its zero point's uint8 code. There is room for whole vectors of rows.
    """

    input: int
    ranges: int
    codes: int
    row_scales: int
    rows: int
    lines: int
    length: int
    top: int = 0
    bottom: int = 0
    left: int = 0
    right: int = 0


@dataclass(frozen=True)
class RowCodes:
    """A kernel that quantizes rows.

    way: how.
    images: each row is an image, whose lines the threads share; else they share the rows, which have one line each and no border.
    vectors, partial: as in ``Ranges``, of a line.
    """

    way: Way
    images: bool
    vectors: int
    partial: bool

    def emit(self, name: str, tier: Tier) -> Code:
        """Write the function."""
        code = Code(name, Arguments)
        blocks = _Blocks(code, tier, self.vectors, self.partial, code["length"])
        writer = _Writer(code, blocks, self.way)
        if self.images:
            with code.loop(0, code["rows"]) as image:
                writer.image(image)
        else:
            bundles = code.builder.sdiv(code.add(code["rows"], tier.lanes - 1), I64(tier.lanes))
            with code.loop(*code.share(bundles)) as bundle:
                writer.bundle(code.multiply(bundle, tier.lanes), tier.lanes)
        return code


class _Blocks:
    """A row of values, in blocks."""

    def __init__(self, code: Code, tier: Tier, vectors: int, partial: bool, length: Value):
        self.code, self.tier, self.vectors, self.partial, self.length = code, tier, vectors, partial, length
        self.lanes = vectors * tier.lanes
        self.count = code.builder.sdiv(code.add(length, self.lanes - 1), I64(self.lanes))

    def place(self, block: Value) -> Value:
        """The element with which a block begins."""
        return I64(0) if self.partial else self.code.smaller(self.code.multiply(block, self.lanes), self.code.add(self.length, -self.lanes))

    def load(self, source: Value, place: Value, lanes: int) -> Value:
        """So many values."""
        return self.code.load(vector(F32, lanes), source, self.code.multiply(place, 4))

    def extremes(self, source: Value, blocks: tuple[Value, Value]) -> tuple[Value, Value]:
        """The lowest and the highest value of some blocks, or 0."""
        code, b, zero = self.code, self.code.builder, number(vector(F32, self.lanes), 0.0)
        low, high = code.variable(zero), code.variable(zero)
        with code.loop(*blocks) as block:
            x = self.load(source, self.place(block), self.lanes)
            if self.partial:
                lanes = ir.Constant(vector(I64, self.lanes), list(range(self.lanes)))
                x = b.select(b.icmp_signed("<", lanes, code.splat(self.length, self.lanes)), x, zero)
            # In this order: a comparison with NaN is false.
            low.set(least(code, x, low.get()))
            high.set(greatest(code, x, high.get()))
        return folded(code, low.get(), least), folded(code, high.get(), greatest)


class Scaling(NamedTuple):
    """Of a row, or of a row in each lane: float32 steps per unit and units per step; int32 zero point."""

    inverse: Value
    scale: Value
    zero_point: Value


class _Writer:
    """Writes rows of codes."""

    def __init__(self, code: Code, blocks: _Blocks, way: Way):
        self.code, self.blocks, self.way = code, blocks, way

    def image(self, row: Value) -> None:
        """This thread's lines of an image and what is around it."""
        code, b = self.code, self.code.builder
        found = [code.variable(F32(0.0)) for _ in range(2)]
        with code.loop(0, code.threads) as thread:
            place = code.multiply(code.add(code.multiply(row, code.threads), thread), 8)
            for i, (value, pick) in enumerate(zip(found, (least, greatest), strict=True)):
                value.set(pick(code, code.load(F32, code.pointer("ranges"), code.add(place, 4 * i)), value.get()))
        scaling = SCALINGS[self.way](code, *(value.get() for value in found))
        place = code.at(code.pointer("row_scales"), code.multiply(row, 8))
        code.store(scaling.scale, place)
        code.store(b.add(scaling.zero_point, I32(LIFT)), place, 4)
        height = code.add(code["top"], code["lines"], code["bottom"])
        width = code.add(code["left"], code["length"], code["right"])
        border = b.trunc(b.add(scaling.zero_point, I32(LIFT)), I8)

        def fill(to: Value, count: Value) -> None:
            code.call("llvm.memset.p0.i64", ir.VoidType(), [to, border, count, BOOL(0)])

        with code.loop(*code.share(height)) as y:
            to = code.at(code.pointer("codes"), code.multiply(code.add(code.multiply(row, height), y), width))
            line = b.sub(y, code["top"])
            inside = b.and_(b.icmp_signed(">=", line, I64(0)), b.icmp_signed("<", line, code["lines"]))
            with b.if_else(inside) as (then, otherwise):
                with then:
                    fill(to, code["left"])
                    start = code.multiply(code.add(code.multiply(row, code["lines"]), line), code["length"])
                    source = code.at(code.pointer("input"), code.multiply(start, 4))
                    self.line(scaling.inverse, scaling.zero_point, source, code.at(to, code["left"]))
                    fill(code.at(to, code.add(code["left"], code["length"])), code["right"])
                with otherwise:
                    fill(to, width)

    def bundle(self, first: Value, lanes: int) -> None:
        """Rows from the first on, as many as a vector has lanes, each of one line."""
        code, b, blocks = self.code, self.code.builder, self.blocks
        lows = code.at(code.pointer("ranges"), code.multiply(first, 8))
        highs = code.at(lows, 4 * lanes)
        rows = code.smaller(b.sub(code["rows"], first), lanes)

        def source(row: Value) -> Value:
            return code.at(code.pointer("input"), code.multiply(code.multiply(code.add(first, row), code["length"]), 4))

        with code.loop(0, rows) as row:
            for place, value in zip((lows, highs), blocks.extremes(source(row), (I64(0), blocks.count)), strict=True):
                code.store(value, place, code.multiply(row, 4))
        kind = vector(F32, lanes)
        scaling = SCALINGS[self.way](code, code.load(kind, lows), code.load(kind, highs))
        zero_points = b.bitcast(b.add(scaling.zero_point, number(vector(I32, lanes), LIFT)), kind)
        pairs = code.shuffle(scaling.scale, zero_points, [n for lane in range(lanes) for n in (lane, lanes + lane)])
        code.store(pairs, code.pointer("row_scales"), code.multiply(first, 8))
        code.store(scaling.inverse, lows)
        code.store(scaling.zero_point, highs)
        with code.loop(0, rows) as row:
            inverse, zero_point = code.load(F32, lows, code.multiply(row, 4)), code.load(I32, highs, code.multiply(row, 4))
            to = code.at(code.pointer("codes"), code.multiply(code.add(first, row), code["length"]))
            self.line(inverse, zero_point, source(row), to)

    def line(self, inverse: Value, zero_point: Value, source: Value, to: Value) -> None:
        """The codes of a line; zero_point: int32."""
        code, b, blocks, tier = self.code, self.code.builder, self.blocks, self.blocks.tier
        inverse = code.splat(inverse, tier.lanes)
        lifted = code.splat(b.trunc(b.add(zero_point, I32(LIFT)), I16), 2 * tier.lanes)
        low, high, nothing = (number(vector(I8, 4 * tier.lanes), value) for value in (int(self.way == "symmetric"), 255, 0))
        with code.loop(0, blocks.count) as block:
            place = blocks.place(block)
            values = [blocks.load(source, code.add(place, v * tier.lanes), tier.lanes) for v in range(blocks.vectors)]
            steps = [STEPS[self.way](code, b.fmul(x, inverse)) for x in values]
            (packed,) = to_bytes(code, tier, [steps], Range(lifted, low, high, nothing))
            codes = in_order(code, tier, packed, blocks.vectors)
            if blocks.partial:
                code.store_first(codes, to, blocks.length)
            else:
                code.store(codes, to, place)


def symmetric(code: Code, low: Value, high: Value) -> Scaling:
    """The greatest magnitude becomes the greatest code; see ``kernels.hybrid``."""
    b, kind = code.builder, low.type
    zero, one, top = (number(kind, value) for value in (0.0, 1.0, float(GREATEST_CODE)))
    magnitude = greatest(code, b.fneg(low), high)
    zeros = b.fcmp_ordered("==", magnitude, zero)
    inverse = b.select(zeros, zero, b.fdiv(top, magnitude))
    return Scaling(inverse, b.select(zeros, one, b.fdiv(magnitude, top)), number(like(kind, I32), 0))


def asymmetric(code: Code, low: Value, high: Value) -> Scaling:
    """The range over all codes, the zero point in float64; see ``kernels.hybrid``."""
    b, kind, double, integer = code.builder, low.type, like(low.type, F64), like(low.type, I32)
    one, steps, lowest, highest, lift = (number(double, float(value)) for value in (1, CODES, LEAST_CODE, GREATEST_CODE, LIFT))
    zeros = b.fcmp_ordered("==", low, high)
    wide = b.select(zeros, one, b.fdiv(b.fpext(b.fsub(high, low), double), steps))
    below, above = (b.fdiv(b.fpext(end, double), wide) for end in (low, high))
    from_low, from_high = b.fsub(lowest, below), b.fsub(highest, above)
    size_below, size_above = (code.elementwise("fabs", part) for part in (below, above))
    low_is_closer = b.fcmp_ordered("<", b.fadd(lift, size_below), b.fadd(highest, size_above))
    nudged = away(code, b.select(low_is_closer, from_low, from_high))
    zero_point = b.select(zeros, number(integer, 0), b.fptosi(_within(code, nudged), integer))
    scale = b.fptrunc(wide, kind)
    return Scaling(b.fdiv(number(kind, 1.0), scale), scale, zero_point)


def to_even(code: Code, low: Value, high: Value) -> Scaling:
    """XNNPACK's way: the range over all codes in float32; see ``kernels.hybrid``."""
    b, kind = code.builder, low.type
    zero, one, steps, lowest, highest = (number(kind, float(value)) for value in (0, 1, CODES, LEAST_CODE, GREATEST_CODE))
    inverse = b.select(b.fcmp_ordered("==", low, high), one, b.fdiv(steps, b.fsub(high, low)))
    below, above = b.fmul(low, inverse), b.fmul(high, inverse)
    high_is_closer = b.fcmp_ordered(">", b.fadd(b.fadd(lowest, below), b.fadd(highest, above)), zero)
    nudged = b.select(high_is_closer, b.fsub(lowest, below), b.fsub(highest, above))
    zero_point = b.fptosi(code.elementwise("rint", _within(code, nudged)), like(kind, I32))
    return Scaling(inverse, b.fdiv(one, inverse), zero_point)


SCALINGS: Mapping[Way, Callable[[Code, Value, Value], Scaling]] = MappingProxyType(
    {"symmetric": symmetric, "asymmetric": asymmetric, "to_even": to_even}
)
"""Of lowest and highest values, 0 or beyond it on its side."""


def like(kind: Any, element: Any) -> Any:
    """The element's type, or vectors of it where the other is one."""
    return vector(element, kind.count) if isinstance(kind, ir.VectorType) else element


def folded(code: Code, lanes: Value, pick: Callable[[Code, Value, Value], Value]) -> Value:
    """One of the lanes."""
    while (half := lanes.type.count // 2) > 0:
        low, high = (code.shuffle(lanes, lanes, range(start, start + half)) for start in (0, half))
        lanes = pick(code, low, high)
    return code.builder.extract_element(lanes, I32(0))


def _within(code: Code, value: Value) -> Value:
    """Cut to the codes; NaN becomes the least."""
    lowest, highest = (number(value.type, float(end)) for end in (LEAST_CODE, GREATEST_CODE))
    return least(code, greatest(code, value, lowest), highest)


def least(code: Code, x: Value, other: Value) -> Value:
    """The lesser; ``other`` where x is NaN."""
    return code.builder.select(code.builder.fcmp_ordered("<", x, other), x, other)


def greatest(code: Code, x: Value, other: Value) -> Value:
    """The greater; ``other`` where x is NaN."""
    return code.builder.select(code.builder.fcmp_ordered(">", x, other), x, other)


def away(code: Code, x: Value) -> Value:
    """The nearest whole number, ties away from zero."""
    double = x.type == like(x.type, F64)
    half = code.elementwise("copysign", number(x.type, BELOW_HALF_F64 if double else BELOW_HALF), x)
    return code.elementwise("trunc", code.builder.fadd(x, half))


def _nearest_away(code: Code, x: Value) -> Value:
    """int32: ties go away from zero; NaN becomes a number below all codes."""
    bounded = least(code, greatest(code, x, number(x.type, -MOST_STEPS)), number(x.type, MOST_STEPS))
    return code.builder.fptosi(away(code, bounded), vector(I32, x.type.count))


def _nearest_even(code: Code, x: Value) -> Value:
    """int32: ties go to the even number; NaN becomes a number above all codes."""
    lanes = x.type.count
    bounded = greatest(code, least(code, x, number(x.type, MOST_STEPS)), number(x.type, -MOST_STEPS))
    return code.call(f"llvm.lrint.v{lanes}i32.v{lanes}f32", vector(I32, lanes), [bounded])


STEPS: Mapping[Way, Callable[[Code, Value], Value]] = MappingProxyType(
    {"symmetric": _nearest_away, "asymmetric": _nearest_away, "to_even": _nearest_even}
)
"""Whole steps, of real ones."""


def blocks_of(tier: Tier, length: int) -> tuple[int, bool]:
    """``vectors`` and ``partial`` of kernels for rows of that length."""
    vectors = UNROLLED if length >= UNROLLED * tier.lanes else 1
    return vectors, length < tier.lanes
