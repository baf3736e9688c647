"""Averages and maxima of the windows of each channel by itself, of 8-bit codes.

What lies outside of the image is left out: windows that may reach beyond are cut to it first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Literal, NamedTuple

from qcore.kernels.fast.bytes_out import GROUP, Range, to_bytes
from qcore.kernels.fast.cpu import Tier
from qcore.kernels.fast.elementwise import block_bytes, widened
from qcore.kernels.fast.ir import F32, I8, I32, I64, Code, Value, number, vector
from qcore.kernels.fast.reduction import add_to


class Arguments(NamedTuple):
    """What a call is about.

    input: address of codes, or float32, [images, height, width, channels]; output: of [images, output_height, output_width, channels].
    size_h, size_w, stride_h, stride_w: of the windows; top, left: how far the first reaches out of the image.
    chunks: of channels, a block each; last_chunk: where the last begins, so that it does not pass the end.
    zero_point: of averages, 128 where codes are int8; flip: 128 where they are, for input and output.
    """

    input: int
    output: int
    images: int
    height: int
    width: int
    channels: int
    output_height: int
    output_width: int
    size_h: int
    size_w: int
    stride_h: int
    stride_w: int
    top: int
    left: int
    chunks: int
    last_chunk: int
    zero_point: int
    low: int
    high: int
    flip: int


class Span(NamedTuple):
    """Inputs along an axis: the first, and how many; known: their number, where code is written out for each."""

    start: Value
    count: Value
    known: int | None = None


@dataclass(frozen=True)
class Pool:
    """A kernel.

    operation: on the codes of a window. An average is rounded half away from code 0.
    window: rows and columns of windows that all lie within the image, for which code is written out; None for any others.
    partial: there are fewer channels than a block has codes.
    """

    operation: Literal["average", "maximum"]
    window: tuple[int, int] | None
    partial: bool

    def emit(self, name: str, tier: Tier) -> Code:
        """Write the function. Threads share the rows of the output."""
        code = Code(name, Arguments)
        b = code.builder
        operation = {"average": _average, "maximum": _maximum}[self.operation]
        output = Range.of(code, tier)
        with code.loop(*code.share(code.multiply(code["images"], code["output_height"]))) as row:
            image, y = b.sdiv(row, code["output_height"]), b.srem(row, code["output_height"])
            rows = span(code, y, 0, self.window and self.window[0])
            pixels = code.at(code.pointer("input"), code.multiply(image, code.multiply(code["height"], line(code))))
            with code.loop(0, code["output_width"]) as x, code.loop(0, code["chunks"]) as chunk:
                columns = span(code, x, 1, self.window and self.window[1])
                first = code.smaller(code.multiply(chunk, block_bytes(tier)), code["last_chunk"])
                codes = operation(code, tier, code.at(pixels, first), rows, columns, output)
                place = code.multiply(code.add(code.multiply(row, code["output_width"]), x), code["channels"])
                to = code.at(code.pointer("output"), code.add(place, first))
                if self.partial:
                    code.store_first(codes, to, code["channels"])
                else:
                    code.store(codes, to)
        return code


AXES = ("stride_h", "top", "size_h", "height"), ("stride_w", "left", "size_w", "width")
"""Arguments about height and width: stride, how far the first window reaches out, size, and the image's size."""


def span(code: Code, output: Value, axis: int, known: int | None) -> Span:
    """What the window of an output covers along an axis; known: its inputs, where all windows lie within the image."""
    stride, before, size, input = AXES[axis]
    start = code.multiply(output, code[stride])
    if known is not None:
        return Span(start, I64(known), known)
    start = code.builder.sub(start, code[before])
    end = code.smaller(code.add(start, code[size]), code[input])
    start = code.elementwise("smax", start, I64(0))
    return Span(start, code.builder.sub(end, start))


def line(code: Code) -> Value:
    """Elements of a row of the image."""
    return code.multiply(code["width"], code["channels"])


def every_pixel(code: Code, rows: Span, columns: Span, write: Callable[[Value], None]) -> None:
    """Write code for every pixel of a window, given its offset."""

    def pixel(y: Value, x: Value) -> None:
        write(code.multiply(code.add(code.multiply(y, code["width"]), x), code["channels"]))

    if rows.known is not None and columns.known is not None:
        for y, x in product(range(rows.known), range(columns.known)):
            pixel(code.add(rows.start, y), code.add(columns.start, x))
    else:
        with code.loop(0, rows.count) as y, code.loop(0, columns.count) as x:
            pixel(code.add(rows.start, y), code.add(columns.start, x))


def _maximum(code: Code, tier: Tier, pixels: Value, rows: Span, columns: Span, output: Range) -> Value:
    """The greatest of each channel's codes."""
    kind = vector(I8, block_bytes(tier))
    greatest = code.variable(number(kind, 0))

    def compare(place: Value) -> None:
        codes = code.builder.xor(code.load(kind, pixels, place), output.flip)
        greatest.set(code.elementwise("umax", greatest.get(), codes))

    every_pixel(code, rows, columns, compare)
    clamped = code.elementwise("umin", code.elementwise("umax", greatest.get(), output.low), output.high)
    return code.builder.xor(clamped, output.flip)


def _average(code: Code, tier: Tier, pixels: Value, rows: Span, columns: Span, output: Range) -> Value:
    """The average of each channel's codes; quotients are exact in float32, whose fraction is cut off."""
    b, kind, lanes = code.builder, vector(I8, block_bytes(tier)), vector(I32, tier.lanes)
    count = b.trunc(code.multiply(rows.count, columns.count), I32)
    offset = b.neg(b.mul(count, b.trunc(code["zero_point"], I32)))
    totals = [code.variable(code.splat(offset, tier.lanes)) for _ in range(GROUP)]

    def add(place: Value) -> None:
        add_to(totals, widened(code, tier, b.xor(code.load(kind, pixels, place), output.flip)), code)

    every_pixel(code, rows, columns, add)
    half = code.splat(b.lshr(count, I32(1)), tier.lanes)
    divisor = b.sitofp(code.splat(count, tier.lanes), vector(F32, tier.lanes))
    steps = []
    for total in totals:
        sign = b.ashr(total.get(), number(lanes, 31))
        magnitude = b.sub(b.xor(total.get(), sign), sign)
        quotient = b.fptosi(b.fdiv(b.sitofp(b.add(magnitude, half), divisor.type), divisor), lanes)
        steps.append(b.sub(b.xor(quotient, sign), sign))
    return to_bytes(code, tier, [steps], output)[0]
