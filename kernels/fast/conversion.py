"""QUANTIZE of float32 to 8-bit codes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple

import numpy as np

from qcore.kernels import conversion
from qcore.kernels.fast.bytes_out import FLIP, GROUP, Range, in_order, to_bytes
from qcore.kernels.fast.cpu import Tier
from qcore.kernels.fast.elementwise import block_bytes
from qcore.kernels.fast.ir import F32, F64, I32, I64, Code, Value, number, vector
from qcore.kernels.fast.program import Call
from qcore.kernels.fast.requantization import BELOW_HALF, BELOW_HALF_F64
from qcore.kernels.fast.site import Site
from qcore.kernels.opdef import Array
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
    """

    steps: Steps
    partial: bool

    def emit(self, name: str, tier: Tier) -> Code:
        """Write the function. Threads share the blocks, of which the last overlaps the one before."""
        code = Code(name, Arguments)
        b, size = code.builder, block_bytes(tier)
        factor, output = b.bitcast(code["factor"], F64), Range.of(code, tier)
        beyond = b.sitofp(code["beyond"], F32)
        with code.loop(*code.share(b.sdiv(code.add(code["numbers"], size - 1), I64(size)))) as block:
            start = code.multiply(block, size)
            if not self.partial:
                start = code.smaller(start, code.add(code["numbers"], -size))
            source = code.at(code.pointer("input"), code.multiply(start, 4))
            reals = [code.load(vector(F32, tier.lanes), source, v * 4 * tier.lanes) for v in range(GROUP)]
            (packed,) = to_bytes(code, tier, [[_steps(code, self.steps, real, factor, beyond) for real in reals]], output)
            codes = in_order(code, tier, packed)
            if self.partial:
                code.store_first(codes, code.pointer("output"), code["numbers"])
            else:
                code.store(codes, code.pointer("output"), start)
        return code


def _steps(code: Code, steps: Steps, real: Value, factor: Value, beyond: Value) -> Value:
    """int32 lanes of steps, of float32 lanes of real numbers; factor: float64; beyond: what stands for what is no int32."""
    b, count = code.builder, real.type.count
    if steps == "divide_in_float64":
        real = b.fpext(real, vector(F64, count))
    else:
        factor = b.fptrunc(factor, F32)
    kind, factor = real.type, code.splat(factor, count)
    if steps in ("divide", "divide_in_float64"):
        quotient = b.fdiv(real, factor)
        half = number(kind, BELOW_HALF if steps == "divide" else BELOW_HALF_F64)
        rounded = code.elementwise("trunc", b.fadd(quotient, code.elementwise("copysign", half, quotient)))
    else:
        rounded = code.elementwise("rint", b.fmul(real, factor))
    if steps == "multiply_saturating":
        # NaN is not below the greatest, and becomes it.
        rounded = b.select(b.fcmp_ordered("<", rounded, number(kind, 32767.0)), rounded, number(kind, 32767.0))
        rounded = b.select(b.fcmp_ordered(">", rounded, number(kind, -32768.0)), rounded, number(kind, -32768.0))
    else:
        fits = b.fcmp_ordered("<", code.elementwise("fabs", rounded), number(kind, 2.0**31))
        rounded = b.select(fits, rounded, code.splat(b.fpext(beyond, F64) if steps == "divide_in_float64" else beyond, count))
    return b.fptosi(rounded, vector(I32, count))


def lower_quantize(site: Site) -> list[Call]:
    """QUANTIZE of real numbers."""
    p: conversion.QuantizeParams = site.params
    x, output = site.readable(0).reshape(-1), site.outputs[0].reshape(-1)
    site.require(output.itemsize == 1, "codes of 16 bits")
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
    return [Call(Quantize(STEPS[steps.func], x.size < size), arguments, (x,))]
