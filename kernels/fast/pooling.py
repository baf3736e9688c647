"""Averages and maxima of the windows of each channel by itself, of 8-bit codes.

What lies outside of the image is left out: each window is cut to the image first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from qcore.kernels.fast.bytes_out import GROUP, Range, to_bytes
from qcore.kernels.fast.cpu import Tier
from qcore.kernels.fast.elementwise import block_bytes, widened
from qcore.kernels.fast.ir import F32, I8, I32, I64, Code, Value, number, vector
from qcore.kernels.fast.reduction import add_to


class Arguments(NamedTuple):
    """What a call is about.

    input: address of codes [images, height, width, channels]; output: of [images, output_height, output_width, channels].
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


@dataclass(frozen=True)
class Pool:
    """A kernel.

    operation: on the codes of a window. An average is rounded half away from code 0.
    partial: there are fewer channels than a block has codes.
    """

    operation: Literal["average", "maximum"]
    partial: bool

    def emit(self, name: str, tier: Tier) -> Code:
        """Write the function. Threads share the rows of the output."""
        code = Code(name, Arguments)
        b = code.builder
        window = {"average": _average, "maximum": _maximum}[self.operation]
        output = Range.of(code, tier)
        with code.loop(*code.share(code.multiply(code["images"], code["output_height"]))) as row:
            image, y = b.sdiv(row, code["output_height"]), b.srem(row, code["output_height"])
            rows = _cut(code, y, "stride_h", "top", "size_h", "height")
            pixels = code.at(code.pointer("input"), code.multiply(image, code.multiply(code["height"], _line(code))))
            with code.loop(0, code["output_width"]) as x, code.loop(0, code["chunks"]) as chunk:
                columns = _cut(code, x, "stride_w", "left", "size_w", "width")
                first = code.smaller(code.multiply(chunk, block_bytes(tier)), code["last_chunk"])
                codes = window(code, tier, code.at(pixels, first), rows, columns, output)
                place = code.multiply(code.add(code.multiply(row, code["output_width"]), x), code["channels"])
                to = code.at(code.pointer("output"), code.add(place, first))
                if self.partial:
                    code.store_bytes(codes, to, code["channels"])
                else:
                    code.store(codes, to)
        return code


Span = tuple[Value, Value]
"""From the first to before the second."""


def _line(code: Code) -> Value:
    """Bytes of a row of the image."""
    return code.multiply(code["width"], code["channels"])


def _cut(code: Code, output: Value, stride: str, before: str, size: str, input: str) -> Span:
    """The inputs that a window covers along one axis."""
    start = code.builder.sub(code.multiply(output, code[stride]), code[before])
    return code.elementwise("smax", start, I64(0)), code.smaller(code.add(start, code[size]), code[input])


def _maximum(code: Code, tier: Tier, pixels: Value, rows: Span, columns: Span, output: Range) -> Value:
    """The greatest of each channel's codes."""
    kind = vector(I8, block_bytes(tier))
    greatest = code.variable(number(kind, 0))
    with code.loop(*rows) as y, code.loop(*columns) as x:
        place = code.multiply(code.add(code.multiply(y, code["width"]), x), code["channels"])
        codes = code.builder.xor(code.load(kind, pixels, place), output.flip)
        greatest.set(code.elementwise("umax", greatest.get(), codes))
    clamped = code.elementwise("umin", code.elementwise("umax", greatest.get(), output.low), output.high)
    return code.builder.xor(clamped, output.flip)


def _average(code: Code, tier: Tier, pixels: Value, rows: Span, columns: Span, output: Range) -> Value:
    """The average of each channel's codes; quotients are exact in float32, whose fraction is cut off."""
    b, kind, lanes = code.builder, vector(I8, block_bytes(tier)), vector(I32, tier.lanes)
    count = b.trunc(code.multiply(b.sub(rows[1], rows[0]), b.sub(columns[1], columns[0])), I32)
    offset = b.neg(b.mul(count, b.trunc(code["zero_point"], I32)))
    totals = [code.variable(code.splat(offset, tier.lanes)) for _ in range(GROUP)]
    with code.loop(*rows) as y, code.loop(*columns) as x:
        place = code.multiply(code.add(code.multiply(y, code["width"]), x), code["channels"])
        add_to(totals, widened(code, tier, b.xor(code.load(kind, pixels, place), output.flip)), code)
    half = code.splat(b.lshr(count, I32(1)), tier.lanes)
    divisor = b.sitofp(code.splat(count, tier.lanes), vector(F32, tier.lanes))
    steps = []
    for total in totals:
        sign = b.ashr(total.get(), number(lanes, 31))
        magnitude = b.sub(b.xor(total.get(), sign), sign)
        quotient = b.fptosi(b.fdiv(b.sitofp(b.add(magnitude, half), divisor.type), divisor), lanes)
        steps.append(b.sub(b.xor(quotient, sign), sign))
    return to_bytes(code, tier, [steps], output)[0]
