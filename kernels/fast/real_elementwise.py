"""Functions of one float32: those of ``float_functions``, clamps, and single instructions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir

from qcore.kernels import activation, float_functions, rectifier
from qcore.kernels.delegate import flushed
from qcore.kernels.fast.cpu import Tier
from qcore.kernels.fast.float_sums import FLOAT, bounded
from qcore.kernels.fast.ir import F32, I32, I64, Code, Value, number, vector
from qcore.kernels.fast.program import Call
from qcore.kernels.fast.site import Site

EXPONENT, BIAS = 23, 127
"""Of float32: the place of the exponent's bits, and what is added to it."""


TOO_GREAT = 89.0
"""An exponent whose power float32 does not hold; half of it is one that it does."""

INSTRUCTIONS = "fabs", "floor", "ceil", "rint", "sqrt"


class Arguments(NamedTuple):
    """What a call is about: addresses of float32[numbers]; bits of a clamp's bounds, the first of which is LEAKY_RELU's factor."""

    input: int
    output: int
    numbers: int
    low: int = 0
    high: int = 0


@dataclass(frozen=True)
class RealElementwise:
    """A kernel.

    function: a method of ``RealWriter``, or one of INSTRUCTIONS.
    partial: there are fewer numbers than a vector has; else the last vector overlaps the one before.
    flushed: subnormal results are 0.
    """

    function: str
    partial: bool
    flushed: bool = False

    def emit(self, name: str, tier: Tier) -> Code:
        """Write the function. Threads share the vectors."""
        code, lanes = Code(name, Arguments), tier.lanes
        writer = RealWriter(code, lanes)
        with code.loop(*code.share(code.builder.sdiv(code.add(code["numbers"], lanes - 1), I64(lanes)))) as i:
            first = I64(0) if self.partial else code.smaller(code.multiply(i, lanes), code.add(code["numbers"], -lanes))
            source, to = (code.at(code.pointer(name), code.multiply(first, FLOAT)) for name in ("input", "output"))
            result = writer.value(self.function, code.load(writer.kind, source))
            result = writer.flush(result) if self.flushed else result
            if self.partial:
                code.store_first(result, to, code["numbers"])
            else:
                code.store(result, to)
        return code


class RealWriter:
    """Writes functions of vectors."""

    def __init__(self, code: Code, lanes: int):
        self.code, self.b, self.lanes = code, code.builder, lanes
        self.kind, self.integers = vector(F32, lanes), vector(I32, lanes)

    def value(self, function: str, x: Value) -> Value:
        """The function's value."""
        result: Value = self.code.elementwise(function, x) if function in INSTRUCTIONS else getattr(self, function)(x)
        return result

    def flush(self, x: Value) -> Value:
        """The same, or 0 where it is subnormal."""
        normal = self.b.fcmp_unordered(">=", self.code.elementwise("fabs", x), self.real(float(np.finfo(np.float32).smallest_normal)))
        return self.b.select(normal, x, self.real(0))

    def argument(self, name: str) -> Value:
        """A float32 of which the bits are passed."""
        return self.code.splat(self.b.bitcast(self.b.trunc(self.code[name], I32), F32), self.lanes)

    def negative(self, x: Value) -> Value:
        """With the other sign."""
        return self.b.fneg(x)

    def square(self, x: Value) -> Value:
        """Times itself."""
        return self.b.fmul(x, x)

    def clamp(self, x: Value) -> Value:
        """``rectifier.clamp_float``."""
        return bounded(self.code, x, self.argument("low"), self.argument("high"))

    def leaky(self, x: Value) -> Value:
        """``rectifier.leaky_float``."""
        return self.b.select(self.b.fcmp_ordered(">", x, self.real(0)), x, self.b.fmul(x, self.argument("low")))

    def exp(self, x: Value) -> Value:
        """``exp(x)``, infinite from TOO_GREAT on."""
        return self.exponential(self.smaller(x, self.real(TOO_GREAT)))

    def logistic(self, x: Value) -> Value:
        """``float_functions.logistic``."""
        e = self.exponential(self.smaller(x, self.real(float_functions.LOGISTIC_ONE)))
        return self.b.fdiv(e, self.b.fadd(self.real(1), e))

    def exponential(self, x: Value) -> Value:
        """``exp(x)`` as ``float_functions.logistic`` takes it, up to TOO_GREAT."""
        b, f, one, half = self.b, float_functions, self.real(1), self.real(0.5)
        halved = b.fmul(x, half)
        m = self.code.elementwise("floor", b.fadd(b.fmul(halved, self.real(f.LOG2_E)), half))
        r = b.fsub(b.fsub(halved, b.fmul(m, self.real(f.LN2_HIGH))), b.fmul(m, self.real(f.LN2_LOW)))
        square = b.fmul(r, r)
        rest = b.fadd(b.fmul(r, self.polynomial(square, f.LOGISTIC_ODD)), self.polynomial(square, f.LOGISTIC_EVEN))
        exponent = self.code.elementwise("smax", b.fptosi(self.larger(m, self.real(-BIAS)), self.integers), number(self.integers, 1 - BIAS))
        power = b.bitcast(b.shl(b.add(exponent, number(self.integers, BIAS)), number(self.integers, EXPONENT)), self.kind)
        root = b.fmul(b.fadd(b.fmul(square, rest), b.fadd(r, one)), power)
        return b.select(b.fcmp_ordered("<", x, self.real(f.LOGISTIC_ZERO)), self.real(0), b.fmul(root, root))

    def tanh(self, x: Value) -> Value:
        """``float_functions.tanh``."""
        b, f = self.b, float_functions
        x = bounded(self.code, x, self.real(-f.TANH_ONE), self.real(f.TANH_ONE))
        square = b.fmul(x, x)
        above = b.fadd(b.fmul(b.fmul(square, x), self.polynomial(square, f.TANH_NUMERATOR)), x)
        return b.fdiv(above, self.polynomial(square, f.TANH_DENOMINATOR))

    def hard_swish(self, x: Value) -> Value:
        """``activation.hard_swish_in_sixths``, of whole vectors."""
        b = self.b
        clamped = bounded(self.code, b.fadd(x, self.real(3)), self.real(0), self.real(6))
        return b.fmul(b.fmul(x, self.real(np.float32(1) / np.float32(6))), clamped)

    def polynomial(self, x: Value, coefficients: Sequence[float]) -> Value:
        """``float_functions.polynomial``."""
        value = self.real(coefficients[0])
        for coefficient in coefficients[1:]:
            value = self.b.fadd(self.b.fmul(value, x), self.real(coefficient))
        return value

    def real(self, value: float | np.float32) -> Value:
        """A constant, rounded to float32."""
        return number(self.kind, float(np.float32(value)))

    def smaller(self, x: Value, y: Value) -> Value:
        """Of two; x where it is not a number."""
        return self.b.select(self.b.fcmp_ordered(">", x, y), y, x)

    def larger(self, x: Value, y: Value) -> Value:
        """Of two; y where x is not a number."""
        return self.b.select(self.b.fcmp_ordered(">", x, y), x, y)

    def mask(self, count: Value) -> Value:
        """The first so many lanes."""
        lanes = ir.Constant(self.integers, list(range(self.lanes)))
        return self.b.icmp_signed("<", lanes, self.code.splat(self.b.trunc(count, I32), self.lanes))

    def load(self, pointer: Value, mask: Value) -> Value:
        """What lies there, zero elsewhere."""
        arguments = [pointer, ir.Constant(I32, 1), mask, self.real(0)]
        return self.code.call(f"llvm.masked.load.v{self.lanes}f32.p0", self.kind, arguments)

    def store(self, value: Value, pointer: Value, mask: Value) -> None:
        """Write some lanes."""
        arguments = [value, pointer, ir.Constant(I32, 1), mask]
        self.code.call(f"llvm.masked.store.v{self.lanes}f32.p0", ir.VoidType(), arguments)


FUNCTIONS: Mapping[Callable[..., Any], str] = MappingProxyType(
    {float_functions.logistic: "logistic", float_functions.tanh: "tanh", activation.hard_swish_in_sixths: "hard_swish"}
    | {np.negative: "negative", np.square: "square", np.abs: "fabs"}
    | {np.floor: "floor", np.ceil: "ceil", np.rint: "rint", np.sqrt: "sqrt"}
)
"""By the reference's function."""

NEAR: Mapping[Callable[..., Any], str] = MappingProxyType(
    {activation.logistic: "logistic", activation.tanh: "tanh", activation.hard_swish: "hard_swish", np.exp: "exp"}
)
"""By a function of the reference that differs from the kernel's in its last bits."""


def lower_curve(site: Site) -> list[Call]:
    """A function of one tensor."""
    curve, x = site.params, site.input(0)
    flushes = isinstance(curve, partial) and curve.func is flushed
    if flushes:
        (curve,) = curve.args
    exact, near = FUNCTIONS.get(curve), NEAR.get(curve)
    function = exact or near
    site.require(function is not None, "there is no native kernel of this function")
    assert function is not None
    site.require(near is None or not site.exact, "its function would round otherwise")
    site.require(exact != "hard_swish" or x.size % 4 == 0, "what is left over of vectors is rounded otherwise")
    return function_calls(site, function, flushes=flushes)


def lower_clamp(site: Site) -> list[Call]:
    """RELU and its like."""
    p: rectifier.FloatClampParams = site.params
    return function_calls(site, "clamp", p.activation_min, p.activation_max)


def lower_leaky(site: Site) -> list[Call]:
    """LEAKY_RELU."""
    return function_calls(site, "leaky", site.params)


def function_calls(site: Site, function: str, low: float = 0, high: float = 0, flushes: bool = False) -> list[Call]:
    """A function of every number; flushes: subnormal values become 0."""
    x, output = site.readable(0), site.outputs[0]
    site.require(x.dtype == output.dtype == np.float32, f"numbers of {x.dtype}")
    bounds = (int(np.float32(bound).view(np.int32)) for bound in (low, high))
    kernel = RealElementwise(function, x.size < site.tier.lanes, flushes)
    return [Call(kernel, Arguments(x.ctypes.data, output.ctypes.data, x.size, *bounds), (x,))]
