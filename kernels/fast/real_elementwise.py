"""Elementwise operators of float32: sums and products of two tensors, and the functions of ``float_functions``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir

from qcore.kernels import activation, float_functions
from qcore.kernels.delegate import flushed
from qcore.kernels.elementwise import PlainParams
from qcore.kernels.fast.cpu import Tier
from qcore.kernels.fast.float_sums import FLOAT, bounded
from qcore.kernels.fast.ir import F32, I32, I64, Code, Value, number, vector
from qcore.kernels.fast.program import Call
from qcore.kernels.fast.site import Site

EXPONENT, BIAS = 23, 127
"""Of float32: the place of the exponent's bits, and what is added to it."""


class Arguments(NamedTuple):
    """What a call is about.

    one, other: addresses of float32[rows, row]; step: bytes from one row of other to the next.
    low, high: bits of the bounds of the result. output: address of float32[rows, row].
    """

    one: int
    other: int
    step: int
    rows: int
    row: int
    low: int
    high: int
    output: int


@dataclass(frozen=True)
class RealElementwise:
    """A kernel: add, subtract, multiply, or a function of one tensor: logistic, tanh, hard_swish."""

    function: str

    def emit(self, name: str, tier: Tier) -> Code:
        """Write the function."""
        code = Code(name, Arguments)
        writer = RealWriter(code, tier.lanes)
        step = FLOAT * tier.lanes
        size = code.multiply(code["row"], FLOAT)
        with code.loop(*code.share(code["rows"])) as row:
            start = code.multiply(row, size)
            one, output = (code.at(code.pointer(name), start) for name in ("one", "output"))
            other = code.at(code.pointer("other"), code.multiply(row, code["step"]))
            whole = code.builder.and_(size, I64(-step))
            with code.loop(0, whole, step) as place:
                x, y = (code.load(writer.kind, pointer, place) for pointer in (one, other))
                code.store(writer.value(self.function, x, y), output, place)
            with code.loop(whole, size, step) as place:
                mask = writer.mask(code.builder.sdiv(code.builder.sub(size, place), I64(FLOAT)))
                x, y = (writer.load(code.at(pointer, place), mask) for pointer in (one, other))
                writer.store(writer.value(self.function, x, y), code.at(output, place), mask)
        return code


class RealWriter:
    """Writes functions of vectors."""

    def __init__(self, code: Code, lanes: int):
        self.code, self.b, self.lanes = code, code.builder, lanes
        self.kind, self.integers = vector(F32, lanes), vector(I32, lanes)

    def value(self, function: str, x: Value, y: Value) -> Value:
        """The function's value."""
        ufuncs = {"add": self.b.fadd, "subtract": self.b.fsub, "multiply": self.b.fmul}
        if function in ufuncs:
            return bounded(self.code, ufuncs[function](x, y), self.argument("low"), self.argument("high"))
        result: Value = getattr(self, function)(x)
        return result

    def argument(self, name: str) -> Value:
        """A float32 of which the bits are passed."""
        return self.code.splat(self.b.bitcast(self.b.trunc(self.code[name], I32), F32), self.lanes)

    def logistic(self, x: Value) -> Value:
        """``float_functions.logistic``."""
        e = self.exponential(self.smaller(x, self.real(float_functions.LOGISTIC_ONE)))
        return self.b.fdiv(e, self.b.fadd(self.real(1), e))

    def exponential(self, x: Value) -> Value:
        """``exp(x)`` as ``float_functions.logistic`` takes it, up to LOGISTIC_ONE."""
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
)
"""By the reference's function."""

NEAR: Mapping[Callable[..., Any], str] = MappingProxyType(
    {activation.logistic: "logistic", activation.tanh: "tanh", activation.hard_swish: "hard_swish"}
)
"""By a function of the reference that differs from the kernel's in its last bits."""


def lower_curve(site: Site) -> list[Call]:
    """A function of one tensor."""
    curve, x, output = site.params, site.input(0), site.outputs[0]
    if isinstance(curve, partial) and curve.func is flushed:
        (curve,) = curve.args
    exact, near = FUNCTIONS.get(curve), NEAR.get(curve)
    function = exact or near
    site.require(function is not None and x.dtype == np.float32, "there is no native kernel of this curve")
    assert function is not None
    site.require(near is None or not site.exact, "its function would round otherwise")
    site.require(exact != "hard_swish" or x.size % 4 == 0, "what is left over of vectors is rounded otherwise")
    rows, row = in_rows(x.size)
    arguments = Arguments(x.ctypes.data, x.ctypes.data, FLOAT * row, rows, row, 0, 0, output.ctypes.data)
    return [Call(RealElementwise(function), arguments, (x,))]


def lower_plain(site: Site) -> list[Call]:
    """ADD, SUB and MUL; one of the inputs may be repeated along the first axes."""
    p: PlainParams = site.params
    name, output = getattr(p.function, "__name__", ""), site.outputs[0]
    site.require(output.dtype == np.float32 and name in ("add", "subtract", "multiply"), "there is no native kernel of this function")
    one, other = site.input(0), site.input(1)
    if one.size < other.size and name != "subtract":
        one, other = other, one
    site.require(one.shape == output.shape and repeats(other.shape, one.shape), "an input is repeated within")
    whole = other.size == one.size
    rows, row = in_rows(one.size) if whole else (one.size // max(1, other.size), other.size)
    low, high = (int(np.float32(bound).view(np.int32)) for bound in (p.activation_min, p.activation_max))
    step = FLOAT * row if whole else 0
    arguments = Arguments(one.ctypes.data, other.ctypes.data, step, rows, row, low, high, output.ctypes.data)
    return [Call(RealElementwise(name), arguments, (one, other))]


def in_rows(size: int) -> tuple[int, int]:
    """Rows that threads may share, and elements of each."""
    row = next((row for row in (4096, 1024, 256, 64) if size % row == 0), size)
    return (size // row if row else 0), row


def repeats(shape: Sequence[int], along: Sequence[int]) -> bool:
    """The array of this shape is as long along the last axes, and of size 1 along those before."""
    own = [size for i, size in enumerate(shape) if size != 1 or any(s != 1 for s in shape[:i])]
    return list(along[len(along) - len(own) :]) == own
