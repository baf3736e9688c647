"""QUANTIZE of float32, and DEQUANTIZE."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NamedTuple

import numpy as np
from llvmlite import ir

from qcore.kernels import conversion
from qcore.kernels.fast.bytes_out import FLIP, GROUP, Range, in_order, to_bytes
from qcore.kernels.fast.cpu import Tier
from qcore.kernels.fast.elementwise import block_bytes
from qcore.kernels.fast.ir import F32, F64, I16, I32, I64, Code, Value, number, vector
from qcore.kernels.fast.program import Call
from qcore.kernels.fast.requantization import BELOW_HALF, BELOW_HALF_F64
from qcore.kernels.fast.site import Site
from qcore.kernels.opdef import Array
from qcore.numerics.lookup_table import all_codes
from qcore.numerics.vector_loop import along_memory

Steps = Literal["divide", "divide_in_float64", "multiply", "multiply_saturating"]
"""By the names of the reference's functions, which say what each does."""

BEYOND = 1 << 20
"""Steps that are cut to either end of the codes. The reference's are the least int32, which a negative zero point wraps to the greatest."""


class Arguments(NamedTuple):
    """What a call is about.

    input: address of float32[numbers]; output: of codes.
    factor: bits of a float64: the scale, or its inverse.
    beyond: steps for what is no int32.
    """

    input: int
    output: int
    numbers: int
    factor: int
    beyond: int
    zero_point: int
    low: int
    high: int
    flip: int


@dataclass(frozen=True)
class Quantize:
    """A kernel.

    steps: how real numbers become steps.
    partial: there are fewer numbers than a block has codes.
    words: codes are of 16 bits.
    """

    steps: Steps
    partial: bool
    words: bool = False

    def emit(self, name: str, tier: Tier) -> Code:
        """Write the function. Threads share the blocks, of which the last overlaps the one before."""
        code = Code(name, Arguments)
        b, size = code.builder, block_bytes(tier)
        factor = b.bitcast(code["factor"], F64)
        beyond = b.sitofp(code["beyond"], F32)
        with code.loop(*code.share(b.sdiv(code.add(code["numbers"], size - 1), I64(size)))) as block:
            start = code.multiply(block, size)
            if not self.partial:
                start = code.smaller(start, code.add(code["numbers"], -size))
            source = code.at(code.pointer("input"), code.multiply(start, 4))
            reals = [code.load(vector(F32, tier.lanes), source, v * 4 * tier.lanes) for v in range(GROUP)]
            lanes = [_steps(code, self.steps, real, factor, beyond) for real in reals]
            codes = (
                self.in_words(code, lanes) if self.words else in_order(code, tier, to_bytes(code, tier, [lanes], Range.of(code, tier))[0])
            )
            if self.partial:
                code.store_first(codes, code.pointer("output"), code["numbers"])
            else:
                code.store(codes, code.pointer("output"), code.multiply(start, 2 if self.words else 1))
        return code

    def in_words(self, code: Code, steps: list[Value]) -> Value:
        """Codes of 16 bits."""
        whole = code.joined(steps)
        zero_point, low, high = (
            code.splat(code.builder.trunc(code[name], I32), whole.type.count) for name in ("zero_point", "low", "high")
        )
        codes = code.elementwise("smin", code.elementwise("smax", code.builder.add(whole, zero_point), low), high)
        return code.builder.trunc(codes, vector(I16, whole.type.count))


def _steps(code: Code, steps: Steps, real: Value, factor: Value, beyond: Value) -> Value:
    """int32 lanes of steps, of float32 lanes of real numbers; factor: float64; beyond: what stands for what is no int32."""
    b, count = code.builder, real.type.count
    if steps == "divide_in_float64":
        real = b.fpext(real, vector(F64, count))
    else:
        factor = b.fptrunc(factor, F32)
    kind, factor = real.type, code.splat(factor, count)
    if steps == "multiply_saturating":
        product, ends = b.fmul(real, factor), (number(kind, -32768.0), number(kind, 32767.0))
        # NaN is not below the greatest, and becomes it.
        product = b.select(b.fcmp_ordered("<", product, ends[1]), product, ends[1])
        return _nearest(code, b.select(b.fcmp_ordered(">", product, ends[0]), product, ends[0]))
    if steps == "multiply":
        shifted = b.fmul(real, factor)
    else:
        quotient, half = b.fdiv(real, factor), number(kind, BELOW_HALF if steps == "divide" else BELOW_HALF_F64)
        shifted = b.fadd(quotient, code.elementwise("copysign", half, quotient))
    fits = b.fcmp_ordered("<", code.elementwise("fabs", shifted), number(kind, 2.0**31))
    kept = b.select(fits, shifted, code.splat(b.fpext(beyond, F64) if steps == "divide_in_float64" else beyond, count))
    return _nearest(code, kept) if steps == "multiply" else b.fptosi(kept, vector(I32, count))


def _nearest(code: Code, real: Value) -> Value:
    """int32, ties to even."""
    count = real.type.count
    return code.call(f"llvm.lrint.v{count}i32.v{count}f32", vector(I32, count), [real])


def lower_quantize(site: Site) -> list[Call]:
    """QUANTIZE of real numbers."""
    p: conversion.QuantizeParams = site.params
    x, output = site.readable(0).reshape(-1), site.outputs[0].reshape(-1)
    site.require(p.zero_point.size == 1, "a scale for each channel")
    assert isinstance(p.steps, partial)
    if p.steps.func is not along_memory:
        return quantize_calls(p, p.steps, x, output, block_bytes(site.tier))
    (loop,) = p.steps.args
    whole = x.size - x.size % loop.width
    return [
        *quantize_calls(p, loop.vectors, x[:whole], output[:whole], block_bytes(site.tier)),
        *quantize_calls(p, loop.rest, x[whole:], output[whole:], block_bytes(site.tier)),
    ]


STEPS: dict[object, Steps] = {
    conversion.divide: "divide",
    conversion.divide_in_float64: "divide_in_float64",
    conversion.multiply: "multiply",
    conversion.multiply_saturating: "multiply_saturating",
}


def quantize_calls(p: conversion.QuantizeParams, steps: partial[Array], x: Array, output: Array, size: int) -> list[Call]:
    """The call for some numbers, if there are any; size: codes of a block."""
    if x.size == 0:
        return []
    flip, zero_point = FLIP if output.dtype == np.int8 else 0, int(p.zero_point.item())
    arguments = Arguments(
        input=x.ctypes.data,
        output=output.ctypes.data,
        numbers=x.size,
        factor=int(np.float64(steps.args[0].item()).view(np.int64)),
        beyond=-BEYOND if zero_point >= 0 else BEYOND,
        zero_point=zero_point + flip,
        low=p.quantized_min + flip,
        high=p.quantized_max + flip,
        flip=flip,
    )
    return [Call(Quantize(STEPS[steps.func], x.size < size, output.itemsize == 2), arguments, (x,))]


class RealArguments(NamedTuple):
    """What a call is about: addresses of codes[numbers] and of float32[numbers]; their zero point, and the bits of their scale."""

    input: int
    output: int
    numbers: int
    zero_point: int
    scale: int


@dataclass(frozen=True)
class Dequantize:
    """A kernel.

    bits: of the codes. signed: these are.
    partial: there are fewer than a block.
    """

    bits: int
    signed: bool
    partial: bool

    def emit(self, name: str, tier: Tier) -> Code:
        """Write the function. Threads share the blocks, of which the last overlaps the one before."""
        code = Code(name, RealArguments)
        b, size, lanes = code.builder, block_bytes(tier), vector(I32, tier.lanes)
        zero_point = code.splat(b.trunc(code["zero_point"], I32), tier.lanes)
        scale = code.splat(b.bitcast(b.trunc(code["scale"], I32), F32), tier.lanes)
        with code.loop(*code.share(b.sdiv(code.add(code["numbers"], size - 1), I64(size)))) as block:
            start = I64(0) if self.partial else code.smaller(code.multiply(block, size), code.add(code["numbers"], -size))
            source = code.at(code.pointer("input"), code.multiply(start, self.bits // 8))
            parts = [code.load(vector(ir.IntType(self.bits), tier.lanes), source, v * tier.lanes * self.bits // 8) for v in range(GROUP)]
            centred = [b.sub(b.sext(part, lanes) if self.signed else b.zext(part, lanes), zero_point) for part in parts]
            reals = code.joined([b.fmul(b.sitofp(part, vector(F32, tier.lanes)), scale) for part in centred])
            if self.partial:
                code.store_first(reals, code.pointer("output"), code["numbers"])
            else:
                code.store(reals, code.pointer("output"), code.multiply(start, 4))
        return code


def lower_dequantize(site: Site) -> list[Call]:
    """DEQUANTIZE of codes with one scale."""
    p: conversion.AffineParams = site.params
    site.require(p.scale.size == 1, "a scale for each channel")
    return dequantize_calls(site, int(p.zero_point.item()), np.float32(p.scale.item()))


def lower_scale_and_move(site: Site) -> list[Call]:
    """DEQUANTIZE of 16-bit codes, by the builtin kernels: their zero point is 0, and there is nothing to move."""
    p: conversion.MoveParams = site.params
    site.require(float(p.offset) == 0, "codes that have no table, and a zero point")
    return dequantize_calls(site, 0, np.float32(p.scale.item()))


def dequantize_calls(site: Site, zero_point: int, scale: np.float32) -> list[Call]:
    """Codes less their zero point, times their scale."""
    x, output = site.readable(0), site.outputs[0]
    kernel = Dequantize(8 * x.itemsize, x.dtype.kind == "i", x.size < block_bytes(site.tier))
    return [Call(kernel, RealArguments(x.ctypes.data, output.ctypes.data, x.size, zero_point, int(scale.view(np.int32))), (x,))]


def affine(table: Array, dtype: np.dtype[Any]) -> tuple[int, np.float32] | None:
    """Zero point and scale of a table of real numbers by code; None where it is not made of them."""
    codes, zeros = all_codes(dtype.name), np.flatnonzero(table == 0)
    if table.dtype != np.float32 or zeros.size != 1:
        return None
    centred = codes - codes[zeros[0]]
    beside = int(np.abs(centred - 1).argmin()) if centred.max() > 0 else int(np.abs(centred + 1).argmin())
    scale = np.float32(table[beside] * centred[beside])
    made = centred.astype(np.float32) * scale
    return (int(codes[zeros[0]]), scale) if np.array_equal(made.view(np.int32), table.view(np.int32)) else None
