"""Copies of bytes: images into ones with a border, runs, and pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from llvmlite import ir

from qcore.kernels.fast.cpu import Tier
from qcore.kernels.fast.ir import BOOL, I8, I64, Code, Value, vector


class Arguments(NamedTuple):
    """What a call is about, in bytes where not said.

    input: address of images x rows x row; output: of images x (top + rows + bottom) x (left + row + right).
    value: of the border.
    """

    input: int
    output: int
    images: int
    rows: int
    row: int
    top: int
    bottom: int
    left: int
    right: int
    value: int


@dataclass(frozen=True)
class Border:
    """A kernel that copies images and puts a border of one value around each."""

    def emit(self, name: str, tier: Tier) -> Code:
        """Write the function. Threads share the rows of the output."""
        code = Code(name, Arguments)
        b = code.builder
        width = code.add(code["left"], code["row"], code["right"])
        height = code.add(code["top"], code["rows"], code["bottom"])
        first, end = code.share(code.multiply(code["images"], height))
        with code.loop(first, end) as line:
            image, y = b.sdiv(line, height), b.srem(line, height)
            row = b.sub(y, code["top"])
            to = code.at(code.pointer("output"), code.multiply(line, width))
            inside = b.and_(b.icmp_signed(">=", row, I64(0)), b.icmp_signed("<", row, code["rows"]))
            with b.if_else(inside) as (then, otherwise):
                with then:
                    _fill(code, to, code["left"])
                    source = code.multiply(code.add(code.multiply(image, code["rows"]), row), code["row"])
                    _copy(code, code.at(to, code["left"]), code.at(code.pointer("input"), source), code["row"])
                    _fill(code, code.at(to, code.add(code["left"], code["row"])), code["right"])
                with otherwise:
                    _fill(code, to, width)
        return code


def _fill(code: Code, to: Value, count: Value) -> None:
    value = code.builder.trunc(code["value"], I8)
    code.call("llvm.memset.p0.i64", ir.VoidType(), [to, value, count, BOOL(0)])


def _copy(code: Code, to: Value, source: Value, count: Value) -> None:
    code.call("llvm.memcpy.p0.p0.i64", ir.VoidType(), [to, source, count, BOOL(0)])


class RunArguments(NamedTuple):
    """What a call about runs of bytes is about: addresses of the first, how many, and bytes: of each, and from one to the next."""

    input: int
    output: int
    runs: int
    size: int
    input_stride: int
    output_stride: int


@dataclass(frozen=True)
class Runs:
    """A kernel that copies runs of bytes from places at one distance to places at another.

    short: of at least a vector, but so few bytes that calling the C library for each would cost more.
    """

    short: bool = False

    def emit(self, name: str, tier: Tier) -> Code:
        """Write the function. Threads share the runs."""
        code = Code(name, RunArguments)
        with code.loop(*code.share(code["runs"])) as run:
            to = code.at(code.pointer("output"), code.multiply(run, code["output_stride"]))
            source = code.at(code.pointer("input"), code.multiply(run, code["input_stride"]))
            if self.short:
                _copy_vectors(code, to, source, code["size"], vector_bytes(tier))
            else:
                _copy(code, to, source, code["size"])
        return code


def vector_bytes(tier: Tier) -> int:
    """Bytes of a vector."""
    return 4 * tier.lanes


def _copy_vectors(code: Code, to: Value, source: Value, count: Value, size: int) -> None:
    """A vector at a time; the last overlaps the one before."""
    with code.loop(0, count, size) as start:
        offset = code.smaller(start, code.add(count, -size))
        code.store(code.load(vector(I8, size), source, offset), to, offset)


class PixelArguments(NamedTuple):
    """What a call about pixels is about.

    input, output: addresses. rows, columns: of the output.
    row_offsets: address of int64[rows], in bytes from the input to the row that is copied; column_offsets: of int64[columns], from there.
    size: bytes of a pixel.
    """

    input: int
    output: int
    rows: int
    columns: int
    row_offsets: int
    column_offsets: int
    size: int


@dataclass(frozen=True)
class Pixels:
    """A kernel that makes an image of another's pixels, row by row and column by column."""

    def emit(self, name: str, tier: Tier) -> Code:
        """Write the function. Threads share the rows."""
        code = Code(name, PixelArguments)
        with code.loop(*code.share(code["rows"])) as row:
            line = code.load(I64, code.pointer("row_offsets"), code.multiply(row, 8), 8)
            with code.loop(0, code["columns"]) as column:
                pixel = code.load(I64, code.pointer("column_offsets"), code.multiply(column, 8), 8)
                to = code.multiply(code.add(code.multiply(row, code["columns"]), column), code["size"])
                source = code.at(code.pointer("input"), code.add(line, pixel))
                _copy(code, code.at(code.pointer("output"), to), source, code["size"])
        return code
