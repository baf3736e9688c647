"""SOFTMAX of 8-bit codes: row by row, code by code, with tables of the exponentials by how far a code lies below its row's greatest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from qcore.kernels import softmax
from qcore.kernels.fast.bytes_out import FLIP
from qcore.kernels.fast.cpu import Tier
from qcore.kernels.fast.ir import BOOL, F32, I8, I32, I64, Code, Value, Variable
from qcore.kernels.fast.program import Call
from qcore.kernels.fast.requantization import BELOW_HALF
from qcore.kernels.fast.site import Site
from qcore.kernels.opdef import Array
from qcore.numerics.fixed_point import rounding_divide_by_pot
from qcore.numerics.fixed_point_functions import NEWTON_STEPS_RECIPROCAL, Width

STEP_BITS = 8
"""Output codes are steps of 2**-8, from the least code up."""

STEPS = 1 << STEP_BITS

LEAST_SCALE = 2.0**-30
"""Of an output: its steps are within int32."""


class Arguments(NamedTuple):
    """What a call is about.

    input, output: addresses of codes [rows, depth]; input_flip: 128 where the input's are int8, else 0.
    exponential: address of int32[256] in Q0, or float32[256]. terms: address of int32[256], the same in Q12, to be summed up.
    scale: bits of a float32: the output's. least: of its codes.
    """

    input: int
    output: int
    rows: int
    depth: int
    input_flip: int
    exponential: int
    terms: int
    scale: int
    least: int


Steps = Callable[[Value], Value]
"""From how far a code lies below its row's greatest, int64, to output steps, int64."""


@dataclass(frozen=True)
class Softmax:
    """A kernel.

    arithmetic: of the exponentials and their sum.
    half: what is added to steps of float32 before their fraction is cut off.
    """

    arithmetic: Literal["fixed", "float32"]
    half: float = 0.0

    def emit(self, name: str, tier: Tier) -> Code:
        """Write the function. Threads share the rows."""
        code = Code(name, Arguments)
        with code.loop(*code.share(code["rows"])) as row:
            start = code.multiply(row, code["depth"])
            source, to = code.at(code.pointer("input"), start), code.at(code.pointer("output"), start)
            greatest = code.variable(I64(0))
            with code.loop(0, code["depth"]) as i:
                greatest.set(code.elementwise("umax", greatest.get(), _code(code, source, i)))

            def below(i: Value, source: Value = source, greatest: Variable = greatest) -> Value:
                return code.builder.sub(greatest.get(), _code(code, source, i))

            steps = _fixed(code, below) if self.arithmetic == "fixed" else _float32(code, below, self.half)
            with code.loop(0, code["depth"]) as i:
                # Steps are not negative: there is nothing to clamp at the lower end.
                code.store(code.builder.trunc(code.add(code.smaller(steps(below(i)), STEPS - 1), code["least"]), I8), to, i)
        return code


def _code(code: Code, source: Value, i: Value) -> Value:
    """int64: an unsigned code."""
    return code.builder.xor(code.builder.zext(code.load(I8, source, i), I64), code["input_flip"])


def _entry(code: Code, kind: Any, table: str, index: Value) -> Value:
    """An entry of 32 bits."""
    return code.load(kind, code.pointer(table), code.multiply(index, 4), 4)


def _fixed(code: Code, below: Steps) -> Steps:
    """Exponentials times the reciprocal of their sum."""
    b, total = code.builder, code.variable(I64(0))
    with code.loop(0, code["depth"]) as i:
        total.set(code.add(total.get(), b.sext(_entry(code, I32, "terms", below(i)), I64)))
    # The greatest code's own term is 2**19, so that there is a reciprocal, and the shift is at least 23.
    sum_ = code.smaller(total.get(), (1 << 32) - 1)
    headroom = b.sub(code.call("llvm.ctlz.i64", I64, [sum_, BOOL(0)]), I64(32))
    mantissa = _one_over_one_plus(code, b.sub(b.shl(sum_, headroom), I64(1 << 31)))
    shift = b.sub(I64(softmax.SUM_BITS + 31 - STEP_BITS), headroom)

    def steps(difference: Value) -> Value:
        share = _product(code, mantissa, b.sext(_entry(code, I32, "exponential", difference), I64))
        return b.ashr(code.add(share, b.shl(I64(1), b.sub(shift, I64(1)))), shift)

    return steps


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


def _float32(code: Code, below: Steps, half: float) -> Steps:
    """The same in float32, exponentials added up in their order."""
    b, total = code.builder, code.variable(F32(0))
    with code.loop(0, code["depth"]) as i:
        total.set(b.fadd(total.get(), _entry(code, F32, "exponential", below(i))))
    scale = b.bitcast(b.trunc(code["scale"], I32), F32)
    factor = b.fdiv(F32(1), b.fmul(total.get(), scale))
    return lambda difference: b.fptosi(b.fadd(b.fmul(_entry(code, F32, "exponential", difference), factor), F32(half)), I64)


def lower_softmax_by_table(site: Site) -> list[Call]:
    """The reference's SOFTMAX."""
    p: softmax.TableParams = site.params
    exponential = np.ascontiguousarray(p.differences.exponential, np.int32)
    terms = rounding_divide_by_pot(exponential, softmax.SUM_BITS)
    return softmax_calls(site, Softmax("fixed"), exponential, terms, np.float32(0))


def lower_softmax_in_float32(site: Site) -> list[Call]:
    """SOFTMAX of the other arithmetics."""
    p: softmax.Float32Params = site.params
    exponential = np.ascontiguousarray(p.exponential, np.float32)
    site.require(bool((exponential <= 1).all() and p.scale >= LEAST_SCALE), "exponentials above 1, or an output scale below 2**-30")
    site.require(p.storage != np.int8 or p.zero_point == -128, f"an output zero point of {p.zero_point}")
    half = 0.5 if p.storage == np.uint8 else BELOW_HALF
    return softmax_calls(site, Softmax("float32", half), exponential, exponential, p.scale)


def softmax_calls(site: Site, kernel: Softmax, exponential: Array, terms: Array, scale: np.float32) -> list[Call]:
    """The call of a kernel."""
    x, output = site.input(0), site.outputs[0]
    site.require(x.itemsize == output.itemsize == 1, "codes of 16 bits")
    if output.size == 0:
        return []
    arguments = Arguments(
        input=x.ctypes.data,
        output=output.ctypes.data,
        rows=output.size // output.shape[-1],
        depth=output.shape[-1],
        input_flip=FLIP if x.dtype == np.int8 else 0,
        exponential=exponential.ctypes.data,
        terms=terms.ctypes.data,
        scale=int(scale.view(np.int32)),
        least=int(np.iinfo(output.dtype).min),
    )
    return [Call(kernel, arguments, (exponential, terms, x))]
